// The page to work on: it puts the parts together, and says what each control and key does.

import { Band } from "./band.js";
import { ChordBoxes } from "./chord_boxes.js";
import { byId, capital } from "./dom.js";
import { Drawing } from "./drawing.js";
import { Heading } from "./heading.js";
import * as keys from "./keys.js";
import { announcement, Marking } from "./marking.js";
import { recall, remember } from "./memory.js";
import { complain, say } from "./notice.js";
import { takeIn } from "./opening.js";
import { Playback } from "./playback.js";
import { Roll } from "./roll.js";
import { saveAsWav } from "./saving.js";
import * as server from "./server.js";
import { Settings } from "./settings.js";
import { TakeList } from "./take_list.js";
import { Takes } from "./takes.js";
import { Transport } from "./transport.js";

const LARGE = { tallest: 350, thickest: 10, narrowest: 24, chordLine: 20, hasRuler: true };
const ROUND = 3000; // milliseconds between looks at the server
const ROUND_WHEN_GONE = 1000;

let session = {}; // what the server can do
let roll;
let numRolls = 0;
let isReady = false; // what the tab remembers is restored
let isGone = false; // the server does not answer

const playback = new Playback(refresh);
const transport = new Transport(playback, () => roll);
const marking = new Marking(showMarks);
const band = new Band(marking, hearBand);
const boxes = new ChordBoxes(() => settings.show());
const settings = new Settings(boxes, keep);
const takes = new Takes(showTakes, showPiece);
const drawing = new Drawing({ took, lost: lose });
const list = new TakeList(takes, {
  picked: (id) => attempt(() => takes.pick(id)),
  played: () => playback.play(),
  starred: star,
  removed: (id) => attempt(() => remove(id)),
});
const heading = new Heading({
  named: (name) => attempt(() => takes.change(takes.current, { name })),
  starred: () => star(takes.current),
  saveWav: () => saveWav(takes.now),
});

// Do something that asks the server, and say what went wrong.
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error instanceof server.Gone) {
      lose();
    } else if (error instanceof server.Refused) {
      complain(error.message);
    } else {
      throw error;
    }
  }
}

function speak(text) {
  byId("spoken").textContent = text;
}

// What is shown and heard.
// -------------------------------------------------------------------------------------------------

function refresh() {
  if (playback.piece) transport.refresh();
}

// Show the piece of a take, in the place where the one before stands or plays.
function showPiece(piece) {
  document.body.classList.remove("empty");
  roll?.close();
  roll = new Roll(piece, byId("roll"), numRolls++, { ...LARGE, beside: takes.compared });
  band.fit(piece);
  playback.change(piece);
  marking.fit(piece);
}

function showTakes() {
  list.show();
  byId("undo").disabled = !takes.canUndo;
  byId("redo").disabled = !takes.canRedo;
  for (const slot of ["A", "B"]) showSlot(slot, takes.get(takes.slots[slot]));
  const piece = takes.pieces.get(takes.current);
  if (takes.now && piece) heading.show(takes.now, piece.facts, session.formats);
  keep();
}

// Show which take is in one of the two places that are compared.
function showSlot(slot, take) {
  const button = byId(`slot-${slot}`);
  button.disabled = !take;
  button.setAttribute("aria-pressed", String(take !== undefined && slot === takes.slot));
  button.setAttribute("aria-label", `Hear ${slot}: ${take?.name ?? "no take"}`);
  button.title = take?.name ?? "A take that is picked or drawn comes here";
}

function showMarks() {
  const { words } = marking;
  roll.mark(marking.stretch);
  boxes.lay(roll, marking);
  band.showMarks();
  byId("marks").textContent = capital(words || "nothing marked");
  byId("unmark").hidden = !words;
  setLoop();
  keep();
}

function setLoop() {
  playback.setLoop(byId("loop").checked, marking.stretch);
}

function hearBand() {
  playback.hear();
  roll.show(roll.position);
}

function toggle() {
  if (playback.isPlaying) {
    playback.pause();
  } else if (playback.piece) {
    if (byId("loop").checked) enterLoop();
    roll.reveal();
    playback.play();
  }
}

// A loop begins with the marked bars, unless the playhead is in them.
function enterLoop() {
  const { stretch } = marking;
  const { place } = playback;
  if (stretch && (place < stretch.from || place >= stretch.to)) playback.seek(stretch.from);
}

// What is drawn.
// -------------------------------------------------------------------------------------------------

function draw(action) {
  const take = action === "sample" ? undefined : takes.now;
  if (action !== "sample" && !take) {
    complain("There is no take to draw from; open a file, or draw a new song");
  } else if (action === "fill" && !marking.words) {
    complain("Nothing is marked; drag over the roll, or press M, to mark what is drawn again");
  } else {
    attempt(() => drawing.ask(settings.request(action, take, marking)));
  }
}

// A take was drawn. The first one that this page has asked for is shown, unless another take was
// picked meanwhile. Others are shown where there is nothing else.
async function took(take, number, request) {
  takes.put(take);
  if (!request) {
    if (takes.current === undefined) await attempt(() => takes.pick(take.id));
  } else if (number === 0 && (!request.take || request.take === takes.current)) {
    await attempt(() => present(take, request.take));
  } else {
    await attempt(() => takes.piece(take.id)); // at hand when it is picked
  }
}

// Show a take beside the one that it was drawn from, and play it.
async function present(take, from) {
  if (!from) marking.clear(); // of another song
  await takes.compare(from, take.id);
  speak(`Drawn: ${take.name}`);
  if (byId("play-drawn").checked && !playback.isPlaying) playDrawn(take);
}

// Play what was drawn: the marked bars, or from the last bar before those that were added.
function playDrawn({ action, from }) {
  const before = takes.pieces.get(from);
  let start = playback.place;
  if (action === "fill" && marking.hasBars) start = marking.stretch.from;
  if (action === "continue" && before) start = Math.max(0, before.length - before.bar);
  if (action === "sample") start = 0;
  playback.seek(start);
  roll.reveal();
  playback.play();
}

// What is done with takes and files.
// -------------------------------------------------------------------------------------------------

function star(id) {
  const take = takes.get(id);
  if (take) attempt(() => takes.change(id, { starred: !take.starred }));
}

async function remove(id) {
  const { name } = takes.get(id);
  await takes.remove(id);
  const action = session.restore ? ["Undo", () => attempt(() => takes.undo())] : undefined;
  say(`Removed ${name}`, { action });
}

async function open(files) {
  for (const file of files) await attempt(() => openOne(file));
}

async function openOne(file) {
  say(`Reading ${file.name}`);
  const take = await server.open(file);
  takes.put(take);
  marking.clear();
  takes.slots.B = undefined;
  await takes.pick(take.id, "A");
  playback.seek(0);
  say([`Opened ${take.name}`, ...take.warnings].join(". "));
}

async function saveWav(take) {
  say(`Rendering ${take.name}`);
  try {
    const piece = await takes.piece(take.id);
    const file = await saveAsWav(piece, take, playback.quartersPerSecond(piece));
    say(`Saved ${file}`);
  } catch (error) { // a piece of half an hour may need more memory than the browser gives
    complain(`Cannot render ${take.name}: ${error.message}`);
  }
}

// The server, which may be gone for a while.
// -------------------------------------------------------------------------------------------------

function lose() {
  isGone = true;
  byId("gone").textContent =
    "The server does not answer. Start lnfgen serve again, and this page goes on by itself.";
  byId("actions").inert = true;
}

function regain() {
  isGone = false;
  byId("gone").textContent = "";
  byId("actions").inert = false;
  speak("The server is back");
}

// Look at the server again and again: whether it is there, and which takes there are, because a
// script may have drawn some.
async function look() {
  if (isGone || !document.hidden) await attempt(update);
  setTimeout(look, isGone ? ROUND_WHEN_GONE : ROUND);
}

async function update() {
  const all = await server.takes();
  if (isGone) regain();
  if (takes.differ(all)) takes.set(all);
  if (!takes.now && takes.list.length) await takes.show(takes.list[0].id);
  if (!session.wishes_ready) await learn();
}

// Learn what the server can do. It may need a while to know the ranges of wishes.
async function learn() {
  const wereReady = session.wishes_ready;
  session = await server.session();
  byId("run").textContent = session.run.split("/").at(-1); // of a path, its folder
  for (const button of document.querySelectorAll("[data-action]")) {
    button.hidden = !session.actions.includes(button.dataset.action);
  }
  if (session.wishes_ready && !wereReady) settings.offer(session.wishes);
}

// What a reload keeps.
// -------------------------------------------------------------------------------------------------

const CHECKS = ["loop", "play-drawn", "letters"];
const SLIDERS = ["tempo", "volume"];

function keep() {
  if (!isReady) return;
  remember({
    takes: takes.state,
    place: playback.piece ? playback.placeNow() : 0,
    marks: marking.state,
    settings: settings.state,
    checks: Object.fromEntries(CHECKS.map((id) => [id, byId(id).checked])),
    sliders: Object.fromEntries(SLIDERS.map((id) => [id, byId(id).value])),
  });
}

function restoreControls({ settings: asked = {}, checks = {}, sliders = {} }) {
  settings.restore(asked);
  for (const [id, isOn] of Object.entries(checks)) byId(id).checked = isOn;
  for (const [id, value] of Object.entries(sliders)) {
    byId(id).value = value;
    byId(id).dispatchEvent(new Event("input"));
  }
}

async function restore() {
  const kept = recall();
  restoreControls(kept);
  takes.set(await server.takes());
  takes.restore(kept.takes);
  marking.restore(kept.marks);
  const id = [takes.current, session.take, takes.list[0]?.id].find((known) => takes.get(known));
  if (id !== undefined) {
    await takes.show(id);
    playback.seek(kept.place ?? 0);
  }
  isReady = true;
  if (session.drawing) drawing.follow(session.drawing);
}

// Controls and keys.
// -------------------------------------------------------------------------------------------------

function press(id) {
  byId(id).click();
}

function markHere() {
  const bar = marking.barOf(playback.placeNow());
  const isInside = marking.hasBars && marking.first <= bar && bar <= marking.last;
  if (isInside) {
    marking.clear();
  } else {
    marking.mark(bar);
  }
  speak(announcement(marking));
}

function markEnd(end) {
  marking[end](marking.barOf(playback.placeNow()));
  speak(announcement(marking));
}

function escape() {
  if (drawing.isOn) {
    drawing.cancel();
    speak("Stopped drawing");
  } else {
    playback.stop();
  }
}

const withPiece = (action) => () => playback.piece && action();

const ACTIONS = {
  toggle,
  escape,
  reveal: () => roll.reveal(),
  rename: () => takes.now && heading.rename(),
  remove: () => takes.now && attempt(() => remove(list.focused ?? takes.current)),
  undo: () => attempt(() => takes.undo()),
  redo: () => attempt(() => takes.redo()),
  pick: (index) => {
    const take = takes.visible[index];
    if (take) attempt(() => takes.pick(take.id));
  },
  letters: {
    r: () => draw("fill"),
    d: () => draw("fill"),
    h: () => draw("harmonize"),
    g: () => draw("continue"),
    v: () => draw("vary"),
    n: () => draw("sample"),
    m: withPiece(markHere),
    "[": withPiece(() => markEnd("begin")),
    "]": withPiece(() => markEnd("end")),
    a: () => attempt(() => takes.hear("A")),
    b: () => attempt(() => takes.hear("B")),
    c: () => boxes.focus(),
    l: () => press("loop"),
    s: () => star(list.focused ?? takes.current),
    o: () => press("open"),
    w: () => {
      byId("more").open = !byId("more").open;
      if (byId("more").open) byId("temperature").focus({ preventScroll: true });
    },
    "?": () => byId("help").showModal(),
  },
};

for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => draw(button.dataset.action));
}
for (const slot of ["A", "B"]) {
  byId(`slot-${slot}`).addEventListener("click", () => attempt(() => takes.hear(slot)));
}
byId("play").addEventListener("click", toggle);
byId("stop").addEventListener("click", () => playback.stop());
byId("loop").addEventListener("input", () => {
  setLoop();
  keep();
});
byId("unmark").addEventListener("click", () => marking.clear());
byId("undo").addEventListener("click", ACTIONS.undo);
byId("redo").addEventListener("click", ACTIONS.redo);
byId("show-help").addEventListener("click", () => byId("help").showModal());
// A button that is pressed by a pointer does not take the focus, so that Space still plays.
document.addEventListener("mousedown", (event) => {
  if (event.target.closest("button:not(.pick), label.check, summary")) event.preventDefault();
});
addEventListener("pagehide", keep);
marking.listen(byId("roll"), () => roll, (place) => playback.seek(place));
new ResizeObserver(() => roll && boxes.lay(roll, marking)).observe(byId("roll"));
// The dock hides nothing that has the focus, and not the end of the list.
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--dock", `${target.offsetHeight}px`);
}).observe(document.querySelector(".dock"));
keys.listen(ACTIONS, playback, () => byId("letters").checked);
takeIn(open);

await attempt(async () => {
  await learn();
  await restore();
});
look();
