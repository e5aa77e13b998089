// The list of takes. The first nine have a number, which is also the key that picks them.

import { button, byId, counted, element } from "./dom.js";
import { dragOut } from "./saving.js";
import { groupOf } from "./takes.js";

const MOST_NUMBERED = 9;

export class TakeList {
  // `picked`, `starred` and `removed` are called with the id of a take.
  constructor(takes, { picked, played, starred, removed }) {
    this.takes = takes;
    this.reactions = { picked, played, starred, removed };
    this.root = byId("takes");
    this.root.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const picks = [...this.root.querySelectorAll(".pick")];
      const present = event.target.closest("li").querySelector(".pick");
      picks[picks.indexOf(present) + step]?.focus();
    });
    byId("starred-alone").addEventListener("input", (event) => {
      takes.starredAlone = event.target.checked;
      this.show();
    });
  }

  show() {
    const { focused } = this;
    const { kind } = document.activeElement?.dataset ?? {};
    const { visible } = this.takes;
    const rows = visible.map((take, index) => {
      const isNewGroup = index > 0 && groupOf(take) !== groupOf(visible[index - 1]);
      return this.row(take, index, isNewGroup);
    });
    this.root.replaceChildren(...rows);
    byId("no-takes").hidden = rows.length > 0;
    if (focused) this.focus(focused, kind);
  }

  // The id of the take whose row has the focus.
  get focused() {
    return document.activeElement?.closest("#takes [data-take]")?.dataset.take;
  }

  focus(id, kind) {
    const row = this.root.querySelector(`[data-take="${CSS.escape(id)}"]`);
    row?.querySelector(`[data-kind="${kind}"]`)?.focus({ preventScroll: true });
  }

  row(take, index, isNewGroup) {
    const { takes, reactions } = this;
    const isCurrent = take.id === takes.current;
    const slots = ["A", "B"].filter((slot) => takes.slots[slot] === take.id);
    const number = index < MOST_NUMBERED ? String(index + 1) : "";
    const title = element("span", { class: "take-name" }, take.name);
    const about = element("span", { class: "take-about" }, aboutOf(take));
    const attributes = { class: "pick", "data-kind": "pick", "aria-current": isCurrent && "true" };
    const pick = button("", attributes, () => reactions.picked(take.id));
    pick.addEventListener("dblclick", () => reactions.played(take.id));
    pick.append(element("span", { class: "number", "aria-hidden": "true" }, number));
    const texts = element("span", { class: "take-texts" }, title, about);
    const badges = slots.map((slot) => element("span", { class: `slot ${slot}` }, slot));
    pick.append(texts, ...badges);
    const star = button(take.starred ? "★" : "☆", {
      class: "small star",
      "data-kind": "star",
      "aria-pressed": String(take.starred),
      "aria-label": `Star ${take.name}`,
    }, () => reactions.starred(take.id));
    const remove = button("×", {
      class: "small remove",
      "data-kind": "remove",
      "aria-label": `Remove ${take.name}`,
    }, () => reactions.removed(take.id));
    const classes = [isCurrent && "current", isNewGroup && "new-group"].filter(Boolean).join(" ");
    const row = element("li", { class: classes, "data-take": take.id, draggable: "true" });
    row.append(pick, star, remove);
    row.addEventListener("dragstart", (event) => dragOut(event, take, "mid"));
    return row;
  }
}

// What a take is, in a few words.
function aboutOf({ action, bars, drawn_notes: notes, key }) {
  const isWhole = ["open", "sample", "continue"].includes(action);
  const size = isWhole ? counted(bars, "bar") : `${counted(notes, "note")} drawn`;
  return [size, key].filter(Boolean).join(" · ");
}
