//! States as bytes: canonical protobuf, so that equal states have equal bytes in every language.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use prost::Message;
use sha2::{Digest, Sha256};

use super::exact::UNIT_BITS;
use super::parts::{BANDS, Cell, Exponentials, Extreme, Histogram, Linear, Moments};
use super::{ExactSum, Key, State};
use crate::{Error, v1};

const FORMAT: u32 = 1;
/// The widest sum: 2^64 terms of the greatest float64.
const MOST_BITS: i64 = 2200;
const MOST_AXES: usize = 32;
const MOST_GROUPS: u64 = 1 << 24;
/// The bins of the infinities: the upper 19 bits of a float64, complemented below zero.
const BINS: std::ops::RangeInclusive<i32> = !(0x7ff << 7)..=0x7ff << 7;

type Of = fn(&v1::Specification) -> &str;
/// The fields of a specification, in order.
pub(super) const FIELDS: [(&str, Of); 7] = [
    ("loss", |spec| &spec.loss),
    ("params", |spec| &spec.params),
    ("dtype", |spec| &spec.dtype),
    ("nonfinite", |spec| &spec.nonfinite),
    ("by", |spec| &spec.by),
    ("axis", |spec| &spec.axis),
    ("profile", |spec| &spec.profile),
];

pub(super) fn write(state: &State) -> Vec<u8> {
    let batch = |(id, &rows): (&String, &u64)| v1::Batch {
        id: id.clone(),
        rows,
    };
    let mut message = v1::State {
        format: FORMAT,
        specification: Some(state.spec.clone()),
        specification_hash: hash(&state.spec),
        batches: state.batches.iter().map(batch).collect(),
        cells: state.cells.iter().map(write_cell).collect(),
        shape: state.shape.clone(),
        checksum: Vec::new(),
    };
    message.checksum = Sha256::digest(message.encode_to_vec()).to_vec();
    message.encode_to_vec()
}

fn hash(spec: &v1::Specification) -> Vec<u8> {
    let mut digest = Sha256::new();
    for (_, of) in FIELDS {
        let text = of(spec);
        let length = u32::try_from(text.len()).expect("a text of less than 4 GiB");
        digest.update(length.to_le_bytes());
        digest.update(text);
    }
    digest.finalize().to_vec()
}

fn write_cell((key, cell): (&Key, &Cell)) -> v1::Cell {
    v1::Cell {
        key: match key {
            Key::All => None,
            Key::Position(position) => Some(v1::cell::Key::Position(*position)),
            Key::Label(label) => Some(v1::cell::Key::Label(label.clone())),
        },
        linear: Some(write_linear(&cell.linear)),
        moments: cell.moments.as_ref().map(write_moments),
        logarithms: cell.logarithms.as_ref().map(Into::into),
        reciprocals: cell.reciprocals.as_ref().map(Into::into),
        exponentials: cell.exponentials.as_ref().map(write_exponentials),
        least: cell.least.as_ref().map(write_extreme),
        greatest: cell.greatest.as_ref().map(write_extreme),
        histogram: cell.histogram.as_ref().map(write_histogram),
    }
}

fn write_linear(part: &Linear) -> v1::Linear {
    let [
        count,
        nonzero,
        entries,
        nonzero_entries,
        rows,
        weight_entries,
    ] = part.counts;
    v1::Linear {
        total: Some(v1::ExactSum::from(&part.total)),
        weight: Some(v1::ExactSum::from(&part.weight)),
        divisor: Some(v1::ExactSum::from(&part.divisor)),
        count,
        nonzero,
        entries,
        nonzero_entries,
        rows,
        weight_entries,
    }
}

fn write_moments(part: &Moments) -> v1::Moments {
    v1::Moments {
        first: Some(v1::ExactSum::from(&part.first)),
        second: Some(v1::ExactSum::from(&part.second)),
        squared_weight: Some(v1::ExactSum::from(&part.squared_weight)),
    }
}

fn write_exponentials(part: &Exponentials) -> v1::Exponentials {
    let band = |(number, total): &(f64, ExactSum)| v1::exponentials::Band {
        number: *number,
        total: Some(v1::ExactSum::from(total)),
    };
    v1::Exponentials {
        bands: part.bands.iter().map(band).collect(),
        special: Some(v1::ExactSum::from(&part.special)),
    }
}

fn write_extreme(part: &Extreme) -> v1::Extreme {
    v1::Extreme {
        value: part.value,
        batch_id: part.batch_id.clone(),
        row: part.row,
    }
}

fn write_histogram(part: &Histogram) -> v1::Histogram {
    v1::Histogram {
        numbers: part.bins.keys().copied().collect(),
        weights: part.bins.values().map(write_units).collect(),
        nan: part.nan,
    }
}

impl From<&ExactSum> for v1::ExactSum {
    fn from(sum: &ExactSum) -> Self {
        Self {
            nan: sum.nan,
            positive_infinity: sum.positive_infinity,
            negative_infinity: sum.negative_infinity,
            ..write_units(&sum.units)
        }
    }
}

fn write_units(units: &BigInt) -> v1::ExactSum {
    let Some(zeros) = units.trailing_zeros() else {
        return v1::ExactSum::default();
    };
    let place = i32::try_from(zeros).expect("memory ends before");
    v1::ExactSum {
        exponent: place - UNIT_BITS.cast_signed(),
        mantissa: (units >> zeros).to_signed_bytes_le(),
        ..Default::default()
    }
}

/// The state in these bytes, which are this field of a request.
pub(super) fn read(bytes: &[u8], field: &str) -> Result<State, Error> {
    let message = v1::State::decode(bytes).ok();
    message
        .and_then(read_state)
        .filter(|state| write(state) == bytes)
        .ok_or_else(|| {
            Error::invalid(
                "MALFORMED_REQUEST",
                field,
                "not a state of a service: the bytes are foreign, damaged or inconsistent",
            )
        })
}

fn read_state(message: v1::State) -> Option<State> {
    let cells = message.cells.len();
    let batches = message.batches.into_iter();
    let state = State {
        spec: message.specification?,
        batches: batches.map(|batch| (batch.id, batch.rows)).collect(),
        cells: message
            .cells
            .into_iter()
            .map(read_cell)
            .collect::<Option<_>>()?,
        shape: message.shape,
    };
    let good = message.format == FORMAT
        && hash(&state.spec) == message.specification_hash
        && is_specification(&state.spec)
        && state.cells.len() == cells
        && has_its_groups(&state)
        && state.cells.values().all(|cell| counts_agree(cell, &state));
    good.then_some(state)
}

fn is_specification(spec: &v1::Specification) -> bool {
    let params: Option<serde_json::Value> = serde_json::from_str(&spec.params).ok();
    params.is_some_and(|params| params["loss"].is_string())
        && ["float32", "float64"].contains(&spec.dtype.as_str())
        && ["propagate", "omit", "error"].contains(&spec.nonfinite.as_str())
        && (spec.axis.is_empty() || is_axis(&spec.axis))
}

/// Whether these are axes in order, or outputs that are joined, and how many axes there are.
fn is_axis(text: &str) -> bool {
    if text.starts_with(r#"["outputs""#) {
        let outputs: Result<(String, u64), _> = serde_json::from_str(text);
        return outputs.is_ok_and(|(_, rank)| rank > 0);
    }
    let told: Result<(Vec<u64>, u64), _> = serde_json::from_str(text);
    told.is_ok_and(|(axes, rank)| axes.is_sorted_by(|a, b| a < b) && axes.iter().all(|&a| a < rank))
}

fn has_its_groups(state: &State) -> bool {
    let grouped = !state.spec.by.is_empty() || !state.shape.is_empty();
    let mut kinds = state.cells.values().map(Cell::kinds);
    let first = kinds.next();
    !state.batches.is_empty()
        && grouped != state.cells.contains_key(&Key::All)
        && kinds.all(|other| Some(other) == first)
        && (state.shape.is_empty() || has_its_positions(state))
}

fn has_its_positions(state: &State) -> bool {
    // Counted, not listed: the shape is not to be believed.
    let places = state
        .shape
        .iter()
        .try_fold(1_u64, |n, &size| n.checked_mul(size.max(1)));
    if state.shape.len() > MOST_AXES || places.is_none_or(|places| places > MOST_GROUPS) {
        return false;
    }
    let cells: u64 = state.shape.iter().product();
    let inside = |key: &Key| matches!(key, Key::Position(position) if *position < cells);
    u64::try_from(state.cells.len()) == Ok(cells) && state.cells.keys().all(inside)
}

fn counts_agree(cell: &Cell, state: &State) -> bool {
    let rows: u128 = state.batches.values().map(|&rows| u128::from(rows)).sum();
    let [count, nonzero, entries, nonzero_entries, own_rows, _] = cell.linear.counts;
    let own_rows = u128::from(own_rows);
    let extremes = [&cell.least, &cell.greatest].into_iter().flatten();
    nonzero <= count
        && count <= entries
        && nonzero <= nonzero_entries
        && nonzero_entries <= entries
        && (own_rows == rows || (own_rows < rows && !state.cells.contains_key(&Key::All)))
        && extremes.filter(|found| found.value.is_some()).all(|found| {
            let rows = state.batches.get(&found.batch_id);
            rows.is_some_and(|&rows| found.row < rows)
        })
}

fn read_cell(message: v1::Cell) -> Option<(Key, Cell)> {
    let key = match message.key {
        None => Key::All,
        Some(v1::cell::Key::Position(position)) => Key::Position(position),
        Some(v1::cell::Key::Label(label)) => Key::Label(label),
    };
    let cell = Cell {
        linear: read_linear(message.linear?)?,
        moments: part(message.moments, read_moments)?,
        logarithms: part(message.logarithms, |sum| read_sum(Some(sum)))?,
        reciprocals: part(message.reciprocals, |sum| read_sum(Some(sum)))?,
        exponentials: part(message.exponentials, read_exponentials)?,
        least: message.least.map(read_extreme),
        greatest: message.greatest.map(read_extreme),
        histogram: part(message.histogram, read_histogram)?,
    };
    Some((key, cell))
}

/// A part that is not there, or is and can be read.
#[allow(
    clippy::option_option,
    reason = "what cannot be read is not what is not there"
)]
fn part<M, T>(message: Option<M>, read: impl Fn(M) -> Option<T>) -> Option<Option<T>> {
    message.map_or(Some(None), |message| read(message).map(Some))
}

fn read_linear(message: v1::Linear) -> Option<Linear> {
    Some(Linear {
        total: read_sum(message.total)?,
        weight: read_sum(message.weight)?,
        divisor: read_sum(message.divisor)?,
        counts: [
            message.count,
            message.nonzero,
            message.entries,
            message.nonzero_entries,
            message.rows,
            message.weight_entries,
        ],
    })
}

fn read_moments(message: v1::Moments) -> Option<Moments> {
    Some(Moments {
        first: read_sum(message.first)?,
        second: read_sum(message.second)?,
        squared_weight: read_sum(message.squared_weight)?,
    })
}

fn read_exponentials(message: v1::Exponentials) -> Option<Exponentials> {
    let band = |band: v1::exponentials::Band| Some((band.number, read_sum(band.total)?));
    let bands: Vec<_> = message.bands.into_iter().map(band).collect::<Option<_>>()?;
    let whole = |number: f64| number.is_finite() && number.fract() == 0.0;
    let good = bands.len() <= BANDS
        && bands.iter().all(|(number, _)| whole(*number))
        && bands.is_sorted_by(|(a, _), (b, _)| a < b);
    good.then_some(Exponentials {
        bands,
        special: read_sum(message.special)?,
    })
}

fn read_extreme(message: v1::Extreme) -> Extreme {
    Extreme {
        value: message.value,
        batch_id: message.batch_id,
        row: message.row,
    }
}

fn read_histogram(message: v1::Histogram) -> Option<Histogram> {
    let (numbers, weights) = (message.numbers, message.weights);
    if numbers.len() != weights.len() || !numbers.iter().all(|number| BINS.contains(number)) {
        return None;
    }
    let bin = |(number, weight)| Some((number, read_sum(Some(weight))?.units));
    let bins: Option<BTreeMap<_, _>> = numbers.into_iter().zip(weights).map(bin).collect();
    Some(Histogram {
        bins: bins?,
        nan: message.nan,
    })
}

impl TryFrom<v1::ExactSum> for ExactSum {
    type Error = Error;

    fn try_from(message: v1::ExactSum) -> Result<Self, Error> {
        read_sum(Some(message)).ok_or_else(|| {
            Error::invalid(
                "MALFORMED_REQUEST",
                "",
                "a sum beyond what float64 terms can reach",
            )
        })
    }
}

fn read_sum(message: Option<v1::ExactSum>) -> Option<ExactSum> {
    let message = message?;
    let mantissa = BigInt::from_signed_bytes_le(&message.mantissa);
    let zeros = i64::from(message.exponent) + i64::from(UNIT_BITS);
    let shift = if mantissa == BigInt::ZERO { 0 } else { zeros };
    let bits = i64::try_from(mantissa.bits()).ok()?;
    let good = (0..=MOST_BITS).contains(&shift) && bits + shift <= MOST_BITS;
    good.then(|| ExactSum {
        units: mantissa << shift,
        nan: message.nan,
        positive_infinity: message.positive_infinity,
        negative_infinity: message.negative_infinity,
    })
}
