export * from "./browser.js";
export { Client, type ClientOptions, type Tls } from "./rpc.js";
