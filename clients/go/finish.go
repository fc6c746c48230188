package lossmeter

import (
	"math"
	"math/big"

	"google.golang.org/grpc/codes"
)

// Extreme is a least or greatest loss value and the first sample that has it.
type Extreme struct {
	// Value is the loss value; NaN if any is.
	Value float64
	// BatchID is the batch that holds the sample.
	BatchID string
	// Index is the position of the sample in that batch.
	Index uint64
}

// Sum is Σwℓ, rounded once.
func (c *Cell) Sum() float64 { return c.linear.total.Float64() }

// Mean is Σwℓ / n, of the number n of kept entries. Like every mean it is an error of the reason
// EMPTY_REDUCTION where no entry is kept or the divisor is 0.
func (c *Cell) Mean() (float64, error) { return c.meanOver(wholeSum(c.linear.count)) }

// WeightedMean is Σwℓ / Σw.
func (c *Cell) WeightedMean() (float64, error) { return c.meanOver(c.linear.weight) }

// NonzeroMean is Σwℓ / #{w ≠ 0}.
func (c *Cell) NonzeroMean() (float64, error) { return c.meanOver(wholeSum(c.linear.nonzero)) }

// BatchMean is Σwℓ / N, of the size N of axis 0.
func (c *Cell) BatchMean() (float64, error) { return c.meanOver(wholeSum(c.linear.rows)) }

func (c *Cell) meanOver(divisor *ExactSum) (float64, error) {
	if c.linear.count == 0 {
		return 0, nothing()
	}
	return c.linear.total.Over(divisor)
}

// RMS is √(Σwℓ² / Σw). Like all that reads more than the linear sums it is an error of the reason
// NOT_MERGEABLE where the state was made without.
func (c *Cell) RMS() (float64, error) {
	if c.moments == nil {
		return 0, lacks("moments", "rms")
	}
	square, err := c.moments.second.Over(c.linear.weight)
	return math.Sqrt(square), err
}

// HarmonicMean is Σw / Σ(w/ℓ).
func (c *Cell) HarmonicMean() (float64, error) {
	if c.reciprocals == nil {
		return 0, lacks("reciprocals", "harmonic_mean")
	}
	weight := c.linear.weight
	if weight.isZero() {
		return 0, nothing()
	}
	if c.reciprocals.isZero() {
		return math.Copysign(math.Inf(1), weight.Float64()), nil
	}
	return weight.Over(c.reciprocals)
}

// Variance is Σw(ℓ − μ)² / (Σw − Σw²/Σw), the unbiased one.
func (c *Cell) Variance() (float64, error) {
	if c.moments == nil {
		return 0, lacks("moments", "variance")
	}
	weight, m := c.linear.weight, c.moments
	for _, sum := range []*ExactSum{weight, m.first, m.second, m.squaredWeight} {
		if _, special := sum.special(); special {
			return math.NaN(), nil
		}
	}
	if weight.isZero() {
		return 0, nothing()
	}
	// Both multiplied by Σw, in units of 2^-2148: (Σw·Σwℓ² − (Σwℓ)²) / ((Σw)² − Σw²).
	above, below := productOf(weight, m.second), productOf(weight, weight)
	above.Sub(above, productOf(m.first, m.first))
	below.Sub(below, new(big.Int).Lsh(&m.squaredWeight.units, unitBits))
	switch {
	case below.Sign() == 0:
		return 0, invalid("EMPTY_REDUCTION", "reduction",
			"a variance with ddof 1 needs more than one kept entry")
	case above.Sign() == 0:
		return 0, nil
	}
	return divide(above, below), nil
}

func productOf(a, b *ExactSum) *big.Int { return new(big.Int).Mul(&a.units, &b.units) }

// Std is the square root of the variance.
func (c *Cell) Std() (float64, error) {
	variance, err := c.Variance()
	return math.Sqrt(variance), err
}

// Min is the least loss value.
func (c *Cell) Min() (Extreme, error) { return found(c.least, "least", "min") }

// Max is the greatest loss value.
func (c *Cell) Max() (Extreme, error) { return found(c.greatest, "greatest", "max") }

func found(part *extreme, name, reduction string) (Extreme, error) {
	if part == nil {
		return Extreme{}, lacks(name, reduction)
	}
	if part.value == nil {
		return Extreme{}, nothing()
	}
	return Extreme{*part.value, part.batch, part.row}, nil
}

func nothing() error {
	return invalid("EMPTY_REDUCTION", "reduction",
		"a mean of nothing: no entry is kept, or the divisor is 0; keep an entry, or take the sum")
}

func lacks(part, reduction string) error {
	return &Error{
		Code:   codes.FailedPrecondition,
		Reason: "NOT_MERGEABLE",
		Field:  "reduction",
		Detail: "the state holds no " + part + "; ask for StateParts {\"" + reduction +
			"\"} when it is made",
	}
}
