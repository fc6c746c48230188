import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { serve, type ServerType } from "@hono/node-server";

import { createApp } from "../src/app.js";
import type { Evaluator } from "../src/ask.js";
import { patients } from "./fake.js";

/** The dashboard on a free port. */
export async function serving(client: Evaluator): Promise<{ address: string; server: ServerType }> {
  const { fetch } = createApp(client, patients);
  const server = serve({ fetch, port: 0, hostname: "127.0.0.1" });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${String(port)}`, server };
}
