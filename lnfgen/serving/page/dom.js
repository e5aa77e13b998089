// Elements of the page. Texts are set as texts, so that no name can be taken for HTML.

export { byId } from "./transport.js";

// An element with attributes and children, which are elements or texts. An attribute that is true
// has no value; one that is false, null or undefined is left out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children);
  return made;
}

export function button(label, attributes, pressed) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", pressed);
  return made;
}

export function capital(words) {
  return words[0].toUpperCase() + words.slice(1);
}

export function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
