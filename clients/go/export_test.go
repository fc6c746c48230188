package lossmeter

import (
	"encoding/base64"
	"fmt"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// VectorOf is a sum as its message has it.
func VectorOf(s *ExactSum) string {
	m := s.message()
	return fmt.Sprint(m.GetExponent(), base64.StdEncoding.EncodeToString(m.GetMantissa()),
		m.GetNan(), m.GetPositiveInfinity(), m.GetNegativeInfinity())
}

// SumOfVector is the sum in a message, and whether it is one.
func SumOfVector(exponent int32, mantissa []byte, nan, above, below uint64) (*ExactSum, bool) {
	return sumOf(&pb.ExactSum{
		Exponent: exponent, Mantissa: mantissa,
		Nan: nan, PositiveInfinity: above, NegativeInfinity: below,
	})
}

// Sealed are the bytes of a state, with the hashes of what is in it.
func Sealed(message *pb.State) []byte {
	state, _ := stateOf(message)
	return state.Bytes()
}

// What only tests of the package call by itself.
var (
	MessageOf = Tensor.message
	Swapped   = swapped
	Cut       = Inputs.cut
	Failed    = failed
)
