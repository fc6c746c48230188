//! Attempts, deadlines and cancellation, and how batches travel.

use std::time::Duration;

use lossmeter_client::v1::EvaluateResponse;
use lossmeter_client::{Batch, Client, Error, Export, Loss, Merge, Search};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::played::{Played, large, number, refusal, small};

const MOMENT: Duration = Duration::from_millis(1);
/// Long enough on any machine.
const LONG: Duration = Duration::from_secs(60);

fn overloaded(retry_after: Duration) -> Status {
    refusal(Code::ResourceExhausted, "OVERLOADED", Some(retry_after))
}

fn draining() -> Status {
    refusal(Code::Unavailable, "DRAINING", Some(MOMENT))
}

#[tokio::test]
async fn a_call_is_tried_until_it_is_answered() {
    let played = Played::refusing([draining(), overloaded(MOMENT), Status::unavailable("")]);
    let answer = played.client().await.evaluate("huber", small()).await;
    assert_eq!(answer.unwrap().count, 0);
    assert_eq!(played.seen().len(), 4);
}

#[tokio::test]
async fn five_attempts_are_the_most() {
    let played = Played::refusing((0..9).map(|_| draining()));
    let error = played
        .client()
        .await
        .evaluate("huber", small())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert_eq!(error.reason(), "DRAINING");
    assert_eq!(played.seen().len(), 5);
}

#[tokio::test]
async fn what_will_not_pass_is_tried_once() {
    for status in [
        refusal(Code::ResourceExhausted, "TOO_LARGE", None),
        refusal(Code::InvalidArgument, "OUT_OF_DOMAIN", None),
        refusal(Code::Internal, "INTERNAL", None),
    ] {
        let played = Played::refusing([status]);
        assert!(
            played
                .client()
                .await
                .evaluate("huber", small())
                .await
                .is_err()
        );
        assert_eq!(played.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_not_waited_for() {
    let played = Played::refusing([overloaded(10 * LONG)]);
    let client = played.client().await.with_timeout(LONG);
    let error = client.evaluate("huber", small()).await.unwrap_err();
    assert!(matches!(error, Error::Overloaded(_)), "{error}");
    assert_eq!(error.retry_after(), Some(10 * LONG));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = Client::builder(free.to_string()).timeout(Duration::from_secs(1));
    let lazy = settings.clone().connect_lazy().unwrap();
    let failures = [
        settings.connect().await.unwrap_err(),
        lazy.evaluate("huber", small()).await.unwrap_err(),
    ];
    for error in failures {
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_tells_the_service() {
    let played = Played::silent();
    let client = played.client().await.with_timeout(Duration::from_secs(2));
    let error = client.evaluate("huber", small()).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error}");
    assert!(played.seen()[0].metadata.contains_key("grpc-timeout"));
    tokio::time::timeout(LONG, played.left()).await.unwrap();
}

#[tokio::test]
async fn a_deadline_ends_a_stream_without_end() {
    let played = Played::default();
    let client = played
        .client()
        .await
        .with_timeout(Duration::from_millis(300));
    let endless = std::iter::repeat_with(small);
    let error = client.evaluate_batches("huber", endless).await.unwrap_err();
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error}");
}

#[tokio::test]
async fn dropping_a_call_cancels_it() {
    let played = Played::silent();
    let client = played.client().await;
    let call = tokio::spawn(async move { client.evaluate("huber", small()).await });
    while played.seen().is_empty() {
        tokio::time::sleep(MOMENT).await;
    }
    call.abort();
    tokio::time::timeout(LONG, played.left()).await.unwrap();
}

#[tokio::test]
async fn what_the_batches_fail_with_comes_through_and_cancels_the_call() {
    let played = Played::silent();
    let batches = (0..9).map(|n| {
        if n < 5 {
            Ok(large())
        } else {
            Err("the disk is full")
        }
    });
    let client = played.client().await;
    let error = client.evaluate_batches("huber", batches).await.unwrap_err();
    assert!(matches!(error, Error::Batches(cause) if cause.to_string() == "the disk is full"));
    tokio::time::timeout(LONG, played.left()).await.unwrap();
}

#[tokio::test]
async fn a_stream_may_borrow_its_batches() {
    let rows = [1.0, 2.0, 3.0];
    let batches = rows
        .iter()
        .map(|row| Batch::new().with("targets", std::slice::from_ref(row)));
    let played = Played::default();
    played
        .client()
        .await
        .evaluate_batches("huber", batches)
        .await
        .unwrap();
    assert_eq!(played.seen()[0].chunks, [8, 8, 8]);
}

#[tokio::test]
async fn a_refused_stream_comes_again_from_its_first_batch() {
    let played = Played::refusing([overloaded(MOMENT), draining()]);
    let batches = (0..4).map(|_| small());
    played
        .client()
        .await
        .evaluate_batches("huber", batches)
        .await
        .unwrap();
    let chunks: Vec<_> = played.seen().into_iter().map(|seen| seen.chunks).collect();
    assert_eq!(chunks, vec![vec![32; 4]; 3]);
}

#[tokio::test]
async fn a_large_batch_is_a_stream_of_about_a_mebibyte_a_message() {
    let played = Played::refusing([draining()]);
    played
        .client()
        .await
        .evaluate("huber", large())
        .await
        .unwrap();
    let seen = played.seen();
    assert!(seen.iter().all(|seen| seen.method == "EvaluateStream"));
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].chunks, [1 << 20; 8]);
}

#[tokio::test]
async fn what_cannot_be_a_stream_is_sent_whole() {
    for reason in ["NOT_STREAMABLE", "SHAPE_MISMATCH"] {
        let played = Played::refusing([refusal(Code::FailedPrecondition, reason, None)]);
        played
            .client()
            .await
            .evaluate("huber", large())
            .await
            .unwrap();
        assert_eq!(methods(&played), ["EvaluateStream", "Evaluate"]);
    }
    let played = Played::refusing([refusal(Code::InvalidArgument, "OUT_OF_DOMAIN", None)]);
    assert!(
        played
            .client()
            .await
            .evaluate("huber", large())
            .await
            .is_err()
    );
    assert_eq!(methods(&played), ["EvaluateStream"]);
    let played = Played::default();
    let median = Loss::new("huber").reduction("median");
    played
        .client()
        .await
        .evaluate(median, large())
        .await
        .unwrap();
    assert_eq!(methods(&played), ["Evaluate"]);
}

#[tokio::test]
async fn a_number_of_a_histogram_is_asked_for_again() {
    let answer = EvaluateResponse {
        relative_error: Some(0.1),
        ..number(2.5)
    };
    let played = Played::answering(answer);
    let answer = played
        .client()
        .await
        .evaluate("huber", large())
        .await
        .unwrap();
    assert_eq!(answer.value, 2.5);
    assert_eq!(methods(&played), ["EvaluateStream", "Evaluate"]);
}

fn methods(played: &Played) -> Vec<&'static str> {
    played.seen().iter().map(|seen| seen.method).collect()
}

#[tokio::test]
async fn the_token_is_sent_with_every_call() {
    let played = Played::answering(number(1.0));
    let settings = Client::builder(played.listens(None).await).token("secret");
    let client = settings.connect().await.unwrap();
    client.evaluate("huber", small()).await.unwrap();
    client.evaluate_batches("huber", [small()]).await.unwrap();
    client
        .merge_states([[0_u8]], Merge::default())
        .await
        .unwrap();
    client.list_losses(Search::all()).await.unwrap();
    client.get_loss("huber").await.unwrap();
    client.export(Export::new("huber")).await.unwrap();
    assert!(client.explain("huber", small()).await.is_ok());
    let seen = played.seen();
    assert_eq!(seen.len(), 7);
    for call in seen {
        assert_eq!(
            call.metadata.get("authorization").unwrap(),
            "Bearer secret",
            "{call:?}"
        );
    }
}

#[tokio::test]
async fn wrong_settings_are_refused_at_once() {
    for settings in [
        Client::builder("no host"),
        Client::builder("h:1").token("a\nb"),
    ] {
        let error = settings.connect_lazy().unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    }
}
