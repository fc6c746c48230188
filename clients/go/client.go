// Package lossmeter computes losses by a Lossmeter service, over gRPC, with the bits that the
// service computes. It also adds up and finishes the service's states by itself, exactly.
//
// A [Client] evaluates batches of any size; goroutines may share one.
package lossmeter

import (
	"context"
	"errors"
	"iter"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

const (
	defaultTimeout = time.Minute
	// A single message above this is slower than a stream.
	defaultUnaryBytes = 4 * mib

	mostAttempts = 5
	firstPause   = 100 * time.Millisecond
	pauseFactor  = 3

	// gRPC tries again where nobody answers. Of RESOURCE_EXHAUSTED only the reason tells whether it
	// will pass, which it does not read: see retried.
	serviceConfig = `{"methodConfig": [{
		"name": [{"service": "lossmeter.v1.LossService"}],
		"retryPolicy": {
			"maxAttempts": 5,
			"initialBackoff": "0.1s",
			"maxBackoff": "2s",
			"backoffMultiplier": 3,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]}`
)

// Client is a connection to a service.
type Client struct {
	connection *grpc.ClientConn
	stub       pb.LossServiceClient
	timeout    time.Duration
	unaryBytes int
}

// NewClient makes a client of the service at target, host:port or any other that gRPC takes. It
// does not wait for the connection, which the first call makes.
func NewClient(target string, options ...Option) (*Client, error) {
	c := config{timeout: defaultTimeout, unaryBytes: defaultUnaryBytes}
	for _, set := range options {
		if err := set(&c); err != nil {
			return nil, err
		}
	}
	connection, err := grpc.NewClient(target, append(c.dialOptions(), c.dial...)...)
	if err != nil {
		return nil, failed(err)
	}
	return &Client{connection, pb.NewLossServiceClient(connection), c.timeout, c.unaryBytes}, nil
}

func (c *config) dialOptions() []grpc.DialOption {
	secured := insecure.NewCredentials()
	if c.tls != nil {
		secured = credentials.NewTLS(c.tls)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(
			// The service says what is too large, with a reason.
			grpc.MaxCallRecvMsgSize(math.MaxInt),
			grpc.MaxCallSendMsgSize(math.MaxInt),
			// What is longer is sent once: gRPC's own bound is 256 KiB.
			grpc.MaxRetryRPCBufferSize(2*max(c.unaryBytes, defaultUnaryBytes)),
		),
		// A service that comes back is found within a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
			},
			MinConnectTimeout: 20 * time.Second,
		}),
		// A service that is cut off is noticed. Servers end connections that ask more often than
		// every five minutes.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 6 * time.Minute, Timeout: 20 * time.Second,
		}),
	}
}

// Close ends the connection; calls in flight are cancelled.
func (c *Client) Close() error { return c.connection.Close() }

// Evaluate evaluates a loss, or several, on one batch of any size.
//
// A batch above 4 MiB is sent as a stream of messages of 1 MiB where that gives the same bits, and
// as one message where it cannot: under none, median, quantile and cvar, and for losses that need
// all samples at once.
func (c *Client) Evaluate(ctx context.Context, request Request) (*Answer, error) {
	spec, err := request.spec()
	if err == nil {
		err = request.Inputs.check()
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	if request.Inputs.size() > c.unaryBytes && request.mayBeCut() {
		answer, err := retried(ctx, func() (*Answer, error) {
			return c.send(ctx, spec, one(request.Inputs))
		})
		if err != nil && !needsWhole(err) {
			return nil, err
		}
		if err == nil && answer.isExact() {
			return answer, nil
		}
	}
	spec.Inputs = request.Inputs.messages()
	return called(ctx, c.stub.Evaluate, spec, answerOf)
}

// needsWhole is whether a batch refused in pieces may be right as a whole. A layout whose samples do
// not lie along axis 0 shows as shapes that do not match.
func needsWhole(err error) bool {
	reason := reasonOf(err)
	return reason == "NOT_STREAMABLE" || reason == "SHAPE_MISMATCH"
}

func one(inputs Inputs) iter.Seq2[Inputs, error] {
	return func(yield func(Inputs, error) bool) { yield(inputs, nil) }
}

// EvaluateStream evaluates batches as they come, as if they were one; none is kept. The inputs of
// the request itself are not used.
//
// The batches are the next rows of each input. They are asked for in the caller's goroutine; an
// error among them cancels the call and is returned as it is. A median or quantile comes from a
// histogram: RelativeError of the answer bounds its error. An answer that needs all samples at once
// is refused as NOT_STREAMABLE. The call waits for its batches: those that may be long in coming, as
// from a channel, should end with the context.
func (c *Client) EvaluateStream(
	ctx context.Context, request Request, batches iter.Seq2[Inputs, error],
) (*Answer, error) {
	spec, err := request.spec()
	if err != nil {
		return nil, err
	}
	return c.send(ctx, spec, batches)
}

func (c *Client) send(
	ctx context.Context, spec *pb.EvaluateRequest, batches iter.Seq2[Inputs, error],
) (*Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.stub.EvaluateStream(ctx)
	if err != nil {
		return nil, failed(err)
	}
	for message, err := range messages(spec, batches) {
		if err != nil {
			return nil, err
		}
		// Once the service has refused, nobody takes messages, and the answer says why.
		if stream.Send(message) != nil {
			break
		}
	}
	found, err := stream.CloseAndRecv()
	if err != nil {
		return nil, failed(err)
	}
	return answerOf(found)
}

// MergeStates finishes states made apart, as if their batches had been one. See the function
// [MergeStates] for the same without a service.
func (c *Client) MergeStates(
	ctx context.Context, states [][]byte, asked MergeRequest,
) (*Answer, error) {
	reduction, err := asked.Reduction.message()
	if err != nil {
		return nil, err
	}
	options := Options{State: asked.State}.message()
	if asked.AnyProfile {
		options.Profiles = "any"
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	message := &pb.MergeStatesRequest{States: states, Reduction: reduction, Options: options}
	return called(ctx, c.stub.MergeStates, message, answerOf)
}

// MergeRequest says how states are finished together.
type MergeRequest struct {
	// Reduction is how to finish them; the default of the loss if it is zero.
	Reduction Reduction
	// State asks for the merged state.
	State bool
	// AnyProfile merges states computed by different versions or machines.
	AnyProfile bool
}

// Explain evaluates, and says how the answer comes about and what every other framework says of the
// same data.
func (c *Client) Explain(ctx context.Context, request Request) (*Explanation, error) {
	spec, err := request.spec()
	if err == nil {
		err = request.Inputs.check()
	}
	if err != nil {
		return nil, err
	}
	spec.Inputs = request.Inputs.messages()
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return called(ctx, c.stub.Explain, spec, explanationOf)
}

// ListRequest says which losses to list. The zero value is all.
type ListRequest struct {
	// Framework asks only for losses that a symbol of it stands for, such as "torch".
	Framework string
	// Search asks only for losses with all of these words, best match first.
	Search string
}

// ListLosses lists what losses there are.
func (c *Client) ListLosses(
	ctx context.Context, asked ListRequest,
) ([]*pb.LossDescriptor, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	message := &pb.ListLossesRequest{Framework: asked.Framework, Search: asked.Search}
	return called(ctx, c.stub.ListLosses, message,
		func(found *pb.ListLossesResponse) ([]*pb.LossDescriptor, error) {
			return found.GetLosses(), nil
		})
}

// GetLoss describes a loss, by canonical name, alias or symbol.
func (c *Client) GetLoss(ctx context.Context, name string) (*pb.LossDescriptor, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return called(ctx, c.stub.GetLoss, &pb.GetLossRequest{Name: name},
		func(found *pb.GetLossResponse) (*pb.LossDescriptor, error) {
			return found.GetLoss(), nil
		})
}

// ExportRequest says which loss to export, and in what form.
type ExportRequest struct {
	// Loss is as in [Request].
	Loss string
	// Expression is as in [Request].
	Expression string
	// Params is as in [Request].
	Params Params
	// Reduction is as in [Request].
	Reduction Reduction
	// DType is that of the inputs that are values, "float32" or "float64"; float64 if empty.
	DType string
	// Opset is the version of the operators, 17 to 21; 17 if 0.
	Opset int
	// IRVersion is the version of the file format, 8 to 10; 8 if 0.
	IRVersion int
	// Sizes are those of axes that are to be fixed; the others are free.
	Sizes map[string]int64
	// Rank is the number of axes of the loss values, of samples and image where a loss sums axes; as
	// the service chooses if nil.
	Rank *int64
	// StandsFor is the canonical loss, of a symbol whose inputs choose between several.
	StandsFor string
}

// Export makes an ONNX model of a loss that runs elsewhere, with weights, mask and reduction inside.
func (c *Client) Export(ctx context.Context, asked ExportRequest) ([]byte, error) {
	params, reduction, err := settings(asked.Params, asked.Reduction)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	message := &pb.ExportLossRequest{
		Name:       asked.Loss,
		Expression: asked.Expression,
		Params:     params,
		Reduction:  reduction,
		Dtype:      asked.DType,
		Opset:      unlessZero(asked.Opset),
		IrVersion:  unlessZero(asked.IRVersion),
		Sizes:      asked.Sizes,
		Rank:       asked.Rank,
		StandsFor:  asked.StandsFor,
	}
	return called(ctx, c.stub.ExportLoss, message,
		func(found *pb.ExportLossResponse) ([]byte, error) { return found.GetModel(), nil })
}

func unlessZero(x int) *int64 {
	if x == 0 {
		return nil
	}
	return new(int64(x))
}

// bounded is the context of a call, with the client's own deadline where it has none.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || c.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.timeout)
}

// called makes a call, again where the service is overloaded, and reads what is found.
func called[Request, Found, Result any](
	ctx context.Context,
	call func(context.Context, Request, ...grpc.CallOption) (Found, error),
	request Request,
	read func(Found) (Result, error),
) (Result, error) {
	return retried(ctx, func() (result Result, err error) {
		found, err := call(ctx, request)
		if err != nil {
			return result, failed(err)
		}
		return read(found)
	})
}

// retried makes an attempt, and others after the pause that an overloaded service asks for. gRPC's
// own retries read neither that pause nor the reason, which tells OVERLOADED from TOO_LARGE.
func retried[Result any](
	ctx context.Context, attempt func() (Result, error),
) (Result, error) {
	pause := firstPause
	for made := 1; ; made++ {
		result, err := attempt()
		var refused *Error
		if !errors.As(err, &refused) || refused.Reason != "OVERLOADED" || made == mostAttempts {
			return result, err
		}
		wait := pause
		if refused.RetryAfter > 0 {
			wait = refused.RetryAfter
		}
		if end, has := ctx.Deadline(); has && time.Until(end) < wait {
			return result, err
		}
		select {
		case <-ctx.Done():
			return result, failed(status.FromContextError(ctx.Err()).Err())
		case <-time.After(wait):
		}
		pause *= pauseFactor
	}
}
