//! Every golden case against a running service: near the framework's number, and the bits that the
//! Python client got.

use std::collections::BTreeMap;
use std::sync::Arc;

use lossmeter_client::{
    Answer, Answers, Batch, Client, DataType, Error, Loss, Losses, Options, Reduction, Tensor,
    Value,
};
use serde_json::Value as Json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::states::bits;
use crate::{of_repository, told};

const AT_ONCE: usize = 16;

/// What became of a request.
enum Outcome {
    One(Box<Answer>),
    Several(Answers),
    Refused(Error),
}

#[tokio::test]
async fn every_case_has_its_bits_and_every_mistake_its_reason() {
    let Some(path) = told("LOSSMETER_CONFORMANCE") else {
        return;
    };
    let Some(target) = told("LOSSMETER_GRPC") else {
        return;
    };
    let all: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let client = Client::connect(target).await.unwrap();
    let cases = all["cases"].as_array().unwrap();
    let errors = all["errors"].as_array().unwrap();
    let mut wrong = failures(&client, cases, of_case).await;
    wrong.extend(failures(&client, errors, of_error).await);
    assert!(cases.len() > 100 && errors.len() > 10);
    let known = std::fs::read_to_string(of_repository("tests/golden/known-failing/rust.txt"));
    for id in known
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if wrong.remove(id).is_none() {
            wrong.insert(
                id.to_owned(),
                "it passes, and is listed as failing".to_owned(),
            );
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

/// What is wrong with each case that is not right.
async fn failures(
    client: &Client,
    cases: &[Json],
    of: fn(&Json, &Outcome) -> Option<String>,
) -> BTreeMap<String, String> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for case in cases.iter().cloned() {
        let (client, room) = (client.clone(), room.clone());
        asked.spawn(async move {
            let _place = room.acquire().await.unwrap();
            let outcome = outcome(&client, &case["request"]).await;
            of(&case, &outcome).map(|wrong| (case["id"].as_str().unwrap().to_owned(), wrong))
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

async fn outcome(client: &Client, request: &Json) -> Outcome {
    let inputs = request["inputs"].as_object().unwrap();
    let batch: Batch = inputs
        .iter()
        .map(|(name, x)| (name.as_str(), tensor(x)))
        .collect();
    let options = options(&request["options"]);
    let found = match request["losses"].as_object() {
        None => client
            .evaluate(loss(request).options(options), batch)
            .await
            .map(|one| Outcome::One(one.into())),
        Some(asked) => {
            let with = |losses: Losses, (name, one): (&String, &Json)| losses.with(name, loss(one));
            let losses = asked.iter().fold(Losses::new(), with).options(options);
            client.evaluate(losses, batch).await.map(Outcome::Several)
        }
    };
    found.unwrap_or_else(Outcome::Refused)
}

fn loss(told: &Json) -> Loss {
    let mut loss = match told["loss"]["expression"].as_str() {
        Some(text) => Loss::expression(text),
        None => Loss::new(told["loss"].as_str().unwrap_or_default()),
    };
    if let Some(params) = told.get("params") {
        loss = loss.params(params.clone());
    }
    if let Some(reduction) = told.get("reduction") {
        loss = loss.reduction(Reduction::from(reduction.clone()));
    }
    if let Some(weight) = told["loss_weight"].as_f64() {
        loss = loss.weight(weight);
    }
    // The inputs of one loss of several are names; those of a request are tensors.
    for (name, shared) in told["inputs"].as_object().into_iter().flatten() {
        if let Some(shared) = shared.as_str() {
            loss = loss.input(name, shared);
        }
    }
    loss
}

fn options(told: &Json) -> Options {
    let mut options = Options::new();
    for (name, value) in told.as_object().into_iter().flatten() {
        let text = || value.as_str().unwrap();
        options = match name.as_str() {
            "backend" => options.backend(text()),
            "device" => options.device(text()),
            "nonfinite" => options.nonfinite(text()),
            "batch_id" => options.batch_id(text()),
            "state" => options.state(value.clone()),
            other => panic!("no option is {other}"),
        };
    }
    options
}

fn tensor(told: &Json) -> Tensor {
    let data = told["data"].as_array().unwrap();
    let shape: Vec<usize> = data_of(&told["shape"], |n| n.as_u64().unwrap().try_into().unwrap());
    let whole = |x: &Json| x.as_i64().unwrap();
    let made: Tensor = match told["dtype"].as_str().unwrap() {
        "bool" => list(data, |x| x.as_bool().unwrap()).into(),
        "int8" => list(data, |x| i8::try_from(whole(x)).unwrap()).into(),
        "int16" => list(data, |x| i16::try_from(whole(x)).unwrap()).into(),
        "int32" => list(data, |x| i32::try_from(whole(x)).unwrap()).into(),
        "int64" => list(data, whole).into(),
        "uint8" => list(data, |x| u8::try_from(whole(x)).unwrap()).into(),
        "uint16" => list(data, |x| u16::try_from(whole(x)).unwrap()).into(),
        "uint32" => list(data, |x| u32::try_from(whole(x)).unwrap()).into(),
        "uint64" => list(data, |x| x.as_u64().unwrap()).into(),
        "float16" => return halves(data, shape),
        #[allow(clippy::cast_possible_truncation, reason = "they were float32 before")]
        "float32" => list(data, |x| number(x) as f32).into(),
        "float64" => list(data, number).into(),
        "string" => list(data, |x| x.as_str().unwrap().to_owned()).into(),
        other => panic!("no dtype is {other}"),
    };
    made.reshape(shape).unwrap()
}

fn halves(data: &[Json], shape: Vec<usize>) -> Tensor {
    let bytes = data
        .iter()
        .flat_map(|x| half::f16::from_f64(number(x)).to_le_bytes());
    Tensor::from_bytes(DataType::Float16, shape, bytes.collect::<Vec<u8>>()).unwrap()
}

fn list<T>(data: &[Json], of: impl Fn(&Json) -> T) -> Vec<T> {
    data.iter().map(of).collect()
}

fn data_of<T>(told: &Json, of: impl Fn(&Json) -> T) -> Vec<T> {
    list(told.as_array().unwrap(), of)
}

fn number(told: &Json) -> f64 {
    match told.as_str() {
        None => told.as_f64().unwrap(),
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some(other) => panic!("no number is {other}"),
    }
}

fn of_case(case: &Json, outcome: &Outcome) -> Option<String> {
    let (found, value) = match outcome {
        Outcome::Refused(error) => return Some(error.to_string()),
        Outcome::One(answer) => (told_of(answer), Some(&answer.value)),
        Outcome::Several(answers) => (told_of_several(answers), None),
    };
    let mut expected = case["answer"].clone();
    without_dtype(&mut expected);
    if found != expected {
        return Some(format!("{found} is not {expected}"));
    }
    let near = match (case.get("expected"), value) {
        (None | Some(Json::Null), _) | (_, None) => true,
        (Some(expected), Some(value)) => is_near(case, expected, value),
    };
    (!near).then(|| format!("{found} is not near {}", case["expected"]))
}

/// The dtype of the bits is said of no client: they are those of a float64.
fn without_dtype(answer: &mut Json) {
    if let Some(value) = answer.get_mut("value").and_then(Json::as_object_mut) {
        value.remove("dtype");
    }
    for one in answer
        .get_mut("results")
        .and_then(Json::as_object_mut)
        .into_iter()
        .flatten()
    {
        without_dtype(one.1);
    }
}

fn told_of(answer: &Answer) -> Json {
    let mut told = serde_json::json!({"count": answer.count, "weight": bits(answer.weight)});
    match &answer.value {
        Value::Groups(groups) => {
            let groups = groups
                .iter()
                .map(|(label, &x)| (label.clone(), bits(x).into()));
            told["groups"] = Json::Object(groups.collect());
        }
        value => {
            let (shape, numbers) = array_of(value);
            let bits: Vec<_> = numbers.into_iter().map(bits).collect();
            told["value"] = serde_json::json!({"shape": shape, "bits": bits});
        }
    }
    told
}

fn told_of_several(answers: &Answers) -> Json {
    let results = answers
        .results
        .iter()
        .map(|(name, one)| (name.clone(), told_of(one)));
    let mut told = serde_json::json!({"results": Json::Object(results.collect())});
    if let Some(total) = answers.total {
        told["total"] = bits(total).into();
    }
    told
}

fn array_of(value: &Value) -> (Vec<usize>, Vec<f64>) {
    match value {
        Value::Number(number) => (vec![], vec![*number]),
        Value::Array(array) => (array.shape().to_vec(), array.to_f64_vec().unwrap()),
        other => panic!("{other} is no array"),
    }
}

fn is_near(case: &Json, expected: &Json, value: &Value) -> bool {
    let (rtol, floor) = (number(&case["rtol"]), number(&case["floor"]));
    let near = |x: f64, e: f64| {
        x.to_bits() == e.to_bits()
            || (x.is_nan() && e.is_nan())
            || (x - e).abs() <= rtol * e.abs().max(floor)
    };
    let (shape, numbers) = array_of(value);
    let wanted: Vec<f64> = data_of(&expected["data"], number);
    serde_json::json!(shape) == expected["shape"]
        && numbers.len() == wanted.len()
        && numbers.iter().zip(wanted).all(|(&x, e)| near(x, e))
}

fn of_error(case: &Json, outcome: &Outcome) -> Option<String> {
    let Outcome::Refused(error) = outcome else {
        return Some("it is not refused".to_owned());
    };
    let right = case["reason"] == error.reason() && case["field"].as_str() == error.field();
    (!right).then(|| format!("{error}, not {} at {}", case["reason"], case["field"]))
}
