package lossmeter

import (
	"math"
	"math/big"
	"slices"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

const (
	// unitBits is how far the smallest float64 lies below 1: sums count units of 2^-1074.
	unitBits = 1074
	// mostBits is the widest sum: 2^64 terms of the greatest float64.
	mostBits = 2200
)

// ExactSum is a sum of float64 numbers that has not been rounded, so that it does not depend on the
// order of its terms. The zero value is an empty sum. Do not copy one that is in use.
type ExactSum struct {
	units             big.Int // of 2^-1074
	nan, above, below uint64  // terms that were NaN, +∞ and −∞
}

// Add adds terms, exactly.
func (s *ExactSum) Add(terms ...float64) {
	var units big.Int
	for _, x := range terms {
		switch {
		case math.IsNaN(x):
			s.nan++
		case math.IsInf(x, 1):
			s.above++
		case math.IsInf(x, -1):
			s.below++
		default:
			s.units.Add(&s.units, unitsOf(&units, x))
		}
	}
}

// unitsOf sets units to those of a finite number.
func unitsOf(units *big.Int, x float64) *big.Int {
	bits := math.Float64bits(x)
	mantissa, exponent := bits&(1<<52-1), uint(bits>>52&0x7FF)
	if exponent > 0 {
		mantissa |= 1 << 52
		exponent--
	}
	units.Lsh(units.SetUint64(mantissa), exponent)
	if math.Signbit(x) {
		units.Neg(units)
	}
	return units
}

// AddSum adds the terms of another sum, exactly.
func (s *ExactSum) AddSum(other *ExactSum) {
	s.units.Add(&s.units, &other.units)
	s.nan += other.nan
	s.above += other.above
	s.below += other.below
}

// Float64 is the sum, rounded once; infinite if it is beyond float64.
func (s *ExactSum) Float64() float64 {
	if special, is := s.special(); is {
		return special
	}
	return divide(&s.units, new(big.Int).Lsh(big.NewInt(1), unitBits))
}

// Over is the ratio of two sums, rounded once. It is an error of the reason EMPTY_REDUCTION if the
// divisor is 0.
func (s *ExactSum) Over(divisor *ExactSum) (float64, error) {
	if divisor.isZero() {
		return 0, nothing()
	}
	_, specialAbove := s.special()
	_, specialBelow := divisor.special()
	if specialAbove || specialBelow {
		return s.Float64() / divisor.Float64(), nil
	}
	return divide(&s.units, &divisor.units), nil
}

// special is NaN or an infinity if a term was one.
func (s *ExactSum) special() (float64, bool) {
	switch {
	case s.nan > 0 || s.above > 0 && s.below > 0:
		return math.NaN(), true
	case s.above > 0:
		return math.Inf(1), true
	case s.below > 0:
		return math.Inf(-1), true
	}
	return 0, false
}

func (s *ExactSum) isZero() bool {
	_, special := s.special()
	return !special && s.units.Sign() == 0
}

// wholeSum is a number as a sum, to divide by.
func wholeSum(count uint64) *ExactSum {
	s := new(ExactSum)
	s.units.Lsh(s.units.SetUint64(count), unitBits)
	return s
}

// divide divides integers and rounds once, to nearest even; to ±∞ where the quotient is beyond
// float64. The divisor is not 0.
func divide(above, below *big.Int) float64 {
	if above.Sign() == 0 {
		return math.Copysign(0, float64(below.Sign()))
	}
	quotient, _ := new(big.Rat).SetFrac(above, below).Float64()
	return quotient
}

// message is the canonical form: an odd mantissa in the shortest two's complement.
func (s *ExactSum) message() *pb.ExactSum {
	message := &pb.ExactSum{Nan: s.nan, PositiveInfinity: s.above, NegativeInfinity: s.below}
	if s.units.Sign() != 0 {
		zeros := s.units.TrailingZeroBits()
		message.Exponent = int32(zeros) - unitBits
		message.Mantissa = twosComplement(new(big.Int).Rsh(&s.units, zeros))
	}
	return message
}

// twosComplement is a number's shortest form, little-endian.
func twosComplement(x *big.Int) []byte {
	size := x.BitLen()
	if x.Sign() < 0 {
		size = new(big.Int).Not(x).BitLen()
	}
	data := make([]byte, size/8+1)
	if x.Sign() < 0 {
		x = new(big.Int).Add(x, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
	}
	x.FillBytes(data)
	slices.Reverse(data)
	return data
}

// sumOf is the sum in a message; false if it is beyond what float64 terms can reach.
func sumOf(message *pb.ExactSum) (*ExactSum, bool) {
	s := &ExactSum{
		nan:   message.GetNan(),
		above: message.GetPositiveInfinity(),
		below: message.GetNegativeInfinity(),
	}
	data := slices.Clone(message.GetMantissa())
	slices.Reverse(data)
	s.units.SetBytes(data)
	if len(data) > 0 && data[0] >= 0x80 {
		s.units.Sub(&s.units, new(big.Int).Lsh(big.NewInt(1), uint(8*len(data))))
	}
	if s.units.Sign() == 0 {
		return s, true
	}
	shift := int(message.GetExponent()) + unitBits
	if shift < 0 || s.units.BitLen()+shift > mostBits {
		return nil, false
	}
	s.units.Lsh(&s.units, uint(shift))
	return s, true
}
