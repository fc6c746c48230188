package lossmeter

import (
	"fmt"
	"maps"
	"reflect"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// Params are the parameters of a loss by name: numbers, booleans, strings, and slices and maps of
// these.
type Params map[string]any

// Request is one loss, or several, on one batch. Either Loss, Expression or Losses says which.
type Request struct {
	// Loss is a canonical name ("huber") or a framework's symbol ("torch.nn.HuberLoss").
	Loss string
	// Expression is a loss of one's own, such as "mean(square(predictions - targets), axis=-1)",
	// over inputs and parameters by name.
	Expression string
	// Params are in the names of the loss, of the symbol's framework or of the expression.
	Params Params
	// Reduction is how the loss values become the answer; the default of the loss if it is zero.
	Reduction Reduction
	// Inputs are the tensors; none where they follow in a stream.
	Inputs Inputs
	// Losses are several losses over the same tensors, by names of one's own.
	Losses map[string]LossSpec
	// Options say how to run it.
	Options Options
}

// LossSpec is one loss of a request with several.
type LossSpec struct {
	// Loss is as in [Request].
	Loss string
	// Expression is as in [Request].
	Expression string
	// Params is as in [Request].
	Params Params
	// Reduction is as in [Request].
	Reduction Reduction
	// Inputs tells for an input of the loss which shared tensor it is, where the names differ.
	Inputs map[string]string
	// Weight is that of the loss in the total; 1 if nil.
	Weight *float64
}

// Reduction is how loss values become the answer: Reduction{Name: "mean"}, or with settings
// Reduction{Name: "mean", By: "country"}.
type Reduction struct {
	// Name is canonical or a word of the symbol's framework.
	Name string
	// By is the input that names the group of each sample; the answer then has a value for each.
	By string
	// Axis are the axes of the loss values to reduce over; all if empty.
	Axis []int
	// Settings are others by name: q of a quantile, alpha of cvar, ddof, divisor.
	Settings Params
}

// Options say how a request is to be run. The zero value is the service's defaults.
type Options struct {
	// Backend is what computes, such as "numpy" or "onnx".
	Backend string
	// Device is "cpu", "cuda" or "auto".
	Device string
	// Nonfinite is what becomes of kept entries that are NaN or infinite: "propagate", "omit" or
	// "error".
	Nonfinite string
	// State asks for the mergeable state, with all sums in it.
	State bool
	// StateParts asks for it with what these reductions read besides, such as "max".
	StateParts []string
	// BatchID names the batch, so that merging it twice is refused; a random name if empty.
	BatchID string
}

// spec is the request as a message without inputs.
func (r Request) spec() (*pb.EvaluateRequest, error) {
	params, reduction, err := settings(r.Params, r.Reduction)
	if err != nil {
		return nil, err
	}
	message := &pb.EvaluateRequest{
		Loss:       r.Loss,
		Expression: r.Expression,
		Params:     params,
		Reduction:  reduction,
		Options:    r.Options.message(),
	}
	for name, loss := range r.Losses {
		params, reduction, err := settings(loss.Params, loss.Reduction)
		if err != nil {
			return nil, err
		}
		if message.Losses == nil {
			message.Losses = make(map[string]*pb.LossSpec, len(r.Losses))
		}
		message.Losses[name] = &pb.LossSpec{
			Loss:       loss.Loss,
			Expression: loss.Expression,
			Params:     params,
			Reduction:  reduction,
			Inputs:     loss.Inputs,
			LossWeight: loss.Weight,
		}
	}
	return message, nil
}

func (o Options) message() *pb.Options {
	message := &pb.Options{
		Backend: o.Backend, Device: o.Device, Nonfinite: o.Nonfinite, BatchId: o.BatchID,
	}
	if len(o.StateParts) > 0 {
		parts := &structpb.ListValue{}
		for _, part := range o.StateParts {
			parts.Values = append(parts.Values, structpb.NewStringValue(part))
		}
		message.State = structpb.NewListValue(parts)
	} else if o.State {
		message.State = structpb.NewBoolValue(true)
	}
	return message
}

func settings(params Params, reduction Reduction) (*structpb.Struct, *structpb.Value, error) {
	made, err := params.message("params")
	if err != nil {
		return nil, nil, err
	}
	reduced, err := reduction.message()
	return made, reduced, err
}

func (p Params) message(field string) (*structpb.Struct, error) {
	if p == nil {
		return nil, nil
	}
	message := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(p))}
	for name, x := range p {
		made, err := structpb.NewValue(plain(x))
		if err != nil {
			detail := fmt.Sprintf("a %T, where a number, boolean, string, slice or map may stand", x)
			return nil, invalid("PARAMETER_INVALID", field+"."+name, detail)
		}
		message.Fields[name] = made
	}
	return message, nil
}

// plain is a setting in the types that a message takes: lists of any, maps with strings as keys.
func plain(x any) any {
	v := reflect.ValueOf(x)
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i).Interface())
		}
		return list
	case reflect.Map:
		named := make(map[string]any, v.Len())
		for key, inner := range v.Seq2() {
			named[fmt.Sprint(key)] = plain(inner.Interface())
		}
		return named
	}
	return x
}

// message is a name alone, or a mapping; nil of the zero value.
func (r Reduction) message() (*structpb.Value, error) {
	asked := maps.Clone(r.Settings)
	if asked == nil {
		asked = Params{}
	}
	if r.By != "" {
		asked["by"] = r.By
	}
	if len(r.Axis) > 0 {
		asked["axis"] = r.Axis
	}
	if len(asked) == 0 {
		if r.Name == "" {
			return nil, nil
		}
		return structpb.NewStringValue(r.Name), nil
	}
	if r.Name != "" {
		asked["name"] = r.Name
	}
	message, err := asked.message("reduction")
	return structpb.NewStructValue(message), err
}
