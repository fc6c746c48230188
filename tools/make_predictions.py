"""Train real models on scikit-learn's bundled sets and keep their held-out predictions in demo/.

The models are small and their seeds fixed; training again gives the same numbers up to the last
bits, which depend on the machine's linear algebra. The files are committed so that examples,
tests and documentation speak of the same numbers everywhere. Two are there as CSV as well, for
languages that do not read Parquet; ``--csv`` writes these anew from the Parquet files there are.
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

OUT = Path(__file__).resolve().parents[1] / "demo"
SEED = 20240229
HELD_OUT = 0.4
AGE_BANDS = np.array(["under 40", "40 to 59", "60 and over"])
# The columns of each CSV file, by their names in the Parquet file.
CSV = {
    "digits": {name: name for name in ("target", *(f"p{label}" for label in range(10)))},
    "breast_cancer": {"target": "target", "probability": "prediction"},
}


def digits() -> dict[str, Any]:
    """Ten-class logistic regression on 8 × 8 images of digits: one probability per class."""
    data = load_digits()
    train, test, train_targets, targets = _split(data.data, data.target, stratify=data.target)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=1000))
    model.fit(train, train_targets)
    probabilities = model.predict_proba(test)
    columns = {f"p{label}": probabilities[:, label] for label in range(10)}
    return {**columns, "target": targets.astype(np.int64)}


def breast_cancer() -> dict[str, Any]:
    """Logistic regression of benign (1) against malignant (0): probability and logit of benign."""
    data = load_breast_cancer()
    train, test, train_targets, targets = _split(data.data, data.target, stratify=data.target)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train, train_targets)
    return {
        "probability": model.predict_proba(test)[:, 1],
        "logit": model.decision_function(test),
        "target": targets.astype(np.int64),
        "sample_weight": compute_sample_weight("balanced", targets),
    }


def diabetes() -> dict[str, Any]:
    """Gradient boosting of disease progression after a year, with the age band of each patient."""
    data = load_diabetes(scaled=False)
    train, test, train_targets, targets = _split(data.data, data.target)
    model = GradientBoostingRegressor(
        n_estimators=100, learning_rate=0.05, max_depth=2, random_state=SEED
    )
    model.fit(train, train_targets)
    ages = test[:, data.feature_names.index("age")]
    return {
        "prediction": model.predict(test),
        "target": targets,
        "group": AGE_BANDS[np.digitize(ages, [40, 60])],
    }


def _split(features: Any, targets: Any, stratify: Any = None) -> tuple[Any, Any, Any, Any]:
    train, test, train_targets, test_targets = train_test_split(
        features, targets, test_size=HELD_OUT, random_state=SEED, stratify=stratify
    )
    return train, test, train_targets, test_targets


def write(name: str, columns: Mapping[str, Any]) -> None:
    """Write the columns to demo/NAME.parquet and say so."""
    table = pa.table({column: pa.array(values) for column, values in columns.items()})
    pq.write_table(table, OUT / f"{name}.parquet", compression="zstd")
    print(f"demo/{name}.parquet: {table.num_rows} rows of {', '.join(table.column_names)}")


def write_csv(name: str, columns: Mapping[str, str]) -> None:
    """Write columns of demo/NAME.parquet, renamed, to demo/NAME.csv, with all digits they have."""
    table = pq.read_table(OUT / f"{name}.parquet")
    rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
    with (OUT / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns.values())
        writer.writerows(rows)
    print(f"demo/{name}.csv: {table.num_rows} rows of {', '.join(columns.values())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", action="store_true", help="train nothing; write the CSV files")
    OUT.mkdir(exist_ok=True)
    if not parser.parse_args().csv:
        for model in (digits, breast_cancer, diabetes):
            write(model.__name__, model())
    for name, columns in CSV.items():
        write_csv(name, columns)


if __name__ == "__main__":
    main()
