package lossmeter

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/bits"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

const (
	stateFormat = 1
	mostAxes    = 32
	mostPlaces  = 1 << 24
)

// unsealed are the bytes before the checksum, in the order of the fields' numbers. Go's protobuf
// writes the fields of a oneof last: the key of a cell is therefore written apart.
func (s *State) unsealed() []byte {
	head := &pb.State{
		Format:            stateFormat,
		Specification:     s.spec.message(),
		SpecificationHash: s.spec.hash(),
	}
	for _, id := range slices.Sorted(maps.Keys(s.batches)) {
		head.Batches = append(head.Batches, &pb.Batch{Id: id, Rows: s.batches[id]})
	}
	data := marshal(head)
	for _, cell := range s.cells {
		data = protowire.AppendTag(data, 5, protowire.BytesType)
		data = protowire.AppendBytes(data, append(marshal(cell.key.message()), marshal(cell.parts())...))
	}
	return append(data, marshal(&pb.State{Shape: s.shape})...)
}

// checksumOf is the last field.
func checksumOf(data []byte) []byte {
	checksum := sha256.Sum256(data)
	return marshal(&pb.State{Checksum: checksum[:]})
}

func marshal(message proto.Message) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		panic(err) // its strings came from a message
	}
	return data
}

func (k cellKey) message() *pb.Cell {
	switch k.kind {
	case byLabel:
		return &pb.Cell{Key: &pb.Cell_Label{Label: k.label}}
	case byPosition:
		return &pb.Cell{Key: &pb.Cell_Position{Position: k.position}}
	}
	return nil
}

func (c *Cell) parts() *pb.Cell {
	message := &pb.Cell{}
	if c.linear != nil {
		message.Linear = c.linear.message()
	}
	if c.moments != nil {
		message.Moments = c.moments.message()
	}
	if c.logarithms != nil {
		message.Logarithms = c.logarithms.message()
	}
	if c.reciprocals != nil {
		message.Reciprocals = c.reciprocals.message()
	}
	if c.exponentials != nil {
		message.Exponentials = c.exponentials.message()
	}
	if c.least != nil {
		message.Least = c.least.message()
	}
	if c.greatest != nil {
		message.Greatest = c.greatest.message()
	}
	if c.histogram != nil {
		message.Histogram = c.histogram.message()
	}
	return message
}

// hash is the SHA-256 over the fields, each after its length.
func (s specification) hash() []byte {
	digest := sha256.New()
	for _, field := range s.fields() {
		length := binary.LittleEndian.AppendUint32(nil, uint32(len(field.text)))
		digest.Write(append(length, field.text...))
	}
	return digest.Sum(nil)
}

func (s specification) message() *pb.Specification {
	return &pb.Specification{
		Loss:      s.loss,
		Params:    s.params,
		Dtype:     s.dtype,
		Nonfinite: s.nonfinite,
		By:        s.by,
		Axis:      s.axis,
		Profile:   s.profile,
	}
}

func parseState(data []byte, field string) (*State, error) {
	message := &pb.State{}
	if proto.Unmarshal(data, message) == nil && message.GetFormat() == stateFormat {
		state, good := stateOf(message)
		if good && bytes.Equal(state.Bytes(), data) {
			return state, nil
		}
	}
	return nil, invalid("MALFORMED_REQUEST", field,
		"not a state of the service: the bytes are foreign, damaged or inconsistent")
}

// stateOf is the state in a message, and whether it is one.
func stateOf(message *pb.State) (*State, bool) {
	told := message.GetSpecification()
	state := &State{
		spec: specification{
			loss:      told.GetLoss(),
			params:    told.GetParams(),
			dtype:     told.GetDtype(),
			nonfinite: told.GetNonfinite(),
			by:        told.GetBy(),
			axis:      told.GetAxis(),
			profile:   told.GetProfile(),
		},
		batches: make(map[string]uint64, len(message.GetBatches())),
		shape:   message.GetShape(),
	}
	for _, batch := range message.GetBatches() {
		state.batches[batch.GetId()] = batch.GetRows()
	}
	r := reader{}
	for _, cell := range message.GetCells() {
		state.cells = append(state.cells, r.cell(cell))
	}
	state.sort()
	good := !r.bad && state.spec.isGood() && state.hasGoodGroups() && state.hasGoodParts()
	return state, good
}

func (r *reader) cell(message *pb.Cell) *Cell {
	cell := &Cell{}
	switch key := message.GetKey().(type) {
	case *pb.Cell_Label:
		cell.key = cellKey{kind: byLabel, label: key.Label}
	case *pb.Cell_Position:
		cell.key = cellKey{kind: byPosition, position: key.Position}
	}
	if part := message.GetLinear(); part != nil {
		cell.linear = r.linear(part)
	}
	if part := message.GetMoments(); part != nil {
		cell.moments = r.moments(part)
	}
	if part := message.GetLogarithms(); part != nil {
		cell.logarithms = r.sum(part)
	}
	if part := message.GetReciprocals(); part != nil {
		cell.reciprocals = r.sum(part)
	}
	if part := message.GetExponentials(); part != nil {
		cell.exponentials = r.exponentials(part)
	}
	if part := message.GetLeast(); part != nil {
		cell.least = r.extreme(part)
	}
	if part := message.GetGreatest(); part != nil {
		cell.greatest = r.extreme(part)
	}
	if part := message.GetHistogram(); part != nil {
		cell.histogram = r.histogram(part)
	}
	return cell
}

// isGood is whether a service may have this specification. The hash is told by the bytes.
func (s specification) isGood() bool {
	var params map[string]any
	if json.Unmarshal([]byte(s.params), &params) != nil {
		return false
	}
	_, hasLoss := params["loss"].(string)
	dtypes, policies := []string{"float32", "float64"}, []string{"propagate", "omit", "error"}
	return hasLoss && slices.Contains(dtypes, s.dtype) &&
		slices.Contains(policies, s.nonfinite) && (s.axis == "" || isAxes(s.axis))
}

// isAxes is whether a text tells axes, ascending, and how many there are; or that the columns are
// outputs.
func isAxes(text string) bool {
	var pair []json.RawMessage
	if json.Unmarshal([]byte(text), &pair) != nil || len(pair) != 2 {
		return false
	}
	var rank int
	if json.Unmarshal(pair[1], &rank) != nil {
		return false
	}
	if string(pair[0]) == `"outputs"` {
		return true
	}
	var axes []int
	if json.Unmarshal(pair[0], &axes) != nil {
		return false
	}
	before := -1
	for _, axis := range axes {
		if axis <= before || axis >= rank {
			return false
		}
		before = axis
	}
	return true
}

func (s *State) hasGoodGroups() bool {
	keys := make(map[cellKey]bool, len(s.cells))
	for _, cell := range s.cells {
		if keys[cell.key] || cell.kinds() != s.cells[0].kinds() {
			return false
		}
		keys[cell.key] = true
	}
	grouped := s.spec.by != "" || len(s.shape) > 0
	return len(s.batches) > 0 && grouped != keys[cellKey{}] && s.hasGoodShape()
}

// hasGoodShape is whether the cells are the positions of the shape. They are counted, not listed:
// the shape is not to be believed.
func (s *State) hasGoodShape() bool {
	if len(s.shape) == 0 {
		return true
	}
	cells, places := uint64(1), uint64(1)
	for _, size := range s.shape {
		if size > mostPlaces || places*max(size, 1) > mostPlaces {
			return false
		}
		cells, places = cells*size, places*max(size, 1)
	}
	for _, cell := range s.cells {
		if cell.key.kind != byPosition || cell.key.position >= cells {
			return false
		}
	}
	return len(s.shape) <= mostAxes && uint64(len(s.cells)) == cells
}

func (s *State) hasGoodParts() bool {
	rows := uint64(0)
	for _, more := range s.batches {
		var carry uint64
		if rows, carry = bits.Add64(rows, more, 0); carry > 0 {
			return false
		}
	}
	for _, cell := range s.cells {
		if !cell.isGood(rows) || !s.has(cell.least) || !s.has(cell.greatest) {
			return false
		}
	}
	return true
}

func (c *Cell) isGood(rows uint64) bool {
	l := c.linear
	return l != nil &&
		l.nonzero <= l.count && l.count <= l.entries &&
		l.nonzero <= l.nonzeroEntries && l.nonzeroEntries <= l.entries &&
		(c.key.kind == everything && l.rows == rows || c.key.kind != everything && l.rows <= rows)
}

// has is whether the sample of an extreme is in its batch.
func (s *State) has(found *extreme) bool {
	return found == nil || found.value == nil || found.row < s.batches[found.batch]
}
