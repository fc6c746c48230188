import {
  create,
  fromJson,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";

import { cut } from "./chunks.js";
import { invalid } from "./errors.js";
import {
  EvaluateRequestSchema,
  EvaluateStreamRequestSchema,
  type EvaluateRequest,
  type EvaluateStreamRequest,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import { TensorSchema, type Tensor as TensorMessage } from "./gen/lossmeter/v1/tensor_pb.js";
import { mapped, type Evaluation } from "./requests.js";
import { bytesOf, codeOf, type Tensor, type Tensors } from "./tensors.js";

/** All of a batch in one message. */
export function requestOf({ settings, tensors }: Evaluation): EvaluateRequest {
  const request = specificationOf(settings);
  request.inputs = mapped(tensors, messageOf);
  return request;
}

/** The first message of a stream, without inputs. */
export function firstOf(settings: JsonObject): EvaluateStreamRequest {
  const value = specificationOf(settings);
  return create(EvaluateStreamRequestSchema, { message: { case: "spec", value } });
}

/** The messages of the next rows of a stream. */
export function* chunksOf(tensors: Tensors): Generator<EvaluateStreamRequest> {
  for (const piece of cut(tensors))
    yield create(EvaluateStreamRequestSchema, {
      message: { case: "chunk", value: { inputs: mapped(piece, messageOf) } },
    });
}

/** Settings as a message; the names of the JSON are those of its fields. */
export function parsed<D extends DescMessage>(schema: D, settings: JsonObject): MessageShape<D> {
  try {
    return fromJson(schema, settings);
  } catch (error) {
    throw invalid("MALFORMED_REQUEST", "", error instanceof Error ? error.message : "");
  }
}

/** Settings with an expression in a field of its own, as messages have it. */
export function flat(settings: JsonObject): JsonObject {
  const { loss, ...rest } = settings;
  if (loss === undefined || typeof loss === "string") return settings;
  return { ...rest, ...(loss as JsonObject) };
}

function specificationOf(settings: JsonObject): EvaluateRequest {
  const { losses, ...one } = settings;
  const several = losses && { losses: mapped(losses as JsonObject, flatOf) };
  return parsed(EvaluateRequestSchema, { ...flat(one), ...several });
}

function flatOf(one: JsonValue): JsonValue {
  return flat(one as JsonObject);
}

function messageOf(tensor: Tensor): TensorMessage {
  return create(TensorSchema, {
    dtype: codeOf(tensor.dtype),
    shape: tensor.shape.map(BigInt),
    data: bytesOf(tensor),
  });
}
