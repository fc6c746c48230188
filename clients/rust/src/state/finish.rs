//! Reductions that are arithmetic of the sums.

use num_bigint::Sign;
use tonic::Code;

use super::exact::divide;
use super::parts::{Extreme, Moments};
use super::{Cell, ExactSum};
use crate::Error;

/// An extreme loss value, and where it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The loss value.
    pub value: f64,
    /// Position of the first sample that has it, in its batch.
    pub index: u64,
    /// The batch that holds it.
    pub batch_id: String,
}

/// What a reduction needs and a state was made without is `NOT_MERGEABLE`; a mean of nothing is
/// `EMPTY_REDUCTION`.
#[allow(clippy::missing_errors_doc, reason = "said once for all of them")]
impl Cell {
    /// Number n of kept entries.
    pub fn count(&self) -> u64 {
        self.linear.counts[0]
    }

    /// Σw.
    pub fn weight(&self) -> f64 {
        self.linear.weight.to_f64()
    }

    /// Σwℓ.
    pub fn sum(&self) -> f64 {
        self.linear.total.to_f64()
    }

    /// Σwℓ / n.
    pub fn mean(&self) -> Result<f64, Error> {
        self.mean_over(&ExactSum::of_count(self.count()))
    }

    /// Σwℓ / Σw.
    pub fn weighted_mean(&self) -> Result<f64, Error> {
        self.mean_over(&self.linear.weight)
    }

    /// Σwℓ / #{w ≠ 0}.
    pub fn nonzero_mean(&self) -> Result<f64, Error> {
        self.mean_over(&ExactSum::of_count(self.linear.counts[1]))
    }

    /// Σwℓ / N, the size of axis 0.
    pub fn batch_mean(&self) -> Result<f64, Error> {
        self.mean_over(&ExactSum::of_count(self.linear.counts[4]))
    }

    /// √(Σwℓ² / Σw).
    pub fn rms(&self) -> Result<f64, Error> {
        let second = &self.moments()?.second;
        Ok(root(ratio(second, &self.linear.weight)?))
    }

    /// Σw / Σ(w/ℓ).
    pub fn harmonic_mean(&self) -> Result<f64, Error> {
        let below = held(self.reciprocals.as_ref(), "reciprocals")?;
        let weight = &self.linear.weight;
        if weight.is_zero() {
            return Err(nothing());
        }
        let infinite = || f64::INFINITY.copysign(weight.to_f64());
        Ok(weight.ratio(below).unwrap_or_else(infinite))
    }

    /// Σw(ℓ − μ)² / (Σw − ddof·Σw²/Σw); the service's default for `ddof` is 1.
    pub fn variance(&self, ddof: f64) -> Result<f64, Error> {
        let moments = self.moments()?;
        let (weight, ddof) = (&self.linear.weight, ExactSum::from(ddof));
        let sums = [
            weight,
            &moments.first,
            &moments.second,
            &moments.squared_weight,
            &ddof,
        ];
        if sums.iter().any(|sum| sum.special().is_some()) {
            return Ok(f64::NAN);
        }
        let [w, wl, wl2, w2, ddof] = sums.map(|sum| &sum.units);
        if w.sign() == Sign::NoSign {
            return Err(nothing());
        }
        // Both multiplied by Σw, so that all of it is whole.
        let (above, below) = (wl2 * w - wl * wl, w * w - ddof * w2);
        match below.sign() {
            Sign::NoSign => Err(empty("a variance needs more kept entries than its ddof")),
            Sign::Minus => Ok(divide(&-above, &-below)),
            Sign::Plus => Ok(divide(&above, &below)),
        }
    }

    /// √variance.
    pub fn std(&self, ddof: f64) -> Result<f64, Error> {
        self.variance(ddof).map(root)
    }

    /// The least loss value; NaN if any is.
    pub fn min(&self) -> Result<Found, Error> {
        found(held(self.least.as_ref(), "least")?)
    }

    /// The greatest loss value; NaN if any is.
    pub fn max(&self) -> Result<Found, Error> {
        found(held(self.greatest.as_ref(), "greatest")?)
    }

    fn mean_over(&self, divisor: &ExactSum) -> Result<f64, Error> {
        if self.count() == 0 {
            return Err(nothing());
        }
        ratio(&self.linear.total, divisor)
    }

    fn moments(&self) -> Result<&Moments, Error> {
        held(self.moments.as_ref(), "moments")
    }
}

fn held<'a, T>(part: Option<&'a T>, name: &str) -> Result<&'a T, Error> {
    part.ok_or_else(|| {
        Error::here(
            Code::FailedPrecondition,
            "NOT_MERGEABLE",
            "reduction",
            format!("the state holds no {name}; ask for the reduction by name when it is made"),
        )
    })
}

fn ratio(above: &ExactSum, below: &ExactSum) -> Result<f64, Error> {
    above.ratio(below).ok_or_else(nothing)
}

fn nothing() -> Error {
    empty("a mean of nothing: no entry is kept, or the divisor is 0")
}

fn empty(detail: &str) -> Error {
    Error::invalid("EMPTY_REDUCTION", "reduction", detail)
}

fn root(value: f64) -> f64 {
    if value >= 0.0 { value.sqrt() } else { f64::NAN }
}

fn found(extreme: &Extreme) -> Result<Found, Error> {
    Ok(Found {
        value: extreme.value.ok_or_else(nothing)?,
        index: extreme.row,
        batch_id: extreme.batch_id.clone(),
    })
}
