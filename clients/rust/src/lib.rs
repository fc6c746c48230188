#![doc = include_str!("../README.md")]

mod answer;
mod attempts;
mod batch;
mod client;
mod connection;
mod error;
mod json;
#[cfg(feature = "ndarray")]
mod ndarray;
mod outbox;
mod replay;
mod request;
pub mod state;
mod tensor;

/// The messages of `lossmeter.v1` themselves, and the client made of their service.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
#[doc(hidden)]
pub mod v1 {
    include!("generated/lossmeter.v1.rs");
}

pub use answer::{
    Answer, Answers, DialectAnswer, Explanation, Group, LossDescriptor, LossInput, Step, Symbol,
    Value,
};
pub use batch::Batch;
pub use client::Client;
pub use connection::Builder;
#[cfg(feature = "tls")]
pub use connection::Tls;
pub use error::{Error, Refusal};
pub use replay::NextBatch;
pub use request::{Evaluation, Export, Loss, Losses, Merge, Options, Reduction, Search, With};
pub use serde_json::json;
pub use tensor::{DataType, Element, Scalar, Tensor};
pub use tonic::Code;
