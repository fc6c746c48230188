//! The sums that a state keeps of a group, and how two of a kind become one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::ExactSum;

/// Bands of exponentials that are kept: the four highest of a union are among the four highest of
/// its members, so merging loses nothing.
pub(super) const BANDS: usize = 4;
/// What a group counts.
pub(super) const COUNTS: usize = 6;

/// The sums of one group. ℓ are kept loss values, w their weights.
#[derive(Clone, Debug)]
pub struct Cell {
    pub(super) linear: Linear,
    pub(super) moments: Option<Moments>,
    pub(super) logarithms: Option<ExactSum>,
    pub(super) reciprocals: Option<ExactSum>,
    pub(super) exponentials: Option<Exponentials>,
    pub(super) least: Option<Extreme>,
    pub(super) greatest: Option<Extreme>,
    pub(super) histogram: Option<Histogram>,
}

/// What every mean over kept entries needs.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub total: ExactSum,
    pub weight: ExactSum,
    pub divisor: ExactSum,
    /// Kept entries, kept entries with w ≠ 0, entries, entries with w ≠ 0, rows, and weights before
    /// they were broadcast.
    pub counts: [u64; COUNTS],
}

/// Σwℓ, Σwℓ² and Σw².
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub first: ExactSum,
    pub second: ExactSum,
    pub squared_weight: ExactSum,
}

/// Σw·e^ℓ in bands of 512 binades, by their numbers: whole, but of any size.
#[derive(Clone, Debug)]
pub(super) struct Exponentials {
    pub bands: Vec<(f64, ExactSum)>,
    pub special: ExactSum,
}

/// An extreme loss value and the first sample that has it.
#[derive(Clone, Debug)]
pub(super) struct Extreme {
    pub value: Option<f64>,
    pub batch_id: String,
    pub row: u64,
}

/// Σw in bins of loss values, in units of 2^-1074.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pub bins: BTreeMap<i32, BigInt>,
    pub nan: u64,
}

impl Cell {
    /// Which parts are there.
    pub(super) fn kinds(&self) -> [bool; 7] {
        [
            self.moments.is_some(),
            self.logarithms.is_some(),
            self.reciprocals.is_some(),
            self.exponentials.is_some(),
            self.least.is_some(),
            self.greatest.is_some(),
            self.histogram.is_some(),
        ]
    }

    /// Adds a cell with the same parts, which together count no more than there can be.
    pub(super) fn add(&mut self, other: &Self) {
        self.linear.add(&other.linear);
        both(&mut self.moments, other.moments.as_ref(), Moments::add);
        let add_sums: fn(&mut ExactSum, &ExactSum) = |mine, theirs| *mine += theirs;
        both(&mut self.logarithms, other.logarithms.as_ref(), add_sums);
        both(&mut self.reciprocals, other.reciprocals.as_ref(), add_sums);
        let exponentials = other.exponentials.as_ref();
        both(&mut self.exponentials, exponentials, Exponentials::add);
        let least = other.least.as_ref();
        both(&mut self.least, least, |mine, theirs| mine.add(theirs, 1.0));
        let greatest = other.greatest.as_ref();
        both(&mut self.greatest, greatest, |mine, theirs| {
            mine.add(theirs, -1.0);
        });
        both(
            &mut self.histogram,
            other.histogram.as_ref(),
            Histogram::add,
        );
    }
}

fn both<T>(mine: &mut Option<T>, theirs: Option<&T>, add: impl Fn(&mut T, &T)) {
    if let (Some(mine), Some(theirs)) = (mine, theirs) {
        add(mine, theirs);
    }
}

impl Linear {
    fn add(&mut self, other: &Self) {
        self.total += &other.total;
        self.weight += &other.weight;
        self.divisor += &other.divisor;
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }
}

impl Moments {
    fn add(&mut self, other: &Self) {
        self.first += &other.first;
        self.second += &other.second;
        self.squared_weight += &other.squared_weight;
    }
}

impl Exponentials {
    fn add(&mut self, other: &Self) {
        for (number, total) in &other.bands {
            match self
                .bands
                .iter_mut()
                .find(|(mine, _)| mine.total_cmp(number).is_eq())
            {
                Some((_, mine)) => *mine += total,
                None => self.bands.push((*number, total.clone())),
            }
        }
        self.bands.retain(|(_, total)| !total.is_zero());
        self.bands.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let surplus = self.bands.len().saturating_sub(BANDS);
        self.bands.drain(..surplus);
        self.special += &other.special;
    }
}

impl Extreme {
    fn add(&mut self, other: &Self, sign: f64) {
        let replaced = match (self.value, other.value) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => {
                let place = (&other.batch_id, other.row).cmp(&(&self.batch_id, self.row));
                of_values(sign * theirs, sign * mine).then(place).is_lt()
            }
        };
        if replaced {
            self.clone_from(other);
        }
    }
}

/// The order of values, of which NaN is the first.
fn of_values(a: f64, b: f64) -> Ordering {
    let nan_first = b.is_nan().cmp(&a.is_nan());
    a.partial_cmp(&b).unwrap_or(nan_first)
}

impl Histogram {
    fn add(&mut self, other: &Self) {
        for (number, weight) in &other.bins {
            *self.bins.entry(*number).or_default() += weight;
        }
        self.nan = self.nan.saturating_add(other.nan);
    }
}
