//! A service that the tests play: it notes what it is asked, and refuses first if it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lossmeter_client::v1::evaluate_stream_request::Message;
use lossmeter_client::v1::{
    DataType, EvaluateRequest, EvaluateResponse, EvaluateStreamRequest, ExplainResponse,
    ExportLossRequest, ExportLossResponse, GetLossRequest, GetLossResponse, ListLossesRequest,
    ListLossesResponse, MergeStatesRequest, Tensor,
};
use lossmeter_client::{Batch, Client};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use tonic_types::{ErrorDetails, StatusExt};

use crate::generated::loss_service_server::{LossService, LossServiceServer};

/// A call that was made.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub method: &'static str,
    pub metadata: MetadataMap,
    /// Of a stream, the sizes of the inputs in each chunk.
    pub chunks: Vec<usize>,
}

#[derive(Default)]
struct Script {
    seen: Mutex<Vec<Seen>>,
    refusals: Mutex<VecDeque<Status>>,
    answer: EvaluateResponse,
    silent: bool,
    left: Notify,
}

/// What the service will do.
#[derive(Clone, Default)]
pub struct Played(Arc<Script>);

impl Played {
    /// Refuses the first calls so, and answers the others.
    pub fn refusing(refusals: impl IntoIterator<Item = Status>) -> Self {
        let refusals = Mutex::new(refusals.into_iter().collect());
        Self(Arc::new(Script {
            refusals,
            ..Script::default()
        }))
    }

    /// Answers every call so.
    pub fn answering(answer: EvaluateResponse) -> Self {
        Self(Arc::new(Script {
            answer,
            ..Script::default()
        }))
    }

    /// Answers no call at all.
    pub fn silent() -> Self {
        Self(Arc::new(Script {
            silent: true,
            ..Script::default()
        }))
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().clone()
    }

    /// Waits until a caller has left a call without its answer.
    pub async fn left(&self) {
        self.0.left.notified().await;
    }

    /// Begins to listen; where, as host and port.
    pub async fn listens(&self, tls: Option<ServerTlsConfig>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = match tls {
            None => Server::builder(),
            Some(tls) => Server::builder().tls_config(tls).unwrap(),
        };
        let service = LossServiceServer::new(self.clone()).max_decoding_message_size(usize::MAX);
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            server
                .clone()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        format!("localhost:{port}")
    }

    /// A client of it.
    pub async fn client(&self) -> Client {
        Client::connect(self.listens(None).await).await.unwrap()
    }

    fn note(&self, method: &'static str, metadata: &MetadataMap, chunks: Vec<usize>) {
        let seen = Seen {
            method,
            metadata: metadata.clone(),
            chunks,
        };
        self.0.seen.lock().unwrap().push(seen);
    }

    async fn answered(&self) -> Result<Response<EvaluateResponse>, Status> {
        if self.0.silent {
            let _leaving = Leaving(self);
            std::future::pending::<()>().await;
        }
        match self.0.refusals.lock().unwrap().pop_front() {
            Some(status) => Err(status),
            None => Ok(Response::new(self.0.answer.clone())),
        }
    }
}

/// Tells that a call was left, when it is dropped.
struct Leaving<'a>(&'a Played);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.0.left.notify_one();
    }
}

#[async_trait]
impl LossService for Played {
    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        self.note("Evaluate", request.metadata(), vec![]);
        self.answered().await
    }

    async fn evaluate_stream(
        &self,
        request: Request<Streaming<EvaluateStreamRequest>>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let metadata = request.metadata().clone();
        let (mut messages, mut chunks) = (request.into_inner(), vec![]);
        while let Some(message) = messages.message().await? {
            if let Some(Message::Chunk(chunk)) = message.message {
                chunks.push(chunk.inputs.values().map(|tensor| tensor.data.len()).sum());
            }
        }
        self.note("EvaluateStream", &metadata, chunks);
        self.answered().await
    }

    async fn merge_states(
        &self,
        request: Request<MergeStatesRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        self.note("MergeStates", request.metadata(), vec![]);
        self.answered().await
    }

    async fn explain(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        self.note("Explain", request.metadata(), vec![]);
        Ok(Response::new(ExplainResponse::default()))
    }

    async fn list_losses(
        &self,
        request: Request<ListLossesRequest>,
    ) -> Result<Response<ListLossesResponse>, Status> {
        self.note("ListLosses", request.metadata(), vec![]);
        Ok(Response::new(ListLossesResponse::default()))
    }

    async fn get_loss(
        &self,
        request: Request<GetLossRequest>,
    ) -> Result<Response<GetLossResponse>, Status> {
        self.note("GetLoss", request.metadata(), vec![]);
        Ok(Response::new(GetLossResponse::default()))
    }

    async fn export_loss(
        &self,
        request: Request<ExportLossRequest>,
    ) -> Result<Response<ExportLossResponse>, Status> {
        self.note("ExportLoss", request.metadata(), vec![]);
        Ok(Response::new(ExportLossResponse::default()))
    }
}

/// A refusal as the service makes them.
pub fn refusal(code: Code, reason: &str, retry_after: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "lossmeter", []);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, "played", details)
}

/// An answer of one number.
pub fn number(value: f64) -> EvaluateResponse {
    let data = value.to_le_bytes().to_vec().into();
    let value = Tensor {
        dtype: DataType::Float64.into(),
        shape: vec![],
        data,
    };
    EvaluateResponse {
        value: Some(value),
        ..Default::default()
    }
}

pub fn small() -> Batch {
    Batch::new()
        .with("predictions", [1.5, 5.0])
        .with("targets", [1.0, 2.0])
}

/// A batch of 8 MiB.
pub fn large() -> Batch {
    let half = vec![0.5_f32; 1 << 20];
    Batch::new()
        .with("predictions", half.clone())
        .with("targets", half)
}
