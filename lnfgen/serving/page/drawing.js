// Drawings: what is asked of the server, how far it is, and what comes of it.

import { byId, capital, counted } from "./dom.js";
import { complain, quiet, say } from "./notice.js";
import * as server from "./server.js";

const PATIENCE = 1000; // milliseconds until the page says how far a drawing is

export class Drawing {
  // `took` is called with a take that was drawn, its number, and what was asked for; `lost` when
  // the server is gone.
  constructor({ took, lost }) {
    this.took = took;
    this.lost = lost;
    this.id = undefined; // of the drawing that goes on
    byId("cancel").addEventListener("click", () => this.cancel());
  }

  get isOn() {
    return this.id !== undefined;
  }

  // Ask for a drawing. It takes the place of the one that goes on, if there is one.
  async ask(request) {
    this.cancel();
    quiet();
    const attempt = Symbol("attempt");
    this.attempt = attempt;
    this.begin();
    let id;
    try {
      id = await server.draw(request);
    } catch (error) {
      if (this.attempt === attempt) this.end();
      throw error;
    }
    if (this.attempt === attempt) {
      this.follow(id, request);
    } else {
      await server.cancel(id); // another one was asked for meanwhile, or none
    }
  }

  // Follow a drawing to its end. There is no `request` for one that this page has not asked for.
  follow(id, request) {
    let count = 0;
    const warnings = new Set(); // takes of one drawing may have the same ones
    this.id = id;
    if (!this.timer) this.begin();
    const heard = {
      waiting: ({ ahead }) => this.show(`Waiting for ${counted(ahead, "other drawing")}`),
      progress: (progress) => this.show(wordsOf(progress), progress),
      take: (take) => this.took(take, count++, request),
      warning: ({ text }) => say([...warnings.add(text)].join(" · ")),
      done: () => this.end(),
      cancelled: () => this.end(),
      failed: ({ error }) => {
        this.end();
        complain(error);
      },
    };
    const lost = () => {
      this.end();
      this.lost();
    };
    this.leave = server.follow(id, heard, lost);
  }

  begin() {
    this.show("Drawing");
    byId("actions").setAttribute("aria-busy", "true");
    this.timer = setTimeout(() => {
      byId("progress").hidden = false;
    }, PATIENCE);
  }

  show(words, { done = 0, total = 0 } = {}) {
    byId("progress-words").textContent = words;
    const bar = byId("progress-bar");
    if (total) {
      bar.max = total;
      bar.value = done;
    } else {
      bar.removeAttribute("value");
    }
  }

  end() {
    this.attempt = undefined;
    this.id = undefined;
    this.leave?.();
    this.leave = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
    byId("actions").removeAttribute("aria-busy");
    byId("progress").hidden = true;
  }

  // Stop what is being drawn. Takes that are there already stay.
  cancel() {
    const { id } = this;
    if (this.timer) this.end();
    if (id !== undefined) server.cancel(id).catch(() => {}); // it may have ended by itself
  }
}

function wordsOf({ what, done, total }) {
  const words = capital(what || "drawing");
  return total > 1 ? `${words}: ${done} of ${total}` : words;
}
