// The takes: which there are, which one is shown, which two are compared, and how one goes back.

import * as server from "./server.js";
import { pieceOf } from "./piece.js";

export class Takes {
  // `changed` is called when the list or anything in it is another; `shown` with a piece, when that
  // is to be shown.
  constructor(changed, shown) {
    this.changed = changed;
    this.shown = shown;
    this.list = []; // the newest drawing first
    this.current = undefined; // the id of the take that is shown
    this.wished = undefined; // the id of the take that is fetched, to be shown
    this.slots = { A: undefined, B: undefined }; // the ids of the two that are compared
    this.slot = "A"; // which of them is shown
    this.past = []; // ids, back to which one can go
    this.future = []; // ids, of which one went back
    this.removed = undefined; // the id of a take that was removed just now
    this.pieces = new Map(); // of takes, by their ids
    this.starredAlone = false;
  }

  get(id) {
    return this.list.find((take) => take.id === id);
  }

  get now() {
    return this.get(this.current);
  }

  get visible() {
    if (!this.starredAlone) return this.list;
    return this.list.filter((take) => take.starred || take.id === this.current);
  }

  // The pieces of the two takes that are compared, as far as they are at hand.
  get compared() {
    return Object.values(this.slots).map((id) => this.pieces.get(id)).filter(Boolean);
  }

  get canUndo() {
    return this.removed !== undefined || this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  // True if a list of the server is another one.
  differ(takes) {
    const own = this.list.map(summary).sort();
    return own.join() !== takes.map(summary).sort().join();
  }

  // Take over the list of the server.
  set(takes) {
    this.list = inGroups(takes);
    for (const slot of ["A", "B"]) {
      if (!this.get(this.slots[slot])) this.slots[slot] = undefined;
    }
    this.changed();
  }

  // Put a take into the list, in the place of its older version if there is one.
  put(take) {
    const others = this.list.filter(({ id }) => id !== take.id);
    this.set([...others, take]);
  }

  async piece(id) {
    if (!this.pieces.has(id)) {
      const take = await server.take(id);
      const piece = pieceOf({ ...take.piece, name: take.name, facts: take.facts });
      this.pieces.set(id, piece);
    }
    return this.pieces.get(id);
  }

  // The slot of a take, which is the present one for a take that is in none.
  slotOf(id) {
    return ["A", "B"].find((slot) => this.slots[slot] === id) ?? this.slot;
  }

  // Show a take in a slot. Where another one is chosen meanwhile, that one is shown.
  async show(id, slot = this.slotOf(id)) {
    this.wished = id;
    const piece = await this.piece(id);
    if (this.wished !== id) return;
    this.current = id;
    this.slot = slot;
    this.slots[slot] = id;
    this.shown(piece);
    this.changed();
  }

  // Show a take as a step that can be undone.
  async pick(id, slot) {
    if (this.current !== undefined && id !== this.current) {
      this.past.push(this.current);
      this.future = [];
    }
    this.removed = undefined;
    await this.show(id, slot);
  }

  // Compare what was drawn with what it was drawn from, and show the former. A new song is compared
  // with nothing.
  async compare(from, drawn) {
    this.slots = { A: from, B: undefined };
    await this.pick(drawn, from === undefined ? "A" : "B");
  }

  // Show the take of a slot. This is no step that can be undone.
  async hear(slot) {
    if (this.slots[slot] !== undefined) await this.show(this.slots[slot], slot);
  }

  // Go back to the take that was shown before, or take back a removal.
  async undo() {
    if (this.removed === undefined) {
      await this.step(this.past, this.future);
    } else {
      await this.bringBack(this.removed);
    }
  }

  async redo() {
    await this.step(this.future, this.past);
  }

  // Show the last of a list of ids that is another take and still there, and put the present one on
  // the other list.
  async step(from, to) {
    const isThere = (id) => id !== this.current && this.get(id);
    while (from.length && !isThere(from.at(-1))) from.pop();
    if (!from.length) return;
    to.push(this.current);
    await this.show(from.pop());
  }

  async change(id, changes) {
    const take = await server.changeTake(id, changes);
    const piece = this.pieces.get(id);
    if (piece) piece.name = take.name;
    this.put(take);
  }

  // Remove a take. If it was shown, the one that it came from is shown, or else its neighbour.
  async remove(id) {
    await server.removeTake(id);
    const index = this.list.findIndex((take) => take.id === id);
    const take = this.list[index];
    this.removed = id;
    this.set(this.list.filter((other) => other !== take));
    if (id !== this.current) return;
    const next = this.get(take.from) ?? this.list[index] ?? this.list[index - 1];
    if (next) await this.show(next.id);
  }

  async bringBack(id) {
    this.removed = undefined;
    this.put(await server.restoreTake(id));
    await this.show(id);
  }

  // What a reload keeps.
  get state() {
    const { current, slots, slot, past, future } = this;
    return { current, slots, slot, past, future };
  }

  restore({ current, slots = {}, slot = "A", past = [], future = [] } = {}) {
    Object.assign(this, { current, slot, past, future });
    for (const name of ["A", "B"]) {
      this.slots[name] = this.get(slots[name]) && slots[name];
    }
  }
}

function summary({ id, name, starred }) {
  return JSON.stringify([id, name, starred]);
}

// The takes of a drawing follow each other as they were drawn, and the newest drawing is first.
function inGroups(takes) {
  const groups = new Map();
  for (const take of takes.toSorted((a, b) => a.id.localeCompare(b.id))) {
    const name = groupOf(take);
    groups.set(name, [...(groups.get(name) ?? []), take]);
  }
  return [...groups.values()].reverse().flat();
}

// Takes of one drawing came from the same take by the same settings, the seed among them.
export function groupOf({ id, from, action, settings }) {
  return action === "open" ? id : JSON.stringify([from, action, settings]);
}
