package lossmeter

import (
	"cmp"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// linear is what every mean needs: Σwℓ, Σw, a dialect's own divisor, and counts.
type linear struct {
	total, weight, divisor                                       *ExactSum
	count, nonzero, entries, nonzeroEntries, rows, weightEntries uint64
}

func (p *linear) add(other *linear) {
	p.total.AddSum(other.total)
	p.weight.AddSum(other.weight)
	p.divisor.AddSum(other.divisor)
	p.count += other.count
	p.nonzero += other.nonzero
	p.entries += other.entries
	p.nonzeroEntries += other.nonzeroEntries
	p.rows += other.rows
	p.weightEntries += other.weightEntries
}

func (p *linear) counts() [6]uint64 {
	return [...]uint64{p.count, p.nonzero, p.entries, p.nonzeroEntries, p.rows, p.weightEntries}
}

func (p *linear) message() *pb.Linear {
	return &pb.Linear{
		Total:          p.total.message(),
		Weight:         p.weight.message(),
		Divisor:        p.divisor.message(),
		Count:          p.count,
		Nonzero:        p.nonzero,
		Entries:        p.entries,
		NonzeroEntries: p.nonzeroEntries,
		Rows:           p.rows,
		WeightEntries:  p.weightEntries,
	}
}

// moments are Σwℓ, Σwℓ² and Σw² of the exact products.
type moments struct {
	first, second, squaredWeight *ExactSum
}

func (p *moments) add(other *moments) {
	p.first.AddSum(other.first)
	p.second.AddSum(other.second)
	p.squaredWeight.AddSum(other.squaredWeight)
}

func (p *moments) message() *pb.Moments {
	return &pb.Moments{
		First:         p.first.message(),
		Second:        p.second.message(),
		SquaredWeight: p.squaredWeight.message(),
	}
}

// exponentials are sums of w·e^ℓ·2^(−512 b) for each band b.
type exponentials struct {
	bands   map[float64]*ExactSum
	special *ExactSum
}

// keptBands is how many bands are kept, the highest: the rest are at least 2^1536 times smaller.
const keptBands = 4

func (p *exponentials) add(other *exponentials) {
	for number, total := range other.bands {
		if mine := p.bands[number]; mine != nil {
			mine.AddSum(total)
		} else {
			p.bands[number] = total
		}
	}
	maps.DeleteFunc(p.bands, func(_ float64, total *ExactSum) bool { return total.isZero() })
	numbers := slices.Sorted(maps.Keys(p.bands))
	for _, low := range numbers[:max(0, len(numbers)-keptBands)] {
		delete(p.bands, low)
	}
	p.special.AddSum(other.special)
}

func (p *exponentials) message() *pb.Exponentials {
	message := &pb.Exponentials{Special: p.special.message()}
	for _, number := range slices.Sorted(maps.Keys(p.bands)) {
		band := &pb.Exponentials_Band{Number: number, Total: p.bands[number].message()}
		message.Bands = append(message.Bands, band)
	}
	return message
}

// extreme is the least loss value, or the greatest, and the first sample that has it.
type extreme struct {
	value *float64 // nil if nothing was kept
	batch string
	row   uint64
}

// or is the extreme of both; the sign is −1 for the greatest.
func (p *extreme) or(other *extreme, sign float64) *extreme {
	if p.value == nil || other.value != nil && other.compare(p, sign) < 0 {
		return other
	}
	return p
}

// compare puts NaN first, then the more extreme value, then the first batch and row.
func (p *extreme) compare(other *extreme, sign float64) int {
	return cmp.Or(
		cmp.Compare(sign**p.value, sign**other.value), // NaN is less than any number
		strings.Compare(p.batch, other.batch),
		cmp.Compare(p.row, other.row),
	)
}

// anonymous is the extreme without its place; nil of none.
func (p *extreme) anonymous() *extreme {
	if p == nil {
		return nil
	}
	return &extreme{value: p.value}
}

func (p *extreme) message() *pb.Extreme {
	return &pb.Extreme{Value: p.value, BatchId: p.batch, Row: p.row}
}

// histogram is Σw in bins of loss values, in units.
type histogram struct {
	bins map[int32]*big.Int
	nan  uint64
}

// lastBin is that of +∞; −∞ has its complement.
const lastBin = 0x7FF << 7

func (p *histogram) add(other *histogram) {
	for number, weight := range other.bins {
		if mine := p.bins[number]; mine != nil {
			mine.Add(mine, weight)
		} else {
			p.bins[number] = weight
		}
	}
	p.nan += other.nan
}

func (p *histogram) message() *pb.Histogram {
	message := &pb.Histogram{Numbers: slices.Sorted(maps.Keys(p.bins)), Nan: p.nan}
	for _, number := range message.GetNumbers() {
		weight := new(ExactSum)
		weight.units.Set(p.bins[number])
		message.Weights = append(message.Weights, weight.message())
	}
	return message
}

// reader reads parts from their messages, and notes whether one is none.
type reader struct {
	bad bool
}

func (r *reader) refuseIf(bad bool) { r.bad = r.bad || bad }

func (r *reader) sum(message *pb.ExactSum) *ExactSum {
	sum, fits := sumOf(message)
	r.refuseIf(!fits)
	return sum
}

func (r *reader) linear(message *pb.Linear) *linear {
	return &linear{
		total:          r.sum(message.GetTotal()),
		weight:         r.sum(message.GetWeight()),
		divisor:        r.sum(message.GetDivisor()),
		count:          message.GetCount(),
		nonzero:        message.GetNonzero(),
		entries:        message.GetEntries(),
		nonzeroEntries: message.GetNonzeroEntries(),
		rows:           message.GetRows(),
		weightEntries:  message.GetWeightEntries(),
	}
}

func (r *reader) moments(message *pb.Moments) *moments {
	return &moments{
		r.sum(message.GetFirst()), r.sum(message.GetSecond()), r.sum(message.GetSquaredWeight()),
	}
}

func (r *reader) exponentials(message *pb.Exponentials) *exponentials {
	r.refuseIf(len(message.GetBands()) > keptBands)
	bands := make(map[float64]*ExactSum, len(message.GetBands()))
	for _, band := range message.GetBands() {
		number := band.GetNumber()
		isWhole := number == math.Trunc(number) && !math.IsInf(number, 0)
		r.refuseIf(!isWhole || number == 0 && math.Signbit(number))
		bands[number] = r.sum(band.GetTotal())
	}
	return &exponentials{bands, r.sum(message.GetSpecial())}
}

func (r *reader) extreme(message *pb.Extreme) *extreme {
	return &extreme{message.Value, message.GetBatchId(), message.GetRow()}
}

func (r *reader) histogram(message *pb.Histogram) *histogram {
	r.refuseIf(len(message.GetNumbers()) != len(message.GetWeights()))
	bins := make(map[int32]*big.Int, len(message.GetNumbers()))
	for i, weight := range message.GetWeights() {
		if total := r.sum(weight); !r.bad {
			number := message.GetNumbers()[i]
			r.refuseIf(number < ^lastBin || number > lastBin)
			bins[number] = &total.units
		}
	}
	return &histogram{bins, message.GetNan()}
}
