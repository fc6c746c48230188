//! Batches: inputs by name, and how they are cut in pieces.

use std::collections::BTreeMap;

use prost_types::value::Kind;

use crate::tensor::Rows;
use crate::{Tensor, v1};

const MIB: usize = 1 << 20;
/// A single message above this is slower than a stream.
pub(crate) const UNARY_BYTES: usize = 4 * MIB;
/// Measured with gRPC: smaller messages and larger ones are slower.
const PIECE_BYTES: usize = MIB;
/// What is finished from sums, or is a minimum or maximum, has the same bits whole and in pieces.
/// These do not: they need the samples, and a stream has a histogram at best.
const OF_SAMPLES: [&str; 4] = ["none", "median", "quantile", "cvar"];
/// Parameters by which a framework's samples may lie along another axis.
const AXES: [&str; 2] = ["axis", "dim"];

/// The inputs of an evaluation by name: `predictions`, `targets`, `sample_weight`, `mask` and what
/// else a loss takes. Of a stream, the next rows of each.
///
/// ```
/// use lossmeter_client::Batch;
///
/// let batch = Batch::new()
///     .with("predictions", [1.5, 5.0])
///     .with("targets", [1.0, 2.0])
///     .with("mask", [true, false]);
/// assert_eq!(batch.get("mask").unwrap().shape(), [2]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(BTreeMap<String, Tensor>);

impl Batch {
    /// A batch without inputs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The batch with one input more.
    pub fn with(mut self, name: impl Into<String>, tensor: impl Into<Tensor>) -> Self {
        self.0.insert(name.into(), tensor.into());
        self
    }

    /// The input of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Bytes of all inputs.
    pub(crate) fn size(&self) -> usize {
        self.0.values().map(|tensor| tensor.data().len()).sum()
    }

    pub(crate) fn into_messages(self) -> BTreeMap<String, v1::Tensor> {
        let message = |(name, tensor): (String, Tensor)| (name, tensor.into());
        self.0.into_iter().map(message).collect()
    }

    /// Pieces along axis 0 of about a mebibyte, as views. Single numbers are in every piece.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Self> {
        let sizes = self.0.values().filter_map(|tensor| tensor.shape().first());
        let rows = sizes.copied().max().unwrap_or(1);
        let each = rows.saturating_mul(PIECE_BYTES) / self.size().max(1);
        let step = each.clamp(1, rows.max(1));
        let mut parts: Vec<(String, Rows)> = self
            .0
            .into_iter()
            .map(|(name, tensor)| (name, Rows::of(tensor)))
            .collect();
        let count = rows.div_ceil(step).max(1);
        (0..count).map(move |_| {
            let next = parts
                .iter_mut()
                .map(|(name, left)| (name.clone(), left.take(step)));
            next.collect()
        })
    }

    /// Whether the batch may go in pieces along axis 0.
    ///
    /// What a framework's own word or a loss's default means is not known here: the service refuses
    /// a stream that needs all samples or has them along another axis, and says so of a number that
    /// comes from a histogram.
    pub(crate) fn may_be_cut(&self, spec: &v1::EvaluateRequest) -> bool {
        let mut sizes = self.0.values().map(|tensor| tensor.shape().first());
        let Some(Some(&rows)) = sizes.next() else {
            return false;
        };
        let one = (&spec.params, &spec.reduction);
        let several = spec
            .losses
            .values()
            .map(|loss| (&loss.params, &loss.reduction));
        let asked: Vec<_> = if spec.losses.is_empty() {
            vec![one]
        } else {
            several.collect()
        };
        sizes.all(|size| size == Some(&rows))
            && !asked.iter().any(|(params, reduction)| {
                needs_samples(reduction.as_ref())
                    || params.as_ref().is_some_and(|p| are_of_rows(p, rows))
            })
    }
}

impl<N: Into<String>, T: Into<Tensor>> FromIterator<(N, T)> for Batch {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(inputs: I) -> Self {
        let named = inputs.into_iter().map(|(name, x)| (name.into(), x.into()));
        Self(named.collect())
    }
}

impl<N: Into<String>, T: Into<Tensor>, const M: usize> From<[(N, T); M]> for Batch {
    fn from(inputs: [(N, T); M]) -> Self {
        inputs.into_iter().collect()
    }
}

fn needs_samples(reduction: Option<&prost_types::Value>) -> bool {
    let named = match reduction.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(settings)) => {
            let name = settings.fields.get("name");
            name.and_then(|value| value.kind.as_ref())
        }
        kind => kind,
    };
    matches!(named, Some(Kind::StringValue(name)) if OF_SAMPLES.contains(&name.as_str()))
}

/// Whether a parameter names an axis, or may hold something for each row.
fn are_of_rows(params: &prost_types::Struct, rows: usize) -> bool {
    let a_row_each = |value: &prost_types::Value| matches!(&value.kind, Some(Kind::ListValue(list)) if list.values.len() == rows);
    AXES.iter().any(|&axis| params.fields.contains_key(axis))
        || params.fields.values().any(a_row_each)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Evaluation;
    use crate::{Loss, Losses, Reduction};

    fn may_be_cut(batch: &Batch, asked: impl Evaluation) -> bool {
        batch.may_be_cut(&asked.message().unwrap())
    }

    #[test]
    fn pieces_are_the_batch_again() {
        let rows = 300_001;
        let numbers: Vec<f64> = (0..rows).map(f64::from).collect();
        let batch = Batch::new().with("a", numbers.clone()).with("b", 1.0_f32);
        let pieces: Vec<Batch> = batch.pieces().collect();
        assert_eq!(pieces.len(), 3);
        let found = pieces
            .iter()
            .flat_map(|piece| piece.get("a").unwrap().to_vec().unwrap());
        assert_eq!(found.collect::<Vec<f64>>(), numbers);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.get("b") == Some(&1.0_f32.into()))
        );
        assert!(pieces.iter().all(|piece| piece.size() <= PIECE_BYTES + 4));
    }

    #[test]
    fn what_is_small_or_empty_is_one_piece() {
        for batch in [
            Batch::new(),
            Batch::new().with("a", 1.0),
            Batch::new().with("a", [0.0; 0]),
            Batch::new().with("a", [1.0, 2.0]).with("b", [1_i64, 2]),
        ] {
            assert_eq!(batch.clone().pieces().collect::<Vec<_>>(), [batch]);
        }
    }

    #[test]
    fn only_rows_of_all_inputs_may_be_cut() {
        let both = Batch::new().with("a", [1.0, 2.0]).with("b", [[1], [2]]);
        assert!(may_be_cut(&both, "huber"));
        assert!(!may_be_cut(&both.clone().with("c", [1.0]), "huber"));
        assert!(!may_be_cut(&both.with("c", 1.0), "huber"));
        assert!(!may_be_cut(&Batch::new(), "huber"));
    }

    #[test]
    fn what_needs_the_samples_is_not_cut() {
        let batch = Batch::new().with("a", [1.0, 2.0]);
        for name in OF_SAMPLES {
            assert!(!may_be_cut(&batch, Loss::new("huber").reduction(name)));
            let inner = Loss::new("huber").reduction(Reduction::new(name));
            assert!(!may_be_cut(&batch, Losses::new().with("one", inner)));
        }
        let by = Reduction::new("mean").by("country");
        assert!(may_be_cut(&batch, Loss::new("huber").reduction(by)));
    }

    #[test]
    fn what_may_be_of_rows_is_not_cut() {
        let batch = Batch::new().with("a", [1.0, 2.0]);
        let with = |name, value| Loss::new("huber").param(name, value);
        assert!(!may_be_cut(&batch, with("axis", json!(1))));
        assert!(!may_be_cut(&batch, with("dim", json!(1))));
        assert!(!may_be_cut(&batch, with("class_weight", json!([1, 2]))));
        assert!(may_be_cut(&batch, with("class_weight", json!([1, 2, 3]))));
    }
}
