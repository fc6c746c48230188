// Bench measures the client beside bare gRPC and prints one line of JSON.
//
//	LOSSMETER_GRPC=localhost:8081 LOSSMETER_ECHO=localhost:8082 go run ./bench
//
// Both send the same bytes: the client to the service at LOSSMETER_GRPC, which computes a loss, and
// gRPC alone to the service at LOSSMETER_ECHO, which answers 8 bytes.
package main

import (
	"context"
	"encoding/json"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/lossmeter/lossmeter/clients/go"
)

const (
	largeRows, largeTimes = 1_000_000, 5
	smallRows, smallTimes = 32, 300
	columns               = 10
	mib                   = 1 << 20
)

type figures struct {
	Client       string  `json:"client"`
	LargeSeconds float64 `json:"large_seconds"`
	SmallMs      float64 `json:"small_ms"`
	EchoLarge    float64 `json:"echo_large_seconds"`
	EchoSmallMs  float64 `json:"echo_small_ms"`
}

func main() {
	found, err := measure(context.Background())
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func measure(ctx context.Context) (found figures, err error) {
	client, err := lossmeter.NewClient(os.Getenv("LOSSMETER_GRPC"))
	if err != nil {
		return found, err
	}
	defer func() { _ = client.Close() }()
	echo, err := newEcho(os.Getenv("LOSSMETER_ECHO"))
	if err != nil {
		return found, err
	}
	defer func() { _ = echo.connection.Close() }()
	evaluate := func(rows int) func() error {
		request := requestOf(rows)
		return func() error {
			_, err := client.Evaluate(ctx, request)
			return err
		}
	}
	timings := []struct {
		seconds *float64
		unit    float64
		times   int
		call    func() error
	}{
		{&found.LargeSeconds, 1, largeTimes, evaluate(largeRows)},
		{&found.SmallMs, 1e3, smallTimes, evaluate(smallRows)},
		{&found.EchoLarge, 1, largeTimes, echo.stream(ctx, make([]byte, sizeOf(largeRows)))},
		{&found.EchoSmallMs, 1e3, smallTimes, echo.unary(ctx, make([]byte, sizeOf(smallRows)))},
	}
	for _, timing := range timings {
		seconds, err := median(timing.times, timing.call)
		if err != nil {
			return found, err
		}
		*timing.seconds = seconds * timing.unit
	}
	found.Client = "go"
	return found, nil
}

// median is that of the seconds that a call takes, after one that is not counted.
func median(times int, call func() error) (float64, error) {
	taken := make([]float64, times)
	if err := call(); err != nil {
		return 0, err
	}
	for i := range taken {
		start := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		taken[i] = time.Since(start).Seconds()
	}
	slices.Sort(taken)
	return taken[times/2], nil
}

func requestOf(rows int) lossmeter.Request {
	random := rand.New(rand.NewPCG(1, 2))
	predictions, targets := make([]float32, rows*columns), make([]float32, rows*columns)
	weights := make([]float32, rows)
	for i := range predictions {
		predictions[i], targets[i] = float32(random.NormFloat64()), float32(random.IntN(2))
	}
	for i := range weights {
		weights[i] = random.Float32()
	}
	return lossmeter.Request{
		Loss:      "binary_cross_entropy_with_logits",
		Reduction: lossmeter.Reduction{Name: "weighted_mean"},
		Inputs: lossmeter.Inputs{
			"predictions":   lossmeter.Of(predictions, rows, columns),
			"targets":       lossmeter.Of(targets, rows, columns),
			"sample_weight": lossmeter.Of(weights),
		},
	}
}

// sizeOf is the bytes of the inputs.
func sizeOf(rows int) int { return 4 * rows * (2*columns + 1) }

// echo is gRPC alone, of bytes that are no messages.
type echo struct {
	connection *grpc.ClientConn
}

func newEcho(target string) (*echo, error) {
	connection, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(identity{}), grpc.MaxCallSendMsgSize(math.MaxInt),
		))
	return &echo{connection}, err
}

func (e *echo) unary(ctx context.Context, data []byte) func() error {
	return func() error {
		var answer []byte
		return e.connection.Invoke(ctx, "/lossmeter.bench.Echo/Unary", data, &answer)
	}
}

func (e *echo) stream(ctx context.Context, data []byte) func() error {
	description := &grpc.StreamDesc{ClientStreams: true}
	return func() error {
		stream, err := e.connection.NewStream(ctx, description, "/lossmeter.bench.Echo/Stream")
		if err != nil {
			return err
		}
		for message := range slices.Chunk(data, mib) {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var answer []byte
		return stream.RecvMsg(&answer)
	}
}

// identity leaves bytes as they are.
type identity struct{}

var _ encoding.CodecV2 = identity{}

func (identity) Name() string { return "bytes" }

func (identity) Marshal(message any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(message.([]byte))}, nil
}

func (identity) Unmarshal(data mem.BufferSlice, message any) error {
	*message.(*[]byte) = data.Materialize()
	return nil
}
