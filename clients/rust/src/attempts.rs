//! How often a call is tried, and how long it may take.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::Error;

const MOST_ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_FACTOR: u32 = 3;

/// The attempts at one call, and the end of them all.
pub(crate) struct Attempts {
    end: Option<Instant>,
    made: u32,
}

impl Attempts {
    pub(crate) fn until(end: Option<Instant>) -> Self {
        Self { end, made: 0 }
    }

    /// Waits before the next attempt: as long as the service asks, or ever longer.
    ///
    /// # Errors
    ///
    /// The same error, where there is no next attempt.
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        let passes = matches!(error, Error::Unavailable(_) | Error::Overloaded(_));
        let pause = error
            .retry_after()
            .unwrap_or(FIRST_PAUSE * PAUSE_FACTOR.pow(self.made));
        self.made += 1;
        let in_time = left(self.end).is_none_or(|left| pause < left);
        if self.made == MOST_ATTEMPTS || !passes || !in_time {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }
}

/// The end of a call that begins now.
pub(crate) fn end_after(timeout: Option<Duration>) -> Option<Instant> {
    // A time beyond what the clock can tell is no end.
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// The time that is left; `None` if there is no end.
pub(crate) fn left(end: Option<Instant>) -> Option<Duration> {
    end.map(|end| end.saturating_duration_since(Instant::now()))
}

/// A future that ends in time.
pub(crate) async fn in_time<T>(
    end: Option<Instant>,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match end {
        None => call.await,
        Some(end) => timeout_at(end, call).await.map_err(|_| Error::late())?,
    }
}
