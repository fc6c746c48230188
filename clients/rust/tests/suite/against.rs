//! What a running service answers to every call.

use lossmeter_client::state::{self, Profiles};
use lossmeter_client::{
    Answer, Batch, Client, Error, Export, Loss, Losses, Merge, Options, Reduction, Search, Tensor,
    Value,
};

use crate::told;

async fn client() -> Option<Client> {
    Some(Client::connect(told("LOSSMETER_GRPC")?).await.unwrap())
}

fn small() -> Batch {
    Batch::new()
        .with("predictions", [1.5, 5.0])
        .with("targets", [1.0, 2.0])
}

/// Numbers that are anything but round.
fn numbers(count: u32, seed: f64) -> Vec<f64> {
    (0..count)
        .map(|n| (f64::from(n) * seed).sin().abs())
        .collect()
}

#[tokio::test]
async fn one_loss_is_one_number() {
    let Some(client) = client().await else { return };
    let answer = client.evaluate("huber", small()).await.unwrap();
    assert_eq!(answer.value, 1.3125);
    assert_eq!(
        (answer.count, answer.weight, answer.denominator),
        (2, 2.0, Some(2.0))
    );
    assert_eq!(
        (answer.loss.as_str(), answer.reduction.as_str()),
        ("huber", "mean")
    );
    let torch = Loss::new("torch.nn.HuberLoss")
        .param("delta", 0.5)
        .reduction("sum");
    assert_eq!(client.evaluate(torch, small()).await.unwrap().value, 1.5);
}

#[tokio::test]
async fn an_array_and_groups_come_back_as_such() {
    let Some(client) = client().await else { return };
    let each = Loss::new("absolute_error").reduction("none");
    let answer = client
        .evaluate(each, small().with("mask", [true, false]))
        .await
        .unwrap();
    let values = answer.value.array().unwrap().to_vec::<f64>().unwrap();
    assert_eq!(values[0], 0.5);
    assert!(values[1].is_nan());
    assert_eq!(answer.kept, Some(Tensor::from([true, false])));
    let by = Loss::new("absolute_error").reduction(Reduction::new("mean").by("country"));
    let answer = client
        .evaluate(by, small().with("country", ["de", "fr"]))
        .await
        .unwrap();
    assert_eq!(answer.value.groups().unwrap()["fr"], 3.0);
    assert_eq!(answer.groups["de"].count, 1);
}

#[tokio::test]
async fn several_losses_share_their_inputs() {
    let Some(client) = client().await else { return };
    let both = Losses::new()
        .with("l1", "absolute_error")
        .with("l2", Loss::new("squared_error").weight(0.5));
    let answers = client.evaluate(&both, small()).await.unwrap();
    assert_eq!(
        (&answers["l1"].value, &answers["l2"].value),
        (&Value::Number(1.75), &Value::Number(4.625))
    );
    assert_eq!(answers.total, Some(1.75 + 4.625 / 2.0));
    assert_eq!(
        client.evaluate_batches(both, [small()]).await.unwrap(),
        answers
    );
}

#[tokio::test]
async fn a_batch_of_any_size_has_the_same_bits() {
    let Some(client) = client().await else { return };
    let count = 400_000;
    let batch = Batch::new()
        .with("predictions", numbers(count, 0.7))
        .with("targets", numbers(count, 1.3))
        .with("sample_weight", numbers(count, 0.1));
    let loss = Loss::new("squared_error").reduction("weighted_mean");
    let settings = Client::builder(told("LOSSMETER_GRPC").unwrap()).unary_bytes(usize::MAX);
    let whole = settings
        .connect()
        .await
        .unwrap()
        .evaluate(&loss, batch.clone())
        .await
        .unwrap();
    assert_eq!(client.evaluate(&loss, batch.clone()).await.unwrap(), whole);
    let stream = tokio_stream::iter([Ok::<_, Error>(batch)]);
    assert_eq!(client.evaluate_stream(loss, stream).await.unwrap(), whole);
}

#[tokio::test]
async fn a_large_batch_whose_samples_lie_elsewhere_is_sent_whole() {
    let Some(client) = client().await else { return };
    let count = 300_000;
    let predictions = Tensor::from(numbers(2 * count, 0.7))
        .reshape([2, 300_000])
        .unwrap();
    let batch = Batch::new()
        .with("predictions", predictions)
        .with("targets", numbers(2 * count, 1.3))
        .with("country", vec!["de"; 2]);
    let loss = Loss::new("squared_error").reduction(Reduction::new("mean").by("country"));
    let error = client.evaluate(loss, batch).await.unwrap_err();
    assert_eq!(error.reason(), "SHAPE_MISMATCH");
    let median = Loss::new("keras.losses.MeanSquaredError").reduction("median");
    let batch = Batch::new()
        .with(
            "predictions",
            Tensor::from(numbers(2 * count, 0.7))
                .reshape([300_000, 2])
                .unwrap(),
        )
        .with(
            "targets",
            Tensor::from(numbers(2 * count, 1.3))
                .reshape([300_000, 2])
                .unwrap(),
        );
    assert!(client.evaluate(median, batch).await.unwrap().is_exact());
}

#[tokio::test]
async fn a_refusal_of_a_stream_comes_through_whenever_it_comes() {
    let Some(client) = client().await else { return };
    let big = || Batch::new().with("predictions", vec![0.0; 200_000]);
    let both = || big().with("targets", vec![0.0; 200_000]);
    let cvar = Loss::new("squared_error").reduction(Reduction::new("cvar").with("alpha", 0.5));
    for _ in 0..5 {
        let error = client
            .evaluate_batches(&cvar, (0..20).map(|_| both()))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "NOT_STREAMABLE", "{error}");
        let halves = (0..12).map(|n| if n < 3 { both() } else { big() });
        let error = client
            .evaluate_batches("squared_error", halves)
            .await
            .unwrap_err();
        assert_eq!(
            (error.reason(), error.field()),
            ("MISSING_INPUT", Some("inputs.targets")),
            "{error}"
        );
        assert!(error.refusal().unwrap().facts["chunk"] >= 3);
    }
}

#[tokio::test]
async fn states_are_merged_there_and_here_alike() {
    let Some(client) = client().await else { return };
    let states: Vec<Vec<u8>> = [
        state_of(&client, "a", numbers(1000, 0.3)).await,
        state_of(&client, "b", numbers(10, 0.9)).await,
    ]
    .into();
    let merge = Merge::from("variance").options(Options::new().state(true));
    let there = client.merge_states(&states, merge).await.unwrap();
    let here = state::merge(&states, Profiles::Same).unwrap();
    assert_eq!(there.state, Some(here.to_bytes()));
    assert_eq!(there.value, here.all().unwrap().variance(1.0).unwrap());
    let mean = client
        .merge_states(&states, Merge::default())
        .await
        .unwrap();
    assert_eq!(mean.value, here.all().unwrap().mean().unwrap());
    let error = client
        .merge_states([&states[0], &states[0]], "mean")
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::FailedPrecondition(_)));
    assert_eq!(error.reason(), "DUPLICATE_BATCH");
}

async fn state_of(client: &Client, name: &str, predictions: Vec<f64>) -> Vec<u8> {
    let targets = vec![0.0; predictions.len()];
    let batch = Batch::from([("predictions", predictions), ("targets", targets)]);
    let options = Options::new().state(true).batch_id(name);
    let asked = Loss::new("squared_error").options(options);
    client.evaluate(asked, batch).await.unwrap().state.unwrap()
}

#[tokio::test]
async fn the_catalogue_is_told() {
    let Some(client) = client().await else { return };
    let all = client.list_losses(Search::all()).await.unwrap();
    let found = client
        .list_losses(Search::all().words("focal").framework("keras"))
        .await
        .unwrap();
    assert!(found.len() < all.len() && found.iter().any(|loss| loss.name.contains("focal")));
    let huber = client.get_loss("torch.nn.HuberLoss").await.unwrap();
    assert_eq!(huber.name, "huber");
    assert!(
        huber.params["properties"]["delta"].is_object(),
        "{}",
        huber.params
    );
    let error = client.get_loss("hubert").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)) && error.reason() == "LOSS_NOT_FOUND");
}

#[tokio::test]
async fn an_answer_is_explained_and_a_loss_exported() {
    let Some(client) = client().await else { return };
    let told = client.explain("torch.nn.HuberLoss", small()).await.unwrap();
    assert!(told.steps[0].says.contains("huber"), "{:?}", told.steps[0]);
    assert!(
        told.dialects
            .iter()
            .any(|dialect| dialect.framework == "keras")
    );
    let there: Answer = client
        .evaluate("torch.nn.HuberLoss", small())
        .await
        .unwrap();
    assert_eq!(told.answer.value, there.value);
    let graph = client.export(Export::new("huber").opset(18)).await.unwrap();
    assert!(graph.len() > 100);
    assert!(
        client
            .export(Loss::new("huber").param("delta", 0.5))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_call_may_be_made_by_another_task() {
    let Some(client) = client().await else { return };
    let call = tokio::spawn(async move {
        client
            .evaluate_batches("huber", (0..3).map(|_| small()))
            .await
    });
    assert_eq!(call.await.unwrap().unwrap().count, 6);
}
