export {
  Answer,
  type AnswerFields,
  type Answers,
  type DialectAnswer,
  type Explanation,
  type Group,
  type LossDescriptor,
  type LossInput,
  type LossSymbol,
  type Step,
  type Value,
} from "./answers.js";
export { LossmeterError, type Code, type Told } from "./errors.js";
export { Methods } from "./methods.js";
export type {
  ExportSettings,
  Limits,
  Loss,
  Losses,
  LossSpec,
  Options,
  Params,
  Reduction,
  Settings,
} from "./requests.js";
export { HttpClient, type HttpClientOptions } from "./rest.js";
export {
  tensor,
  type DType,
  type Elements,
  type Input,
  type Inputs,
  type Nested,
  type Shaped,
  type Tensor,
  type TypedArray,
} from "./tensors.js";
export { ExactSum } from "./exact.js";
export type { Finished, StateReduction } from "./reductions.js";
export {
  mergeStates,
  State,
  type GroupKey,
  type MergeSettings,
  type Specification,
} from "./state.js";
