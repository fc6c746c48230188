// A table of several losses of a real model's predictions.
//
//     node examples/digits.js ../../demo/digits.csv localhost:8081
//
// The file holds a logistic regression's probabilities of ten digits, p0 to p9, and the digit.

import { readFileSync } from "node:fs";

import { Client, tensor } from "lossmeter-client";

const DIGITS = 10;
/** @type {Record<string, { loss: string, reduction?: string }>} */
const LOSSES = {
  "log loss": { loss: "sparse_categorical_cross_entropy", reduction: "mean" },
  "log loss, worst sample": { loss: "sparse_categorical_cross_entropy", reduction: "max" },
  "log loss, median sample": { loss: "sparse_categorical_cross_entropy", reduction: "median" },
  "log loss of Keras": { loss: "keras.losses.SparseCategoricalCrossentropy" },
  perplexity: { loss: "sparse_categorical_cross_entropy", reduction: "exp_mean" },
};

const [path = "../../demo/digits.csv", target = "localhost:8081"] = process.argv.slice(2);
const [head = "", ...lines] = readFileSync(path, "utf8").trim().split(/\r?\n/);
const names = head.split(",");
const rows = lines.map((line) => line.split(",").map(Number));
/** @param {string} name */
const column = (name) => rows.map((row) => row[names.indexOf(name)] ?? NaN);
const columns = Array.from({ length: DIGITS }, (_, digit) => column(`p${String(digit)}`));
const inputs = {
  predictions: tensor(
    rows.flatMap((_, row) => columns.map((one) => one[row] ?? NaN)),
    [rows.length, DIGITS],
  ),
  targets: column("target"),
};

const client = new Client(target);
const { results } = await client.evaluate({ losses: LOSSES }, inputs);
for (const title of Object.keys(LOSSES)) {
  const { number = NaN, count = 0 } = results[title] ?? {};
  console.log(`${title.padEnd(24)} ${number.toFixed(15)}  ${String(count).padStart(4)} samples`);
}
client.close();
