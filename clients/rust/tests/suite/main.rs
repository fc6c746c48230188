//! What the client does with a service: one played here, and a real one where there is one.

mod against;
mod conformance;
mod killed;
mod played;
mod secured;
mod states;
mod tried;

/// The server of `lossmeter.v1`, for the tests to play.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod generated {
    include!("generated/lossmeter.v1.rs");
}

/// A variable of the environment that tells of a real service; without it, why a test is skipped.
fn told(name: &str) -> Option<String> {
    let found = std::env::var(name).ok();
    if found.is_none() {
        eprintln!("skipped: {name} is not set");
    }
    found
}

/// A file of the repository that this crate lies in.
fn of_repository(path: &str) -> String {
    format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))
}
