package lossmeter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lossmeter/lossmeter/clients/go"
)

type conformance struct {
	Cases []struct {
		ID       string
		Request  requestCase
		Expected *struct {
			Shape []int
			Data  []any
		}
		RTol, Floor float64
		Answer      answerCase
	}
	Errors []struct {
		ID            string
		Request       requestCase
		Reason, Field string
	}
}

type requestCase struct {
	lossCase
	Options optionsCase
	Inputs  map[string]tensorCase
	Losses  map[string]struct {
		lossCase
		Inputs     map[string]string
		LossWeight *float64 `json:"loss_weight"`
	}
}

type lossCase struct {
	Loss      any
	Params    lossmeter.Params
	Reduction any
}

type optionsCase struct {
	Backend, Device, Nonfinite string
	State                      any
	BatchID                    string `json:"batch_id"`
}

type tensorCase struct {
	DType string
	Shape []int
	Data  []any
}

type answerCase struct {
	Value *struct {
		Shape []int
		Bits  []bits
	}
	Groups  map[string]bits
	Results map[string]answerCase
	Total   *bits
	Count   uint64
	Weight  bits
}

func TestConformance(t *testing.T) {
	path := os.Getenv("LOSSMETER_CONFORMANCE")
	if path == "" {
		t.Skip("LOSSMETER_CONFORMANCE names no file of cases")
	}
	client := serviceClient(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var told conformance
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&told); err != nil {
		t.Fatal(err)
	}
	failing := knownFailing(t)
	report := func(id string, err error) {
		known := failing[id]
		delete(failing, id)
		switch {
		case err != nil && !known:
			t.Errorf("%s: %v", id, err)
		case err == nil && known:
			t.Errorf("%s: passes, and is listed as failing", id)
		}
	}
	for _, one := range told.Cases {
		answer, err := client.Evaluate(t.Context(), one.Request.request())
		if err == nil {
			err = one.Answer.check(answer)
		}
		if err == nil && one.Expected != nil {
			err = near(answer, one.Expected.Shape, one.Expected.Data, one.RTol, one.Floor)
		}
		report(one.ID, err)
	}
	for _, one := range told.Errors {
		report(one.ID, refusedAs(t.Context(), client, one.Request.request(), one.Reason, one.Field))
	}
	for id := range failing {
		t.Errorf("%s: listed as failing, and is no case", id)
	}
	t.Logf("%d cases, %d refusals", len(told.Cases), len(told.Errors))
}

func refusedAs(
	ctx context.Context, client *lossmeter.Client, request lossmeter.Request, reason, field string,
) error {
	_, err := client.Evaluate(ctx, request)
	var refused *lossmeter.Error
	if !errors.As(err, &refused) || refused.Reason != reason || refused.Field != field {
		return fmt.Errorf("%v, not %s at %s", err, reason, field)
	}
	return nil
}

func knownFailing(t *testing.T) map[string]bool {
	t.Helper()
	path := filepath.Join("..", "..", "tests", "golden", "known-failing", "go.txt")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if id := strings.TrimSpace(line); id != "" && !strings.HasPrefix(id, "#") {
			ids[id] = true
		}
	}
	return ids
}

func (c requestCase) request() lossmeter.Request {
	loss := c.lossCase.spec()
	request := lossmeter.Request{
		Loss:       loss.Loss,
		Expression: loss.Expression,
		Params:     loss.Params,
		Reduction:  loss.Reduction,
		Inputs:     lossmeter.Inputs{},
		Losses:     map[string]lossmeter.LossSpec{},
		Options:    c.Options.options(),
	}
	for name, tensor := range c.Inputs {
		request.Inputs[name] = tensor.tensor()
	}
	for name, one := range c.Losses {
		spec := one.spec()
		spec.Inputs, spec.Weight = one.Inputs, one.LossWeight
		request.Losses[name] = spec
	}
	return request
}

func (c lossCase) spec() lossmeter.LossSpec {
	spec := lossmeter.LossSpec{Params: c.Params}
	switch loss := c.Loss.(type) {
	case string:
		spec.Loss = loss
	case map[string]any:
		spec.Expression = loss["expression"].(string)
	}
	switch reduction := c.Reduction.(type) {
	case string:
		spec.Reduction.Name = reduction
	case map[string]any:
		spec.Reduction.Settings = reduction
	}
	return spec
}

func (c optionsCase) options() lossmeter.Options {
	options := lossmeter.Options{
		Backend: c.Backend, Device: c.Device, Nonfinite: c.Nonfinite, BatchID: c.BatchID,
	}
	switch state := c.State.(type) {
	case bool:
		options.State = state
	case []any:
		for _, part := range state {
			options.StateParts = append(options.StateParts, part.(string))
		}
	}
	return options
}

func (c tensorCase) tensor() lossmeter.Tensor {
	switch c.DType {
	case "bool":
		return tensorOf(c, strconv.ParseBool)
	case "int8":
		return tensorOf(c, signed[int8])
	case "int16":
		return tensorOf(c, signed[int16])
	case "int32":
		return tensorOf(c, signed[int32])
	case "int64":
		return tensorOf(c, signed[int64])
	case "uint8":
		return tensorOf(c, unsigned[uint8])
	case "uint16":
		return tensorOf(c, unsigned[uint16])
	case "uint32":
		return tensorOf(c, unsigned[uint32])
	case "uint64":
		return tensorOf(c, unsigned[uint64])
	case "float16":
		return lossmeter.Float16(elements(c, float16), c.Shape...)
	case "float32":
		return tensorOf(c, floating[float32])
	case "float64":
		return tensorOf(c, floating[float64])
	case "string":
		return tensorOf(c, func(text string) (string, error) { return text, nil })
	}
	panic("no tensor is of " + c.DType)
}

func tensorOf[E lossmeter.Element](c tensorCase, parse func(string) (E, error)) lossmeter.Tensor {
	data := elements(c, parse)
	if len(c.Shape) == 0 {
		return lossmeter.Scalar(data[0])
	}
	return lossmeter.Of(data, c.Shape...)
}

func elements[E any](c tensorCase, parse func(string) (E, error)) []E {
	data := make([]E, len(c.Data))
	for i, x := range c.Data {
		var err error
		if data[i], err = parse(fmt.Sprint(x)); err != nil {
			panic(err)
		}
	}
	return data
}

func signed[E ~int8 | ~int16 | ~int32 | ~int64](text string) (E, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	return E(number), err
}

func unsigned[E ~uint8 | ~uint16 | ~uint32 | ~uint64](text string) (E, error) {
	number, err := strconv.ParseUint(text, 10, 64)
	return E(number), err
}

func floating[E ~float32 | ~float64](text string) (E, error) {
	number, err := strconv.ParseFloat(text, 64)
	return E(number), err
}

// float16 are the bits of a number that is one, normal or 0.
func float16(text string) (uint16, error) {
	number, err := strconv.ParseFloat(text, 64)
	b := math.Float64bits(number)
	half := uint16(b >> 48 & 0x8000)
	if number != 0 {
		half |= uint16((b>>52&0x7FF)-1023+15)<<10 | uint16(b>>42&0x3FF)
	}
	return half, err
}

// check compares all bits of an answer.
func (c answerCase) check(answer *lossmeter.Answer) error {
	if c.Results != nil {
		return c.checkResults(answer)
	}
	if answer.Count != c.Count || bitsOf(answer.Weight) != c.Weight {
		return fmt.Errorf("of %d entries, weight %g", answer.Count, answer.Weight)
	}
	if c.Value == nil {
		groups := map[string]bits{}
		for label, group := range answer.Groups {
			groups[label] = bitsOf(group.Value)
		}
		if answer.Groups == nil || !maps.Equal(groups, c.Groups) {
			return fmt.Errorf("%v, not %v", groups, c.Groups)
		}
		return nil
	}
	shape, numbers := numbersOf(answer)
	got := make([]bits, len(numbers))
	for i, number := range numbers {
		got[i] = bitsOf(number)
	}
	if !slices.Equal(shape, c.Value.Shape) || !slices.Equal(got, c.Value.Bits) {
		return fmt.Errorf("%v %v, not %v %v", shape, got, c.Value.Shape, c.Value.Bits)
	}
	return nil
}

func (c answerCase) checkResults(answer *lossmeter.Answer) error {
	if len(answer.Results) != len(c.Results) {
		return fmt.Errorf("%d results", len(answer.Results))
	}
	for name, one := range c.Results {
		if answer.Results[name] == nil {
			return fmt.Errorf("no result %s", name)
		}
		if err := one.check(answer.Results[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if (answer.Total == nil) != (c.Total == nil) ||
		c.Total != nil && bitsOf(*answer.Total) != *c.Total {
		return errors.New("another total")
	}
	return nil
}

func numbersOf(answer *lossmeter.Answer) ([]int, []float64) {
	if answer.Values == nil {
		return nil, []float64{answer.Value}
	}
	return answer.Values.Shape, answer.Values.Data
}

// near compares with what the framework says, to its tolerance.
func near(answer *lossmeter.Answer, shape []int, data []any, rtol, floor float64) error {
	got, numbers := numbersOf(answer)
	if !slices.Equal(got, shape) || len(numbers) != len(data) {
		return fmt.Errorf("the shape %v, not %v", got, shape)
	}
	for i, x := range data {
		want, err := strconv.ParseFloat(fmt.Sprint(x), 64)
		if err != nil {
			return err
		}
		isEqual := numbers[i] == want || math.IsNaN(numbers[i]) && math.IsNaN(want)
		if !isEqual && !(math.Abs(numbers[i]-want) <= rtol*max(math.Abs(want), floor)) {
			return fmt.Errorf("%g, not %g", numbers[i], want)
		}
	}
	return nil
}
