//! Sums of float64 numbers without rounding, in any order and any split.

use std::cmp::Ordering;
use std::ops::{Add, AddAssign};

use num_bigint::{BigInt, BigUint, Sign};

/// A sum is a whole number of the smallest float64, 2^-1074.
pub(crate) const UNIT_BITS: u32 = 1074;
const MANTISSA_BITS: u32 = 52;
/// Binades of float64, the subnormal one included; infinities and NaN have the number after them.
const BINADES: usize = 2047;

/// A sum of float64 numbers that has not been rounded.
///
/// ```
/// use lossmeter_client::state::ExactSum;
///
/// let sum: ExactSum = [1e100, 1.0, -1e100].into_iter().collect();
/// assert_eq!(sum.to_f64(), 1.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExactSum {
    /// The sum of the finite terms, in units of 2^-1074.
    pub(crate) units: BigInt,
    pub(crate) nan: u64,
    pub(crate) positive_infinity: u64,
    pub(crate) negative_infinity: u64,
}

impl ExactSum {
    /// A whole number as a sum, to divide by.
    pub(crate) fn of_count(count: u64) -> Self {
        Self {
            units: BigInt::from(count) << UNIT_BITS,
            ..Self::default()
        }
    }

    /// Whether nothing has been added, or all of it was zero or has cancelled.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The sum, rounded once, to nearest and ties to even; infinite where it is beyond float64.
    pub fn to_f64(&self) -> f64 {
        self.special()
            .unwrap_or_else(|| divide(&self.units, &(BigInt::from(1) << UNIT_BITS)))
    }

    /// The ratio of two sums, rounded once; `None` where the divisor is zero.
    pub fn ratio(&self, divisor: &Self) -> Option<f64> {
        if self.special().is_none() && divisor.special().is_none() {
            let divides = divisor.units.sign() != Sign::NoSign;
            return divides.then(|| divide(&self.units, &divisor.units));
        }
        let (above, below) = (self.to_f64(), divisor.to_f64());
        (below != 0.0).then_some(above / below)
    }

    /// NaN or an infinity if a term was one.
    pub(crate) fn special(&self) -> Option<f64> {
        let (high, low) = (self.positive_infinity > 0, self.negative_infinity > 0);
        match (self.nan > 0 || (high && low), high, low) {
            (true, _, _) => Some(f64::NAN),
            (_, true, _) => Some(f64::INFINITY),
            (_, _, true) => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }
}

impl From<f64> for ExactSum {
    fn from(x: f64) -> Self {
        Self::from_iter([x])
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        sum.extend(terms);
        sum
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, terms: I) {
        // The mantissas of each binade apart: 2^74 of them fit, which no iterator brings.
        let mut mantissas = vec![0_i128; BINADES];
        for x in terms {
            if x.is_finite() {
                let (binade, mantissa) = parts(x);
                mantissas[binade] += i128::from(mantissa);
            } else if x.is_nan() {
                self.nan += 1;
            } else if x > 0.0 {
                self.positive_infinity += 1;
            } else {
                self.negative_infinity += 1;
            }
        }
        for (binade, mantissa) in mantissas.into_iter().enumerate() {
            if mantissa != 0 {
                // The subnormal binade has the unit of the first normal one.
                self.units += BigInt::from(mantissa) << binade.saturating_sub(1);
            }
        }
    }
}

impl AddAssign<&ExactSum> for ExactSum {
    fn add_assign(&mut self, other: &Self) {
        self.units += &other.units;
        // Of these only whether there are any decides; bytes may claim any number of them.
        self.nan = self.nan.saturating_add(other.nan);
        self.positive_infinity = self
            .positive_infinity
            .saturating_add(other.positive_infinity);
        self.negative_infinity = self
            .negative_infinity
            .saturating_add(other.negative_infinity);
    }
}

impl Add<&ExactSum> for ExactSum {
    type Output = Self;

    fn add(mut self, other: &Self) -> Self {
        self += other;
        self
    }
}

/// The binade of a finite number, and its signed mantissa in that binade's units.
fn parts(x: f64) -> (usize, i64) {
    let bits = x.to_bits();
    let binade = (bits >> MANTISSA_BITS) & 0x7ff;
    let hidden = u64::from(binade > 0) << MANTISSA_BITS;
    let mantissa = i64::try_from(bits & ((1 << MANTISSA_BITS) - 1) | hidden).expect("53 bits");
    let binade = usize::try_from(binade).expect("11 bits");
    (binade, if x < 0.0 { -mantissa } else { mantissa })
}

/// Divides whole numbers and rounds once, to nearest and ties to even; infinite where the quotient
/// is beyond float64. The divisor is not zero.
pub(crate) fn divide(above: &BigInt, below: &BigInt) -> f64 {
    let magnitude = quotient(above.magnitude(), below.magnitude());
    let negative = (above.sign() == Sign::Minus) != (below.sign() == Sign::Minus);
    if negative { -magnitude } else { magnitude }
}

fn quotient(above: &BigUint, below: &BigUint) -> f64 {
    if above.bits() == 0 {
        return 0.0;
    }
    let binade = floor_log2(above, below);
    if binade > 1023 {
        return f64::INFINITY;
    }
    // The place of the last bit that float64 keeps.
    let place = (binade - i64::from(MANTISSA_BITS)).max(-i64::from(UNIT_BITS));
    let (above, below) = scaled(above, below, place);
    let mut digits = &above / &below;
    let rest = above - &digits * &below;
    let up = match (rest << 1_u32).cmp(&below) {
        Ordering::Less => false,
        Ordering::Equal => digits.bit(0),
        Ordering::Greater => true,
    };
    if up {
        digits += 1_u32;
    }
    let digits = u64::try_from(&digits).expect("at most 2^53");
    #[allow(clippy::cast_precision_loss, reason = "2^53 and less are exact")]
    let exact = digits as f64;
    exact * power_of_two(place)
}

/// The exponent of the greatest power of two that is not above the quotient.
fn floor_log2(above: &BigUint, below: &BigUint) -> i64 {
    let bits = |x: &BigUint| i64::try_from(x.bits()).expect("memory ends before");
    let guess = bits(above) - bits(below);
    let (a, b) = scaled(above, below, guess);
    if a < b { guess - 1 } else { guess }
}

/// Numerator and denominator of `above / (below · 2^place)`.
fn scaled(above: &BigUint, below: &BigUint, place: i64) -> (BigUint, BigUint) {
    let shift = place.unsigned_abs();
    if place < 0 {
        (above << shift, below.clone())
    } else {
        (above.clone(), below << shift)
    }
}

/// 2^exponent, for exponents from -1074 to 1023.
fn power_of_two(exponent: i64) -> f64 {
    let bits = if exponent < -1022 {
        1 << (exponent + i64::from(UNIT_BITS))
    } else {
        (exponent + 1023) << MANTISSA_BITS
    };
    f64::from_bits(u64::try_from(bits).expect("the exponent is in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: &[f64]) -> ExactSum {
        terms.iter().copied().collect()
    }

    #[test]
    fn every_number_is_its_own_sum() {
        let edges = [
            0.1,
            -0.1,
            5e-324,
            -5e-324,
            2.225_073_858_507_201e-308,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::MIN,
            1.0 + f64::EPSILON,
        ];
        for x in edges {
            assert_eq!(ExactSum::from(x).to_f64().to_bits(), x.to_bits());
        }
    }

    #[test]
    fn a_sum_does_not_depend_on_the_order_and_rounds_once() {
        let terms = [1e308, 1.0, 5e-324, -1e308, 2f64.powi(-53)];
        let backwards: Vec<f64> = terms.iter().rev().copied().collect();
        assert_eq!(sum(&terms), sum(&backwards));
        // A tie but for the smallest number of all.
        assert_eq!(sum(&terms).to_f64(), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[1.0, 2f64.powi(-53)]).to_f64(), 1.0);
    }

    #[test]
    fn sums_beyond_float64_are_infinite_until_they_come_back() {
        let beyond = sum(&[f64::MAX, f64::MAX]);
        assert_eq!(beyond.to_f64(), f64::INFINITY);
        assert_eq!((beyond + &sum(&[f64::MIN])).to_f64(), f64::MAX);
        assert_eq!(sum(&[f64::MIN, f64::MIN]).to_f64(), f64::NEG_INFINITY);
    }

    #[test]
    fn special_terms_decide() {
        assert!(sum(&[f64::NAN, 1.0]).to_f64().is_nan());
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).to_f64().is_nan());
        assert_eq!(sum(&[f64::INFINITY, 1.0]).to_f64(), f64::INFINITY);
        assert_eq!(sum(&[f64::NEG_INFINITY]).to_f64(), f64::NEG_INFINITY);
    }

    #[test]
    fn a_ratio_is_rounded_once_even_below_the_normal_numbers() {
        assert_eq!(sum(&[1.0]).ratio(&sum(&[3.0])), Some(1.0 / 3.0));
        assert_eq!(sum(&[5e-324]).ratio(&sum(&[2.0])), Some(0.0));
        assert_eq!(sum(&[1.5e-323]).ratio(&sum(&[2.0])), Some(1e-323));
        assert_eq!(sum(&[1e308]).ratio(&sum(&[1e-308])), Some(f64::INFINITY));
        assert_eq!(sum(&[1.0]).ratio(&ExactSum::default()), None);
        assert_eq!(sum(&[f64::NAN]).ratio(&ExactSum::default()), None);
        let infinite = sum(&[f64::INFINITY]);
        assert!(infinite.ratio(&infinite).unwrap().is_nan());
    }
}
