// One line that says what happened or went wrong. It stays until it is dismissed, or until the next
// drawing. A screen reader reads it.

import { button, byId } from "./dom.js";

// Show a text. `action` may be the label of a button and what it does.
export function say(text, { isError = false, action } = {}) {
  const line = byId("notice");
  const words = document.createElement("span");
  words.textContent = text;
  line.classList.toggle("error", isError);
  line.replaceChildren(words);
  if (action) {
    const [label, run] = action;
    const pressed = () => {
      quiet();
      run();
    };
    line.append(button(label, { class: "link" }, pressed));
  }
  line.append(button("×", { class: "small", "aria-label": "Dismiss this message" }, quiet));
}

export function complain(text) {
  say(text, { isError: true });
}

export function quiet() {
  byId("notice").replaceChildren();
}
