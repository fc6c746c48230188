//! The client, and how its calls are made.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::answer::is_exact;
use crate::answer::sealed::Read;
use crate::attempts::{Attempts, end_after, in_time, left};
use crate::outbox::outbox;
use crate::replay::{NextBatch, Replay};
use crate::v1::evaluate_stream_request::{Chunk, Message};
use crate::v1::loss_service_client::LossServiceClient;
use crate::v1::{EvaluateRequest, EvaluateResponse, EvaluateStreamRequest, GetLossRequest};
use crate::{
    Answer, Batch, Builder, Error, Evaluation, Explanation, Export, LossDescriptor, Merge, Search,
};

type Stub = LossServiceClient<Channel>;

/// A client of a Lossmeter service.
///
/// A clone is cheap and shares the connection; tasks and threads may each have one. Dropping the
/// future of a call cancels the call. Where nobody answers, or the service is overloaded, a call is
/// tried up to five times, after the pause that the service asks for.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) stub: Stub,
    pub(crate) token: Option<MetadataValue<Ascii>>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) stream_timeout: Option<Duration>,
    pub(crate) unary_bytes: usize,
}

impl Client {
    /// Connects without encryption to a service at `host:port`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if nobody answers, through all attempts; [`Error::InvalidRequest`] if
    /// the target is no host and port.
    pub async fn connect(target: impl Into<String>) -> Result<Self, Error> {
        Self::builder(target).connect().await
    }

    /// The settings of a client of the service at `host:port`: TLS, token, timeout.
    pub fn builder(target: impl Into<String>) -> Builder {
        Builder::new(target.into())
    }

    /// The same client, each of whose calls, streams included, may take this time.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            stream_timeout: Some(timeout),
            ..self.clone()
        }
    }

    /// Evaluates a loss, or several, on one batch of any size.
    ///
    /// ```no_run
    /// use lossmeter_client::{Batch, Client, Error, Loss};
    ///
    /// async fn huber(client: &Client) -> Result<Option<f64>, Error> {
    ///     let batch = Batch::new().with("predictions", [1.5, 5.0]).with("targets", [1.0, 2.0]);
    ///     let answer = client.evaluate(Loss::new("huber").param("delta", 0.5), batch).await?;
    ///     Ok(answer.value.number())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The request is wrong, or cannot be served; reason and field say how and where.
    pub async fn evaluate<E: Evaluation>(
        &self,
        asked: E,
        batch: impl Into<Batch>,
    ) -> Result<E::Answer, Error> {
        let (spec, batch, end) = (asked.message()?, batch.into(), end_after(self.timeout));
        if batch.size() > self.unary_bytes && batch.may_be_cut(&spec) {
            let whole = Replay::of_all(tokio_stream::once(batch.clone()));
            match self.sent(&spec, whole, end).await {
                Ok(answer) if is_exact(&answer) => return E::Answer::read(answer),
                Err(error) if !needs_whole(&error) => return Err(error),
                _ => {}
            }
        }
        E::Answer::read(self.sent_whole(spec, batch, end).await?)
    }

    /// Evaluates batches as they come, as if they were one; none is kept.
    ///
    /// The batches, or results of batches, may come from any stream, which needs not be `'static`.
    /// A median or quantile comes from a histogram: `relative_error` bounds its error. The stream
    /// takes as long as its batches do, unless the client is of [`Client::with_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Client::evaluate`]; `NOT_STREAMABLE` where all samples are needed at once;
    /// [`Error::Batches`] with the first error among the batches.
    pub async fn evaluate_stream<E: Evaluation>(
        &self,
        asked: E,
        batches: impl Stream<Item: NextBatch>,
    ) -> Result<E::Answer, Error> {
        let end = end_after(self.stream_timeout);
        let answer = self
            .sent(&asked.message()?, Replay::of(batches), end)
            .await?;
        E::Answer::read(answer)
    }

    /// Evaluates the batches of an iterator, as [`Client::evaluate_stream`] those of a stream.
    ///
    /// The iterator runs in the caller's task: one that waits long, for a disk say, is better a
    /// stream.
    ///
    /// ```no_run
    /// use lossmeter_client::{Answer, Batch, Client, Error, Loss};
    ///
    /// async fn worst(client: &Client) -> Result<Answer, Error> {
    ///     let batches = (0..100).map(|n| {
    ///         Batch::new().with("predictions", vec![f64::from(n); 1000]).with("targets", vec![0.0; 1000])
    ///     });
    ///     client.evaluate_batches(Loss::new("squared_error").reduction("max"), batches).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Client::evaluate_stream`].
    pub async fn evaluate_batches<E: Evaluation>(
        &self,
        asked: E,
        batches: impl IntoIterator<Item: NextBatch>,
    ) -> Result<E::Answer, Error> {
        self.evaluate_stream(asked, tokio_stream::iter(batches))
            .await
    }

    /// Evaluates, says how the answer comes about, and what every other framework says.
    ///
    /// # Errors
    ///
    /// As [`Client::evaluate`].
    pub async fn explain(
        &self,
        asked: impl Evaluation<Answer = Answer>,
        batch: impl Into<Batch>,
    ) -> Result<Explanation, Error> {
        let request = EvaluateRequest {
            inputs: batch.into().into_messages(),
            ..asked.message()?
        };
        let end = end_after(self.timeout);
        self.called(request, end, |mut stub, request| async move {
            stub.explain(request).await
        })
        .await?
        .try_into()
    }

    /// Finishes states made apart, as if their batches had been one.
    ///
    /// The states are what [`Client::evaluate`] answered when its options asked for it.
    /// [`state::merge`](crate::state::merge) merges them without a service.
    ///
    /// # Errors
    ///
    /// The states do not belong together, or lack what the reduction reads.
    pub async fn merge_states(
        &self,
        states: impl IntoIterator<Item: AsRef<[u8]>>,
        how: impl Into<Merge>,
    ) -> Result<Answer, Error> {
        let states = states.into_iter().map(|state| state.as_ref().to_vec());
        let request = how.into().message(states.collect());
        let end = end_after(self.timeout);
        let answer = self.called(request, end, |mut stub, request| async move {
            stub.merge_states(request).await
        });
        Answer::read(answer.await?)
    }

    /// The losses, or those that a framework or words ask for.
    ///
    /// # Errors
    ///
    /// The framework is not known.
    pub async fn list_losses(&self, search: Search) -> Result<Vec<LossDescriptor>, Error> {
        let end = end_after(self.timeout);
        let found = self.called(search.message(), end, |mut stub, request| async move {
            stub.list_losses(request).await
        });
        Ok(found.await?.losses.into_iter().map(Into::into).collect())
    }

    /// What is known of a loss, by canonical name, alias or symbol.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if nothing has the name.
    pub async fn get_loss(&self, name: impl Into<String>) -> Result<LossDescriptor, Error> {
        let request = GetLossRequest { name: name.into() };
        let end = end_after(self.timeout);
        let found = self.called(request, end, |mut stub, request| async move {
            stub.get_loss(request).await
        });
        let loss = found.await?.loss;
        Ok(loss.unwrap_or_default().into())
    }

    /// A loss as a serialised ONNX graph that runs elsewhere, with weights, mask and reduction
    /// inside.
    ///
    /// # Errors
    ///
    /// Nothing has the name, or there is no graph of it in this form.
    pub async fn export(&self, what: impl Into<Export>) -> Result<Vec<u8>, Error> {
        let request = what.into().message()?;
        let end = end_after(self.timeout);
        let found = self.called(request, end, |mut stub, request| async move {
            stub.export_loss(request).await
        });
        Ok(found.await?.model)
    }

    async fn sent_whole(
        &self,
        spec: EvaluateRequest,
        batch: Batch,
        end: Option<Instant>,
    ) -> Result<EvaluateResponse, Error> {
        let request = EvaluateRequest {
            inputs: batch.into_messages(),
            ..spec
        };
        self.called(request, end, |mut stub, request| async move {
            stub.evaluate(request).await
        })
        .await
    }

    /// Makes a call, and again where that may help.
    async fn called<M: Clone, T, C>(
        &self,
        message: M,
        end: Option<Instant>,
        call: impl Fn(Stub, tonic::Request<M>) -> C,
    ) -> Result<T, Error>
    where
        C: Future<Output = Result<Response<T>, Status>>,
    {
        let mut attempts = Attempts::until(end);
        loop {
            let request = self.request(message.clone(), end);
            let answer = async { Ok(call(self.stub.clone(), request).await?.into_inner()) };
            match in_time(end, answer).await {
                Ok(answer) => return Ok(answer),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Sends batches as they come, and again from the first where that may help and all that were
    /// taken are still known.
    async fn sent(
        &self,
        spec: &EvaluateRequest,
        mut batches: Replay<impl Stream<Item: NextBatch>>,
        end: Option<Instant>,
    ) -> Result<EvaluateResponse, Error> {
        let mut attempts = Attempts::until(end);
        loop {
            match in_time(end, self.sent_once(spec, &mut batches, end)).await {
                Ok(answer) => return Ok(answer),
                Err(error) if batches.rewound() => attempts.pause(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn sent_once(
        &self,
        spec: &EvaluateRequest,
        mut batches: impl Stream<Item = Result<Batch, Error>> + Unpin,
        end: Option<Instant>,
    ) -> Result<EvaluateResponse, Error> {
        let (outbox, inbox) = outbox();
        let mut stub = self.stub.clone();
        let mut answer = pin!(stub.evaluate_stream(self.request(inbox, end)));
        let sending = async {
            // Once the service has refused, nobody takes messages, and the answer says why.
            let mut taken = outbox.put(first(spec.clone())).await;
            while taken && let Some(batch) = batches.next().await {
                for piece in batch?.pieces() {
                    taken = taken && outbox.put(chunk(piece)).await;
                }
            }
            Ok::<(), Error>(())
        };
        // The caller's batches are made here, not by the connection: so they may borrow, and what
        // goes wrong with them comes through.
        let early = tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            sent = sending => sent.map(|()| None)?,
        };
        outbox.finish();
        let answer = match early {
            Some(answer) => answer,
            None => answer.await,
        };
        Ok(answer?.into_inner())
    }

    fn request<M>(&self, message: M, end: Option<Instant>) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        if let Some(left) = left(end) {
            request.set_timeout(left);
        }
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        request
    }
}

/// Whether a batch refused in pieces may be right as a whole.
///
/// A layout whose samples do not lie along axis 0 shows as shapes that do not match.
fn needs_whole(error: &Error) -> bool {
    matches!(error.reason(), "NOT_STREAMABLE" | "SHAPE_MISMATCH")
}

fn first(spec: EvaluateRequest) -> EvaluateStreamRequest {
    EvaluateStreamRequest {
        message: Some(Message::Spec(spec)),
    }
}

fn chunk(batch: Batch) -> EvaluateStreamRequest {
    EvaluateStreamRequest {
        message: Some(Message::Chunk(Chunk {
            inputs: batch.into_messages(),
        })),
    }
}
