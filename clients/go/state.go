package lossmeter

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
)

// State is what is kept of batches so that they can be finished together, exactly. Its cells are
// finished here by arithmetic alone; what a framework's symbol makes of its own mean, and all that
// needs an exponential or a logarithm, is asked of the service: [Client.MergeStates].
type State struct {
	spec    specification
	batches map[string]uint64
	cells   []*Cell
	shape   []uint64
}

// Cell is one group of a state; a state without groups has one.
type Cell struct {
	key                     cellKey
	linear                  *linear
	moments                 *moments
	logarithms, reciprocals *ExactSum
	exponentials            *exponentials
	least, greatest         *extreme
	histogram               *histogram
}

type cellKey struct {
	kind     keyKind
	label    string
	position uint64
}

type keyKind int

const (
	everything keyKind = iota
	byLabel
	byPosition
)

// specification is what was computed, in the order of its fields.
type specification struct {
	loss, params, dtype, nonfinite, by, axis, profile string
}

// MergeRules say which states may be merged.
type MergeRules struct {
	// AnyProfile merges states computed by different versions or machines, which otherwise differ.
	AnyProfile bool
}

// ParseState reads a state. Bytes that are none, are not in canonical form or contradict themselves
// are an error of the reason MALFORMED_REQUEST.
func ParseState(data []byte) (*State, error) {
	return parseState(data, "state")
}

// MergeStates makes one state of states made apart, as if their batches had been one, to the bytes
// that the service would give. None is changed.
//
// It is an error of the reason STATE_MISMATCH if they were made by different specifications or hold
// different parts, DUPLICATE_BATCH if a batch is in two of them, and as [ParseState] says.
func MergeStates(states [][]byte, rules MergeRules) (*State, error) {
	if len(states) == 0 {
		return nil, invalid("MALFORMED_REQUEST", "states", "give at least one state")
	}
	parsed := make([]*State, len(states))
	for i, data := range states {
		var err error
		if parsed[i], err = parseState(data, fmt.Sprintf("states.%d", i)); err != nil {
			return nil, err
		}
	}
	for _, other := range parsed[1:] {
		if err := parsed[0].merge(other, rules); err != nil {
			return nil, err
		}
	}
	return parsed[0], nil
}

// Bytes are the state's canonical form: equal states have equal bytes.
func (s *State) Bytes() []byte {
	data := s.unsealed()
	return append(data, checksumOf(data)...)
}

// Hash is the SHA-256 of the specification and the sums, without the batches' ids, in hexadecimal.
func (s *State) Hash() string {
	anonymous := &State{spec: s.spec, shape: s.shape}
	for _, cell := range s.cells {
		nameless := *cell
		nameless.least, nameless.greatest = cell.least.anonymous(), cell.greatest.anonymous()
		anonymous.cells = append(anonymous.cells, &nameless)
	}
	sum := sha256.Sum256(anonymous.Bytes())
	return hex.EncodeToString(sum[:])
}

// Loss is the canonical name or symbol of the loss, as asked for.
func (s *State) Loss() string { return s.spec.loss }

// Batches are the number of rows of each batch, by its id.
func (s *State) Batches() map[string]uint64 { return maps.Clone(s.batches) }

// Shape is that of the answer where axes are kept, of which the cells are the positions; else empty.
func (s *State) Shape() []int {
	shape := make([]int, len(s.shape))
	for axis, size := range s.shape {
		shape[axis] = int(size)
	}
	return shape
}

// Cells are the groups, by label or position.
func (s *State) Cells() []*Cell { return slices.Clone(s.cells) }

// Label is the name of the group; empty where no input names groups.
func (c *Cell) Label() string { return c.key.label }

// Position is that of the group in the kept axes, row-major; 0 where none are kept.
func (c *Cell) Position() uint64 { return c.key.position }

// Count is the number of kept entries.
func (c *Cell) Count() uint64 { return c.linear.count }

func (k cellKey) compare(other cellKey) int {
	return cmp.Or(strings.Compare(k.label, other.label), cmp.Compare(k.position, other.position))
}

// kinds tells which parts there are.
func (c *Cell) kinds() [8]bool {
	return [8]bool{
		c.linear != nil, c.moments != nil, c.logarithms != nil, c.reciprocals != nil,
		c.exponentials != nil, c.least != nil, c.greatest != nil, c.histogram != nil,
	}
}

// add adds the parts of another cell, which are of the same kinds.
func (c *Cell) add(other *Cell) {
	c.linear.add(other.linear)
	if c.moments != nil {
		c.moments.add(other.moments)
	}
	if c.logarithms != nil {
		c.logarithms.AddSum(other.logarithms)
	}
	if c.reciprocals != nil {
		c.reciprocals.AddSum(other.reciprocals)
	}
	if c.exponentials != nil {
		c.exponentials.add(other.exponentials)
	}
	if c.least != nil {
		c.least = c.least.or(other.least, 1)
	}
	if c.greatest != nil {
		c.greatest = c.greatest.or(other.greatest, -1)
	}
	if c.histogram != nil {
		c.histogram.add(other.histogram)
	}
}

func (s *State) merge(other *State, rules MergeRules) error {
	if err := s.refuse(other, rules); err != nil {
		return err
	}
	maps.Copy(s.batches, other.batches)
	mine := make(map[cellKey]*Cell, len(s.cells))
	for _, cell := range s.cells {
		mine[cell.key] = cell
	}
	for _, cell := range other.cells {
		if known := mine[cell.key]; known != nil {
			known.add(cell)
		} else {
			s.cells = append(s.cells, cell)
		}
	}
	s.sort()
	return nil
}

// sort puts the cells in the order of their keys.
func (s *State) sort() {
	slices.SortStableFunc(s.cells, func(a, b *Cell) int { return a.key.compare(b.key) })
}

func (s *State) refuse(other *State, rules MergeRules) error {
	if different := s.spec.differences(other.spec, rules); len(different) > 0 {
		detail := "the states differ in " + strings.Join(different, ", ")
		if slices.Equal(different, []string{"profile"}) {
			detail += " (AnyProfile merges them all the same)"
		}
		return unmergeable("STATE_MISMATCH", detail)
	}
	if !slices.Equal(s.shape, other.shape) {
		return unmergeable("STATE_MISMATCH", "the states keep axes of different sizes")
	}
	for id := range other.batches {
		if _, twice := s.batches[id]; twice {
			return unmergeable("DUPLICATE_BATCH",
				"a batch is in two of the states; merge each batch once")
		}
	}
	cells := slices.Concat(s.cells, other.cells)
	for _, cell := range cells {
		if cell.kinds() != cells[0].kinds() {
			return unmergeable("STATE_MISMATCH",
				"the states hold different parts; ask for the same when they are made")
		}
	}
	if s.overflows(other) {
		return invalid("MALFORMED_REQUEST", "states", "the states count more than 2^64 entries")
	}
	return nil
}

// overflows is whether a count of both states together is beyond 64 bits.
func (s *State) overflows(other *State) bool {
	var sums [7]uint64
	var over uint64
	count := func(at int, n uint64) {
		var carry uint64
		sums[at], carry = bits.Add64(sums[at], n, 0)
		over |= carry
	}
	for _, state := range []*State{s, other} {
		for _, cell := range state.cells {
			for at, n := range cell.linear.counts() {
				count(at, n)
			}
		}
		for _, rows := range state.batches {
			count(len(sums)-1, rows)
		}
	}
	return over != 0
}

func unmergeable(reason, detail string) error {
	return &Error{
		Code: codes.FailedPrecondition, Reason: reason, Field: "states", Detail: detail,
	}
}

func (s specification) fields() []struct{ name, text string } {
	return []struct{ name, text string }{
		{"loss", s.loss},
		{"params", s.params},
		{"dtype", s.dtype},
		{"nonfinite", s.nonfinite},
		{"by", s.by},
		{"axis", s.axis},
		{"profile", s.profile},
	}
}

func (s specification) differences(other specification, rules MergeRules) (names []string) {
	if rules.AnyProfile {
		other.profile = s.profile
	}
	theirs := other.fields()
	for i, field := range s.fields() {
		if field != theirs[i] {
			names = append(names, field.name)
		}
	}
	return names
}
