import {
  GROUPINGS,
  LOSSES,
  REDUCTIONS,
  type GroupingChoice,
  type LossByGroup,
  type LossChoice,
  type Problem,
  type Question,
  type ReductionChoice,
} from "../src/choices.js";
import { chart } from "./chart.js";

/** Longest wait for the back end, in milliseconds; it gives up on the service before that. */
const PATIENCE_MS = 15_000;

/** Why there is no answer, for the viewer. */
class Failure extends Error {
  constructor(
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

const form = element("choices", HTMLFormElement);
const section = element("answer", HTMLElement);

/** What is on the chart, to draw it anew where the width changes. */
let drawn: { readonly question: Question; readonly losses: LossByGroup } | undefined;
let asking = new AbortController();

function element<T extends HTMLElement>(id: string, kind: abstract new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new TypeError(`the page has no ${id}`);
  return found;
}

function say(id: string, text: string): void {
  element(id, HTMLElement).textContent = text;
}

/** Fills a list; what the address names is chosen. */
function offer(name: keyof Question, choices: Record<string, { readonly title: string }>): void {
  const wanted = new URLSearchParams(location.search).get(name);
  const options = Object.entries(choices).map(
    ([value, { title }]) => new Option(title, value, false, value === wanted),
  );
  element(name, HTMLSelectElement).replaceChildren(...options);
}

function chosen(): Question {
  return Object.fromEntries(new FormData(form)) as unknown as Question;
}

/** Asks for what is chosen; an answer that comes after another choice is dropped. */
async function show(): Promise<void> {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const question = chosen();
  const query = `?${new URLSearchParams({ ...question }).toString()}`;
  history.replaceState(null, "", query);
  section.ariaBusy = "true";
  try {
    const losses = await ask(query, signal);
    drawn = { question, losses };
    describe(question, losses);
  } catch (error) {
    if (signal.aborted) return;
    drawn = undefined;
    tell(error);
  }
  element("problem", HTMLElement).hidden = drawn !== undefined;
  element("figure", HTMLElement).hidden = drawn === undefined;
  draw();
  section.ariaBusy = "false";
}

async function ask(query: string, left: AbortSignal): Promise<LossByGroup> {
  const signal = AbortSignal.any([left, AbortSignal.timeout(PATIENCE_MS)]);
  const response = await fetch(`/api/loss${query}`, { signal });
  if (response.ok) return (await response.json()) as LossByGroup;
  const { title, detail } = (await response.json()) as Problem;
  throw new Failure(title, detail);
}

function titles(question: Question) {
  const loss: LossChoice = LOSSES[question.loss];
  const { prefix }: ReductionChoice = REDUCTIONS[question.reduction];
  const grouping: GroupingChoice = GROUPINGS[question.by];
  const name = `${prefix} ${loss.title.toLowerCase()}`;
  return {
    heading: `${name} by ${grouping.title.toLowerCase()}`,
    meaning: loss.meaning,
    loss: `${name} (${loss.unit})`,
    group: `${grouping.title} (${grouping.unit})`,
  };
}

function describe(question: Question, { overall, groups }: LossByGroup): void {
  const { heading, meaning } = titles(question);
  say("title", heading);
  say("meaning", meaning);
  const intervals = groups.some(({ interval }) => interval !== undefined);
  say(
    "caption",
    `${String(overall.count)} patients; shorter bars are better.` +
      (intervals ? " Whiskers: 95% confidence interval of the group’s mean." : ""),
  );
}

function tell(error: unknown): void {
  const { title, detail } =
    error instanceof Failure
      ? error
      : new Failure("The dashboard is away", "Its own server does not answer.");
  say("title", "No answer");
  say("meaning", "");
  say("problem-title", `${title}.`);
  say("problem-detail", detail);
}

function draw(): void {
  if (!drawn) return;
  const place = element("chart", HTMLElement);
  place.replaceChildren(chart(drawn.losses, titles(drawn.question), place.clientWidth));
}

offer("loss", LOSSES);
offer("reduction", REDUCTIONS);
offer("by", GROUPINGS);
form.addEventListener("change", () => void show());
element("again", HTMLElement).addEventListener("click", () => void show());
new ResizeObserver(draw).observe(element("chart", HTMLElement));
void show();
