package lossmeter_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/lossmeter/lossmeter/clients/go"
	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// vectors are what all clients and the service are held to.
type vectors struct {
	Sums []struct {
		Terms []bits
		Sum   sumVector
		Value bits
	}
	Ratios []struct {
		Above, Below sumVector
		Value        *bits
	}
	Merges []struct {
		Name       string
		States     [][]byte
		AnyProfile bool `json:"any_profile"`
		Merged     []byte
		StateHash  string `json:"state_hash"`
		Cells      []struct {
			Key      any
			Finished map[string]any
		}
	}
	Refused []struct {
		Name       string
		States     [][]byte
		AnyProfile bool `json:"any_profile"`
		Reason     string
	}
}

type sumVector struct {
	Exponent         int32
	Mantissa         []byte
	NaN              uint64
	PositiveInfinity uint64 `json:"positive_infinity"`
	NegativeInfinity uint64 `json:"negative_infinity"`
}

// bits are a float64 as 16 hexadecimal digits, the most significant first.
type bits string

func bitsOf(x float64) bits {
	if math.IsNaN(x) {
		return "7ff8000000000000"
	}
	return bits(fmt.Sprintf("%016x", math.Float64bits(x)))
}

func (b bits) number(t *testing.T) float64 {
	t.Helper()
	number, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return math.Float64frombits(number)
}

func readVectors(t *testing.T) (read vectors) {
	t.Helper()
	path := os.Getenv("LOSSMETER_STATES")
	if path == "" {
		path = filepath.Join("..", "..", "tests", "golden", "states", "vectors.json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&read); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestMergesAreThoseOfTheVectors(t *testing.T) {
	for _, vector := range readVectors(t).Merges {
		t.Run(vector.Name, func(t *testing.T) {
			rules := lossmeter.MergeRules{AnyProfile: vector.AnyProfile}
			merged, err := lossmeter.MergeStates(vector.States, rules)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(merged.Bytes(), vector.Merged) {
				t.Error("other bytes")
			}
			if merged.Hash() != vector.StateHash {
				t.Error("another hash")
			}
			if len(merged.Cells()) != len(vector.Cells) {
				t.Fatalf("%d cells", len(merged.Cells()))
			}
			for i, cell := range merged.Cells() {
				if key := vector.Cells[i].Key; !isKey(cell, key) {
					t.Errorf("cell %d has the key of another", i)
				}
				got, want := finished(t, cell), vector.Cells[i].Finished
				for _, told := range []map[string]any{got, want} {
					for name := range told {
						if fmt.Sprint(got[name]) != fmt.Sprint(want[name]) {
							t.Errorf("cell %d: %s is %v, not %v", i, name, got[name], want[name])
						}
					}
				}
			}
		})
	}
}

func isKey(cell *lossmeter.Cell, key any) bool {
	switch key := key.(type) {
	case string:
		return cell.Label() == key
	case json.Number:
		return strconv.FormatUint(cell.Position(), 10) == key.String()
	}
	return cell.Label() == "" && cell.Position() == 0
}

// finished is what each reduction makes of a cell; nil where it is refused.
func finished(t *testing.T, cell *lossmeter.Cell) map[string]any {
	t.Helper()
	told := map[string]any{"sum": bitsOf(cell.Sum())}
	means := map[string]func() (float64, error){
		"mean":          cell.Mean,
		"weighted_mean": cell.WeightedMean,
		"nonzero_mean":  cell.NonzeroMean,
		"batch_mean":    cell.BatchMean,
		"rms":           cell.RMS,
		"harmonic_mean": cell.HarmonicMean,
		"variance":      cell.Variance,
		"std":           cell.Std,
	}
	for name, mean := range means {
		value, err := mean()
		told[name] = bitsOf(value)
		if err != nil {
			told[name] = refusal(t, err)
		}
	}
	for name, find := range map[string]func() (lossmeter.Extreme, error){
		"min": cell.Min, "max": cell.Max,
	} {
		found, err := find()
		if err != nil {
			told[name] = refusal(t, err)
			continue
		}
		told[name] = bitsOf(found.Value)
		told["index_of_"+name] = found.Index
		told["batch_of_"+name] = found.BatchID
	}
	return told
}

// refusal is nil, if the error is one that a finish may have.
func refusal(t *testing.T, err error) any {
	t.Helper()
	if reason := reasonOf(err); reason != "EMPTY_REDUCTION" && reason != "NOT_MERGEABLE" {
		t.Errorf("refused as %s", reason)
	}
	return nil
}

func reasonOf(err error) string {
	var refused *lossmeter.Error
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func TestMergesAreRefusedAsTheVectorsAre(t *testing.T) {
	for _, vector := range readVectors(t).Refused {
		t.Run(vector.Name, func(t *testing.T) {
			rules := lossmeter.MergeRules{AnyProfile: vector.AnyProfile}
			_, err := lossmeter.MergeStates(vector.States, rules)
			if reasonOf(err) != vector.Reason {
				t.Errorf("%v, not %s", err, vector.Reason)
			}
		})
	}
}

// changed is a state of the vectors, changed and sealed again.
func changed(t *testing.T, name string, change func(*pb.State)) []byte {
	t.Helper()
	for _, vector := range readVectors(t).Merges {
		if vector.Name == name {
			state := &pb.State{}
			if err := proto.Unmarshal(vector.States[0], state); err != nil {
				t.Fatal(err)
			}
			change(state)
			return lossmeter.Sealed(state)
		}
	}
	t.Fatalf("no vector %s", name)
	return nil
}

func TestFourHighestBandsAreKept(t *testing.T) {
	with := func(id string, bands map[float64]byte) []byte {
		return changed(t, "one state", func(state *pb.State) {
			state.Batches[0].Id = id
			cell := state.Cells[0]
			cell.Least.BatchId, cell.Greatest.BatchId = id, id
			cell.Exponentials.Bands = nil
			for number, mantissa := range bands {
				total := &pb.ExactSum{Mantissa: []byte{mantissa}}
				band := &pb.Exponentials_Band{Number: number, Total: total}
				cell.Exponentials.Bands = append(cell.Exponentials.Bands, band)
			}
		})
	}
	const minus1 = 0xFF
	merged, err := lossmeter.MergeStates([][]byte{
		with("a", map[float64]byte{-1: 1, 0: 1, 1: 1, 3: 1}),
		with("b", map[float64]byte{0: 1, 1: 1, 2: 1, 3: minus1}),
		with("c", map[float64]byte{4: 1}),
	}, lossmeter.MergeRules{})
	if err != nil {
		t.Fatal(err)
	}
	state := &pb.State{}
	if err := proto.Unmarshal(merged.Bytes(), state); err != nil {
		t.Fatal(err)
	}
	var kept []float64
	for _, band := range state.GetCells()[0].GetExponentials().GetBands() {
		kept = append(kept, band.GetNumber())
	}
	// What sums to nothing is no band, and makes room.
	if !slices.Equal(kept, []float64{0, 1, 2, 4}) {
		t.Errorf("%v", kept)
	}
}

func TestStatesThatContradictThemselves(t *testing.T) {
	const groups = "groups, some in one batch alone"
	for name, change := range map[string]func(*pb.State){
		"groups of different parts": func(s *pb.State) { s.Cells[1].Moments = nil },
		"a group without counts":    func(s *pb.State) { s.Cells[1].Linear = nil },
		"no group's name":           func(s *pb.State) { s.Cells[1].Key = nil },
		"more rows than there are":  func(s *pb.State) { s.Cells[1].Linear.Rows = 5 },
		"axes beside groups":        func(s *pb.State) { s.Shape = []uint64{3} },
		"too many bands": func(s *pb.State) {
			e := s.Cells[1].Exponentials
			for number := range 5 {
				band := &pb.Exponentials_Band{Number: float64(100 + number), Total: &pb.ExactSum{}}
				e.Bands = append(e.Bands, band)
			}
		},
		"half a band": func(s *pb.State) { s.Cells[1].Exponentials.Bands[0].Number = 0.5 },
		"a bin beyond infinity": func(s *pb.State) {
			s.Cells[1].Histogram.Numbers[0] = math.MaxInt32
		},
	} {
		if _, err := lossmeter.ParseState(changed(t, groups, change)); reasonOf(err) != "MALFORMED_REQUEST" {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := changed(t, groups, func(*pb.State) {})
	if _, err := lossmeter.ParseState(good); err != nil {
		t.Error(err)
	}
}

func TestSumsAreThoseOfTheVectors(t *testing.T) {
	for i, vector := range readVectors(t).Sums {
		var sum, reversed lossmeter.ExactSum
		terms := make([]float64, len(vector.Terms))
		for i, term := range vector.Terms {
			terms[i] = term.number(t)
		}
		sum.Add(terms...)
		slices.Reverse(terms)
		reversed.Add(terms...)
		for _, sum := range []*lossmeter.ExactSum{&sum, &reversed} {
			if got := bitsOf(sum.Float64()); got != vector.Value {
				t.Errorf("sum %d is %s, not %s", i, got, vector.Value)
			}
			if got := lossmeter.VectorOf(sum); got != vector.Sum.text() {
				t.Errorf("sum %d is %s, not %s", i, got, vector.Sum.text())
			}
		}
	}
}

func (v sumVector) text() string {
	return fmt.Sprint(v.Exponent, base64.StdEncoding.EncodeToString(v.Mantissa),
		v.NaN, v.PositiveInfinity, v.NegativeInfinity)
}

func TestRatiosAreThoseOfTheVectors(t *testing.T) {
	for i, vector := range readVectors(t).Ratios {
		above, below := vector.Above.sum(t), vector.Below.sum(t)
		got, err := above.Over(below)
		switch {
		case vector.Value == nil && reasonOf(err) != "EMPTY_REDUCTION":
			t.Errorf("ratio %d is %g, %v", i, got, err)
		case vector.Value != nil && (err != nil || bitsOf(got) != *vector.Value):
			t.Errorf("ratio %d is %s, %v, not %s", i, bitsOf(got), err, *vector.Value)
		}
	}
}

func (v sumVector) sum(t *testing.T) *lossmeter.ExactSum {
	t.Helper()
	sum, fits := lossmeter.SumOfVector(v.Exponent, v.Mantissa, v.NaN, v.PositiveInfinity, v.NegativeInfinity)
	if !fits {
		t.Fatal("no sum")
	}
	return sum
}
