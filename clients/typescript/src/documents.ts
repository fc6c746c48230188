import { create, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";

import {
  EvaluateResponseSchema,
  ExplainResponse_DialectAnswerSchema,
  ExplainResponseSchema,
  type EvaluateResponse,
  type ExplainResponse,
  type ExplainResponse_DialectAnswer,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import { DataType, TensorSchema, type Tensor } from "./gen/lossmeter/v1/tensor_pb.js";
import { mapped, type Evaluation } from "./requests.js";
import { bytesOf } from "./tensors.js";

/** A later service may tell more. */
export const TOLERANT = { ignoreUnknownFields: true };

/** Bytes as base64. */
export function base64Of(bytes: Uint8Array): string {
  const parts: string[] = [];
  // A multiple of 3, and no more than a call takes arguments.
  const step = 24_576;
  for (let at = 0; at < bytes.length; at += step)
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + step))));
  return parts.join("");
}

/** All of a batch in one document. */
export function documentOf({ settings, tensors }: Evaluation): JsonObject {
  const inputs = mapped(tensors, (x) => ({
    dtype: x.dtype,
    shape: [...x.shape],
    base64: base64Of(bytesOf(x)),
  }));
  return { ...settings, inputs };
}

/** The answer in a document, as a message has it. */
export function responseOf(document: JsonObject): EvaluateResponse {
  const { value, results, ...rest } = document;
  const message = fromJson(EvaluateResponseSchema, rest, TOLERANT);
  const told = valueOf(value);
  if (told) message.value = told.value;
  if (told && message.reduction === "none") message.kept = told.kept;
  if (results) message.results = mapped(results as Documents, responseOf);
  return message;
}

/** The explanation in a document, as a message has it. */
export function explanationIn(document: JsonObject): ExplainResponse {
  const { value, dialects = [], results: _, ...rest } = document;
  const message = fromJson(ExplainResponseSchema, rest, TOLERANT);
  const told = valueOf(value);
  if (told) message.value = told.value;
  message.dialects = (dialects as JsonObject[]).map(dialectIn);
  return message;
}

type Documents = Readonly<Record<string, JsonObject>>;

function dialectIn({ value, ...rest }: JsonObject): ExplainResponse_DialectAnswer {
  const message = fromJson(ExplainResponse_DialectAnswerSchema, rest, TOLERANT);
  const told = valueOf(value);
  if (told) message.value = told.value;
  return message;
}

/** A number or nested list, and which of it is there: null stands where the mask hides. */
function valueOf(told: JsonValue | undefined): { value: Tensor; kept: Tensor } | undefined {
  if (told === undefined || (typeof told === "object" && !Array.isArray(told))) return undefined;
  const shape = shapeOf(told);
  const leaves = ([told] as unknown[]).flat(Infinity) as (number | string | null)[];
  const numbers = Float64Array.from(leaves, (x) => (x === null ? NaN : Number(x)));
  const kept = Uint8Array.from(leaves, (x) => Number(x !== null));
  return {
    value: tensor(DataType.FLOAT64, shape, new Uint8Array(numbers.buffer)),
    kept: tensor(DataType.BOOL, shape, kept),
  };
}

function shapeOf(x: JsonValue | undefined): number[] {
  return Array.isArray(x) ? [x.length, ...shapeOf(x[0])] : [];
}

function tensor(dtype: DataType, shape: readonly number[], data: Uint8Array): Tensor {
  return create(TensorSchema, { dtype, shape: shape.map(BigInt), data });
}
