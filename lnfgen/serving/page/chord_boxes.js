// Chords that are typed above the marked bars. They are one chart, a text, which can be typed as a
// whole too.

import { byId, element } from "./dom.js";

const NO_CHORD = "N.C."; // in a chart: anything may sound
const NARROWEST = 44; // pixels of a bar that has room for a box
const MOST = 32; // boxes

// The bars of a chart. Without bar lines each chord has a bar.
export function barsOf(chart) {
  const text = chart.trim();
  if (!text) return [];
  const bars = text.includes("|") ? text.replace(/\|\s*$/, "").split("|") : text.split(/\s+/);
  return bars.map((bar) => (bar.trim() === NO_CHORD ? "" : bar.trim()));
}

// A chart of these bars. The last bar line tells chords that share a bar from chords with one each.
export function chartOf(bars) {
  if (bars.every((bar) => !bar)) return "";
  return `${bars.map((bar) => bar || NO_CHORD).join(" | ")} |`;
}

export class ChordBoxes {
  constructor(changed) {
    this.field = byId("chords");
    this.layer = byId("chord-boxes");
    this.inputs = [];
    this.field.addEventListener("input", () => {
      this.fill();
      changed();
    });
    this.changed = changed;
  }

  get chart() {
    return this.field.value.trim();
  }

  set chart(text) {
    this.field.value = text;
    this.fill();
  }

  // Put a box above each marked bar, where there is room for it.
  lay(roll, marking) {
    const count = marking.hasBars ? marking.last - marking.first + 1 : 0;
    const width = roll.piece.bar * roll.scale;
    const hasRoom = width >= NARROWEST && count <= MOST;
    const bars = [];
    for (let index = 0; hasRoom && index < count; index++) bars.push(marking.first + index);
    const isSame = String(bars) === String(this.bars);
    if (!isSame) {
      this.bars = bars;
      this.inputs = bars.map((bar, index) => this.box(bar, index));
      this.layer.replaceChildren(...this.inputs);
      this.fill();
    }
    this.inputs.forEach((input, index) => {
      place(input, roll, bars[index]);
      const usual = index === 0 ? "chords" : "";
      input.placeholder = chordsOf(roll.piece, bars[index]) || usual;
    });
  }

  box(bar, index) {
    const label = `Chords of bar ${bar}`;
    const input = element("input", { type: "text", "aria-label": label, spellcheck: "false" });
    input.autocomplete = "off";
    input.addEventListener("input", () => this.typed(input, index));
    input.addEventListener("keydown", (event) => {
      // A bar line goes on to the next bar, as it does in a chart.
      const next = this.inputs[index + 1];
      if (event.key === "|" && next) {
        event.preventDefault();
        next.focus();
        next.select();
      }
    });
    return input;
  }

  // A chart that is pasted goes into this bar and those after it.
  typed(input, index) {
    if (input.value.includes("|")) {
      const pasted = barsOf(input.value);
      this.inputs.slice(index).forEach((other, place) => {
        other.value = pasted[place] ?? other.value;
      });
    }
    const bars = this.inputs.map(({ value }) => value.trim());
    this.field.value = chartOf(bars);
    this.changed();
  }

  // Write the chart into the boxes.
  fill() {
    const bars = barsOf(this.field.value);
    this.inputs.forEach((input, index) => {
      input.value = bars[index] ?? "";
    });
  }

  focus() {
    const [first] = this.inputs;
    if (first) {
      first.focus();
      first.select();
    } else {
      byId("more").open = true;
      this.field.focus();
    }
  }
}

// The chords that begin in a bar of a piece.
function chordsOf({ chords, upbeat, bar: length }, bar) {
  const from = upbeat + (bar - 1) * length - 1e-6;
  const own = chords.filter(([start]) => start >= from && start < from + length);
  return own.map(([, name]) => name).join(" ");
}

// Put a box where a bar is in a roll.
function place(input, roll, bar) {
  const { piece, scale } = roll;
  const start = piece.upbeat + (bar - 1) * piece.bar;
  const row = roll.rows.findLast(({ from }) => from <= start + 1e-6);
  const right = Math.min(start + piece.bar, row.to);
  input.style.left = `${row.x(start) + 1}px`;
  input.style.top = `${row.root.getBoundingClientRect().top - topOf(roll)}px`;
  input.style.width = `${(right - start) * scale - 2}px`;
}

const topOf = (roll) => roll.element.getBoundingClientRect().top;
