import {
  create,
  fromJson,
  toBinary,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

import { cut } from "./chunks.js";
import { invalid } from "./errors.js";
import {
  EvaluateRequestSchema,
  EvaluateStreamRequest_ChunkSchema,
  EvaluateStreamRequestSchema,
  type EvaluateRequest,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import { TensorSchema } from "./gen/lossmeter/v1/tensor_pb.js";
import { mapped, type Evaluation } from "./requests.js";
import { bytesOf, codeOf, type Tensor, type Tensors } from "./tensors.js";

/** Bytes that follow each other. */
type Bytes = readonly Uint8Array[];

/** The bytes of a request with all of a batch. */
export function requestOf({ settings, tensors }: Evaluation): Buffer {
  const specification = toBinary(EvaluateRequestSchema, specificationOf(settings));
  return Buffer.concat([
    specification,
    ...entriesOf(EvaluateRequestSchema.field.inputs.number, tensors),
  ]);
}

/** The bytes of a stream's first message, without inputs. */
export function firstOf(settings: JsonObject): Uint8Array {
  const value = specificationOf(settings);
  const message = create(EvaluateStreamRequestSchema, { message: { case: "spec", value } });
  return toBinary(EvaluateStreamRequestSchema, message);
}

/** The bytes of the messages of a stream's next rows. */
export function* chunksOf(tensors: Tensors): Generator<Buffer> {
  const { inputs } = EvaluateStreamRequest_ChunkSchema.field;
  const { chunk } = EvaluateStreamRequestSchema.field;
  for (const piece of cut(tensors))
    yield Buffer.concat(field(chunk.number, entriesOf(inputs.number, piece)));
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

/** The entries of a map of tensors, put together by hand so that their data is copied only once. */
function entriesOf(map: number, tensors: Tensors): Bytes {
  return Object.entries(tensors).flatMap(([name, x]) =>
    field(map, [...field(1, [new TextEncoder().encode(name)]), ...field(2, tensorOf(x))]),
  );
}

function tensorOf(tensor: Tensor): Bytes {
  const shape = tensor.shape.map(BigInt);
  const head = create(TensorSchema, { dtype: codeOf(tensor.dtype), shape });
  return [
    toBinary(TensorSchema, head),
    ...field(TensorSchema.field.data.number, [bytesOf(tensor)]),
  ];
}

/** A field of a message that has a length. */
function field(number: number, content: Bytes): Bytes {
  const length = content.reduce((total, bytes) => total + bytes.length, 0);
  const head = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(length);
  return [head.finish(), ...content];
}
