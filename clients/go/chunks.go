package lossmeter

import (
	"iter"
	"reflect"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

const (
	mib = 1 << 20
	// Smaller messages and larger ones are slower.
	chunkBytes = mib
)

// What is finished from sums, or is a minimum or maximum, has the same bits whole and in pieces.
// These do not: they need the samples, and a stream has a histogram at best.
var ofSamples = map[string]bool{"none": true, "median": true, "quantile": true, "cvar": true}

// mayBeCut is whether a batch may go in pieces along axis 0.
//
// What a framework's own word or a loss's default means is not known here: the service refuses a
// stream that needs all samples or has them along another axis, and says so of a number that comes
// from a histogram.
func (r Request) mayBeCut() bool {
	rows, same := r.Inputs.rows()
	if !same {
		return false
	}
	for _, loss := range r.each() {
		if ofSamples[loss.Reduction.Name] || loss.Params.areOfRows(rows) {
			return false
		}
	}
	return true
}

// each are the losses of a request, one or several.
func (r Request) each() map[string]LossSpec {
	if len(r.Losses) > 0 {
		return r.Losses
	}
	return map[string]LossSpec{"": {Params: r.Params, Reduction: r.Reduction}}
}

// areOfRows is whether a parameter names an axis along which a framework's samples may lie, or may
// hold something for each row.
func (p Params) areOfRows(rows int) bool {
	for name, x := range p {
		if name == "axis" || name == "dim" {
			return true
		}
		v := reflect.ValueOf(x)
		isList := v.Kind() == reflect.Slice || v.Kind() == reflect.Array
		if isList && v.Len() == rows {
			return true
		}
	}
	return false
}

// rows is the size of axis 0, and whether all inputs have it.
func (inputs Inputs) rows() (rows int, same bool) {
	rows = -1
	for _, tensor := range inputs {
		if len(tensor.shape) == 0 || rows >= 0 && rows != int(tensor.shape[0]) {
			return 0, false
		}
		rows = int(tensor.shape[0])
	}
	return rows, rows >= 0
}

func (inputs Inputs) size() int {
	size := 0
	for _, tensor := range inputs {
		size += tensor.size()
	}
	return size
}

// cut are pieces along axis 0 of about a mebibyte, as views. Inputs that are single numbers are
// repeated in every piece.
func (inputs Inputs) cut() iter.Seq[Inputs] {
	rows := 1
	for _, tensor := range inputs {
		if len(tensor.shape) > 0 {
			rows = max(rows, int(tensor.shape[0]))
		}
	}
	step := max(1, int(int64(rows)*chunkBytes/int64(max(inputs.size(), 1))))
	return func(yield func(Inputs) bool) {
		for from := 0; from < rows; from += step {
			if !yield(inputs.piece(from, from+step)) {
				return
			}
		}
	}
}

// piece are the rows from one position to another, as far as an input has them.
func (inputs Inputs) piece(from, to int) Inputs {
	piece := make(Inputs, len(inputs))
	for name, tensor := range inputs {
		if len(tensor.shape) > 0 {
			rows := int(tensor.shape[0])
			tensor = tensor.rows(min(from, rows), min(to, rows))
		}
		piece[name] = tensor
	}
	return piece
}

// chunk is the message of the next rows of a stream.
func (inputs Inputs) chunk() *pb.EvaluateStreamRequest {
	chunk := &pb.EvaluateStreamRequest_Chunk{Inputs: inputs.messages()}
	return &pb.EvaluateStreamRequest{Message: &pb.EvaluateStreamRequest_Chunk_{Chunk: chunk}}
}

// messages are those of a stream: the specification, then the rows of batches as they come. An error
// of the batches, or of their shapes, is the last.
func messages(
	spec *pb.EvaluateRequest, batches iter.Seq2[Inputs, error],
) iter.Seq2[*pb.EvaluateStreamRequest, error] {
	first := &pb.EvaluateStreamRequest{Message: &pb.EvaluateStreamRequest_Spec{Spec: spec}}
	return func(yield func(*pb.EvaluateStreamRequest, error) bool) {
		if !yield(first, nil) {
			return
		}
		for batch, err := range batches {
			if err == nil {
				err = batch.check()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for piece := range batch.cut() {
				if !yield(piece.chunk(), nil) {
					return
				}
			}
		}
	}
}
