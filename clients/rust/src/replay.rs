//! Batches that can be sent again, as long as few of them have been taken.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_stream::Stream;

use crate::batch::UNARY_BYTES;
use crate::{Batch, Error};

/// What a stream of batches may bring: a batch, or the result of making one.
pub trait NextBatch: sealed::IntoBatch {}

impl<T: sealed::IntoBatch> NextBatch for T {}

mod sealed {
    use crate::{Batch, Error};

    pub trait IntoBatch {
        fn into_batch(self) -> Result<Batch, Error>;
    }
}

impl sealed::IntoBatch for Batch {
    fn into_batch(self) -> Result<Batch, Error> {
        Ok(self)
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> sealed::IntoBatch for Result<Batch, E> {
    fn into_batch(self) -> Result<Batch, Error> {
        self.map_err(|error| Error::Batches(error.into()))
    }
}

/// A stream that keeps the batches taken from it until they are too many.
pub(crate) struct Replay<S> {
    batches: Pin<Box<S>>,
    ended: bool,
    taken: Vec<Batch>,
    again: VecDeque<Batch>,
    room: Option<usize>,
}

impl<S: Stream> Replay<S> {
    /// Keeps as much as gRPC would.
    pub(crate) fn of(batches: S) -> Self {
        Self::within(batches, 2 * UNARY_BYTES)
    }

    /// Keeps all, of batches that the caller has in memory anyway.
    pub(crate) fn of_all(batches: S) -> Self {
        Self::within(batches, usize::MAX)
    }

    fn within(batches: S, room: usize) -> Self {
        Self {
            batches: Box::pin(batches),
            ended: false,
            taken: Vec::new(),
            again: VecDeque::new(),
            room: Some(room),
        }
    }

    /// Begins anew; false if what was taken is no longer known.
    pub(crate) fn rewound(&mut self) -> bool {
        let known = self.room.is_some();
        if known {
            self.again = self.taken.iter().cloned().collect();
        }
        known
    }

    fn note(&mut self, batch: &Batch) {
        self.room = self.room.and_then(|room| room.checked_sub(batch.size()));
        if self.room.is_some() {
            self.taken.push(batch.clone());
        } else {
            self.taken.clear();
        }
    }
}

impl<S: Stream<Item: NextBatch>> Stream for Replay<S> {
    type Item = Result<Batch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(batch) = self.again.pop_front() {
            return Poll::Ready(Some(Ok(batch)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let next = std::task::ready!(self.batches.as_mut().poll_next(context));
        let next = next.map(sealed::IntoBatch::into_batch);
        match &next {
            Some(Ok(batch)) => self.note(batch),
            // What has failed is over, and not to be sent again.
            Some(Err(_)) => (self.ended, self.room) = (true, None),
            None => self.ended = true,
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    fn of_size(size: usize) -> Batch {
        Batch::new().with("a", vec![0_u8; size])
    }

    async fn all_of(replay: &mut Replay<impl Stream<Item: NextBatch>>) -> Vec<Batch> {
        replay.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn few_batches_come_again() {
        let mut replay = Replay::within(tokio_stream::iter([of_size(3), of_size(4)]), 7);
        assert_eq!(replay.next().await.unwrap().unwrap(), of_size(3));
        assert!(replay.rewound());
        assert_eq!(all_of(&mut replay).await, [of_size(3), of_size(4)]);
        assert!(replay.rewound());
        assert_eq!(all_of(&mut replay).await.len(), 2);
    }

    #[tokio::test]
    async fn many_batches_do_not() {
        let mut replay = Replay::within(tokio_stream::iter([of_size(3), of_size(5)]), 7);
        assert_eq!(all_of(&mut replay).await.len(), 2);
        assert!(!replay.rewound());
        assert!(replay.taken.is_empty());
    }

    #[tokio::test]
    async fn what_fails_is_not_tried_again() {
        let batches = [Ok(of_size(1)), Err("no more")];
        let mut replay = Replay::of(tokio_stream::iter(batches));
        replay.next().await;
        let error = replay.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Batches(_)));
        assert!(!replay.rewound());
        assert!(replay.next().await.is_none());
    }
}
