// What a drawing is asked for beside the marks: how many, how wild, which wishes and chords.

import { byId } from "./dom.js";
import { WishForm } from "./wish_form.js";

const NUMBERS = ["count", "temperature", "amount", "bars", "seed"];
const TAKES_MARKED_BARS = ["fill", "harmonize"];
const TAKES_LENGTH = ["continue", "sample"];

export class Settings {
  // `boxes` has the chords; `changed` is called when something else is asked for.
  constructor(boxes, changed) {
    this.boxes = boxes;
    this.changed = changed;
    this.wishes = new WishForm(() => this.show());
    this.unknown = {}; // wishes that were asked for before those of the server were known
    for (const id of NUMBERS) {
      byId(id).addEventListener("input", () => this.show());
      // What is typed into a field takes the place of what is in it.
      byId(id).addEventListener("focus", ({ target }) => target.select());
    }
    this.show();
  }

  // The wishes that the server knows.
  offer(wishes) {
    this.wishes.offer(wishes, this.unknown);
    this.unknown = {};
  }

  // Show values beside their sliders, and at the fold which wishes are in it.
  show() {
    const share = Math.round(100 * byId("amount").valueAsNumber);
    showValue("temperature", byId("temperature").valueAsNumber.toFixed(2));
    showValue("amount", `${share} %`);
    const count = Object.keys(this.wishes.want).length;
    const asked = [];
    if (count) asked.push(count === 1 ? "1 wish" : `${count} wishes`);
    if (this.boxes.chart) asked.push("chords");
    byId("asked").textContent = asked.length ? `: ${asked.join(", ")}` : "";
    this.changed();
  }

  // A drawing as the server takes it.
  request(action, take, marking) {
    const request = {
      action,
      count: numberIn("count") ?? 1,
      temperature: numberIn("temperature"),
      seed: numberIn("seed"),
      want: this.wishes.want,
      chords: this.boxes.chart,
    };
    if (take) request.take = take.id;
    if (action === "fill") request.parts = [...marking.roles];
    if (action === "vary") request.amount = numberIn("amount");
    if (TAKES_MARKED_BARS.includes(action) && marking.hasBars) {
      request.first_bar = marking.first;
      request.last_bar = marking.last;
    }
    if (TAKES_LENGTH.includes(action) && numberIn("bars")) request.bars = numberIn("bars");
    return request;
  }

  get state() {
    return {
      numbers: Object.fromEntries(NUMBERS.map((id) => [id, byId(id).value])),
      wishes: { ...this.unknown, ...this.wishes.state },
      chart: this.boxes.chart,
      isOpen: byId("more").open,
    };
  }

  restore({ numbers = {}, wishes = {}, chart = "", isOpen = false }) {
    for (const [id, value] of Object.entries(numbers)) byId(id).value = value;
    this.unknown = wishes;
    this.boxes.chart = chart;
    byId("more").open = isOpen;
    this.show();
  }
}

// The number in a field; null if it is empty.
function numberIn(id) {
  const number = byId(id).valueAsNumber;
  return Number.isNaN(number) ? null : number;
}

function showValue(id, words) {
  byId(`${id}-value`).textContent = words;
  byId(id).setAttribute("aria-valuetext", words);
}
