package lossmeter

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/grpc/codes"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// Answer is the answer for one loss, or for several.
type Answer struct {
	// Value is the number; NaN where the answer is no single number, which Values, Groups or Results
	// then hold.
	Value float64
	// Values are the numbers where axes are kept, and under "none"; else nil.
	Values *Array
	// Kept tells which of Values the mask kept, under "none"; else nil.
	Kept []bool
	// Groups are the values of groups by label; nil where no input names groups.
	Groups map[string]Group
	// Loss is the canonical name.
	Loss string
	// Reduction is the canonical name.
	Reduction string
	// Count is the number of kept entries.
	Count uint64
	// Weight is the sum of their weights.
	Weight float64
	// Denominator is what was divided by; nil if no one number was.
	Denominator *float64
	// Backend is what computed the loss values.
	Backend string
	// Device is where.
	Device string
	// DType is that of the loss values.
	DType string
	// Index is the position of the first sample with the extreme, under "min" and "max".
	Index *uint64
	// BatchID is the batch that Index counts in, where several were merged.
	BatchID string
	// RelativeError bounds the error of a quantile from a histogram; nil if the value is exact.
	RelativeError *float64
	// Omitted is the number of entries that were left out, where that was asked for.
	Omitted *uint64
	// State is the mergeable state, if asked for: see [MergeStates].
	State []byte
	// StateHash is the SHA-256 of the state's specification and sums, in hexadecimal.
	StateHash string
	// Warnings say what looks wrong but was computed.
	Warnings []string
	// Results are the answers for several losses, before their weights; else nil.
	Results map[string]*Answer
	// Total is the sum of the results times their weights; nil if one is no single number.
	Total *float64
	// Skipped are those of several losses whose targets were absent.
	Skipped []string
}

// Group is one group's value and the sums behind it.
type Group struct {
	// Value is the group's value.
	Value float64
	// Count is the number of kept entries.
	Count uint64
	// Weight is the sum of their weights.
	Weight float64
	// Denominator is what was divided by; nil if nothing was.
	Denominator *float64
}

// Array is an array of numbers, row-major. Those that the service computed as float32 are widened.
type Array struct {
	Shape []int
	Data  []float64
}

// isExact is whether no histogram stands between the data and the values.
func (a *Answer) isExact() bool {
	for _, one := range a.Results {
		if !one.isExact() {
			return false
		}
	}
	return a.RelativeError == nil
}

func answerOf(found *pb.EvaluateResponse) (*Answer, error) {
	answer := &Answer{
		Loss:          found.GetLoss(),
		Reduction:     found.GetReduction(),
		Count:         found.GetCount(),
		Weight:        found.GetWeight(),
		Denominator:   found.Denominator,
		Backend:       found.GetBackend(),
		Device:        found.GetDevice(),
		DType:         found.GetDtype(),
		Index:         found.Index,
		BatchID:       found.GetBatchId(),
		RelativeError: found.RelativeError,
		Omitted:       found.Omitted,
		State:         found.GetState(),
		StateHash:     found.GetStateHash(),
		Warnings:      found.GetWarnings(),
		Total:         found.Total,
		Skipped:       found.GetSkipped(),
	}
	kept, err := arrayOf(found.GetKept())
	if err != nil {
		return nil, err
	}
	if kept != nil {
		for _, x := range kept.Data {
			answer.Kept = append(answer.Kept, x != 0)
		}
	}
	if results := found.GetResults(); len(results) > 0 {
		answer.Value = math.NaN()
		answer.Results = make(map[string]*Answer, len(results))
		for name, result := range results {
			if answer.Results[name], err = answerOf(result); err != nil {
				return nil, err
			}
		}
		return answer, nil
	}
	answer.Value, answer.Values, answer.Groups, err = valueOf(found.GetValue(), found.GetGroups())
	return answer, err
}

// valueOf is a number, an array or groups; of no rows there are no groups.
func valueOf(
	value *pb.Tensor, told map[string]*pb.Group,
) (float64, *Array, map[string]Group, error) {
	array, err := arrayOf(value)
	switch {
	case err != nil:
		return 0, nil, nil, err
	case array == nil:
		groups := make(map[string]Group, len(told))
		for label, group := range told {
			groups[label] = Group{
				group.GetValue(), group.GetCount(), group.GetWeight(), group.Denominator,
			}
		}
		return math.NaN(), nil, groups, nil
	case len(array.Shape) == 0:
		return array.Data[0], nil, nil, nil
	}
	return math.NaN(), array, nil, nil
}

// arrayOf is the array in a message; nil of none.
func arrayOf(message *pb.Tensor) (*Array, error) {
	if message == nil {
		return nil, nil
	}
	shape, data := message.GetShape(), message.GetData()
	width := widths[message.GetDtype()]
	if width == 0 || int64(len(data)) != product(shape)*int64(width) {
		return nil, unreadable()
	}
	array := &Array{make([]int, len(shape)), make([]float64, 0, len(data)/width)}
	for axis, size := range shape {
		array.Shape[axis] = int(size)
	}
	for element := range slices.Chunk(data, width) {
		number, err := number(message.GetDtype(), element)
		if err != nil {
			return nil, err
		}
		array.Data = append(array.Data, number)
	}
	return array, nil
}

// number is an element of an answer, whose dtypes are these.
func number(dtype pb.DataType, element []byte) (float64, error) {
	switch dtype {
	case pb.DataType_DATA_TYPE_BOOL:
		return float64(element[0]), nil
	case pb.DataType_DATA_TYPE_FLOAT32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(element))), nil
	case pb.DataType_DATA_TYPE_FLOAT64:
		return math.Float64frombits(binary.LittleEndian.Uint64(element)), nil
	}
	return 0, unreadable()
}

func unreadable() error {
	return &Error{Code: codes.Internal, Detail: "the answer has a tensor that cannot be read"}
}
