package lossmeter_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lossmeter/lossmeter/clients/go"
	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// soon is longer than any call of these tests takes.
const soon = 30 * time.Second

var huber = lossmeter.Request{
	Loss: "huber",
	Inputs: lossmeter.Inputs{
		"predictions": lossmeter.Of([]float64{1.5, 5}),
		"targets":     lossmeter.Of([]float64{1, 2}),
	},
}

func scalar(value float64) *pb.EvaluateResponse {
	message := lossmeter.MessageOf(lossmeter.Scalar(value))
	return &pb.EvaluateResponse{Value: message}
}

// errorOf is the error of this package that an error is.
func errorOf(t *testing.T, err error) *lossmeter.Error {
	t.Helper()
	var refused *lossmeter.Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no error of the package", err)
	}
	return refused
}

func TestTLS(t *testing.T) {
	certificate, key, config := certificate(t)
	asking := config.Clone()
	asking.ClientAuth = tls.RequireAndVerifyClientCert
	fake := &fake{evaluate: always(1)}
	serving, mutual := fake.start(t, withTLS(config)), fake.start(t, withTLS(asking))
	trusting := lossmeter.WithCAFile(certificate)
	for name, test := range map[string]struct {
		target  string
		options []lossmeter.Option
		works   bool
	}{
		"an authority of a file": {serving, []lossmeter.Option{trusting}, true},
		"those of the system":    {serving, []lossmeter.Option{lossmeter.WithTLS(nil)}, false},
		"settings of the caller": {
			serving, []lossmeter.Option{lossmeter.WithTLS(&tls.Config{RootCAs: config.ClientCAs})}, true,
		},
		"a plain connection": {serving, nil, false},
		"a certificate shown": {mutual, []lossmeter.Option{
			trusting, lossmeter.WithCertificateFiles(certificate, key),
		}, true},
		"no certificate shown": {mutual, []lossmeter.Option{trusting}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientOf(t, test.target, test.options...).Evaluate(t.Context(), huber)
			if test.works != (err == nil) {
				t.Fatal(err)
			}
			if err != nil && errorOf(t, err).Code != codes.Unavailable {
				t.Error(err)
			}
		})
	}
}

func TestFilesThatAreNone(t *testing.T) {
	_, key, _ := certificate(t)
	for name, option := range map[string]lossmeter.Option{
		"no authority":        lossmeter.WithCAFile("nowhere.pem"),
		"a key, no authority": lossmeter.WithCAFile(key),
		"no certificate":      lossmeter.WithCertificateFiles("nowhere.pem", key),
	} {
		if _, err := lossmeter.NewClient("localhost:1", option); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTokenIsSentWithEveryCall(t *testing.T) {
	var tokens []string
	note := func(ctx context.Context) (*pb.EvaluateResponse, error) {
		told, _ := metadata.FromIncomingContext(ctx)
		tokens = append(tokens, told.Get("authorization")...)
		return scalar(1), nil
	}
	fake := &fake{
		evaluate: func(ctx context.Context, _ *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
			return note(ctx)
		},
		stream: func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
			return note(stream.Context())
		},
	}
	client := clientOf(t, fake.start(t), lossmeter.WithToken("secret"))
	if _, err := client.Evaluate(t.Context(), huber); err != nil {
		t.Fatal(err)
	}
	if _, err := client.EvaluateStream(t.Context(), huber, batches()); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 || tokens[0] != "Bearer secret" || tokens[1] != tokens[0] {
		t.Errorf("%q", tokens)
	}
}

func TestRetries(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "not now")
	tooLarge := refuse(codes.ResourceExhausted, &errdetails.ErrorInfo{Reason: "TOO_LARGE"})
	for name, test := range map[string]struct {
		refusal  error
		refused  int64 // calls
		attempts int64
		code     codes.Code
	}{
		"a service that comes back":     {unavailable, 2, 3, codes.OK},
		"a service that stays away":     {unavailable, 100, 5, codes.Unavailable},
		"a service that has time again": {overloaded(), 2, 3, codes.OK},
		"a service that never has time": {overloaded(), 100, 5, codes.ResourceExhausted},
		"what is too large":             {tooLarge, 100, 1, codes.ResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := &fake{}
			fake.evaluate = func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
				if fake.whole.Load() <= test.refused {
					return nil, test.refusal
				}
				return scalar(1), nil
			}
			_, err := clientOf(t, fake.start(t)).Evaluate(t.Context(), huber)
			if status.Code(err) != test.code {
				t.Error(err)
			}
			if fake.whole.Load() != test.attempts {
				t.Errorf("%d attempts", fake.whole.Load())
			}
		})
	}
}

func TestBatchInPiecesIsRetried(t *testing.T) {
	fake := &fake{}
	fake.stream = func(stream pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error) {
		if fake.streamed.Load() == 1 {
			return nil, overloaded()
		}
		if _, err := allMessages(stream); err != nil {
			return nil, err
		}
		return scalar(1), nil
	}
	client := clientOf(t, fake.start(t), lossmeter.WithUnaryBytes(8))
	if _, err := client.Evaluate(t.Context(), huber); err != nil {
		t.Fatal(err)
	}
	if fake.streamed.Load() != 2 || fake.whole.Load() != 0 {
		t.Errorf("%d streams, %d calls", fake.streamed.Load(), fake.whole.Load())
	}
}

func TestRetryAfterTheDeadlineIsNotWaitedFor(t *testing.T) {
	retry := refuse(codes.ResourceExhausted, &errdetails.ErrorInfo{Reason: "OVERLOADED"},
		protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)}))
	fake := &fake{
		evaluate: func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
			return nil, retry
		},
	}
	_, err := clientOf(t, fake.start(t)).Evaluate(t.Context(), huber)
	if refused := errorOf(t, err); refused.RetryAfter != time.Hour || fake.whole.Load() != 1 {
		t.Errorf("%v after %d calls", err, fake.whole.Load())
	}
}

func TestContextEndsCalls(t *testing.T) {
	fake := &fake{
		evaluate: func(ctx context.Context, _ *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	target := fake.start(t)
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	cancelled, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	short := lossmeter.WithTimeout(50 * time.Millisecond)
	for name, test := range map[string]struct {
		ctx    context.Context
		option lossmeter.Option
		code   codes.Code
		cause  error
	}{
		"its deadline":          {late, lossmeter.WithTimeout(0), codes.DeadlineExceeded, context.DeadlineExceeded},
		"its end":               {cancelled, lossmeter.WithTimeout(0), codes.Canceled, context.Canceled},
		"the client's deadline": {t.Context(), short, codes.DeadlineExceeded, context.DeadlineExceeded},
	} {
		_, err := clientOf(t, target, test.option).Evaluate(test.ctx, huber)
		if errorOf(t, err).Code != test.code || !errors.Is(err, test.cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorTellsWhatTheServiceDoes(t *testing.T) {
	info := &errdetails.ErrorInfo{
		Reason:   "TOO_LARGE",
		Metadata: map[string]string{"field": "inputs", "limit": "3", "actual": "4", "chunk": "0"},
	}
	told := refuse(codes.ResourceExhausted, info)
	refused := errorOf(t, lossmeter.Failed(told))
	facts := map[string]int64{"limit": 3, "actual": 4, "chunk": 0}
	if refused.Code != codes.ResourceExhausted || refused.Reason != "TOO_LARGE" ||
		refused.Field != "inputs" || refused.Detail != "the detail" ||
		!maps.Equal(refused.Facts, facts) {
		t.Errorf("%#v", refused)
	}
	if text := refused.Error(); text != "lossmeter: TOO_LARGE at inputs: the detail" {
		t.Error(text)
	}
	if status.Code(refused) != codes.ResourceExhausted {
		t.Error("another status")
	}
}

func TestErrorOfAProxyHasNoReason(t *testing.T) {
	foreign, err := status.New(codes.Internal, "lost").
		WithDetails(&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "another"})
	if err != nil {
		t.Fatal(err)
	}
	refused := errorOf(t, lossmeter.Failed(foreign.Err()))
	if refused.Reason != "" || refused.Error() != "lossmeter: Internal: lost" {
		t.Errorf("%#v", refused)
	}
}

func TestFieldOfABadRequest(t *testing.T) {
	bad := &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "inputs.targets"}},
	}
	told := refuse(codes.InvalidArgument, &errdetails.ErrorInfo{}, protoadapt.MessageV1Of(bad))
	if refused := errorOf(t, lossmeter.Failed(told)); refused.Field != "inputs.targets" {
		t.Errorf("%#v", refused)
	}
}

func TestAnswersOfAnySize(t *testing.T) {
	large := bytes.Repeat([]byte{1}, 5<<20) // above gRPC's own limit
	fake := &fake{
		evaluate: func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
			answer := scalar(1)
			answer.State = large
			return answer, nil
		},
	}
	answer, err := clientOf(t, fake.start(t)).Evaluate(t.Context(), huber)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(answer.State, large) {
		t.Error("another state")
	}
}

func TestAnswerThatCannotBeRead(t *testing.T) {
	for name, value := range map[string]*pb.Tensor{
		"no type":         {Data: []byte{1}},
		"bytes too few":   {Dtype: pb.DataType_DATA_TYPE_FLOAT64, Data: []byte{1}},
		"sizes below 0":   {Dtype: pb.DataType_DATA_TYPE_FLOAT64, Shape: []int64{-1}},
		"another type":    {Dtype: pb.DataType_DATA_TYPE_INT8, Data: []byte{1}},
		"sizes too great": {Dtype: pb.DataType_DATA_TYPE_FLOAT64, Shape: []int64{1 << 40, 1 << 40}},
	} {
		fake := &fake{
			evaluate: func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
				return &pb.EvaluateResponse{Value: value}, nil
			},
		}
		_, err := clientOf(t, fake.start(t)).Evaluate(t.Context(), huber)
		if errorOf(t, err).Code != codes.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClosedClient(t *testing.T) {
	client, err := lossmeter.NewClient("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Evaluate(t.Context(), huber); errorOf(t, err).Code != codes.Canceled {
		t.Error(err)
	}
}
