//! States, merged and finished without a service.
//!
//! A state is what [`Client::evaluate`](crate::Client::evaluate) answers when its options ask for
//! it: the exact sums of a batch, as bytes. States of batches evaluated apart, on any machine, merge
//! to the bytes that the service gives for them, and finish to its numbers, to the bit. What needs
//! an exponential or a logarithm, and a framework's own rule for a mean, is the service's business:
//! [`Client::merge_states`](crate::Client::merge_states) does all of that.
//!
//! ```
//! use lossmeter_client::state::{self, Profiles};
//!
//! fn mean_of(states: &[Vec<u8>]) -> Result<Option<f64>, lossmeter_client::Error> {
//!     let merged = state::merge(states, Profiles::Same)?;
//!     merged.all().map(state::Cell::mean).transpose()
//! }
//! ```

mod exact;
mod finish;
mod parts;
mod wire;

use std::collections::BTreeMap;
use std::fmt;

use tonic::Code;

pub use exact::ExactSum;
pub use finish::Found;
use parts::COUNTS;
pub use parts::Cell;

use crate::{Error, v1};

/// Which group a cell is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The only one.
    All,
    /// The one at this position of the kept axes, row-major.
    Position(u64),
    /// The one of this label.
    Label(String),
}

/// Which states may be merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profiles {
    /// Those whose loss values were computed by the same versions on the same kind of machine.
    #[default]
    Same,
    /// Others too; losses with exp or log may then differ in their last bits.
    Any,
}

/// What is kept of batches so that they can be finished together, exactly.
#[derive(Clone)]
pub struct State {
    spec: v1::Specification,
    batches: BTreeMap<String, u64>,
    cells: BTreeMap<Key, Cell>,
    shape: Vec<u64>,
}

/// Merges states made apart, as if their batches had been one.
///
/// # Errors
///
/// `MALFORMED_REQUEST` if there are none, or one is no state; otherwise as [`State::merge`].
pub fn merge(
    states: impl IntoIterator<Item: AsRef<[u8]>>,
    profiles: Profiles,
) -> Result<State, Error> {
    let read = |(at, bytes): (usize, _)| wire::read(AsRef::as_ref(&bytes), &format!("states.{at}"));
    let mut states = states.into_iter().enumerate().map(read);
    let first = states.next().unwrap_or_else(|| {
        Err(Error::invalid(
            "MALFORMED_REQUEST",
            "states",
            "give at least one state",
        ))
    })?;
    states.try_fold(first, |merged, state| merged.merge(&state?, profiles))
}

impl State {
    /// The state in these bytes.
    ///
    /// # Errors
    ///
    /// `MALFORMED_REQUEST` if they are no state, not in canonical form, or contradict themselves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        wire::read(bytes, "states")
    }

    /// The canonical bytes: equal states have equal bytes, in every language.
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::write(self)
    }

    /// Both states as one.
    ///
    /// # Errors
    ///
    /// `STATE_MISMATCH` if they were made by different specifications or keep different parts,
    /// `DUPLICATE_BATCH` if a batch is in both, `MALFORMED_REQUEST` if they count more entries than
    /// 64 bits hold.
    pub fn merge(mut self, other: &Self, profiles: Profiles) -> Result<Self, Error> {
        self.check_specification(other, profiles)?;
        if self.shape != other.shape {
            return Err(mismatch("the states keep axes of different sizes"));
        }
        if other.batches.keys().any(|id| self.batches.contains_key(id)) {
            return Err(refused(
                "DUPLICATE_BATCH",
                "a batch is in two of the states; merge each batch once",
            ));
        }
        self.check_parts(other)?;
        check_counts(&self, other)?;
        self.batches.extend(other.batches.clone());
        for (key, cell) in &other.cells {
            match self.cells.get_mut(key) {
                Some(mine) => mine.add(cell),
                None => drop(self.cells.insert(key.clone(), cell.clone())),
            }
        }
        Ok(self)
    }

    /// The loss as it was asked for: its canonical name or symbol.
    pub fn loss(&self) -> &str {
        &self.spec.loss
    }

    /// Dtype of the loss values.
    pub fn dtype(&self) -> &str {
        &self.spec.dtype
    }

    /// What computed the loss values: library versions, instruction set, device.
    pub fn profile(&self) -> &str {
        &self.spec.profile
    }

    /// The batches held, by id, with their numbers of rows.
    pub fn batches(&self) -> &BTreeMap<String, u64> {
        &self.batches
    }

    /// Shape of the answer where axes are kept; the cells are its positions.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The sums of each group.
    pub fn cells(&self) -> &BTreeMap<Key, Cell> {
        &self.cells
    }

    /// The sums of everything, where there are no groups.
    pub fn all(&self) -> Option<&Cell> {
        self.cells.get(&Key::All)
    }

    /// Refuses what would be finished from the parts of some of its batches.
    fn check_parts(&self, other: &Self) -> Result<(), Error> {
        let mut kinds = self
            .cells
            .values()
            .chain(other.cells.values())
            .map(Cell::kinds);
        let first = kinds.next();
        if kinds.all(|others| Some(others) == first) {
            return Ok(());
        }
        Err(mismatch("the states hold different parts"))
    }

    fn check_specification(&self, other: &Self, profiles: Profiles) -> Result<(), Error> {
        let (mine, theirs) = (&self.spec, &other.spec);
        let different: Vec<&str> = wire::FIELDS
            .iter()
            .filter(|(name, _)| profiles == Profiles::Same || *name != "profile")
            .filter(|(_, of)| of(mine) != of(theirs))
            .map(|(name, _)| *name)
            .collect();
        if different.is_empty() {
            return Ok(());
        }
        Err(mismatch(&format!(
            "the states differ in {}",
            different.join(", ")
        )))
    }
}

/// Refuses counts that no message holds.
fn check_counts(mine: &State, theirs: &State) -> Result<(), Error> {
    let both = [mine, theirs];
    let rows = both.iter().flat_map(|state| state.batches.values());
    let mut sums = vec![rows.map(|&rows| u128::from(rows)).sum::<u128>()];
    for at in 0..COUNTS {
        let cells = both.iter().flat_map(|state| state.cells.values());
        sums.push(cells.map(|cell| u128::from(cell.linear.counts[at])).sum());
    }
    if sums.into_iter().all(|sum| u64::try_from(sum).is_ok()) {
        return Ok(());
    }
    let detail = "the states count more than 2^64 entries";
    Err(Error::invalid("MALFORMED_REQUEST", "states", detail))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("loss", &self.spec.loss)
            .field("batches", &self.batches.len())
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}

fn mismatch(detail: &str) -> Error {
    refused("STATE_MISMATCH", detail)
}

fn refused(reason: &str, detail: &str) -> Error {
    Error::here(Code::FailedPrecondition, reason, "states", detail)
}
