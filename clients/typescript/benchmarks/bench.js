// One line of JSON: median times of the client beside bare gRPC with the same bytes.
//
// LOSSMETER_GRPC is where the service is, LOSSMETER_ECHO where a server is that computes nothing.

import { Client as Channel, credentials, Metadata } from "@grpc/grpc-js";

import { Client } from "lossmeter-client";

const { LOSSMETER_GRPC = "", LOSSMETER_ECHO = "" } = process.env;
const LARGE = { rows: 1_000_000, times: 5 };
const SMALL = { rows: 32, times: 300 };
const COLUMNS = 10;
const MESSAGE_BYTES = 2 ** 20;
const CHANNEL_OPTIONS = { "grpc.max_send_message_length": -1 };

/** @param {number} rows */
function batch(rows) {
  const random = () => Float32Array.from({ length: rows * COLUMNS }, Math.random);
  return {
    predictions: { data: random(), shape: [rows, COLUMNS] },
    targets: { data: random().map(Math.round), shape: [rows, COLUMNS] },
    sample_weight: Float32Array.from({ length: rows }, Math.random),
  };
}

/**
 * The median milliseconds of a call.
 *
 * @param {number} times
 * @param {() => Promise<unknown>} call
 */
async function median(times, call) {
  await call();
  const found = [];
  for (let done = 0; done < times; done++) {
    const start = performance.now();
    await call();
    found.push(performance.now() - start);
  }
  return found.sort((a, b) => a - b)[times >> 1] ?? NaN;
}

const client = new Client(LOSSMETER_GRPC);
/** @param {typeof LARGE} size */
function ofClient({ rows, times }) {
  const inputs = batch(rows);
  const settings = { reduction: "weighted_mean" };
  return median(times, () => client.evaluate("binary_cross_entropy_with_logits", inputs, settings));
}

const echo = new Channel(LOSSMETER_ECHO, credentials.createInsecure(), CHANNEL_OPTIONS);
/** @param {Buffer} bytes */
const same = (bytes) => bytes;

/** @param {typeof LARGE} size */
function ofEcho({ rows, times }) {
  const bytes = Buffer.alloc(rows * (2 * COLUMNS + 1) * Float32Array.BYTES_PER_ELEMENT, 1);
  return median(times, () => (bytes.length > MESSAGE_BYTES ? streamed(bytes) : sent(bytes)));
}

/** @param {Buffer} bytes */
function sent(bytes) {
  return new Promise((resolve, reject) => {
    echo.makeUnaryRequest("/lossmeter.bench.Echo/Unary", same, same, bytes, (error, answer) => {
      if (error) reject(error);
      else resolve(answer);
    });
  });
}

/** @param {Buffer} bytes */
async function streamed(bytes) {
  /** @type {(answer: unknown) => void} */
  let resolve = () => undefined;
  const answer = /** @type {Promise<unknown>} */ (new Promise((done) => (resolve = done)));
  const path = "/lossmeter.bench.Echo/Stream";
  const call = echo.makeClientStreamRequest(path, same, same, new Metadata(), (error, found) => {
    resolve(error ? Promise.reject(error) : found);
  });
  for (let start = 0; start < bytes.length; start += MESSAGE_BYTES) {
    const room = call.write(bytes.subarray(start, start + MESSAGE_BYTES));
    if (!room) await new Promise((done) => call.once("drain", done));
  }
  call.end();
  return answer;
}

const found = {
  client: "typescript",
  large_seconds: (await ofClient(LARGE)) / 1000,
  small_ms: await ofClient(SMALL),
  echo_large_seconds: (await ofEcho(LARGE)) / 1000,
  echo_small_ms: await ofEcho(SMALL),
};
console.log(JSON.stringify(found));
client.close();
echo.close();
