//! A table of several losses of a real model's predictions.
//!
//! ```text
//! cargo run --example digits -- ../../demo/digits.csv localhost:8081
//! ```
//!
//! The file holds a logistic regression's probabilities of ten digits, p0 to p9, and the digit.

use std::error::Error;

use lossmeter_client::{Batch, Client, Loss, Tensor};

const DIGITS: usize = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let path = words
        .next()
        .ok_or("name a CSV file with columns target and p0 to p9")?;
    let target = words.next().unwrap_or_else(|| "localhost:8081".to_owned());
    let client = Client::connect(target).await?;
    let batch = read(&path)?;
    for (title, loss) in losses() {
        let answer = client.evaluate(loss, batch.clone()).await?;
        println!(
            "{title:24} {:.15}  {:4} samples",
            answer.value, answer.count
        );
    }
    Ok(())
}

fn losses() -> [(&'static str, Loss); 5] {
    let log_loss = Loss::new("sparse_categorical_cross_entropy");
    [
        ("log loss", log_loss.clone().reduction("mean")),
        ("log loss, worst sample", log_loss.clone().reduction("max")),
        (
            "log loss, median sample",
            log_loss.clone().reduction("median"),
        ),
        (
            "log loss of Keras",
            Loss::new("keras.losses.SparseCategoricalCrossentropy"),
        ),
        ("perplexity", log_loss.reduction("exp_mean")),
    ]
}

fn read(path: &str) -> Result<Batch, Box<dyn Error>> {
    let mut file = csv::Reader::from_path(path)?;
    let names = file.headers()?.clone();
    let place = |name: &str| {
        names
            .iter()
            .position(|known| known == name)
            .ok_or(format!("no column {name}"))
    };
    let digit = place("target")?;
    let columns = (0..DIGITS)
        .map(|n| place(&format!("p{n}")))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut targets, mut predictions) = (Vec::<i64>::new(), Vec::<f64>::new());
    for row in file.records() {
        let row = row?;
        targets.push(row[digit].parse()?);
        for &column in &columns {
            predictions.push(row[column].parse()?);
        }
    }
    let predictions = Tensor::from(predictions).reshape([targets.len(), DIGITS])?;
    Ok(Batch::new()
        .with("predictions", predictions)
        .with("targets", targets))
}
