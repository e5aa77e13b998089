// Marks bars of the roll, and parts of a band: what is drawn anew, and what a loop repeats.

import { counted } from "./dom.js";
import { EdgeScroll } from "./edge_scroll.js";

const A_DRAG = 5; // pixels; less is a click

export class Marking {
  // `changed` is called when other bars or parts are marked.
  constructor(changed) {
    this.changed = changed;
    this.first = undefined; // bars, counted from 1; undefined without marks
    this.last = undefined;
    this.roles = new Set();
    this.numBars = 0;
  }

  // Take over the bars and the parts of a piece. Marks outside it are taken away.
  fit(piece) {
    this.piece = piece;
    this.numBars = Math.max(1, Math.ceil((piece.length - piece.upbeat) / piece.bar - 1e-9));
    if (this.first > this.numBars) this.first = undefined;
    if (this.first !== undefined) this.last = Math.min(this.last, this.numBars);
    const roles = piece.parts.map((part) => part.role);
    this.roles = new Set([...this.roles].filter((role) => roles.includes(role)));
    this.changed();
  }

  get hasBars() {
    return this.first !== undefined;
  }

  // The bar of a place in quarters; an upbeat counts to the first one.
  barOf(place) {
    const { bar, upbeat } = this.piece;
    const number = Math.floor((place - upbeat) / bar + 1e-6) + 1;
    return Math.max(1, Math.min(number, this.numBars));
  }

  // Where the marked bars begin and end, in quarters; undefined without them.
  get stretch() {
    if (!this.hasBars) return undefined;
    const { bar, upbeat, length } = this.piece;
    const to = Math.min(upbeat + this.last * bar, length);
    return { from: upbeat + (this.first - 1) * bar, to };
  }

  // Mark all bars between two, these included, in whichever order.
  mark(one, other = one) {
    this.first = Math.min(one, other);
    this.last = Math.max(one, other);
    this.changed();
  }

  clear() {
    this.first = undefined;
    this.last = undefined;
    this.roles = new Set();
    if (this.piece) this.changed();
  }

  // Begin or end the marks at a bar. Where nothing is marked, or the other end would be on the
  // wrong side, this bar alone is marked.
  begin(bar) {
    this.mark(bar, this.hasBars && this.last >= bar ? this.last : bar);
  }

  end(bar) {
    this.mark(this.hasBars && this.first <= bar ? this.first : bar, bar);
  }

  toggleRole(role) {
    if (!this.roles.delete(role)) this.roles.add(role);
    this.changed();
  }

  // What is marked, in words; empty for nothing.
  get words() {
    let bars = "";
    if (this.hasBars) {
      const isOne = this.first === this.last;
      bars = isOne ? `bar ${this.first}` : `bars ${this.first}–${this.last}`;
    }
    const parts = [...this.roles].join(", ");
    if (bars && parts) return `${bars} of ${parts}`;
    return bars || parts;
  }

  get state() {
    return { first: this.first, last: this.last, roles: [...this.roles] };
  }

  restore({ first, last, roles = [] } = {}) {
    this.first = first;
    this.last = last;
    this.roles = new Set(roles);
  }

  // Mark by dragging over an element, whose present roll `roll` gives. A drag that is held at an
  // edge scrolls the page. On a touch screen any drag over the notes does so, and there the line of
  // bar numbers marks. A click is left to `clicked`, which is called with its place.
  listen(element, roll, clicked) {
    let drag;
    const bar = (event) => this.barOf(roll().placeOf(event));
    const markTo = (event) => this.mark(drag.bar, bar(event));
    const edges = new EdgeScroll(element, markTo);
    element.addEventListener("pointerdown", (event) => {
      const isOnRuler = event.target.matches(".ruler");
      if (event.button || event.target.closest("input")) return;
      if (event.pointerType === "touch" && !isOnRuler) return;
      const { clientX, clientY, pointerId } = event;
      drag = { x: clientX, y: clientY, bar: bar(event), pointerId, isMarking: false };
      if (isOnRuler) {
        drag.isMarking = true;
        if (event.shiftKey && this.hasBars) drag.bar = this.farEnd(drag.bar);
        markTo(event);
      }
      edges.begin(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (drag?.pointerId !== event.pointerId) return;
      const moved = Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
      if (!drag.isMarking && moved < A_DRAG) return;
      if (!drag.isMarking || !element.hasPointerCapture(event.pointerId)) {
        drag.isMarking = true;
        element.setPointerCapture(event.pointerId);
      }
      markTo(event);
      edges.follow(event);
    });
    const end = () => {
      edges.end();
      if (drag?.isMarking) {
        // The click that follows is none.
        element.addEventListener("click", swallow, { capture: true, once: true });
        setTimeout(() => element.removeEventListener("click", swallow, { capture: true }));
      }
      drag = undefined;
    };
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
    element.addEventListener("click", (event) => {
      if (!event.target.closest("input")) clicked(roll().placeOf(event));
    });
  }

  // The end of the marks that is farther from a bar.
  farEnd(bar) {
    return Math.abs(bar - this.first) > Math.abs(bar - this.last) ? this.first : this.last;
  }
}

function swallow(event) {
  event.stopImmediatePropagation();
}

// What a screen reader reads when marks change.
export function announcement(marking) {
  if (!marking.words) return "Nothing is marked";
  const { first, last, hasBars, words } = marking;
  const bars = hasBars ? `, ${counted(last - first + 1, "bar")}` : "";
  return `Marked ${words}${bars}`;
}
