// The parts of a band: which are drawn anew, which are muted, and which are heard alone. This holds
// for all takes.

import { button, byId, capital, element } from "./dom.js";
import { mix } from "./piece.js";

export class Band {
  // `changed` is called when other parts are heard.
  constructor(marking, changed) {
    this.marking = marking;
    this.changed = changed;
    this.switches = { mute: new Set(), solo: new Set() }; // the roles of parts
  }

  // Show the parts of a piece, and let it sound as the one before.
  fit(piece) {
    this.piece = piece;
    this.hear();
    byId("parts").replaceChildren(...piece.parts.map(({ role }) => this.line(role)));
  }

  line(role) {
    const { marking } = this;
    const title = "Marks this part: it alone is drawn anew";
    const mark = () => marking.toggleRole(role);
    const name = button(capital(role), { class: "part-name", title }, mark);
    name.dataset.role = role;
    name.prepend(element("i"));
    const line = element("span", { class: `facts part ${role}` }, name);
    for (const [kind, word] of [["mute", "Mute"], ["solo", "Solo"]]) {
      const isOn = () => String(this.switches[kind].has(role));
      const label = `${word} ${role}`;
      const attributes = { class: kind, "aria-label": label, "aria-pressed": isOn(), title: label };
      const switcher = button(word[0], attributes, () => {
        if (!this.switches[kind].delete(role)) this.switches[kind].add(role);
        switcher.setAttribute("aria-pressed", isOn());
        this.hear();
        this.changed();
      });
      line.append(switcher);
    }
    return line;
  }

  // Show which parts are marked.
  showMarks() {
    for (const name of document.querySelectorAll(".part-name")) {
      const isMarked = this.marking.roles.has(name.dataset.role);
      name.setAttribute("aria-pressed", String(isMarked));
      name.setAttribute("aria-label", `Draw ${name.dataset.role} anew`);
    }
  }

  hear() {
    for (const part of this.piece.parts) {
      part.mute = this.switches.mute.has(part.role);
      part.solo = this.switches.solo.has(part.role);
    }
    mix(this.piece.parts);
    const silent = this.piece.parts.filter((part) => !part.heard);
    byId("take").className = silent.map(({ role }) => `without-${role}`).join(" ");
  }
}
