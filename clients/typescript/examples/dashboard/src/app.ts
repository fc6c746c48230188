import { fileURLToPath } from "node:url";

import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { z } from "zod";

import { ask, type Evaluator } from "./ask.js";
import { GROUPINGS, LOSSES, type Problem, type Question, REDUCTIONS } from "./choices.js";
import type { Patients } from "./patients.js";
import { problem, problemOf } from "./problems.js";

const PAGE = fileURLToPath(new URL("../dist/page/", import.meta.url));

const Query: z.ZodType<Question> = z.strictObject({
  loss: z.enum(names(LOSSES)),
  reduction: z.enum(names(REDUCTIONS)),
  by: z.enum(names(GROUPINGS)),
});

/** The page, and `GET /api/loss?loss=…&reduction=…&by=…`. */
export function createApp(client: Evaluator, patients: Patients): Hono {
  const app = new Hono();
  // The chart brings a style element of its own.
  const contentSecurityPolicy = { defaultSrc: ["'self'"], styleSrc: ["'self'", "'unsafe-inline'"] };
  app.use(secureHeaders({ contentSecurityPolicy }));

  app.get("/api/loss", async (context) => {
    const question = Query.parse(context.req.query());
    context.header("cache-control", "no-store");
    return context.json(await ask(client, patients, question, context.req.raw.signal));
  });
  app.use(serveStatic({ root: PAGE }));

  app.notFound(() => answer(problem(404, "Not found", "NOT_FOUND", "Nothing is here.")));
  app.onError((error, context) => {
    if (context.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const document = problemOf(error);
    if (document.status >= 500) console.error(document.status === 500 ? error : error.message);
    return answer(document);
  });
  return app;
}

function answer(document: Problem): Response {
  const { status, retryAfter } = document;
  const headers = new Headers({ "content-type": "application/problem+json" });
  headers.set("cache-control", "no-store");
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  return Response.json(document, { status, headers });
}

function names<T extends object>(choices: T): (keyof T & string)[] {
  return Object.keys(choices) as (keyof T & string)[];
}
