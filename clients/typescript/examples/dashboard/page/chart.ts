import * as Plot from "@observablehq/plot";
import type { GroupLoss, LossByGroup } from "../src/choices.js";

/** The titles of the axes, with their units. */
export interface Titles {
  readonly loss: string;
  readonly group: string;
}

const FONT_SIZE = 13;
const ROW_HEIGHT = 74;
const MARGINS = { marginTop: 44, marginRight: 72, marginBottom: 68, marginLeft: 96 };

/**
 * Draws a bar from 0 for each group, the interval of each where there is one, and a line for all
 * patients together.
 */
export function chart(losses: LossByGroup, titles: Titles, width: number): Element {
  const picture = plot(losses, titles, width);
  picture.role = "img";
  picture.ariaLabel = `${titles.loss}. ${losses.groups.map(told).join("; ")}.`;
  return picture;
}

function plot({ overall, groups }: LossByGroup, titles: Titles, width: number): Element {
  const furthest = Math.max(overall.value, ...groups.map(reach));
  const ticks = Math.round(width / 90);
  return Plot.plot({
    ...MARGINS,
    width,
    height: MARGINS.marginTop + MARGINS.marginBottom + ROW_HEIGHT * groups.length,
    style: { background: "none", fontFamily: "inherit", fontSize: `${String(FONT_SIZE)}px` },
    x: { domain: [0, furthest * 1.04] },
    y: { domain: groups.map(({ group }) => group), padding: 0.34 },
    marks: [
      Plot.gridX({ ticks, stroke: "var(--line)", strokeOpacity: 1 }),
      Plot.axisX({ ticks, tickFormat: short, label: null }),
      Plot.axisY({ tickSize: 0, label: null, text: groups.map(named), lineHeight: 1.3 }),
      Plot.barX(groups, { x: "value", y: "group", fill: "var(--bar)", className: "bars" }),
      Plot.ruleX([0]),
      ...everyone(overall, overall.value > furthest / 2),
      Plot.ruleY(
        groups.filter(({ interval }) => interval !== undefined),
        {
          x1: ({ interval }: GroupLoss) => interval?.[0],
          x2: ({ interval }: GroupLoss) => interval?.[1],
          y: "group",
          strokeWidth: 1.5,
          marker: "tick",
          className: "intervals",
        },
      ),
      Plot.text(groups, {
        y: "group",
        text: ({ value }: GroupLoss) => number(value),
        frameAnchor: "right",
        textAnchor: "start",
        dx: 10,
        fontSize: 15,
        fontWeight: 600,
        className: "values",
      }),
      Plot.text([titles.group], {
        frameAnchor: "top-left",
        textAnchor: "start",
        dx: -MARGINS.marginLeft,
        dy: -36,
      }),
      // A title too long for a phone takes two lines.
      Plot.text([titles.loss], {
        frameAnchor: "bottom",
        lineAnchor: "top",
        dy: 34,
        lineHeight: 1.3,
        lineWidth: (width - MARGINS.marginLeft + MARGINS.marginRight) / FONT_SIZE,
      }),
    ],
  });
}

/** A loss to three figures, or to the unit. */
function number(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

/** So short that the ticks of a phone's axis stay apart. */
function short(tick: number): string {
  return tick.toLocaleString("en", { notation: "compact" });
}

function everyone({ value }: LossByGroup["overall"], leftward: boolean): Plot.Markish[] {
  return [
    Plot.ruleX([value], { stroke: "var(--accent)", strokeWidth: 2, strokeDasharray: "5 4" }),
    Plot.text([`all patients: ${number(value)}`], {
      x: [value],
      frameAnchor: "top",
      textAnchor: leftward ? "end" : "start",
      dy: -14,
      fill: "var(--accent)",
      className: "everyone",
    }),
  ];
}

function told({ group, count, value }: GroupLoss): string {
  return `${group}, ${String(count)} patients: ${number(value)}`;
}

function named({ group, count }: GroupLoss): string {
  return `${group}\n${String(count)} patients`;
}

function reach({ value, interval }: GroupLoss): number {
  return Math.max(value, interval?.[1] ?? 0);
}
