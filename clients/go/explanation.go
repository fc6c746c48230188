package lossmeter

import pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"

// Explanation is an answer, how it came about, and what other frameworks say of the same data.
type Explanation struct {
	// Answer is as [Client.Evaluate] gives it; nil where there are Results.
	Answer *Answer
	// Symbol is what the request named.
	Symbol string
	// Framework is the framework and its version; empty for a canonical loss.
	Framework string
	// Steps are what was done, in its order.
	Steps []Step
	// Dialects are what every other dialect that knows the loss says.
	Dialects []DialectAnswer
	// Results are the explanations of several losses; else nil.
	Results map[string]*Explanation
}

// Step is one step of an evaluation.
type Step struct {
	// Name is the step's.
	Name string
	// Says is what was done, in a sentence.
	Says string
	// Numbers are those of the step, as JSON has them.
	Numbers map[string]any
}

// DialectAnswer is what one framework says of the same data.
type DialectAnswer struct {
	// Symbol is the framework's name for the loss, or the canonical name.
	Symbol string
	// Framework is empty for the canonical loss.
	Framework string
	// Version is that whose rule it is.
	Version string
	// Reduction is the canonical name.
	Reduction string
	// Value is as in [Answer]; also NaN if the framework refuses.
	Value float64
	// Values is as in [Answer].
	Values *Array
	// Groups is as in [Answer].
	Groups map[string]Group
	// Numerator is the weighted sum that was divided; nil if none was.
	Numerator *float64
	// Denominator is what it was divided by; nil if no one number was.
	Denominator *float64
	// Divisor is the same in words.
	Divisor string
	// Agrees is whether it is the number that was asked for.
	Agrees bool
	// Why is a sentence for each difference.
	Why []string
	// Note is what was done so that it could be asked at all.
	Note string
}

func explanationOf(found *pb.ExplainResponse) (*Explanation, error) {
	told := &Explanation{Symbol: found.GetSymbol(), Framework: found.GetFramework()}
	for _, step := range found.GetSteps() {
		told.Steps = append(told.Steps,
			Step{step.GetStep(), step.GetSays(), step.GetNumbers().AsMap()})
	}
	for _, dialect := range found.GetDialects() {
		said, err := dialectOf(dialect)
		if err != nil {
			return nil, err
		}
		told.Dialects = append(told.Dialects, said)
	}
	var err error
	if results := found.GetResults(); len(results) > 0 {
		told.Results = make(map[string]*Explanation, len(results))
		for name, result := range results {
			if told.Results[name], err = explanationOf(result); err != nil {
				return nil, err
			}
		}
		return told, nil
	}
	told.Answer, err = answerOf(&pb.EvaluateResponse{
		Value:       found.GetValue(),
		Loss:        found.GetLoss(),
		Reduction:   found.GetReduction(),
		Count:       found.GetCount(),
		Weight:      found.GetWeight(),
		Denominator: found.Denominator,
		Backend:     found.GetBackend(),
		Device:      found.GetDevice(),
		Dtype:       found.GetDtype(),
		Groups:      found.GetGroups(),
		Index:       found.Index,
		Omitted:     found.Omitted,
		Warnings:    found.GetWarnings(),
	})
	return told, err
}

func dialectOf(found *pb.ExplainResponse_DialectAnswer) (DialectAnswer, error) {
	value, values, groups, err := valueOf(found.GetValue(), found.GetGroups())
	if len(groups) == 0 {
		groups = nil // it refuses
	}
	return DialectAnswer{
		Symbol:      found.GetSymbol(),
		Framework:   found.GetFramework(),
		Version:     found.GetVersion(),
		Reduction:   found.GetReduction(),
		Value:       value,
		Values:      values,
		Groups:      groups,
		Numerator:   found.Numerator,
		Denominator: found.Denominator,
		Divisor:     found.GetDivisor(),
		Agrees:      found.GetAgrees(),
		Why:         found.GetWhy(),
		Note:        found.GetNote(),
	}, err
}
