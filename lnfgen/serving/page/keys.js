// The keys of the page. Letters do nothing while one types.

import { placeAfter } from "./moves.js";

const TYPED = "input:not([type=checkbox]):not([type=range]), textarea, select";

// Have keys do what `actions` names. `player` has `piece`, `placeNow` and `seek`; `hasLetters` is
// true unless the person has turned the letters off.
export function listen(actions, player, hasLetters) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.defaultPrevented || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return; // Escape closes it, and Space presses
    const isText = target.matches(TYPED) && !isNoText(event);
    const isDone = isText ? typed(event) : pressed(event, actions, player, hasLetters);
    if (isDone) event.preventDefault();
  });
}

// True of a key that writes nothing into a field of a number, and so is one of the page there too.
function isNoText({ key, target }) {
  return target.type === "number" && (key === " " || /^[a-df-z]$/i.test(key));
}

// While one types, the keys are the text's, but for Escape and Enter, which leave it.
function typed({ key, target }) {
  const isLeft = key === "Escape" || (key === "Enter" && !target.form);
  if (!isLeft) return false;
  target.blur();
  return true;
}

function pressed(event, actions, player, hasLetters) {
  const { key, target } = event;
  // AltGr, by which some keyboards type brackets, is Ctrl and Alt.
  const isTyping = event.getModifierState("AltGraph");
  if (!isTyping && (event.ctrlKey || event.metaKey)) return withControl(event, actions);
  if (!isTyping && event.altKey) return false;
  if (key === " ") {
    if (target.closest("a, summary, [type=checkbox], button:not(.pick)")) return false;
    return run(actions.toggle);
  }
  if (key === "Escape") return run(actions.escape);
  if (key === "F2") return run(actions.rename);
  if (key === "Delete") return run(actions.remove);
  const isOnRoll = Boolean(target.closest(".roll"));
  const there = player.piece && placeAfter(event, player.piece, player.placeNow(), isOnRoll);
  if (there !== undefined) {
    player.seek(there);
    return run(actions.reveal);
  }
  if (!hasLetters() || event.repeat) return false;
  if (/^[1-9]$/.test(key)) return run(() => actions.pick(Number(key) - 1));
  return run(actions.letters[key.toLowerCase()]);
}

function withControl({ key, shiftKey, altKey }, actions) {
  if (altKey) return false;
  const letter = key.toLowerCase();
  if (letter === "z") return run(shiftKey ? actions.redo : actions.undo);
  if (letter === "y") return run(actions.redo);
  return false;
}

function run(action) {
  action?.();
  return action !== undefined;
}
