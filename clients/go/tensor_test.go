package lossmeter_test

import (
	"bytes"
	"math"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/lossmeter/lossmeter/clients/go"
	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

type celsius float32

func TestTensorsAreLittleEndian(t *testing.T) {
	word := pb.DataType_DATA_TYPE_INT64
	if strconv.IntSize == 32 {
		word = pb.DataType_DATA_TYPE_INT32
	}
	for name, test := range map[string]struct {
		tensor lossmeter.Tensor
		want   *pb.Tensor
	}{
		"float32": {
			lossmeter.Of([]float32{1, -2}, 2, 1),
			message(pb.DataType_DATA_TYPE_FLOAT32, []byte("\x00\x00\x80\x3f\x00\x00\x00\xc0"), 2, 1),
		},
		"a type of one's own": {
			lossmeter.Of([]celsius{1}), message(pb.DataType_DATA_TYPE_FLOAT32, []byte("\x00\x00\x80\x3f"), 1),
		},
		"float64": {
			lossmeter.Scalar(math.Inf(-1)),
			message(pb.DataType_DATA_TYPE_FLOAT64, []byte("\x00\x00\x00\x00\x00\x00\xf0\xff")),
		},
		"int": {lossmeter.Of([]int{}), message(word, nil, 0)},
		"int64": {
			lossmeter.Of([]int64{-2}),
			message(pb.DataType_DATA_TYPE_INT64, []byte("\xfe\xff\xff\xff\xff\xff\xff\xff"), 1),
		},
		"uint16":   {lossmeter.Of([]uint16{258}), message(pb.DataType_DATA_TYPE_UINT16, []byte{2, 1}, 1)},
		"float16":  {lossmeter.Float16([]uint16{258}), message(pb.DataType_DATA_TYPE_FLOAT16, []byte{2, 1}, 1)},
		"bfloat16": {lossmeter.BFloat16([]uint16{258}, 1, 1), message(pb.DataType_DATA_TYPE_BFLOAT16, []byte{2, 1}, 1, 1)},
		"bool":     {lossmeter.Of([]bool{true, false}), message(pb.DataType_DATA_TYPE_BOOL, []byte{1, 0}, 2)},
		"string": {
			lossmeter.Of([]string{"de", "", "å"}),
			message(pb.DataType_DATA_TYPE_STRING, []byte("\x02\x00\x00\x00de\x00\x00\x00\x00\x02\x00\x00\x00å"), 3),
		},
	} {
		if got := lossmeter.MessageOf(test.tensor); !proto.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func message(dtype pb.DataType, data []byte, shape ...int64) *pb.Tensor {
	return &pb.Tensor{Dtype: dtype, Data: data, Shape: shape}
}

func TestTensorIsAView(t *testing.T) {
	data := []float64{1, 2}
	tensor := lossmeter.Of(data)
	data[0] = 2
	if !proto.Equal(lossmeter.MessageOf(tensor), lossmeter.MessageOf(lossmeter.Of([]float64{2, 2}))) {
		t.Error("it is a copy")
	}
}

func TestElementsAreSwappedForOtherMachines(t *testing.T) {
	data := []byte{1, 2, 3, 4}
	if got := lossmeter.Swapped(data, 2); !bytes.Equal(got, []byte{2, 1, 4, 3}) || data[0] != 1 {
		t.Errorf("%v of %v", got, data)
	}
}

func TestPiecesHoldAllRows(t *testing.T) {
	const rows = 300_000
	labels := make([]string, rows)
	for i := range labels {
		labels[i] = strconv.Itoa(i)
	}
	seen := 0
	inputs := lossmeter.Inputs{
		"predictions": lossmeter.Of(make([]float64, 2*rows), rows, 2),
		"country":     lossmeter.Of(labels),
		"variance":    lossmeter.Scalar(2.0),
	}
	for piece := range lossmeter.Cut(inputs) {
		size := int(lossmeter.MessageOf(piece["predictions"]).GetShape()[0])
		want := lossmeter.Inputs{
			"predictions": lossmeter.Of(make([]float64, 2*size), size, 2),
			"country":     lossmeter.Of(labels[seen : seen+size]),
			"variance":    inputs["variance"],
		}
		for name, tensor := range piece {
			if !proto.Equal(lossmeter.MessageOf(tensor), lossmeter.MessageOf(want[name])) {
				t.Fatalf("other %s from row %d", name, seen)
			}
		}
		seen += size
	}
	if seen != rows {
		t.Errorf("%d rows", seen)
	}
}

func TestNoRowsAreOnePiece(t *testing.T) {
	pieces := 0
	for range lossmeter.Cut(lossmeter.Inputs{"targets": lossmeter.Of([]float64{})}) {
		pieces++
	}
	if pieces != 1 {
		t.Errorf("%d pieces", pieces)
	}
}
