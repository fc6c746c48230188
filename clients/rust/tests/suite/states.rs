//! The vectors that every language and the service share: merged to the same bytes, finished to
//! the same bits.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lossmeter_client::state::{self, Cell, ExactSum, Key, Profiles, State};
use lossmeter_client::{Error, v1};
use serde_json::Value;

use crate::of_repository;

const NAN: &str = "7ff8000000000000";

fn vectors(part: &str) -> Vec<Value> {
    let path = std::env::var("LOSSMETER_STATES");
    let path = path.unwrap_or_else(|_| of_repository("tests/golden/states/vectors.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let all: Value = serde_json::from_slice(&text).unwrap();
    let found = all[part].as_array().unwrap().clone();
    assert!(!found.is_empty());
    found
}

pub fn bits(x: f64) -> String {
    if x.is_nan() {
        NAN.to_owned()
    } else {
        format!("{:016x}", x.to_bits())
    }
}

fn number(bits: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap())
}

fn bytes(text: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()
}

fn sum(told: &Value) -> v1::ExactSum {
    v1::ExactSum {
        exponent: told["exponent"].as_i64().unwrap().try_into().unwrap(),
        mantissa: bytes(&told["mantissa"]),
        nan: told["nan"].as_u64().unwrap(),
        positive_infinity: told["positive_infinity"].as_u64().unwrap(),
        negative_infinity: told["negative_infinity"].as_u64().unwrap(),
    }
}

fn read(told: &Value) -> ExactSum {
    ExactSum::try_from(sum(told)).unwrap()
}

#[test]
fn sums_are_exact() {
    for vector in vectors("sums") {
        let terms = vector["terms"].as_array().unwrap();
        let found: ExactSum = terms.iter().map(number).collect();
        assert_eq!(v1::ExactSum::from(&found), sum(&vector["sum"]));
        assert_eq!(bits(found.to_f64()), vector["value"]);
        assert_eq!(read(&vector["sum"]), found);
    }
}

#[test]
fn quotients_are_rounded_once() {
    for vector in vectors("ratios") {
        let found = read(&vector["above"]).ratio(&read(&vector["below"]));
        assert_eq!(
            found.map(bits).as_deref(),
            vector["value"].as_str(),
            "{vector}"
        );
    }
}

fn merged(vector: &Value) -> Result<State, Error> {
    let states: Vec<_> = vector["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(bytes)
        .collect();
    let any = vector["any_profile"].as_bool().unwrap();
    state::merge(states, if any { Profiles::Any } else { Profiles::Same })
}

fn key(told: &Value) -> Key {
    match told {
        Value::Null => Key::All,
        Value::String(label) => Key::Label(label.clone()),
        position => Key::Position(position.as_u64().unwrap()),
    }
}

#[test]
fn states_merge_to_the_bytes_of_the_service_and_finish_to_its_bits() {
    for vector in vectors("merges") {
        let name = &vector["name"];
        let state = merged(&vector).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(state.to_bytes(), bytes(&vector["merged"]), "{name}");
        assert!(State::from_bytes(&state.to_bytes()).is_ok());
        let cells = vector["cells"].as_array().unwrap();
        assert_eq!(state.cells().len(), cells.len(), "{name}");
        for told in cells {
            let cell = &state.cells()[&key(&told["key"])];
            assert_eq!(finished(cell), told["finished"], "{name} {}", told["key"]);
        }
    }
}

/// Every reduction that has an answer; the others are refused with the service's reasons.
fn finished(cell: &Cell) -> Value {
    let numbers = [
        ("sum", Ok(cell.sum())),
        ("mean", cell.mean()),
        ("weighted_mean", cell.weighted_mean()),
        ("nonzero_mean", cell.nonzero_mean()),
        ("batch_mean", cell.batch_mean()),
        ("rms", cell.rms()),
        ("harmonic_mean", cell.harmonic_mean()),
        ("variance", cell.variance(1.0)),
        ("std", cell.std(1.0)),
    ];
    let mut told = serde_json::Map::new();
    for (name, found) in numbers {
        if let Some(value) = answered(found) {
            told.insert(name.into(), bits(value).into());
        }
    }
    for (name, found) in [("min", cell.min()), ("max", cell.max())] {
        if let Some(found) = answered(found) {
            told.insert(name.into(), bits(found.value).into());
            told.insert(format!("index_of_{name}"), found.index.into());
            told.insert(format!("batch_of_{name}"), found.batch_id.into());
        }
    }
    told.into()
}

fn answered<T>(found: Result<T, Error>) -> Option<T> {
    found
        .inspect_err(|error| {
            assert!(["EMPTY_REDUCTION", "NOT_MERGEABLE"].contains(&error.reason()));
        })
        .ok()
}

#[test]
fn what_does_not_belong_together_is_refused() {
    for vector in vectors("refused") {
        let name = &vector["name"];
        let error = merged(&vector).expect_err(name.as_str().unwrap());
        assert_eq!(error.reason(), vector["reason"], "{name}");
    }
}

#[test]
fn nothing_is_no_state() {
    let error = state::merge([] as [&[u8]; 0], Profiles::Same).unwrap_err();
    assert_eq!(
        (error.reason(), error.field()),
        ("MALFORMED_REQUEST", Some("states"))
    );
}
