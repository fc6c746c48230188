//! Messages on their way from the caller's task to the connection's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;

/// Messages that wait for the connection to take them.
const MOST_WAITING: usize = 2;

/// Where the caller leaves messages.
pub(crate) struct Outbox<T> {
    messages: mpsc::Sender<T>,
    finished: oneshot::Sender<()>,
}

/// Where the connection takes them.
pub(crate) struct Inbox<T> {
    messages: mpsc::Receiver<T>,
    finished: oneshot::Receiver<()>,
}

pub(crate) fn outbox<T>() -> (Outbox<T>, Inbox<T>) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    let (finish, finished) = oneshot::channel();
    let outbox = Outbox {
        messages: sender,
        finished: finish,
    };
    (
        outbox,
        Inbox {
            messages: receiver,
            finished,
        },
    )
}

impl<T> Outbox<T> {
    /// Waits for room and leaves a message; false where nobody takes it any more.
    pub(crate) async fn put(&self, message: T) -> bool {
        self.messages.send(message).await.is_ok()
    }

    /// These were all.
    pub(crate) fn finish(self) {
        let _ = self.finished.send(());
    }
}

impl<T> Stream for Inbox<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        match ready!(self.messages.poll_recv(context)) {
            None if self.finished.try_recv().is_ok() => Poll::Ready(None),
            // The caller has left: were this an end, the service could take what it has for all
            // there is before it hears that the call is cancelled.
            None => Poll::Pending,
            message => Poll::Ready(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn next(inbox: &mut Inbox<u8>) -> Poll<Option<u8>> {
        pin!(inbox).poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn what_is_finished_ends() {
        let (outbox, mut inbox) = outbox();
        assert!(outbox.put(1).await);
        outbox.finish();
        assert_eq!(next(&mut inbox), Poll::Ready(Some(1)));
        assert_eq!(next(&mut inbox), Poll::Ready(None));
    }

    #[tokio::test]
    async fn what_is_left_does_not_end() {
        let (outbox, mut inbox) = outbox();
        assert!(outbox.put(1).await);
        drop(outbox);
        assert_eq!(next(&mut inbox), Poll::Ready(Some(1)));
        assert_eq!(next(&mut inbox), Poll::Pending);
    }

    #[tokio::test]
    async fn nobody_takes_messages_for_a_call_that_is_over() {
        let (outbox, inbox) = outbox();
        drop(inbox);
        assert!(!outbox.put(1).await);
    }
}
