"""A table of several losses of a real model's predictions.

    python examples/digits.py ../../demo/digits.csv --target localhost:8081

The file holds a logistic regression's probabilities of ten digits, p0 to p9, and the digit.
"""

import argparse

from lossmeter_client import Client

COLUMNS = ",".join(f"p{digit}" for digit in range(10))
LOSSES = {
    "log loss": ("sparse_categorical_cross_entropy", "mean"),
    "log loss, worst sample": ("sparse_categorical_cross_entropy", "max"),
    "log loss, median sample": ("sparse_categorical_cross_entropy", "median"),
    "log loss of Keras": ("keras.losses.SparseCategoricalCrossentropy", None),
    "perplexity": ("sparse_categorical_cross_entropy", "exp_mean"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="CSV or Parquet file with columns p0 to p9 and target")
    parser.add_argument("--target", default="localhost:8081", help="host and port of the service")
    asked = parser.parse_args()
    with Client(asked.target) as client:
        for title, (loss, reduction) in LOSSES.items():
            answer = client.evaluate_file(
                asked.file, loss, predictions=COLUMNS, targets="target", reduction=reduction
            )
            print(f"{title:24} {float(answer):.15f}  {answer.count:4} samples")


if __name__ == "__main__":
    main()
