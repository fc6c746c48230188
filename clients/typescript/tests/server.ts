/** A small gRPC server in place of the service, which refuses as it is told. */

import { create, fromBinary, toBinary, type DescMethod } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type MethodDefinition,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import type { Message } from "@bufbuild/protobuf";

import { ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import {
  EvaluateResponseSchema,
  LossService,
  type EvaluateResponse,
} from "../src/gen/lossmeter/v1/loss_service_pb.js";

export type Refusal = Parameters<sendUnaryData<EvaluateResponse>>[0];
/** What becomes of a call: an answer if nothing is said, a refusal, or silence. */
export type Behaviour = (attempt: number) => Refusal | "silence" | "answer";

/** A server in place of the service. */
export class StandIn {
  /** The metadata of each call there was. */
  readonly calls: Metadata[] = [];
  /** When each of them came, in milliseconds. */
  readonly times: number[] = [];
  /** Resolved once a call is cancelled. */
  readonly cancelled: Promise<void>;
  private readonly server = new Server();
  private tellCancelled!: () => void;

  constructor(private readonly behaviour: Behaviour = () => "answer") {
    this.cancelled = new Promise((resolve) => (this.tellCancelled = resolve));
    this.server.addService(
      { Evaluate: definition(LossService.method.evaluate) },
      { Evaluate: this.answered.bind(this) },
    );
    this.server.addService(
      { EvaluateStream: definition(LossService.method.evaluateStream) },
      { EvaluateStream: this.streamed.bind(this) },
    );
  }

  /** Begin to serve; where. */
  start(credentials = ServerCredentials.createInsecure()): Promise<string> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync("localhost:0", credentials, (error, port) => {
        if (error) reject(error);
        else resolve(`localhost:${String(port)}`);
      });
    });
  }

  stop(): void {
    this.server.forceShutdown();
  }

  private answered(
    call: ServerUnaryCall<Message, EvaluateResponse>,
    done: sendUnaryData<EvaluateResponse>,
  ): void {
    call.on("cancelled", this.tellCancelled);
    this.calls.push(call.metadata);
    this.times.push(performance.now());
    const told = this.behaviour(this.calls.length);
    if (told === "answer") done(null, create(EvaluateResponseSchema, { loss: "huber" }));
    else if (told !== "silence") done(told);
  }

  private streamed(
    call: ServerReadableStream<Message, EvaluateResponse>,
    done: sendUnaryData<EvaluateResponse>,
  ): void {
    this.calls.push(call.metadata);
    const told = this.behaviour(this.calls.length);
    let messages = 0n;
    call.on("cancelled", this.tellCancelled);
    call.on("error", () => undefined); // of a cancelled call
    call.on("data", () => {
      messages += 1n;
      if (messages === 2n && told !== "answer" && told !== "silence") done(told);
    });
    call.on("end", () => {
      if (told === "answer") done(null, create(EvaluateResponseSchema, { count: messages }));
    });
  }
}

/** A refusal without a word of the service. */
export function bare(code: status): Refusal {
  return { code, details: "refused" };
}

/** A refusal as the service writes it. */
export function refused(
  code: status,
  reason: string,
  metadata: Record<string, string> = {},
  retryMs?: number,
): Refusal {
  const info = create(ErrorInfoSchema, { reason, domain: "lossmeter", metadata });
  const retry = create(RetryInfoSchema, { retryDelay: durationFromMs(retryMs ?? 0) });
  const details = [anyPack(ErrorInfoSchema, info)];
  if (retryMs !== undefined) details.push(anyPack(RetryInfoSchema, retry));
  const told = create(StatusSchema, { code, message: "in a sentence", details });
  const trailing = new Metadata();
  trailing.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, told)));
  return { code, details: "in a sentence", metadata: trailing };
}

function definition(method: DescMethod): MethodDefinition<Message, EvaluateResponse> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming",
    responseStream: false,
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (answer) => Buffer.from(toBinary(EvaluateResponseSchema, answer)),
    responseDeserialize: (bytes) => fromBinary(EvaluateResponseSchema, bytes),
  };
}
