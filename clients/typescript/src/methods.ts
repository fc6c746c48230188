import type { JsonObject } from "@bufbuild/protobuf";

import {
  answerOf,
  descriptorOf,
  explanationOf,
  oneAnswerOf,
  type Answer,
  type Answers,
  type Explanation,
  type LossDescriptor,
} from "./answers.js";
import { tried, type Until } from "./attempts.js";
import type { LossmeterError } from "./errors.js";
import type {
  EvaluateResponse,
  ExplainResponse,
  GetLossResponse,
  ListLossesResponse,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import {
  json,
  Specification,
  spelt,
  type Evaluation,
  type ExportSettings,
  type Limits,
  type Loss,
  type Losses,
  type Settings,
} from "./requests.js";
import type { Inputs } from "./tensors.js";

/** How long a call may take where nothing else is said. */
export const DEFAULT_TIMEOUT_MS = 60_000;

/** A way to the service: each call, made once. @internal */
export interface Wire {
  evaluate(evaluation: Evaluation, until: Until): Promise<EvaluateResponse>;
  explain(evaluation: Evaluation, until: Until): Promise<ExplainResponse>;
  mergeStates(
    states: readonly Uint8Array[],
    settings: JsonObject,
    until: Until,
  ): Promise<EvaluateResponse>;
  listLosses(framework: string, search: string, until: Until): Promise<ListLossesResponse>;
  getLoss(name: string, until: Until): Promise<GetLossResponse>;
  export(loss: Loss, form: JsonObject, until: Until): Promise<Uint8Array>;
  /** Whether the cause of an error may pass, and the wire has not tried again by itself. */
  passes(error: LossmeterError): boolean;
}

/** What every client can do, whatever its wire. */
export abstract class Methods {
  /** @internal */
  protected readonly wire: Wire;
  private readonly timeoutMs: number;

  /** @internal */
  protected constructor(wire: Wire, timeoutMs: number = DEFAULT_TIMEOUT_MS) {
    this.wire = wire;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Evaluate one loss on one batch.
   *
   * @param loss - Canonical name, framework symbol or expression.
   * @param inputs - Predictions, targets, `sample_weight`, `mask` and what else the loss takes.
   * @throws {@link LossmeterError} The request is wrong, or cannot be served; `reason` and `field`
   *   say how and where.
   */
  evaluate(loss: Loss, inputs: Inputs, settings?: Settings): Promise<Answer>;
  /**
   * Evaluate several losses on one batch.
   *
   * @param losses - The losses, by names of the caller's.
   */
  evaluate(
    losses: Losses,
    inputs: Inputs,
    settings?: Pick<Settings, "options" | keyof Limits>,
  ): Promise<Answers>;
  async evaluate(
    loss: Loss | Losses,
    inputs: Inputs,
    settings: Settings = {},
  ): Promise<Answer | Answers> {
    return this.whole(new Specification(loss, settings).on(inputs), settings);
  }

  /**
   * Evaluate, say how the answer comes about, and what every other framework says.
   *
   * Arguments and errors are those of `evaluate`.
   */
  async explain(loss: Loss, inputs: Inputs, settings: Settings = {}): Promise<Explanation> {
    const evaluation = new Specification(loss, settings).on(inputs);
    return explanationOf(
      await this.tried((until) => this.wire.explain(evaluation, until), settings),
    );
  }

  /**
   * Let the service finish states made apart, as if their batches had been one.
   *
   * @param states - What `evaluate` answered as `state` when its options asked for it.
   * @throws {@link LossmeterError} They do not belong together, or lack what the reduction reads.
   */
  async mergeStates(
    states: readonly Uint8Array[],
    settings: Pick<Settings, "reduction" | "options" | keyof Limits> = {},
  ): Promise<Answer> {
    const { reduction, options } = settings;
    const asked = json({ reduction, options: options && spelt(options) });
    return oneAnswerOf(
      await this.tried((until) => this.wire.mergeStates(states, asked, until), settings),
    );
  }

  /**
   * The losses, or those that a framework or words ask for.
   *
   * @param asked - `framework`: only losses that a symbol of it stands for, such as `torch`;
   *   `search`: only losses with all of these words, best match first.
   */
  async listLosses(
    asked: { readonly framework?: string; readonly search?: string } & Limits = {},
  ): Promise<LossDescriptor[]> {
    const { framework = "", search = "" } = asked;
    const found = await this.tried(
      (until) => this.wire.listLosses(framework, search, until),
      asked,
    );
    return found.losses.map(descriptorOf);
  }

  /** What is known of a loss, by canonical name, alias or symbol. */
  async getLoss(name: string, limits: Limits = {}): Promise<LossDescriptor> {
    const { loss } = await this.tried((until) => this.wire.getLoss(name, until), limits);
    return descriptorOf(loss as NonNullable<typeof loss>);
  }

  /** A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside. */
  async export(loss: Loss, settings: ExportSettings = {}): Promise<Uint8Array> {
    const { timeoutMs: _, signal: __, ...form } = settings;
    const asked = json(spelt(form));
    return this.tried((until) => this.wire.export(loss, asked, until), settings);
  }

  /** Send a batch whole. @internal */
  protected async whole(evaluation: Evaluation, limits: Limits): Promise<Answer | Answers> {
    return answerOf(await this.tried((until) => this.wire.evaluate(evaluation, until), limits));
  }

  /** @internal */
  protected tried<T>(attempt: (until: Until) => Promise<T>, limits: Limits): Promise<T> {
    const { timeoutMs = this.timeoutMs, signal } = limits;
    return tried(attempt, (error) => this.wire.passes(error), timeoutMs, signal);
  }
}
