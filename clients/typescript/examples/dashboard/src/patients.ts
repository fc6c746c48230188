import { readFileSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { z } from "zod";
import { type GroupingChoice, GROUPINGS, type Question } from "./choices.js";

const Row = z.strictObject({
  target: z.coerce.number(),
  prediction: z.coerce.number(),
  age: z.coerce.number(),
  bmi: z.coerce.number(),
});

/** The held-out patients, a column each, and their group in each grouping. */
export interface Patients {
  readonly targets: Float64Array;
  readonly predictions: Float64Array;
  readonly groups: Readonly<Record<Question["by"], readonly string[]>>;
}

/** Reads a CSV file with the columns target, prediction, age and bmi. */
export function readPatients(path: URL): Patients {
  const rows = z.array(Row).parse(parse(readFileSync(path), { columns: true }));
  return {
    targets: Float64Array.from(rows, (row) => row.target),
    predictions: Float64Array.from(rows, (row) => row.prediction),
    groups: {
      age: rows.map((row) => bandOf(row.age, GROUPINGS.age)),
      bmi: rows.map((row) => bandOf(row.bmi, GROUPINGS.bmi)),
    },
  };
}

function bandOf(value: number, { bands }: GroupingChoice): string {
  const band = bands.find(({ below }) => value < below);
  if (band === undefined) throw new RangeError("a value is in no band");
  return band.label;
}
