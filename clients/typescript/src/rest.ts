import { fromJson, type JsonObject } from "@bufbuild/protobuf";

import type { Until } from "./attempts.js";
import { base64Of, documentOf, explanationIn, responseOf, TOLERANT } from "./documents.js";
import { LossmeterError, refusal, type Code } from "./errors.js";
import {
  GetLossResponseSchema,
  ListLossesResponseSchema,
  type EvaluateResponse,
  type ExplainResponse,
  type GetLossResponse,
  type ListLossesResponse,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import { Methods, type Wire } from "./methods.js";
import type { Evaluation, Loss } from "./requests.js";

// Where a status has one code only, or is not the service's own.
const CODES: Readonly<Partial<Record<number, Code>>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  405: "UNIMPLEMENTED",
  409: "FAILED_PRECONDITION",
  413: "RESOURCE_EXHAUSTED",
  415: "UNIMPLEMENTED",
  422: "FAILED_PRECONDITION",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};
// Where the reason says more than the status.
const PRECONDITIONS: readonly unknown[] = [
  "NOT_MERGEABLE",
  "NOT_STREAMABLE",
  "BACKEND_UNSUPPORTED",
];

/** How an {@link HttpClient} connects. */
export interface HttpClientOptions {
  /** Bearer token, sent with every call; send it to an `https` URL alone. */
  readonly token?: string;
  /** Milliseconds that a call may take where it does not say; 60,000 if absent. */
  readonly timeoutMs?: number;
}

/** A client over REST, for the browser and for wherever else there is `fetch`. */
export class HttpClient extends Methods {
  /**
   * @param url - Where the service is; the page's own origin if empty.
   * @param options - How it connects.
   */
  constructor(url = "http://localhost:8080", options: HttpClientOptions = {}) {
    super(new Rest(url, options), options.timeoutMs);
  }
}

/** The service over REST. */
class Rest implements Wire {
  private readonly url: string;
  private readonly headers: Readonly<Record<string, string>>;

  constructor(url: string, { token }: HttpClientOptions) {
    this.url = url.replace(/\/$/, "");
    this.headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  async evaluate(evaluation: Evaluation, until: Until): Promise<EvaluateResponse> {
    return responseOf(await this.posted("/v1/evaluate", documentOf(evaluation), until));
  }

  async explain(evaluation: Evaluation, until: Until): Promise<ExplainResponse> {
    return explanationIn(await this.posted("/v1/explain", documentOf(evaluation), until));
  }

  async mergeStates(
    states: readonly Uint8Array[],
    settings: JsonObject,
    until: Until,
  ): Promise<EvaluateResponse> {
    const document = { ...settings, states: states.map((state) => base64Of(state)) };
    return responseOf(await this.posted("/v1/states:merge", document, until));
  }

  listLosses(framework: string, search: string, until: Until): Promise<ListLossesResponse> {
    const read = async (response: Response) =>
      fromJson(ListLossesResponseSchema, (await response.json()) as JsonObject, TOLERANT);
    return this.made("/v1/losses", { framework, search }, {}, until, read);
  }

  getLoss(name: string, until: Until): Promise<GetLossResponse> {
    const read = async (response: Response) =>
      fromJson(GetLossResponseSchema, { loss: (await response.json()) as JsonObject }, TOLERANT);
    return this.made(`/v1/losses/${encodeURIComponent(name)}`, {}, {}, until, read);
  }

  export(loss: Loss, form: JsonObject, until: Until): Promise<Uint8Array> {
    const [name, more] = typeof loss === "string" ? [loss, {}] : ["expression", loss];
    const read = async (response: Response) => new Uint8Array(await response.arrayBuffer());
    const path = `/v1/losses/${encodeURIComponent(name)}/onnx`;
    return this.made(path, { ...form, ...more }, {}, until, read);
  }

  passes({ code, reason }: LossmeterError): boolean {
    return code === "UNAVAILABLE" || reason === "OVERLOADED";
  }

  private posted(path: string, document: JsonObject, until: Until): Promise<JsonObject> {
    const headers = { "content-type": "application/json" };
    const given = { method: "POST", headers, body: JSON.stringify(document) };
    const read = (response: Response) => response.json() as Promise<JsonObject>;
    return this.made(path, {}, given, until, read);
  }

  /** Make one exchange and read its answer. */
  private async made<T>(
    path: string,
    query: JsonObject,
    given: Pick<RequestInit, "method" | "body"> & { headers?: Record<string, string> },
    { leftMs, signal }: Until,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const ends = signal ? [signal] : [];
    if (leftMs !== undefined) ends.push(AbortSignal.timeout(leftMs));
    const headers = { ...this.headers, ...given.headers };
    const url = `${this.url}${path}${queryOf(query)}`;
    try {
      const response = await fetch(url, { ...given, headers, signal: AbortSignal.any(ends) });
      if (!response.ok) throw await refusalIn(response);
      return await read(response);
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof LossmeterError ? error : broken(error as Error);
    }
  }
}

function queryOf(fields: JsonObject): string {
  const texts = Object.entries(fields)
    .map(([name, x]) => [name, typeof x === "string" ? x : JSON.stringify(x)])
    .filter(([, text]) => text);
  return texts.length ? `?${new URLSearchParams(texts).toString()}` : "";
}

/** The error in a problem document, or behind a status that has none. */
async function refusalIn(response: Response): Promise<LossmeterError> {
  const text = await response.text();
  const told = documentIn(text);
  const code = PRECONDITIONS.includes(told.reason)
    ? "FAILED_PRECONDITION"
    : (CODES[response.status] ?? "UNKNOWN");
  const wait = response.headers.get("retry-after") ?? "";
  const { detail = `the answer was HTTP ${String(response.status)}` } = told;
  return refusal(
    code,
    detail as string,
    told,
    /^\d+$/.test(wait) ? 1000 * Number(wait) : undefined,
  );
}

function documentIn(text: string): Record<string, unknown> {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The error that a broken exchange stands for. */
function broken(error: Error): LossmeterError {
  const late = error.name === "TimeoutError";
  const { message } = error.cause instanceof Error ? error.cause : error;
  return new LossmeterError(late ? "DEADLINE_EXCEEDED" : "UNAVAILABLE", message);
}
