//! Times of a large batch and of a small one, beside the same bytes through bare gRPC.
//!
//! ```text
//! LOSSMETER_GRPC=localhost:8081 LOSSMETER_ECHO=localhost:9090 cargo run --release --example bench
//! ```
//!
//! The echo takes bytes as they are; it comes with the repository's own benchmark of all clients.

use std::error::Error;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes};
use lossmeter_client::{Batch, Client, Loss, Tensor};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const COLUMNS: usize = 10;
const LARGE_ROWS: usize = 1_000_000;
const SMALL_ROWS: usize = 32;
const LARGE_TIMES: usize = 5;
const SMALL_TIMES: usize = 300;
const MESSAGE_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect(std::env::var("LOSSMETER_GRPC")?).await?;
    let echo = Echo::connect(&std::env::var("LOSSMETER_ECHO")?).await?;
    let (large, small) = (batch(LARGE_ROWS)?, batch(SMALL_ROWS)?);
    let (large_bytes, small_bytes) = (bytes(LARGE_ROWS), bytes(SMALL_ROWS));
    let evaluate = |batch: Batch| {
        let client = client.clone();
        async move {
            let loss = Loss::new("binary_cross_entropy_with_logits").reduction("weighted_mean");
            client
                .evaluate(loss, batch)
                .await
                .map(|_| ())
                .map_err(Into::into)
        }
    };
    let told = [
        (
            "large_seconds",
            median(LARGE_TIMES, || evaluate(large.clone())).await?,
        ),
        (
            "small_ms",
            1e3 * median(SMALL_TIMES, || evaluate(small.clone())).await?,
        ),
        (
            "echo_large_seconds",
            median(LARGE_TIMES, || echo.stream(large_bytes.clone())).await?,
        ),
        (
            "echo_small_ms",
            1e3 * median(SMALL_TIMES, || echo.unary(small_bytes.clone())).await?,
        ),
    ];
    let figures: Vec<String> = told
        .iter()
        .map(|(name, x)| format!("\"{name}\": {x}"))
        .collect();
    println!("{{\"client\": \"rust\", {}}}", figures.join(", "));
    Ok(())
}

fn batch(rows: usize) -> Result<Batch, lossmeter_client::Error> {
    let table = |x: f32| Tensor::from(vec![x; rows * COLUMNS]).reshape([rows, COLUMNS]);
    Ok(Batch::new()
        .with("predictions", table(0.5)?)
        .with("targets", table(1.0)?)
        .with("sample_weight", vec![2.0_f32; rows]))
}

/// As many bytes as such a batch has.
fn bytes(rows: usize) -> Bytes {
    vec![0; rows * (2 * COLUMNS + 1) * size_of::<f32>()].into()
}

/// Median time in seconds, after a first call that is not counted.
async fn median<C>(times: usize, call: impl Fn() -> C) -> Result<f64, Box<dyn Error>>
where
    C: Future<Output = Result<(), Box<dyn Error>>>,
{
    call().await?;
    let mut seconds = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        call().await?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[times / 2])
}

/// A service that takes bytes and does nothing with them.
struct Echo(Channel);

impl Echo {
    async fn connect(target: &str) -> Result<Self, Box<dyn Error>> {
        let endpoint = Endpoint::from_shared(format!("http://{target}"))?;
        Ok(Self(endpoint.connect().await?))
    }

    async fn unary(&self, bytes: Bytes) -> Result<(), Box<dyn Error>> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/lossmeter.bench.Echo/Unary");
        grpc.unary(Request::new(bytes), path, Raw).await?;
        Ok(())
    }

    async fn stream(&self, mut bytes: Bytes) -> Result<(), Box<dyn Error>> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await?;
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            messages.push(bytes.split_to(MESSAGE_BYTES.min(bytes.len())));
        }
        let path = PathAndQuery::from_static("/lossmeter.bench.Echo/Stream");
        grpc.client_streaming(Request::new(tokio_stream::iter(messages)), path, Raw)
            .await?;
        Ok(())
    }
}

/// Messages that are bytes, and nothing else.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
