//! What the service answers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;

use serde_json::Value as Json;

use crate::v1::explain_response::{DialectAnswer as DialectMessage, Step as StepMessage};
use crate::v1::{EvaluateResponse, ExplainResponse, LossDescriptor as LossMessage};
use crate::{Error, Tensor, json, v1};

/// The value of an answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// One number.
    Number(f64),
    /// An array, where axes are kept.
    Array(Tensor),
    /// One number for each group, by its label.
    Groups(BTreeMap<String, f64>),
}

impl Value {
    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn array(&self) -> Option<&Tensor> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The number of each group, if there are groups.
    pub fn groups(&self) -> Option<&BTreeMap<String, f64>> {
        match self {
            Self::Groups(groups) => Some(groups),
            _ => None,
        }
    }

    fn read(
        value: Option<v1::Tensor>,
        groups: &BTreeMap<String, v1::Group>,
    ) -> Result<Self, Error> {
        let Some(message) = value else {
            let values = groups
                .iter()
                .map(|(label, group)| (label.clone(), group.value));
            return Ok(Self::Groups(values.collect()));
        };
        let tensor = Tensor::try_from(message)?;
        let single = || tensor.to_f64_vec()?.first().copied();
        Ok(match single().filter(|_| tensor.shape().is_empty()) {
            Some(number) => Self::Number(number),
            None => Self::Array(tensor),
        })
    }
}

impl PartialEq<f64> for Value {
    fn eq(&self, other: &f64) -> bool {
        self.number() == Some(*other)
    }
}

/// A number as such, which may be given a precision; an array by its shape.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Array(tensor) => write!(f, "{tensor:?}"),
            Self::Groups(groups) => fmt::Debug::fmt(groups, f),
        }
    }
}

/// One group's value and the sums behind it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The group's value.
    pub value: f64,
    /// Number of kept entries.
    pub count: u64,
    /// Sum of their weights.
    pub weight: f64,
    /// What was divided by, if anything was.
    pub denominator: Option<f64>,
}

/// The answer for one loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Canonical name of the loss.
    pub loss: String,
    /// Canonical name of the reduction.
    pub reduction: String,
    /// Number of kept entries.
    pub count: u64,
    /// Sum of their weights.
    pub weight: f64,
    /// What was divided by, if one number was.
    pub denominator: Option<f64>,
    /// What computed the loss values.
    pub backend: String,
    /// Where.
    pub device: String,
    /// Dtype of the loss values.
    pub dtype: String,
    /// The sums behind each group's value.
    pub groups: BTreeMap<String, Group>,
    /// Position of the first sample with the extreme, for `min` and `max`.
    pub index: Option<u64>,
    /// The batch that `index` counts in, where several were merged.
    pub batch_id: Option<String>,
    /// Bound of the relative error of a quantile from a histogram; `None` if the value is exact.
    pub relative_error: Option<f64>,
    /// Number of entries left out by `nonfinite: omit`.
    pub omitted: Option<u64>,
    /// Which entries the mask kept, under `none`.
    pub kept: Option<Tensor>,
    /// The mergeable state, if asked for.
    pub state: Option<Vec<u8>>,
    /// SHA-256 of the state's specification and sums, in hexadecimal.
    pub state_hash: Option<String>,
    /// What looks wrong but was computed.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether no histogram stands between the data and the value.
    pub fn is_exact(&self) -> bool {
        self.relative_error.is_none()
    }
}

/// The answers for several losses over shared inputs; each by `answers["its name"]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answers {
    /// Answer of each loss.
    pub results: BTreeMap<String, Answer>,
    /// Sum of the values times their weights; `None` if a value is no single number.
    pub total: Option<f64>,
    /// Losses whose targets were absent.
    pub skipped: Vec<String>,
}

impl Index<&str> for Answers {
    type Output = Answer;

    /// # Panics
    ///
    /// There was no loss of this name.
    fn index(&self, name: &str) -> &Answer {
        &self.results[name]
    }
}

/// What an answer is read from.
pub trait Read: Sized + sealed::Read {}

impl<T: sealed::Read> Read for T {}

pub(crate) mod sealed {
    use crate::Error;
    use crate::v1::EvaluateResponse;

    pub trait Read: Sized {
        fn read(message: EvaluateResponse) -> Result<Self, Error>;
    }
}

impl sealed::Read for Answer {
    fn read(message: EvaluateResponse) -> Result<Self, Error> {
        Ok(Self {
            value: Value::read(message.value, &message.groups)?,
            loss: message.loss,
            reduction: message.reduction,
            count: message.count,
            weight: message.weight,
            denominator: message.denominator,
            backend: message.backend,
            device: message.device,
            dtype: message.dtype,
            groups: groups_of(message.groups),
            index: message.index,
            batch_id: message.batch_id,
            relative_error: message.relative_error,
            omitted: message.omitted,
            kept: message.kept.map(Tensor::try_from).transpose()?,
            state: present(message.state),
            state_hash: present(message.state_hash),
            warnings: message.warnings,
        })
    }
}

impl sealed::Read for Answers {
    fn read(message: EvaluateResponse) -> Result<Self, Error> {
        let read = |(name, one)| Ok((name, Answer::read(one)?));
        Ok(Self {
            results: message
                .results
                .into_iter()
                .map(read)
                .collect::<Result<_, Error>>()?,
            total: message.total,
            skipped: message.skipped,
        })
    }
}

/// Whether no histogram stands between the data and any value.
pub(crate) fn is_exact(message: &EvaluateResponse) -> bool {
    message.relative_error.is_none() && message.results.values().all(is_exact)
}

fn present<T: Default + PartialEq>(told: T) -> Option<T> {
    (told != T::default()).then_some(told)
}

fn groups_of(messages: BTreeMap<String, v1::Group>) -> BTreeMap<String, Group> {
    let group = |group: v1::Group| Group {
        value: group.value,
        count: group.count,
        weight: group.weight,
        denominator: group.denominator,
    };
    messages
        .into_iter()
        .map(|(label, one)| (label, group(one)))
        .collect()
}

/// One step of an evaluation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Its name.
    pub step: String,
    /// What was done, in a sentence.
    pub says: String,
    /// The numbers of it, a JSON object.
    pub numbers: Json,
}

/// What one framework says of the same data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DialectAnswer {
    /// Its symbol, or the canonical name.
    pub symbol: String,
    /// The framework; empty for the canonical loss.
    pub framework: String,
    /// The version whose rule it is.
    pub version: String,
    /// Canonical name of the reduction.
    pub reduction: String,
    /// Its value; `None` if it refuses.
    pub value: Option<Value>,
    /// The weighted sum that was divided, if one was.
    pub numerator: Option<f64>,
    /// What it was divided by, if one number was.
    pub denominator: Option<f64>,
    /// The same in words.
    pub divisor: String,
    /// Whether it is the number that was asked for.
    pub agrees: bool,
    /// A sentence for each difference.
    pub why: Vec<String>,
    /// What was done so that it could be asked at all.
    pub note: String,
}

/// An answer, how it came about, and what other frameworks say.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// As [`Client::evaluate`](crate::Client::evaluate) gives it.
    pub answer: Answer,
    /// What the request named.
    pub symbol: String,
    /// The framework and its version; empty for a canonical loss.
    pub framework: String,
    /// What was done, in its order.
    pub steps: Vec<Step>,
    /// What every other dialect that knows the loss says.
    pub dialects: Vec<DialectAnswer>,
}

impl TryFrom<ExplainResponse> for Explanation {
    type Error = Error;

    fn try_from(message: ExplainResponse) -> Result<Self, Error> {
        let dialects = message.dialects.into_iter().map(DialectAnswer::try_from);
        Ok(Self {
            answer: <Answer as sealed::Read>::read(EvaluateResponse {
                value: message.value,
                loss: message.loss,
                reduction: message.reduction,
                count: message.count,
                weight: message.weight,
                denominator: message.denominator,
                backend: message.backend,
                device: message.device,
                dtype: message.dtype,
                groups: message.groups,
                index: message.index,
                omitted: message.omitted,
                warnings: message.warnings,
                ..Default::default()
            })?,
            symbol: message.symbol,
            framework: message.framework,
            steps: message.steps.into_iter().map(Step::from).collect(),
            dialects: dialects.collect::<Result<_, Error>>()?,
        })
    }
}

impl From<StepMessage> for Step {
    fn from(message: StepMessage) -> Self {
        Self {
            step: message.step,
            says: message.says,
            numbers: json::of_struct(message.numbers.unwrap_or_default()),
        }
    }
}

impl TryFrom<DialectMessage> for DialectAnswer {
    type Error = Error;

    fn try_from(message: DialectMessage) -> Result<Self, Error> {
        let refused = message.value.is_none() && message.groups.is_empty();
        let value = Value::read(message.value, &message.groups)?;
        Ok(Self {
            symbol: message.symbol,
            framework: message.framework,
            version: message.version,
            reduction: message.reduction,
            value: (!refused).then_some(value),
            numerator: message.numerator,
            denominator: message.denominator,
            divisor: message.divisor,
            agrees: message.agrees,
            why: message.why,
            note: message.note,
        })
    }
}

/// An input of a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LossInput {
    /// Its name.
    pub name: String,
    /// Its shape: `...` is any number of axes, the same in all inputs; a letter is one size.
    pub shape: String,
    /// Name of its domain.
    pub domain: String,
    /// Its admissible values, in words.
    pub values: String,
    /// What it is.
    pub description: String,
}

/// A framework's name for a loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Symbol {
    /// The name, as a request gives it.
    pub symbol: String,
    /// The framework.
    pub framework: String,
    /// The version whose rules are followed.
    pub version: String,
    /// Its reduction if a request names none.
    pub default_reduction: String,
    /// Its parameters, as JSON Schema.
    pub params: Json,
    /// The framework's own words for reductions; canonical ones are taken besides.
    pub reductions: Vec<String>,
}

/// What is known of a loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossDescriptor {
    /// Canonical name.
    pub name: String,
    /// Other names it answers to.
    pub names: Vec<String>,
    /// Its family.
    pub kind: String,
    /// What it measures, in a line.
    pub summary: String,
    /// Its formula, in LaTeX.
    pub formula: String,
    /// What there is to say besides.
    pub notes: String,
    /// What it takes.
    pub inputs: Vec<LossInput>,
    /// `elementwise`; `per_sample` where an axis is used up; `batch` where the batch defines the
    /// values.
    pub output: String,
    /// Its reduction if a request names none.
    pub default_reduction: String,
    /// Its parameters, as JSON Schema.
    pub params: Json,
    /// The paper, or the framework whose rule it is.
    pub source: String,
    /// The frameworks' names for it.
    pub symbols: Vec<Symbol>,
    /// Requests and their loss values.
    pub examples: Vec<Json>,
}

impl From<LossMessage> for LossDescriptor {
    fn from(message: LossMessage) -> Self {
        let input = |input: v1::loss_descriptor::Input| LossInput {
            name: input.name,
            shape: input.shape,
            domain: input.domain,
            values: input.values,
            description: input.description,
        };
        let symbol = |symbol: v1::loss_descriptor::Symbol| Symbol {
            symbol: symbol.symbol,
            framework: symbol.framework,
            version: symbol.version,
            default_reduction: symbol.default_reduction,
            params: json::of_struct(symbol.params.unwrap_or_default()),
            reductions: symbol.reductions,
        };
        Self {
            name: message.name,
            names: message.names,
            kind: message.kind,
            summary: message.summary,
            formula: message.formula,
            notes: message.notes,
            inputs: message.inputs.into_iter().map(input).collect(),
            output: message.output,
            default_reduction: message.default_reduction,
            params: json::of_struct(message.params.unwrap_or_default()),
            source: message.source,
            symbols: message.symbols.into_iter().map(symbol).collect(),
            examples: message.examples.into_iter().map(json::of_struct).collect(),
        }
    }
}
