// The form of wishes: each is chosen by its name, and then has a slider with two ends over what is
// usual in the data, or a choice.

import { button, byId, element } from "./dom.js";

const STEPS = 100; // of a slider, about
const PITCHES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

export class WishForm {
  // `changed` is called when other wishes are asked for.
  constructor(changed) {
    this.changed = changed;
    this.known = [];
    this.rows = new Map(); // of the wishes that are asked for, by their names
    byId("add-wish").addEventListener("change", (event) => {
      const wish = this.known.find(({ name }) => name === event.target.value);
      event.target.value = "";
      this.add(wish);
      this.rows.get(wish.name).line.querySelector("input, select").focus();
    });
  }

  // Offer these wishes, and ask for some, by their names and values.
  offer(wishes, asked) {
    this.known = wishes.filter((wish) => wish.choices || wish.low < wish.high);
    for (const wish of this.known) {
      if (wish.name in asked) this.add(wish, asked[wish.name]);
    }
    this.list();
  }

  list() {
    const first = element("option", { value: "" }, "Add a wish…");
    const others = this.known.filter(({ name }) => !this.rows.has(name));
    const options = others.map(({ name, what }) => {
      return element("option", { value: name, title: what }, wordsOf(name));
    });
    byId("add-wish").replaceChildren(first, ...options);
    byId("add-wish").disabled = !options.length;
  }

  add(wish, value) {
    const row = wish.choices ? new Choice(wish, value) : new Range(wish, value);
    row.line = element("div", { class: "wish", title: wish.what });
    const name = element("span", { class: "wish-name" }, wordsOf(wish.name));
    const label = `No wish for ${wordsOf(wish.name)}`;
    const remove = button("×", { class: "small", "aria-label": label }, () => {
      this.rows.delete(wish.name);
      row.line.remove();
      this.list();
      byId("add-wish").focus();
      this.changed();
    });
    row.line.append(name, ...row.parts, remove);
    row.line.addEventListener("input", () => this.changed());
    this.rows.set(wish.name, row);
    byId("wishes").append(row.line);
    this.list();
    this.changed();
  }

  // The wishes that ask for something, as the server takes them.
  get want() {
    const entries = [...this.rows].map(([name, row]) => [name, row.value]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }

  get state() {
    return Object.fromEntries([...this.rows].map(([name, row]) => [name, row.state]));
  }
}

// One of several values.
class Choice {
  constructor({ name, choices }, value) {
    this.select = element("select", { "aria-label": wordsOf(name) });
    this.select.append(...choices.map((choice) => element("option", { value: choice }, choice)));
    if (choices.includes(value)) this.select.value = value;
    this.parts = [this.select];
  }

  get value() {
    return this.select.value;
  }

  get state() {
    return this.value;
  }
}

// A slider with two ends. An end that is as far out as it goes asks for nothing.
class Range {
  constructor({ name, low, high, step, unit }, state) {
    this.unit = unit;
    this.step = step ?? stepOf(high - low);
    this.low = Math.floor(low / this.step) * this.step;
    this.high = Math.ceil(high / this.step) * this.step;
    const [from, to] = state ?? [this.low, this.high];
    this.ends = [
      this.end(`${wordsOf(name)}, at least`, from),
      this.end(`${wordsOf(name)}, at most`, to),
    ];
    this.filled = element("span", { class: "filled" });
    this.shown = element("output", { class: "shown" });
    const slider = element("span", { class: "two-ends" }, this.filled, ...this.ends);
    this.parts = [slider, this.shown];
    this.show();
  }

  end(label, value) {
    const input = element("input", { type: "range", "aria-label": label, step: "any" });
    Object.assign(input, { min: this.low, max: this.high, step: this.step, value });
    input.addEventListener("input", () => {
      this.keepOrder(input);
      this.show();
    });
    return input;
  }

  // An end that is pushed past the other one takes it along.
  keepOrder(moved) {
    const [from, to] = this.ends;
    if (from.valueAsNumber <= to.valueAsNumber) return;
    const other = moved === from ? to : from;
    other.value = moved.value;
  }

  show() {
    const [from, to] = this.ends.map((end) => end.valueAsNumber);
    const shares = [from, to].map((value) => (value - this.low) / (this.high - this.low));
    this.filled.style.left = `${100 * shares[0]}%`;
    this.filled.style.width = `${100 * (shares[1] - shares[0])}%`;
    const [least, most] = this.value ?? [null, null];
    let words = "any";
    if (least !== null && most !== null) words = `${this.words(from)} – ${this.words(to)}`;
    else if (least !== null) words = `${this.words(from)} or more`;
    else if (most !== null) words = `${this.words(to)} or less`;
    this.shown.textContent = words;
    this.ends[0].setAttribute("aria-valuetext", least === null ? "any" : this.words(from));
    this.ends[1].setAttribute("aria-valuetext", most === null ? "any" : this.words(to));
  }

  words(value) {
    if (this.unit === "pitch") return `${PITCHES[value % 12]}${Math.floor(value / 12) - 1}`;
    const digits = Math.max(0, Math.ceil(-Math.log10(this.step) - 1e-9));
    return `${value.toFixed(digits)}${this.unit ? ` ${this.unit}` : ""}`;
  }

  get value() {
    const [from, to] = this.ends.map((end) => end.valueAsNumber);
    const least = from > this.low ? from : null;
    const most = to < this.high ? to : null;
    return least === null && most === null ? undefined : [least, most];
  }

  get state() {
    return this.ends.map((end) => end.valueAsNumber);
  }
}

// A step of 1, 2 or 5 in some decimal place, so that a range has about a hundred.
function stepOf(range) {
  const power = 10 ** Math.floor(Math.log10(range / STEPS));
  const factor = [1, 2, 5, 10].find((each) => each * power >= range / STEPS);
  return factor * power;
}

function wordsOf(name) {
  return name.replaceAll("_", " ");
}
