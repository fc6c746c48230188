import {
  create,
  fromBinary,
  toBinary,
  type DescMethod,
  type DescMessage,
  type JsonObject,
  type MessageShape,
} from "@bufbuild/protobuf";
import { anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import {
  Client as Channel,
  credentials,
  Metadata,
  status,
  type CallOptions,
  type ChannelCredentials,
  type ClientUnaryCall,
  type ClientWritableStream,
  type ServiceError,
} from "@grpc/grpc-js";

import { answerOf, type Answer, type Answers } from "./answers.js";
import type { Until } from "./attempts.js";
import { bytesIn, mayBeCut, MIB } from "./chunks.js";
import { LossmeterError, refusal, type Code } from "./errors.js";
import { ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import {
  ExportLossRequestSchema,
  GetLossRequestSchema,
  ListLossesRequestSchema,
  LossService,
  MergeStatesRequestSchema,
  type EvaluateResponse,
  type ExplainResponse,
  type GetLossResponse,
  type ListLossesResponse,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import { chunksOf, firstOf, parsed, requestOf } from "./messages.js";
import { Methods, type Wire } from "./methods.js";
import {
  Specification,
  type Evaluation,
  type Limits,
  type Loss,
  type Losses,
  type Settings,
} from "./requests.js";
import type { Inputs, Tensors } from "./tensors.js";

/** A single message above this is slower than a stream. */
const UNARY_BYTES = 4 * MIB;
const RETRIES = {
  methodConfig: [
    {
      name: [{ service: LossService.typeName }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 3,
        // Of RESOURCE_EXHAUSTED only the service's reason tells whether it will pass.
        retryableStatusCodes: [status.UNAVAILABLE],
      },
    },
  ],
};
const CHANNEL_OPTIONS = {
  "grpc.service_config": JSON.stringify(RETRIES),
  // What is longer is sent once.
  "grpc.per_rpc_retry_buffer_size": 2 * UNARY_BYTES,
  // The service says what is too large, with a reason.
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  // A service that comes back is found within a second, one that is cut off within 40.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1000,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
};

/** How a channel is secured, in the words of `node:tls`. */
export interface Tls {
  /** The authorities that may vouch for the service, as PEM; the usual ones if absent. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate, as PEM. */
  readonly cert?: string | Uint8Array;
  /** The key of that certificate, as PEM. */
  readonly key?: string | Uint8Array;
}

/** How a {@link Client} connects. */
export interface ClientOptions {
  /** True for a certificate of one of the usual authorities. */
  readonly tls?: boolean | Tls;
  /** Bearer token, sent with every call; send it over TLS alone. */
  readonly token?: string;
  /** Milliseconds that a call may take where it does not say; 60,000 if absent. */
  readonly timeoutMs?: number;
  /** The largest batch that is sent as one message; 4 MiB if absent. */
  readonly unaryBytes?: number;
}

/** A client over gRPC. */
export class Client extends Methods {
  private readonly rpc: Rpc;
  private readonly unaryBytes: number;

  /**
   * @param target - Host and port, or any other target that gRPC takes.
   * @param options - How it connects.
   */
  constructor(target = "localhost:8081", options: ClientOptions = {}) {
    const rpc = new Rpc(target, options);
    super(rpc, options.timeoutMs);
    this.rpc = rpc;
    this.unaryBytes = options.unaryBytes ?? UNARY_BYTES;
  }

  /**
   * Evaluate batches as they come, as if they were one; none is kept.
   *
   * A median or quantile comes from a histogram: `relativeError` bounds its error. The call takes as
   * long as the batches do, unless its settings have a `timeoutMs`.
   *
   * @param loss - As `evaluate` takes it.
   * @param batches - The next rows of each input.
   * @throws {@link LossmeterError} As `evaluate`; `NOT_STREAMABLE` where all samples are needed at
   *   once. What `batches` throws comes through, and the call is cancelled.
   */
  evaluateStream(
    loss: Loss,
    batches: Iterable<Inputs> | AsyncIterable<Inputs>,
    settings?: Settings,
  ): Promise<Answer>;
  /** Evaluate several losses on batches as they come. */
  evaluateStream(
    losses: Losses,
    batches: Iterable<Inputs> | AsyncIterable<Inputs>,
    settings?: Pick<Settings, "options" | keyof Limits>,
  ): Promise<Answers>;
  async evaluateStream(
    loss: Loss | Losses,
    batches: Iterable<Inputs> | AsyncIterable<Inputs>,
    settings: Settings = {},
  ): Promise<Answer | Answers> {
    const specification = new Specification(loss, settings);
    const until = { leftMs: settings.timeoutMs, signal: settings.signal };
    return answerOf(
      await this.rpc.stream(specification.settings, tensorsOf(specification, batches), until),
    );
  }

  /** Make no more calls, and end all connections once those in flight have ended. */
  close(): void {
    this.rpc.close();
  }

  /** Send a batch in the way that suits its size. @internal */
  protected override async whole(
    evaluation: Evaluation,
    limits: Limits,
  ): Promise<Answer | Answers> {
    const { settings, tensors } = evaluation;
    if (bytesIn(tensors) <= this.unaryBytes || !mayBeCut(settings, tensors))
      return super.whole(evaluation, limits);
    try {
      const answer = answerOf(
        await this.tried((until) => this.rpc.stream(settings, [tensors], until), limits),
      );
      if (isExact(answer)) return answer;
    } catch (error) {
      if (!needsWhole(error)) throw error;
    }
    return super.whole(evaluation, limits);
  }
}

/** Whether a batch refused in pieces may be right as a whole. */
function needsWhole(error: unknown): boolean {
  // A layout whose samples do not lie along axis 0 shows as shapes that do not match.
  const reasons = ["NOT_STREAMABLE", "SHAPE_MISMATCH"];
  return error instanceof LossmeterError && reasons.includes(error.reason);
}

/** Whether no histogram stands between the data and any value. */
function isExact(answer: Answer | Answers): boolean {
  const answers = "results" in answer ? Object.values(answer.results) : [answer];
  return answers.every(({ relativeError }) => relativeError === undefined);
}

async function* tensorsOf(
  specification: Specification,
  batches: Iterable<Inputs> | AsyncIterable<Inputs>,
): AsyncGenerator<Tensors> {
  for await (const batch of batches) yield specification.batch(batch);
}

type Method<O extends DescMessage> = DescMethod & { readonly output: O };

/** The service over gRPC. */
class Rpc implements Wire {
  private readonly channel: Channel;
  private readonly metadata = new Metadata();
  private closed = false;

  constructor(target: string, { tls = false, token }: ClientOptions) {
    this.channel = new Channel(target, securedBy(tls), CHANNEL_OPTIONS);
    if (token !== undefined) this.metadata.set("authorization", `Bearer ${token}`);
  }

  evaluate(evaluation: Evaluation, until: Until): Promise<EvaluateResponse> {
    return this.unary(LossService.method.evaluate, requestOf(evaluation), until);
  }

  explain(evaluation: Evaluation, until: Until): Promise<ExplainResponse> {
    return this.unary(LossService.method.explain, requestOf(evaluation), until);
  }

  mergeStates(
    states: readonly Uint8Array[],
    settings: JsonObject,
    until: Until,
  ): Promise<EvaluateResponse> {
    const request = parsed(MergeStatesRequestSchema, settings);
    request.states = [...states];
    const bytes = toBinary(MergeStatesRequestSchema, request);
    return this.unary(LossService.method.mergeStates, bytes, until);
  }

  listLosses(framework: string, search: string, until: Until): Promise<ListLossesResponse> {
    const request = create(ListLossesRequestSchema, { framework, search });
    const bytes = toBinary(ListLossesRequestSchema, request);
    return this.unary(LossService.method.listLosses, bytes, until);
  }

  getLoss(name: string, until: Until): Promise<GetLossResponse> {
    const bytes = toBinary(GetLossRequestSchema, create(GetLossRequestSchema, { name }));
    return this.unary(LossService.method.getLoss, bytes, until);
  }

  async export(loss: Loss, form: JsonObject, until: Until): Promise<Uint8Array> {
    const named = typeof loss === "string" ? { name: loss } : loss;
    const request = parsed(ExportLossRequestSchema, { ...form, ...named });
    const bytes = toBinary(ExportLossRequestSchema, request);
    const { model } = await this.unary(LossService.method.exportLoss, bytes, until);
    return model;
  }

  /** Send batches as they come, once. */
  async stream(
    settings: JsonObject,
    batches: Iterable<Tensors> | AsyncIterable<Tensors>,
    until: Until,
  ): Promise<EvaluateResponse> {
    const method = LossService.method.evaluateStream;
    const first = firstOf(settings);
    until.signal?.throwIfAborted();
    this.checkOpen();
    let call!: ClientWritableStream<Uint8Array>;
    let ended = false;
    const answer = this.made<EvaluateResponse>(until, (options, done) => {
      call = this.channel.makeClientStreamRequest(...named(method), this.metadata, options, done);
      return call.once("status", () => (ended = true));
    });
    const write = async () => {
      call.write(first);
      for await (const batch of batches) {
        for (const message of chunksOf(batch)) {
          // Once the service has refused, nobody takes messages, and the answer says why.
          if (ended) return;
          if (!call.write(message)) await room(call);
        }
      }
      call.end();
    };
    try {
      await Promise.race([write(), answer]);
      return await answer;
    } catch (error) {
      call.cancel(); // of a call that is done nothing is left to cancel
      await answer.catch(() => undefined);
      throw error;
    }
  }

  passes(error: LossmeterError): boolean {
    // gRPC itself tries again where nobody answers.
    return error.reason === "OVERLOADED";
  }

  close(): void {
    this.closed = true;
    this.channel.close();
  }

  private checkOpen(): void {
    if (this.closed) throw new LossmeterError("CANCELLED", "the client was closed");
  }

  private async unary<O extends DescMessage>(
    method: Method<O>,
    bytes: Uint8Array,
    until: Until,
  ): Promise<MessageShape<O>> {
    this.checkOpen();
    return this.made(until, (options, done) =>
      this.channel.makeUnaryRequest(...named(method), bytes, this.metadata, options, done),
    );
  }

  /** Start a call and wait for its end. */
  private made<T>(
    { leftMs, signal }: Until,
    start: (
      options: CallOptions,
      done: (error: ServiceError | null, answer?: T) => void,
    ) => ClientUnaryCall | ClientWritableStream<never>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const options = leftMs === undefined ? {} : { deadline: Date.now() + leftMs };
      const call = start(options, (error, answer) => {
        signal?.removeEventListener("abort", abort);
        if (signal?.aborted) reject(signal.reason as Error);
        else if (error) reject(errorFrom(error));
        else resolve(answer as T);
      });
      const abort = () => {
        call.cancel();
      };
      signal?.addEventListener("abort", abort, { once: true });
    });
  }
}

/** What names a method to gRPC, and reads its answers; requests are bytes already. */
function named<O extends DescMessage>({ parent, name, output }: Method<O>) {
  return [
    `/${parent.typeName}/${name}`,
    bufferOf,
    (bytes: Buffer) => {
      // Not as a Buffer, which would stay one in the answer.
      const { buffer, byteOffset, byteLength } = bytes;
      return fromBinary(output, new Uint8Array(buffer, byteOffset, byteLength));
    },
  ] as const;
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function securedBy(tls: boolean | Tls): ChannelCredentials {
  if (tls === false) return credentials.createInsecure();
  const { ca, key, cert } = tls === true ? ({} as Tls) : tls;
  return credentials.createSsl(pem(ca), pem(key), pem(cert));
}

function pem(text: string | Uint8Array | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text as Uint8Array);
}

/** The error that a failed call stands for. */
function errorFrom({ code, details, metadata }: ServiceError): LossmeterError {
  const told: Record<string, unknown> = {};
  let retryAfterMs: number | undefined;
  for (const packed of metadata.get("grpc-status-details-bin")) {
    for (const detail of fromBinary(StatusSchema, packed as Buffer).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info) Object.assign(told, info.metadata, { reason: info.reason });
      const retry = anyUnpack(detail, RetryInfoSchema);
      if (retry?.retryDelay) retryAfterMs = durationMs(retry.retryDelay);
    }
  }
  return refusal(status[code] as Code, details, told, retryAfterMs);
}

/** Wait until a stream takes messages again, or has ended. */
function room(call: ClientWritableStream<never>): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off("drain", done).off("status", done);
      // Not at once: of batches that never wait, an answer would not be read before the last.
      setImmediate(resolve);
    };
    call.on("drain", done).on("status", done);
  });
}
