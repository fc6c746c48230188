package lossmeter_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lossmeter/lossmeter/clients/go"
)

// TestMain leaves out the examples that need a service where there is none: an example has no way
// to skip itself.
func TestMain(m *testing.M) {
	flag.Parse()
	if skip := flag.Lookup("test.skip"); service == "" && skip.Value.String() == "" {
		fmt.Println("the examples of a client are skipped: LOSSMETER_GRPC names no service")
		if err := skip.Value.Set("^Example(Client.*|Error)?$"); err != nil {
			log.Fatal(err)
		}
	}
	os.Exit(m.Run())
}

func newClient() *lossmeter.Client {
	client, err := lossmeter.NewClient(service)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func Example() {
	client, err := lossmeter.NewClient(service)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Evaluate(context.Background(), lossmeter.Request{
		Loss: "huber",
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of([]float64{1.5, 5}),
			"targets":     lossmeter.Of([]float64{1, 2}),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Value, answer.Count)
	// Output: 1.3125 2
}

func ExampleClient_Evaluate() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	const rows, classes = 1_000_000, 10
	logits := make([]float32, rows*classes)
	labels := make([]int32, rows)
	mask := make([]bool, rows)
	for i := range labels {
		labels[i] = int32(i % classes)
		mask[i] = i%2 == 0
	}
	answer, err := client.Evaluate(ctx, lossmeter.Request{
		Loss:      "sparse_softmax_cross_entropy",
		Reduction: lossmeter.Reduction{Name: "weighted_mean"},
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of(logits, rows, classes),
			"targets":     lossmeter.Of(labels),
			"mask":        lossmeter.Of(mask),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.4f of %d\n", answer.Value, answer.Count)
	// Output: 2.3026 of 500000
}

func ExampleClient_Evaluate_groups() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	inputs := lossmeter.Inputs{
		"predictions": lossmeter.Of([]float64{1, 4}),
		"targets":     lossmeter.Of([]float64{0, 2}),
		"country":     lossmeter.Of([]string{"de", "fr"}),
	}
	answer, err := client.Evaluate(ctx, lossmeter.Request{
		Loss:      "absolute_error",
		Reduction: lossmeter.Reduction{Name: "mean", By: "country"},
		Inputs:    inputs,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Groups["de"].Value, answer.Groups["fr"].Value)
	// Output: 1 2
}

func ExampleClient_Evaluate_several() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	answer, err := client.Evaluate(ctx, lossmeter.Request{
		Losses: map[string]lossmeter.LossSpec{
			"l1": {Loss: "absolute_error"},
			"l2": {Loss: "squared_error", Weight: new(0.5)},
		},
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of([]float64{1, 4}),
			"targets":     lossmeter.Of([]float64{0, 2}),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Results["l2"].Value, *answer.Total)
	// Output: 2.5 2.75
}

func ExampleClient_EvaluateStream() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	read := func(yield func(lossmeter.Inputs, error) bool) {
		for range 10 {
			batch := lossmeter.Inputs{
				"predictions": lossmeter.Of(make([]float64, 1000)),
				"targets":     lossmeter.Of(make([]float64, 1000)),
			}
			if !yield(batch, nil) { // or yield(nil, err) to give up
				return
			}
		}
	}
	request := lossmeter.Request{
		Loss:      "squared_error",
		Reduction: lossmeter.Reduction{Name: "max"},
	}
	answer, err := client.EvaluateStream(ctx, request, read)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Value, answer.Count)
	// Output: 0 10000
}

func ExampleClient_MergeStates() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	var states [][]byte
	for _, x := range []float64{1, 5} {
		answer, err := client.Evaluate(ctx, lossmeter.Request{
			Loss:    "huber",
			Options: lossmeter.Options{State: true},
			Inputs: lossmeter.Inputs{
				"predictions": lossmeter.Of([]float64{x}),
				"targets":     lossmeter.Of([]float64{0}),
			},
		})
		if err != nil {
			log.Fatal(err)
		}
		states = append(states, answer.State)
	}
	there, err := client.MergeStates(ctx, states, lossmeter.MergeRequest{})
	if err != nil {
		log.Fatal(err)
	}
	here, err := lossmeter.MergeStates(states, lossmeter.MergeRules{})
	if err != nil {
		log.Fatal(err)
	}
	mean, err := here.Cells()[0].Mean()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(there.Value, mean)
	// Output: 2.5 2.5
}

func ExampleClient_ListLosses() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	losses, err := client.ListLosses(ctx, lossmeter.ListRequest{Search: "focal"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(losses[0].GetName())

	loss, err := client.GetLoss(ctx, "torch.nn.HuberLoss")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(loss.GetName(), loss.GetInputs()[0].GetName())
	// Output:
	// binary_focal_cross_entropy
	// huber predictions
}

func ExampleClient_Explain() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	told, err := client.Explain(ctx, lossmeter.Request{
		Loss: "torch.nn.SmoothL1Loss",
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of([]float64{3}),
			"targets":     lossmeter.Of([]float64{1}),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(told.Steps[0].Name, told.Answer.Value)
	// Output: loss 1.5
}

func ExampleClient_Export() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	model, err := client.Export(ctx, lossmeter.ExportRequest{
		Loss:   "huber",
		Params: lossmeter.Params{"delta": 0.5},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(model) > 0)
	// Output: true
}

func ExampleError() {
	client, ctx := newClient(), context.Background()
	defer client.Close()

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := client.Evaluate(ctx, lossmeter.Request{
		Loss: "huber",
		Inputs: lossmeter.Inputs{
			"predictions": lossmeter.Of([]float64{1.5, 5}),
			"targets":     lossmeter.Of([]float64{1, 2, 3}),
		},
	})
	var refused *lossmeter.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Reason, refused.Field)
	}
	// Output: SHAPE_MISMATCH inputs.targets
}

func ExampleExactSum() {
	var sum lossmeter.ExactSum
	sum.Add(1e16, 1, -1e16)
	fmt.Println(sum.Float64())
	// Output: 1
}

func TestCodeOfTheReadmeIsThatOfExamples(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		code = strings.ReplaceAll(code, `"localhost:8081"`, "service")
		indented := "\n"
		for line := range strings.Lines(code) {
			if line != "\n" {
				indented += "\t"
			}
			indented += line
		}
		if !strings.Contains(string(examples), indented) {
			t.Errorf("no example has this:\n%s", code)
		}
	}
	if len(blocks) < 5 {
		t.Errorf("%d blocks", len(blocks))
	}
}
