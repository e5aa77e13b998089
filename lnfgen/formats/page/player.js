// The page of pieces, each with its roll. One of them plays at a time.

import { placeAfter } from "./moves.js";
import { mix, pieceOf } from "./piece.js";
import { Playback } from "./playback.js";
import { Roll } from "./roll.js";
import { save } from "./save.js";
import { byId, Transport } from "./transport.js";
import { renderWav } from "./wav.js";

const pieces = JSON.parse(byId("data").textContent).map(pieceOf);
const articles = [...document.querySelectorAll("article")];
const rolls = pieces.map((piece, index) => {
  return new Roll(piece, articles[index].querySelector(".roll"), index);
});

let current = 0;
const playback = new Playback(refresh);
playback.piece = pieces[current];
const transport = new Transport(playback, () => rolls[current]);

function refresh() {
  articles.forEach((article, index) => {
    const sounds = playback.isPlaying && index === current;
    const button = article.querySelector(".play");
    article.classList.toggle("current", index === current);
    button.classList.toggle("playing", sounds);
    button.setAttribute("aria-label", `${sounds ? "Pause" : "Play"} ${pieces[index].name}`);
  });
  transport.refresh();
}

// Make another piece the one that the player plays.
function choose(index, quarters = 0) {
  if (index !== current) {
    const went = playback.isPlaying;
    playback.stop();
    current = index;
    playback.piece = pieces[index];
    playback.place = quarters;
    if (went) play();
  }
  refresh();
}

function play() {
  rolls[current].reveal();
  playback.play();
}

function toggle(index = current) {
  if (index !== current) {
    playback.pause();
    choose(index);
    play();
  } else if (playback.isPlaying) {
    playback.pause();
  } else {
    play();
  }
}

function hear(index) {
  const { parts } = pieces[index];
  mix(parts);
  if (index === current) playback.hear();
  for (const part of parts) {
    articles[index].classList.toggle(`without-${part.role}`, !part.heard);
  }
  rolls[index].show(rolls[index].position);
}

async function saveWav(index, button) {
  const status = byId("status");
  const piece = pieces[index];
  button.disabled = true;
  status.classList.add("unseen");
  status.textContent = `Rendering ${piece.name}`;
  try {
    const wav = await renderWav(piece, playback.quartersPerSecond(piece));
    save(wav, `${piece.file}.wav`);
    status.textContent = `Saved ${piece.file}.wav`;
  } catch (error) { // a piece of half an hour may need more memory than the browser gives
    status.textContent = `Cannot render ${piece.name}: ${error.message}`;
    status.classList.remove("unseen");
  }
  button.disabled = false;
}

articles.forEach((article, index) => {
  const button = article.querySelector(".play");
  const wav = article.querySelector(".wav");
  const roll = article.querySelector(".roll");
  button.hidden = false;
  wav.hidden = false;
  button.addEventListener("click", () => toggle(index));
  wav.addEventListener("click", () => saveWav(index, wav));
  roll.addEventListener("click", (event) => {
    const there = rolls[index].placeOf(event);
    if (index === current) {
      playback.seek(there);
    } else {
      choose(index, there);
    }
  });
  // Each part has two buttons, whose classes are `mute` and `solo`.
  article.querySelectorAll(".facts button").forEach((switcher, place) => {
    const part = pieces[index].parts[Math.floor(place / 2)];
    const kind = switcher.className;
    const name = `${switcher.textContent} ${part.role} of ${pieces[index].name}`;
    switcher.hidden = false;
    switcher.setAttribute("aria-label", name);
    switcher.addEventListener("click", () => {
      part[kind] = !part[kind];
      switcher.setAttribute("aria-pressed", part[kind]);
      hear(index);
    });
  });
  roll.addEventListener("focus", () => {
    if (!playback.isPlaying) choose(index, rolls[index].position);
  });
});

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const inRoll = rolls.findIndex((roll) => roll.element.contains(target));
  const index = inRoll < 0 ? current : inRoll;
  const place = index === current ? playback.placeNow() : 0;
  const there = placeAfter(event, pieces[index], place, inRoll >= 0);
  if (key === " ") {
    if (target.closest("a, button, [type=checkbox]")) return; // they have a use for it
    toggle(index);
  } else if (key === "Escape") {
    playback.stop();
  } else if (there !== undefined) {
    choose(index);
    playback.seek(there);
  } else {
    return;
  }
  rolls[current].reveal();
  event.preventDefault();
});

byId("play").addEventListener("click", () => toggle());
byId("stop").addEventListener("click", () => playback.stop());
byId("loop").addEventListener("input", () => playback.setLoop(byId("loop").checked));
addEventListener("beforeprint", () => rolls.forEach((roll) => roll.layout(700)));
addEventListener("afterprint", () => {
  rolls.forEach((roll) => roll.layout(roll.element.clientWidth));
});
for (const name of [".transport", ".keys"]) document.querySelector(name).hidden = false;
refresh();
