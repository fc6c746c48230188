import { serve } from "@hono/node-server";
import { Client } from "lossmeter-client";

import { createApp } from "./app.js";
import { readPatients } from "./patients.js";

const { LOSSMETER_GRPC = "localhost:8081", HOST = "localhost", PORT = "3000" } = process.env;

const client = new Client(LOSSMETER_GRPC);
const patients = readPatients(new URL("../data/diabetes.csv", import.meta.url));
const { fetch } = createApp(client, patients);

const server = serve({ fetch, hostname: HOST, port: Number(PORT) }, ({ port }) => {
  console.log(`http://${HOST}:${String(port)} shows what ${LOSSMETER_GRPC} computes`);
});
server.on("error", ({ message }) => {
  console.error(message);
  process.exit(1);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close(() => {
      client.close();
    });
  });
}
