//! What is asked: one loss or several, and how to compute them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::answer::Read;
use crate::{Answer, Answers, Error, json, v1};

/// How loss values become the answer: a name, and settings where it has some.
///
/// ```
/// use lossmeter_client::Reduction;
///
/// let mean = Reduction::from("weighted_mean");
/// let tail = Reduction::new("quantile").with("q", 0.9);
/// let by_country = Reduction::new("mean").by("country");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction(Value);

impl Reduction {
    /// A reduction that may get settings.
    pub fn new(name: &str) -> Self {
        Self(Value::from_iter([("name", name)]))
    }

    /// The reduction with a setting: `q`, `alpha`, `ddof`, `divisor`, `axis`.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(settings) = &mut self.0 {
            settings.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The reduction of each group, which the input of this name tells.
    pub fn by(self, input: &str) -> Self {
        self.with("by", input)
    }
}

impl From<&str> for Reduction {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// A reduction as JSON has it.
impl From<Value> for Reduction {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

/// A loss, with its parameters and its reduction.
///
/// ```
/// use lossmeter_client::{Loss, Reduction};
///
/// let named = Loss::new("huber").param("delta", 0.5).reduction("sum");
/// let of_torch = Loss::new("torch.nn.HuberLoss");
/// let own = Loss::expression("abs(predictions - targets) ** power").param("power", 1.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    name: String,
    expression: String,
    params: Option<Value>,
    reduction: Option<Reduction>,
    inputs: BTreeMap<String, String>,
    weight: Option<f64>,
}

impl Loss {
    /// A loss by canonical name, such as `huber`, or by a framework's symbol.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            expression: String::new(),
            params: None,
            reduction: None,
            inputs: BTreeMap::new(),
            weight: None,
        }
    }

    /// A loss of one's own, over inputs and parameters by name.
    pub fn expression(text: impl Into<String>) -> Self {
        Self {
            expression: text.into(),
            ..Self::new("")
        }
    }

    /// The loss with a parameter, in the names of the loss, of the symbol's framework or of the
    /// expression.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(params) = self.params.get_or_insert_with(|| Map::new().into()) {
            params.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The loss with all its parameters, a JSON object.
    pub fn params(mut self, params: impl Into<Value>) -> Self {
        self.params = Some(params.into());
        self
    }

    /// The loss with a reduction; the symbol's default where none is named.
    pub fn reduction(mut self, reduction: impl Into<Reduction>) -> Self {
        self.reduction = Some(reduction.into());
        self
    }

    /// Of several losses: the shared tensor that is this input of the loss.
    pub fn input(mut self, name: &str, shared: &str) -> Self {
        self.inputs.insert(name.to_owned(), shared.to_owned());
        self
    }

    /// Of several losses: the weight of its value in the total; 1 where none is given.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The loss, to be computed with these options.
    pub fn options(self, options: Options) -> With<Self> {
        With {
            asked: self,
            options,
        }
    }

    fn params_message(&self) -> Result<Option<prost_types::Struct>, Error> {
        match &self.params {
            None => Ok(None),
            Some(Value::Object(params)) => Ok(Some(json::to_struct(params.clone()))),
            Some(_) => Err(Error::invalid(
                "MALFORMED_REQUEST",
                "params",
                "the parameters are a JSON object",
            )),
        }
    }

    fn reduction_message(&self) -> Option<prost_types::Value> {
        self.reduction.clone().map(Into::into)
    }

    fn spec(&self) -> Result<v1::LossSpec, Error> {
        Ok(v1::LossSpec {
            loss: self.name.clone(),
            params: self.params_message()?,
            reduction: self.reduction_message(),
            inputs: self.inputs.clone(),
            loss_weight: self.weight,
            expression: self.expression.clone(),
        })
    }
}

impl From<&str> for Loss {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<Reduction> for prost_types::Value {
    fn from(reduction: Reduction) -> Self {
        json::to_message(reduction.0)
    }
}

/// Several losses over the same tensors, by names of the caller's.
///
/// ```
/// use lossmeter_client::{Loss, Losses};
///
/// let both = Losses::new()
///     .with("box", Loss::new("smooth_l1").input("predictions", "boxes").weight(0.5))
///     .with("class", Loss::new("binary_cross_entropy").input("predictions", "scores"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses(BTreeMap<String, Loss>);

impl Losses {
    /// No losses yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The losses with one more.
    pub fn with(mut self, name: impl Into<String>, loss: impl Into<Loss>) -> Self {
        self.0.insert(name.into(), loss.into());
        self
    }

    /// The losses, to be computed with these options.
    pub fn options(self, options: Options) -> With<Self> {
        With {
            asked: self,
            options,
        }
    }
}

/// How a request is to be run.
///
/// ```
/// use lossmeter_client::{Loss, Options};
///
/// let kept = Loss::new("huber").options(Options::new().state(true).batch_id("monday"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(v1::Options);

impl Options {
    /// The service's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What computes: `numpy` or `onnx`.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.0.backend = name.into();
        self
    }

    /// Where: `cpu`, `cuda` or `auto`.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.0.device = name.into();
        self
    }

    /// What becomes of kept entries that are NaN or infinite: `propagate`, `omit` or `error`.
    pub fn nonfinite(mut self, word: impl Into<String>) -> Self {
        self.0.nonfinite = word.into();
        self
    }

    /// Whether to answer with a mergeable state: `true`, or names of the reductions whose parts it
    /// shall hold besides the sums.
    pub fn state(mut self, asked: impl Into<Value>) -> Self {
        self.0.state = Some(json::to_message(asked.into()));
        self
    }

    /// Name of the batch, so that merging it twice is refused; a random one where none is given.
    pub fn batch_id(mut self, name: impl Into<String>) -> Self {
        self.0.batch_id = name.into();
        self
    }

    /// Of a merge: states computed by different versions or machines may be merged.
    pub fn any_profile(mut self) -> Self {
        self.0.profiles = "any".into();
        self
    }
}

/// Losses, and how to compute them.
#[derive(Clone, Debug, PartialEq)]
pub struct With<L> {
    asked: L,
    options: Options,
}

/// What can be evaluated: a name, a [`Loss`], several [`Losses`], or these with [`Options`].
pub trait Evaluation: sealed::Message {
    /// [`Answer`] for one loss, [`Answers`] for several.
    type Answer: Read;
}

mod sealed {
    use crate::{Error, v1};

    pub trait Message {
        /// The request without its inputs.
        fn message(&self) -> Result<v1::EvaluateRequest, Error>;
    }
}

impl sealed::Message for Loss {
    fn message(&self) -> Result<v1::EvaluateRequest, Error> {
        Ok(v1::EvaluateRequest {
            loss: self.name.clone(),
            params: self.params_message()?,
            reduction: self.reduction_message(),
            expression: self.expression.clone(),
            ..Default::default()
        })
    }
}

impl Evaluation for Loss {
    type Answer = Answer;
}

impl sealed::Message for Losses {
    fn message(&self) -> Result<v1::EvaluateRequest, Error> {
        let spec = |(name, loss): (&String, &Loss)| Ok((name.clone(), loss.spec()?));
        Ok(v1::EvaluateRequest {
            losses: self.0.iter().map(spec).collect::<Result<_, Error>>()?,
            ..Default::default()
        })
    }
}

impl Evaluation for Losses {
    type Answer = Answers;
}

impl sealed::Message for str {
    fn message(&self) -> Result<v1::EvaluateRequest, Error> {
        Loss::new(self).message()
    }
}

impl Evaluation for str {
    type Answer = Answer;
}

impl<L: Evaluation> sealed::Message for With<L> {
    fn message(&self) -> Result<v1::EvaluateRequest, Error> {
        Ok(v1::EvaluateRequest {
            options: Some(self.options.0.clone()),
            ..self.asked.message()?
        })
    }
}

impl<L: Evaluation> Evaluation for With<L> {
    type Answer = L::Answer;
}

impl<E: Evaluation + ?Sized> sealed::Message for &E {
    fn message(&self) -> Result<v1::EvaluateRequest, Error> {
        (**self).message()
    }
}

impl<E: Evaluation + ?Sized> Evaluation for &E {
    type Answer = E::Answer;
}

/// How states are finished together.
///
/// ```
/// use lossmeter_client::{Merge, Options};
///
/// let as_is = Merge::default();
/// let kept = Merge::from("weighted_mean").options(Options::new().state(true).any_profile());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merge {
    reduction: Option<Reduction>,
    options: Options,
}

impl Merge {
    /// With these options: `state` and `any_profile` have a meaning here.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn message(self, states: Vec<Vec<u8>>) -> v1::MergeStatesRequest {
        v1::MergeStatesRequest {
            states,
            reduction: self.reduction.map(Into::into),
            options: Some(self.options.0),
        }
    }
}

/// Finished by this reduction; by the loss's default under [`Merge::default`].
impl<R: Into<Reduction>> From<R> for Merge {
    fn from(reduction: R) -> Self {
        Self {
            reduction: Some(reduction.into()),
            options: Options::new(),
        }
    }
}

/// Which losses to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search(v1::ListLossesRequest);

impl Search {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those that a symbol of this framework stands for, such as `torch`.
    pub fn framework(mut self, name: impl Into<String>) -> Self {
        self.0.framework = name.into();
        self
    }

    /// Those with all of these words, best match first.
    pub fn words(mut self, words: impl Into<String>) -> Self {
        self.0.search = words.into();
        self
    }

    pub(crate) fn message(self) -> v1::ListLossesRequest {
        self.0
    }
}

/// Which loss to export, and in what form.
///
/// ```
/// use lossmeter_client::{Export, Loss};
///
/// let graph = Export::new(Loss::new("huber").reduction("mean")).dtype("float32").size("d0", 32);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    loss: Loss,
    form: v1::ExportLossRequest,
}

impl Export {
    /// A loss in the service's own form.
    pub fn new(loss: impl Into<Loss>) -> Self {
        Self {
            loss: loss.into(),
            form: v1::ExportLossRequest::default(),
        }
    }

    /// With inputs that are values in `float32` or `float64`.
    pub fn dtype(mut self, name: impl Into<String>) -> Self {
        self.form.dtype = name.into();
        self
    }

    /// With this version of the operators, 17 to 21.
    pub fn opset(mut self, version: i64) -> Self {
        self.form.opset = Some(version);
        self
    }

    /// With this version of the file format, 8 to 10.
    pub fn ir_version(mut self, version: i64) -> Self {
        self.form.ir_version = Some(version);
        self
    }

    /// With an axis of a fixed size.
    pub fn size(mut self, axis: impl Into<String>, size: i64) -> Self {
        self.form.sizes.insert(axis.into(), size);
        self
    }

    /// With loss values of so many axes; samples and image, where a loss sums axes.
    pub fn rank(mut self, axes: i64) -> Self {
        self.form.rank = Some(axes);
        self
    }

    /// With this canonical loss, of a symbol whose inputs choose between several.
    pub fn stands_for(mut self, loss: impl Into<String>) -> Self {
        self.form.stands_for = loss.into();
        self
    }

    pub(crate) fn message(self) -> Result<v1::ExportLossRequest, Error> {
        Ok(v1::ExportLossRequest {
            name: self.loss.name.clone(),
            expression: self.loss.expression.clone(),
            params: self.loss.params_message()?,
            reduction: self.loss.reduction_message(),
            ..self.form
        })
    }
}

impl<L: Into<Loss>> From<L> for Export {
    fn from(loss: L) -> Self {
        Self::new(loss)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::sealed::Message;
    use super::*;

    #[test]
    fn a_loss_says_in_its_message_what_was_asked() {
        let asked = Loss::new("huber")
            .params(json!({"delta": 0.5}))
            .param("eps", 1)
            .reduction(Reduction::new("mean").by("country"))
            .options(Options::new().state(["max"]).batch_id("b"));
        let message = asked.message().unwrap();
        let params = json::of_struct(message.params.unwrap());
        assert_eq!(params, json!({"delta": 0.5, "eps": 1.0}));
        let reduction = json::of_message(message.reduction.unwrap());
        assert_eq!(reduction, json!({"name": "mean", "by": "country"}));
        let options = message.options.unwrap();
        assert_eq!(json::of_message(options.state.unwrap()), json!(["max"]));
        assert_eq!(
            (message.loss.as_str(), options.batch_id.as_str()),
            ("huber", "b")
        );
    }

    #[test]
    fn parameters_are_an_object() {
        let error = Loss::new("huber").params(json!([1])).message().unwrap_err();
        assert_eq!(error.reason(), "MALFORMED_REQUEST");
    }

    #[test]
    fn losses_keep_their_own_settings() {
        let asked = Losses::new().with("a", "huber").with(
            "b",
            Loss::expression("targets")
                .weight(0.5)
                .input("targets", "y"),
        );
        let message = asked.message().unwrap();
        assert_eq!(message.losses["a"].loss, "huber");
        assert_eq!(message.losses["b"].expression, "targets");
        assert_eq!(message.losses["b"].loss_weight, Some(0.5));
        assert_eq!(message.losses["b"].inputs["targets"], "y");
    }
}
