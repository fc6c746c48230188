package lossmeter_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/lossmeter/lossmeter/clients/go"
	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// batches yields these, one after the other.
func batches(each ...lossmeter.Inputs) iter.Seq2[lossmeter.Inputs, error] {
	return func(yield func(lossmeter.Inputs, error) bool) {
		for _, batch := range each {
			if !yield(batch, nil) {
				return
			}
		}
	}
}

// endless yields the same batch for as long as it is asked.
func endless(batch lossmeter.Inputs) iter.Seq2[lossmeter.Inputs, error] {
	return func(yield func(lossmeter.Inputs, error) bool) {
		for yield(batch, nil) {
		}
	}
}

func TestStreamIsASpecificationAndRows(t *testing.T) {
	var sent []*pb.EvaluateStreamRequest
	fake := &fake{}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (_ *pb.EvaluateResponse, err error) {
		sent, err = allMessages(stream)
		return scalar(1), err
	}
	client := clientOf(t, fake.start(t))
	_, err := client.EvaluateStream(t.Context(), huber, batches(huber.Inputs, huber.Inputs))
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != 3 {
		t.Fatalf("%d messages", len(sent))
	}
	if spec := sent[0].GetSpec(); spec.GetLoss() != "huber" || len(spec.GetInputs()) > 0 {
		t.Errorf("%v", spec)
	}
	for _, message := range sent[1:] {
		targets := message.GetChunk().GetInputs()["targets"]
		if !proto.Equal(targets, lossmeter.MessageOf(huber.Inputs["targets"])) {
			t.Errorf("%v", targets)
		}
	}
}

func TestBatchGoesInPiecesWhereItMay(t *testing.T) {
	const rows = 200_000
	column := lossmeter.Of(make([]float64, rows))
	inputs := lossmeter.Inputs{
		"predictions": lossmeter.Of(make([]float32, 4*rows), rows, 4),
		"targets":     column,
		"mask":        lossmeter.Of(make([]bool, rows)),
	}
	with := func(name string, tensor lossmeter.Tensor) lossmeter.Inputs {
		return lossmeter.Inputs{"predictions": column, "targets": column, name: tensor}
	}
	params := func(name string, x any) lossmeter.Request {
		return lossmeter.Request{Params: lossmeter.Params{name: x}, Inputs: inputs}
	}
	for name, test := range map[string]struct {
		request  lossmeter.Request
		inPieces bool
	}{
		"a mean":              {lossmeter.Request{Inputs: inputs}, true},
		"a median":            {lossmeter.Request{Inputs: inputs, Reduction: named("median")}, false},
		"one of several":      {several(inputs, named("mean"), named("none")), false},
		"all of several":      {several(inputs, named("mean"), named("max")), true},
		"an axis":             {params("axis", -1), false},
		"a dim":               {params("dim", 1), false},
		"a number each row":   {params("weight", make([]float64, rows)), false},
		"a number each class": {params("weight", make([]float64, 4)), true},
		"one number for all":  {lossmeter.Request{Inputs: with("variance", lossmeter.Scalar(1.0))}, false},
		"rows of another size": {
			lossmeter.Request{Inputs: with("sample_weight", lossmeter.Of([]float64{1}))}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []*pb.EvaluateStreamRequest
			fake := &fake{evaluate: always(1)}
			fake.stream = func(stream pb.LossService_EvaluateStreamServer) (_ *pb.EvaluateResponse, err error) {
				sent, err = allMessages(stream)
				return scalar(1), err
			}
			client := clientOf(t, fake.start(t), lossmeter.WithUnaryBytes(1<<20))
			if _, err := client.Evaluate(t.Context(), test.request); err != nil {
				t.Fatal(err)
			}
			if test.inPieces != (fake.streamed.Load() == 1) || test.inPieces == (fake.whole.Load() == 1) {
				t.Errorf("%d streams, %d calls", fake.streamed.Load(), fake.whole.Load())
			}
			got := int64(0)
			for _, message := range sent {
				if size := proto.Size(message); size > 1<<20+1<<10 {
					t.Errorf("a message of %d bytes", size)
				}
				if message.GetChunk() != nil {
					got += message.GetChunk().GetInputs()["mask"].GetShape()[0]
				}
			}
			if test.inPieces && got != rows {
				t.Errorf("%d rows", got)
			}
		})
	}
}

func named(reduction string) lossmeter.Reduction { return lossmeter.Reduction{Name: reduction} }

func several(inputs lossmeter.Inputs, a, b lossmeter.Reduction) lossmeter.Request {
	losses := map[string]lossmeter.LossSpec{
		"a": {Loss: "huber", Reduction: a}, "b": {Loss: "huber", Reduction: b},
	}
	return lossmeter.Request{Inputs: inputs, Losses: losses}
}

func TestBatchRefusedInPiecesGoesWhole(t *testing.T) {
	estimate := scalar(2)
	estimate.RelativeError = new(1.0 / 256)
	for name, test := range map[string]struct {
		reason string
		answer *pb.EvaluateResponse
		whole  int64
	}{
		"not streamable":             {"NOT_STREAMABLE", nil, 1},
		"samples along another axis": {"SHAPE_MISMATCH", nil, 1},
		"wrong in any way":           {"OUT_OF_DOMAIN", nil, 0},
		"a number from a histogram":  {"", estimate, 1},
		"a histogram among several":  {"", &pb.EvaluateResponse{Results: map[string]*pb.EvaluateResponse{"a": estimate}}, 1},
		"a number that is exact":     {"", scalar(1), 0},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &fake{evaluate: always(1)}
			fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
				if test.answer == nil {
					return nil, refuse(codes.InvalidArgument, &errdetails.ErrorInfo{Reason: test.reason})
				}
				_, err := allMessages(stream)
				return test.answer, err
			}
			client := clientOf(t, fake.start(t), lossmeter.WithUnaryBytes(8))
			answer, err := client.Evaluate(t.Context(), huber)
			if fake.whole.Load() != test.whole {
				t.Errorf("%d calls", fake.whole.Load())
			}
			if test.whole == 1 && (err != nil || answer.Value != 1) {
				t.Error(answer, err)
			}
			if test.answer == nil && test.whole == 0 && errorOf(t, err).Reason != test.reason {
				t.Error(err)
			}
		})
	}
}

func TestErrorOfTheBatchesCancelsTheCall(t *testing.T) {
	ended := make(chan error, 1)
	fake := &fake{}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
		_, err := allMessages(stream)
		ended <- err
		return scalar(1), err
	}
	broken := errors.New("the disk is full")
	failing := func(yield func(lossmeter.Inputs, error) bool) {
		_ = yield(huber.Inputs, nil) && yield(nil, broken)
	}
	_, err := clientOf(t, fake.start(t)).EvaluateStream(t.Context(), huber, failing)
	if err != broken {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the service took it for all")
		}
	case <-time.After(soon):
		t.Error("the call goes on")
	}
}

func TestRefusalEndsTheBatches(t *testing.T) {
	fake := &fake{}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
		for range 3 {
			if _, err := stream.Recv(); err != nil {
				return nil, err
			}
		}
		info := &errdetails.ErrorInfo{
			Reason:   "OUT_OF_DOMAIN",
			Metadata: map[string]string{"field": "inputs.targets", "chunk": "1"},
		}
		return nil, refuse(codes.InvalidArgument, info)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	_, err := clientOf(t, fake.start(t)).EvaluateStream(ctx, huber, endless(huber.Inputs))
	refused := errorOf(t, err)
	if refused.Reason != "OUT_OF_DOMAIN" || refused.Facts["chunk"] != 1 {
		t.Errorf("%#v", refused)
	}
}

func TestDeadlineEndsAStream(t *testing.T) {
	fake := &fake{}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
		<-stream.Context().Done()
		return nil, stream.Context().Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := clientOf(t, fake.start(t)).EvaluateStream(ctx, huber, endless(huber.Inputs))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestRequestsThatCannotBeWritten(t *testing.T) {
	bad := func(inputs lossmeter.Inputs, params lossmeter.Params) lossmeter.Request {
		return lossmeter.Request{Loss: "huber", Inputs: inputs, Params: params}
	}
	fake := &fake{evaluate: always(1)}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
		_, err := allMessages(stream)
		return scalar(1), err
	}
	client := clientOf(t, fake.start(t))
	for name, test := range map[string]struct {
		request       lossmeter.Request
		reason, field string
	}{
		"data too few": {
			bad(lossmeter.Inputs{"targets": lossmeter.Of([]float64{1}, 2)}, nil),
			"SHAPE_MISMATCH", "inputs.targets",
		},
		"texts too many": {
			bad(lossmeter.Inputs{"country": lossmeter.Of([]string{"de", "fr"}, 1)}, nil),
			"SHAPE_MISMATCH", "inputs.country",
		},
		"a size below 0": {
			bad(lossmeter.Inputs{"targets": lossmeter.Of([]float64{1}, -1, -1)}, nil),
			"SHAPE_MISMATCH", "inputs.targets",
		},
		"sizes beyond all memory": {
			bad(lossmeter.Inputs{"targets": lossmeter.Of([]float64{}, 1<<40, 1<<40)}, nil),
			"SHAPE_MISMATCH", "inputs.targets",
		},
		"a parameter that is no number": {
			bad(nil, lossmeter.Params{"delta": make(chan int)}), "PARAMETER_INVALID", "params.delta",
		},
	} {
		_, err := client.Evaluate(t.Context(), test.request)
		if refused := errorOf(t, err); refused.Reason != test.reason || refused.Field != test.field {
			t.Errorf("%s: %v", name, err)
		}
		_, err = client.EvaluateStream(t.Context(), test.request, batches(test.request.Inputs))
		if refused := errorOf(t, err); refused.Reason != test.reason || refused.Field != test.field {
			t.Errorf("%s, streamed: %v", name, err)
		}
	}
}
