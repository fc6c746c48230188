package lossmeter_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lossmeter/lossmeter/clients/go"
)

// service is where a service runs that all suites share; empty where none does.
var service = os.Getenv("LOSSMETER_GRPC")

// serviceClient is a client of the shared service.
func serviceClient(t *testing.T, options ...lossmeter.Option) *lossmeter.Client {
	t.Helper()
	if service == "" {
		t.Skip("LOSSMETER_GRPC names no service")
	}
	return clientOf(t, service, options...)
}

func clientOf(t *testing.T, target string, options ...lossmeter.Option) *lossmeter.Client {
	t.Helper()
	client, err := lossmeter.NewClient(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// sample are rows that need more than one message in a stream.
func sample(rows int) lossmeter.Inputs {
	random := rand.New(rand.NewPCG(1, 2))
	predictions, targets := make([]float32, 4*rows), make([]float32, 4*rows)
	weights, mask := make([]float64, rows), make([]bool, rows)
	country := make([]string, rows)
	for i := range predictions {
		predictions[i], targets[i] = float32(random.NormFloat64()), random.Float32()
	}
	for i := range weights {
		weights[i], mask[i] = random.ExpFloat64(), random.IntN(3) > 0
		country[i] = []string{"de", "fr", "å"}[random.IntN(3)]
		if !mask[i] {
			predictions[4*i] = float32(math.NaN())
		}
	}
	return lossmeter.Inputs{
		"predictions":   lossmeter.Of(predictions, rows, 4),
		"targets":       lossmeter.Of(targets, rows, 4),
		"sample_weight": lossmeter.Of(weights),
		"mask":          lossmeter.Of(mask),
		"country":       lossmeter.Of(country),
	}
}

func TestBitsAreTheSameHoweverABatchIsSent(t *testing.T) {
	whole, cut := serviceClient(t), serviceClient(t, lossmeter.WithUnaryBytes(1))
	inputs := sample(60_000)
	request := lossmeter.Request{
		Loss:      "binary_cross_entropy_with_logits",
		Reduction: lossmeter.Reduction{Name: "weighted_mean", By: "country"},
		Inputs:    inputs,
	}
	want, err := whole.Evaluate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	inPieces, err := cut.Evaluate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	streamed, err := whole.EvaluateStream(t.Context(), request, batches(inputs))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) != 3 {
		t.Fatalf("%v", want.Groups)
	}
	for label, group := range want.Groups {
		if inPieces.Groups[label].Value != group.Value || streamed.Groups[label].Value != group.Value {
			t.Errorf("%s: %v, %v, %v", label, group, inPieces.Groups[label], streamed.Groups[label])
		}
	}
}

func TestLayoutOfAnotherFrameworkGoesWhole(t *testing.T) {
	whole, cut := serviceClient(t), serviceClient(t, lossmeter.WithUnaryBytes(1))
	// The service needs all labels of a batch at once, which the client does not know.
	request := lossmeter.Request{
		Loss: "keras.losses.Hinge",
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of([]float64{0.5, -1, 2, 3}, 4, 1),
			"targets":     lossmeter.Of([]float64{0, 1, 1, 0}, 4, 1),
		},
	}
	want, err := whole.Evaluate(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cut.Evaluate(t.Context(), request)
	if err != nil || got.Value != want.Value {
		t.Errorf("%v, %v", got, err)
	}
}

func TestQuantileOfAStreamSaysItsError(t *testing.T) {
	request := lossmeter.Request{Loss: "absolute_error", Reduction: named("median")}
	inputs := sample(100)
	delete(inputs, "country")
	answer, err := serviceClient(t).EvaluateStream(t.Context(), request, batches(inputs))
	if err != nil || answer.RelativeError == nil {
		t.Errorf("%v, %v", answer, err)
	}
}

func TestStatesMergeHereAsThere(t *testing.T) {
	client := serviceClient(t)
	var states [][]byte
	for i := range 3 {
		answer, err := client.Evaluate(t.Context(), lossmeter.Request{
			Loss:      "squared_error",
			Reduction: lossmeter.Reduction{Name: "mean", By: "country"},
			Inputs:    sample(10 + i),
			Options: lossmeter.Options{
				StateParts: []string{"rms", "logsumexp", "max", "min", "median", "harmonic_mean"},
				BatchID:    fmt.Sprint("batch ", i),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, answer.State)
	}
	here, err := lossmeter.MergeStates(states, lossmeter.MergeRules{})
	if err != nil {
		t.Fatal(err)
	}
	asked := lossmeter.MergeRequest{Reduction: named("variance"), State: true}
	there, err := client.MergeStates(t.Context(), states, asked)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(here.Bytes(), there.State) || here.Hash() != there.StateHash {
		t.Error("other bytes")
	}
	for _, cell := range here.Cells() {
		variance, err := cell.Variance()
		if err != nil || variance != there.Groups[cell.Label()].Value {
			t.Errorf("%s: %g, %v", cell.Label(), variance, err)
		}
	}
	if len(here.Cells()) != 3 || here.Loss() != "squared_error" || here.Batches()["batch 2"] != 12 {
		t.Errorf("%v", here)
	}
}

func TestCatalogue(t *testing.T) {
	client := serviceClient(t)
	losses, err := client.ListLosses(t.Context(), lossmeter.ListRequest{Framework: "torch", Search: "focal"})
	if err != nil || len(losses) > 10 {
		t.Errorf("%d losses, %v", len(losses), err)
	}
	loss, err := client.GetLoss(t.Context(), "torch.nn.HuberLoss")
	if err != nil || loss.GetName() != "huber" {
		t.Errorf("%v, %v", loss, err)
	}
	_, err = client.GetLoss(t.Context(), "hubber")
	if refused := errorOf(t, err); refused.Code != codes.NotFound || refused.Reason != "LOSS_NOT_FOUND" {
		t.Error(err)
	}
}

func TestExplain(t *testing.T) {
	told, err := serviceClient(t).Explain(t.Context(), lossmeter.Request{
		Loss:   "torch.nn.HuberLoss",
		Params: lossmeter.Params{"delta": 2},
		Inputs: huber.Inputs,
	})
	if err != nil {
		t.Fatal(err)
	}
	agreed := 0
	for _, dialect := range told.Dialects {
		if dialect.Agrees && dialect.Value == told.Answer.Value {
			agreed++
		}
	}
	if told.Symbol != "torch.nn.HuberLoss" || len(told.Steps) == 0 || told.Steps[0].Says == "" || agreed == 0 {
		t.Errorf("%+v", told)
	}
}

func TestExport(t *testing.T) {
	client := serviceClient(t)
	graph, err := client.Export(t.Context(), lossmeter.ExportRequest{
		Loss: "huber", Params: lossmeter.Params{"delta": 0.5}, DType: "float32", Opset: 18,
	})
	if err != nil || !bytes.Contains(graph, []byte("predictions")) {
		t.Errorf("%d bytes, %v", len(graph), err)
	}
	_, err = client.Export(t.Context(), lossmeter.ExportRequest{Loss: "huber", Opset: 1})
	if refused := errorOf(t, err); refused.Code != codes.InvalidArgument || refused.Field != "opset" {
		t.Error(err)
	}
}

func TestServiceThatIsKilledAndComesBack(t *testing.T) {
	command := os.Getenv("LOSSMETER_COMMAND")
	if command == "" {
		t.Skip("LOSSMETER_COMMAND names no executable of the service")
	}
	rest, grpc := freePort(t), freePort(t)
	process := serve(t, command, rest, grpc)
	client := clientOf(t, "127.0.0.1:"+grpc)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	sent := 0
	killing := func(yield func(lossmeter.Inputs, error) bool) {
		for yield(huber.Inputs, nil) {
			if sent++; sent == 100 {
				if err := process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	_, err := client.EvaluateStream(ctx, huber, killing)
	if refused := errorOf(t, err); refused.Code != codes.Unavailable || ctx.Err() != nil {
		t.Errorf("%v after %d batches", err, sent)
	}
	serve(t, command, rest, grpc)
	if answer, err := client.Evaluate(t.Context(), huber); err != nil || answer.Value != 1.3125 {
		t.Error(answer, err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serve runs a service until the test ends, and waits until it is ready.
func serve(t *testing.T, command, httpPort, grpcPort string) *os.Process {
	t.Helper()
	running := exec.Command(command, "serve", "--http-port", httpPort, "--grpc-port", grpcPort)
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = running.Process.Kill() // it may be dead already
		_ = running.Wait()
	})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://127.0.0.1:" + httpPort + "/readyz")
		if err != nil {
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return running.Process
		}
	}
	t.Fatal("the service does not start")
	return nil
}
