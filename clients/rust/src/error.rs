//! Everything that can go wrong with a call, and how the statuses of gRPC become that.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt;

const DOMAIN: &str = "lossmeter";

/// What went wrong; the variants are what one may want to tell apart.
///
/// ```
/// use lossmeter_client::Error;
///
/// fn told(error: &Error) -> String {
///     match error {
///         Error::InvalidRequest(wrong) => format!("{} at {:?}", wrong.reason, wrong.field),
///         Error::Unavailable(_) | Error::Overloaded(_) => "try again later".to_owned(),
///         other => other.to_string(),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong, whatever the state of the service; `field` says where.
    #[error(transparent)]
    InvalidRequest(Box<Refusal>),
    /// A well-formed request that this loss, reduction or state cannot serve.
    #[error(transparent)]
    FailedPrecondition(Box<Refusal>),
    /// Nothing has this name; the detail gives the nearest.
    #[error(transparent)]
    NotFound(Box<Refusal>),
    /// No credentials, or wrong ones.
    #[error(transparent)]
    Unauthenticated(Box<Refusal>),
    /// Credentials that do not suffice.
    #[error(transparent)]
    PermissionDenied(Box<Refusal>),
    /// A call that the service does not have.
    #[error(transparent)]
    Unimplemented(Box<Refusal>),
    /// A size over a limit; the facts hold `limit` and `actual`.
    #[error(transparent)]
    TooLarge(Box<Refusal>),
    /// The service serves others first, and went on doing so through every attempt.
    #[error(transparent)]
    Overloaded(Box<Refusal>),
    /// Too much of something else.
    #[error(transparent)]
    ResourceExhausted(Box<Refusal>),
    /// Nobody answers, the connection broke, or the service is stopping.
    #[error(transparent)]
    Unavailable(Box<Refusal>),
    /// The deadline passed before the answer came.
    #[error(transparent)]
    DeadlineExceeded(Box<Refusal>),
    /// Somebody on the way cancelled the call.
    #[error(transparent)]
    Cancelled(Box<Refusal>),
    /// A fault of the service; its log has the cause beside the id in the detail.
    #[error(transparent)]
    Internal(Box<Refusal>),
    /// A code that the service does not send.
    #[error(transparent)]
    Unknown(Box<Refusal>),
    /// The caller's own batches failed; the call was cancelled.
    #[error("the batches failed")]
    Batches(#[source] Box<dyn StdError + Send + Sync>),
}

/// What a refusal says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// The code of gRPC.
    pub code: Code,
    /// The word for programs, such as `SHAPE_MISMATCH`; empty where it was not the service that
    /// refused.
    pub reason: String,
    /// Where, as a dotted path such as `inputs.targets`; `None` if no one place is wrong.
    pub field: Option<String>,
    /// What was wrong and what would be right.
    pub detail: String,
    /// Numbers beside the sentence: `limit` and `actual` of a size, `chunk` of a stream, counted
    /// from 0.
    pub facts: BTreeMap<String, u64>,
    /// After what time the service asks to be tried again, if it does.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{:?}", self.code)?;
        } else {
            f.write_str(&self.reason)?;
        }
        if let Some(field) = &self.field {
            write!(f, " at {field}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl StdError for Refusal {}

impl Error {
    /// What the refusal says; `None` of the caller's own batches.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::InvalidRequest(told)
            | Self::FailedPrecondition(told)
            | Self::NotFound(told)
            | Self::Unauthenticated(told)
            | Self::PermissionDenied(told)
            | Self::Unimplemented(told)
            | Self::TooLarge(told)
            | Self::Overloaded(told)
            | Self::ResourceExhausted(told)
            | Self::Unavailable(told)
            | Self::DeadlineExceeded(told)
            | Self::Cancelled(told)
            | Self::Internal(told)
            | Self::Unknown(told) => Some(told),
            Self::Batches(_) => None,
        }
    }

    /// The reason in one word; empty where it was not the service that refused.
    pub fn reason(&self) -> &str {
        self.refusal().map_or("", |told| &told.reason)
    }

    /// Where the mistake is, if it is in one place.
    pub fn field(&self) -> Option<&str> {
        self.refusal()?.field.as_deref()
    }

    /// After what time the service asks to be tried again, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// What is found wrong before anything is sent.
    pub(crate) fn here(code: Code, reason: &str, field: &str, detail: impl Into<String>) -> Self {
        Self::from(Refusal {
            reason: reason.to_owned(),
            field: (!field.is_empty()).then(|| field.to_owned()),
            ..Refusal::bare(code, detail)
        })
    }

    /// What a request says wrongly.
    pub(crate) fn invalid(reason: &str, field: &str, detail: impl Into<String>) -> Self {
        Self::here(Code::InvalidArgument, reason, field, detail)
    }

    /// What nobody but the service can be at fault for.
    pub(crate) fn internal(detail: &str) -> Self {
        Self::here(Code::Internal, "", "", detail)
    }

    pub(crate) fn late() -> Self {
        Refusal::bare(
            Code::DeadlineExceeded,
            "the deadline passed before the answer came",
        )
        .into()
    }
}

impl Refusal {
    fn bare(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            reason: String::new(),
            field: None,
            detail: detail.into(),
            facts: BTreeMap::new(),
            retry_after: None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(told: Refusal) -> Self {
        let kind = match (told.reason.as_str(), told.code) {
            ("TOO_LARGE", _) => Self::TooLarge,
            ("OVERLOADED", _) => Self::Overloaded,
            (_, Code::InvalidArgument) => Self::InvalidRequest,
            (_, Code::FailedPrecondition) => Self::FailedPrecondition,
            (_, Code::NotFound) => Self::NotFound,
            (_, Code::Unauthenticated) => Self::Unauthenticated,
            (_, Code::PermissionDenied) => Self::PermissionDenied,
            (_, Code::Unimplemented) => Self::Unimplemented,
            (_, Code::ResourceExhausted) => Self::ResourceExhausted,
            (_, Code::Unavailable) => Self::Unavailable,
            (_, Code::DeadlineExceeded) => Self::DeadlineExceeded,
            (_, Code::Cancelled) => Self::Cancelled,
            (_, Code::Internal) => Self::Internal,
            _ => Self::Unknown,
        };
        kind(Box::new(told))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(cause) = status.source() {
            return broken(cause);
        }
        let details = status.get_error_details();
        let mut told = Refusal::bare(status.code(), status.message());
        if let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) {
            told.reason.clone_from(&info.reason);
            told.field = info.metadata.get("field").cloned();
            told.facts = info.metadata.iter().filter_map(fact).collect();
        }
        if told.field.is_none() {
            let wrong = details.bad_request();
            let first = wrong.and_then(|wrong| wrong.field_violations.first());
            told.field = first.map(|violation| violation.field.clone());
        }
        told.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        told.into()
    }
}

fn fact((name, number): (&String, &String)) -> Option<(String, u64)> {
    Some((name.clone(), number.parse().ok()?))
}

/// The error of a call that no status of the service ended.
fn broken(cause: &(dyn StdError + 'static)) -> Error {
    let mut deepest = cause;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    if deepest.is::<TimeoutExpired>() {
        return Error::late();
    }
    Refusal::bare(
        Code::Unavailable,
        format!("the connection failed: {deepest}"),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::sync::Arc;

    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn facts(told: &[(&str, &str)]) -> HashMap<String, String> {
        told.iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_status_says_all_that_its_details_say() {
        let mut details = ErrorDetails::new();
        let told = [("field", "inputs.targets"), ("chunk", "3"), ("limit", "9")];
        details.set_error_info("SHAPE_MISMATCH", DOMAIN, facts(&told));
        details.set_retry_info(Some(Duration::from_millis(1500)));
        let error = Error::from(Status::with_error_details(
            Code::InvalidArgument,
            "the shapes differ",
            details,
        ));
        assert!(matches!(error, Error::InvalidRequest(_)));
        assert_eq!(error.field(), Some("inputs.targets"));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.refusal().unwrap().facts["chunk"], 3);
        assert_eq!(
            error.to_string(),
            "SHAPE_MISMATCH at inputs.targets: the shapes differ"
        );
    }

    #[test]
    fn a_field_is_found_in_a_bad_request_alone() {
        let details =
            ErrorDetails::with_bad_request(vec![FieldViolation::new("reduction", "no such word")]);
        let status = Status::with_error_details(Code::InvalidArgument, "wrong", details);
        assert_eq!(Error::from(status).field(), Some("reduction"));
    }

    #[test]
    fn the_reason_tells_too_large_from_overloaded() {
        let told = |reason| {
            let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
            let status = Status::with_error_details(Code::ResourceExhausted, "", details);
            Error::from(status)
        };
        assert!(matches!(told("TOO_LARGE"), Error::TooLarge(_)));
        assert!(matches!(told("OVERLOADED"), Error::Overloaded(_)));
        assert!(matches!(told("ELSE"), Error::ResourceExhausted(_)));
    }

    #[test]
    fn a_strangers_reason_is_none_of_ours() {
        let details = ErrorDetails::with_error_info("SERVICE_DISABLED", "other", HashMap::new());
        let status = Status::with_error_details(Code::PermissionDenied, "no", details);
        let error = Error::from(status);
        assert_eq!(error.reason(), "");
        assert_eq!(error.to_string(), "PermissionDenied: no");
    }

    #[test]
    fn a_broken_connection_is_unavailable() {
        let mut status = Status::unknown("transport error");
        status.set_source(Arc::new(io::Error::other("reset by peer")));
        let error = Error::from(status);
        assert!(matches!(error, Error::Unavailable(_)));
        assert!(error.to_string().contains("reset by peer"));
    }
}
