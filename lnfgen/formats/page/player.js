
// The player: it hands notes to the audio clock a little ahead of time, and moves the playheads. Times of a piece are in
// quarter notes. Only one piece plays at a time.

const AHEAD = 0.4; // seconds; more would delay a change of tempo, less would be late where the machine is busy
const AHEAD_HIDDEN = 2.5; // browsers call the timers of a hidden page once a second at most
const SLOWEST = 4, FASTEST = 1000; // quarters a minute that are played

const byId = (id) => document.getElementById(id);
const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const pieces = JSON.parse(byId("data").textContent).map((data) => {
  const notes = [];
  const parts = (data.parts ?? []).map((part) => ({ ...part, mute: false, solo: false, heard: true }));
  const stride = parts.length || 1; // the rows of a step
  for (let index = 0; index < data.notes.length; index += 3) {
    const [row, length, pitch] = data.notes.slice(index, index + 3);
    const part = parts[row % stride], step = Math.floor(row / stride), start = step * stride;
    const note = { start: start / data.grid, end: (start + length) / data.grid, pitch, given: false, part };
    const usual = part?.velocities ?? [], count = usual.length;
    note.loudness = ((count && usual[(step - data.upbeat / stride + count) % count]) || 80) / 80;
    note.isDrum = part?.role === "drums";
    note.sound = pitch + (note.isDrum ? DRUMS : part?.role === "bass" ? PLUCKED : 0);
    notes.push(note);
  }
  for (const index of data.given) notes[index].given = true;
  const length = data.steps / data.grid;
  const sounding = notes.reduce((sum, note) => sum + (note.isDrum ? 0 : note.end - note.start), 0);
  const [beats, unit] = data.metre;
  const events = notes.flatMap((note) => [{ start: note.start, note, on: true }, { start: note.end, note, on: false }]);
  events.sort((a, b) => a.start - b.start || a.on - b.on); // a note ends before its key is struck again
  events.push({ start: length });
  const level = 1.15 / Math.sqrt(Math.max(1, sounding / length)); // one voice alone is as loud as a choir
  const sounds = [...new Set(notes.map((note) => note.sound))]; // in the order in which they come
  const upbeat = data.upbeat / data.grid;
  const drums = data.drums ?? [];
  return { ...data, notes, parts, drums, events, sounds, length, level, upbeat, bar: 4 * beats / unit, beat: 4 / unit };
});

const articles = [...document.querySelectorAll("article")];
const rolls = pieces.map((piece, index) => new Roll(piece, articles[index].querySelector(".roll"), index));

let current = 0;
let playing = false;
let place = 0; // where the piece stands while it does not play
let origin = { time: 0, place: 0 }; // a time of the audio clock, and the place that sounds then
let next = 0; // the event to hand over next
let lap = 0; // quarters before this lap of a loop
let factor = 1; // of the tempo
let context, instrument, timer, drawing;
let held = new Map(); // the voice of each note that sounds

const quartersPerSecond = (piece = pieces[current]) => Math.min(FASTEST, Math.max(SLOWEST, piece.tempo * factor)) / 60;
const timeOf = (quarters) => origin.time + (quarters - origin.place) / quartersPerSecond();

// Where the piece is at a time of the audio clock, in quarters since the first lap began.
function placeAt(time) {
  return origin.place + Math.max(0, time - origin.time) * quartersPerSecond();
}

// The place that is heard now. That may be in a lap before the one whose notes are handed over.
function placeNow() {
  if (!timer) return place;
  const heard = placeAt(context.currentTime - (context.outputLatency || 0)) - lap;
  const { length } = pieces[current];
  return heard < 0 ? (lap ? length + heard % length : 0) : Math.min(heard, length);
}

function schedule() {
  const piece = pieces[current];
  const until = context.currentTime + (document.hidden ? AHEAD_HIDDEN : AHEAD);
  for (;;) {
    const event = piece.events[next];
    if (!event || timeOf(event.start + lap) > until) break;
    const time = Math.max(timeOf(event.start + lap), context.currentTime);
    if (event.on) {
      held.set(event.note, instrument.strike(event.note, time, piece.level));
    } else if (event.note) {
      if (held.has(event.note)) instrument.release(held.get(event.note), time);
      held.delete(event.note);
    } else if (byId("loop").checked) {
      lap += piece.length;
      next = -1;
    }
    next++;
  }
  const missing = piece.sounds.find((sound) => !instrument.samples.has(sound));
  if (missing !== undefined) instrument.sample(missing); // one a call, before it is needed
  if (next >= piece.events.length && placeAt(context.currentTime) > piece.length + lap) rest(0); // the last notes die away
}

function silence() {
  instrument?.silence();
  held = new Map();
}

// Begin to play at the present place. Notes that are held across it are struck.
function begin() {
  const piece = pieces[current];
  // The first sounds are made before the clock is read, so that a chord is struck at one time.
  for (const note of rolls[current].between(place, place + 2 * AHEAD * quartersPerSecond())) instrument.sample(note.sound);
  origin = { time: context.currentTime + 0.06, place };
  lap = 0;
  next = firstFrom(piece.events, place);
  for (const note of rolls[current].between(place, place + 1e-6)) {
    if (note.start < place && !note.isDrum) held.set(note, instrument.strike(note, origin.time, piece.level));
  }
  schedule();
}

async function play() {
  if (!context) {
    context = new AudioContext({ latencyHint: "interactive" });
    instrument = new Instrument(context);
    setVolume();
  }
  if (place >= pieces[current].length) place = 0;
  playing = true;
  refresh();
  rolls[current].reveal();
  await context.resume();
  if (!playing || timer) return;
  begin();
  timer = setInterval(schedule, 30);
  frame();
}

function rest(at) {
  place = at;
  playing = false;
  clearInterval(timer);
  timer = undefined;
  refresh();
}

function pause() {
  const at = placeNow();
  silence();
  rest(at);
}

function stop() {
  silence();
  rest(0);
}

function seek(quarters) {
  place = Math.max(0, Math.min(quarters, pieces[current].length));
  if (timer) {
    silence();
    begin();
  }
  refresh();
}

// Make another piece the one that the player plays.
function choose(index, quarters = 0) {
  if (index !== current) {
    const went = playing;
    stop();
    current = index;
    place = quarters;
    if (went) play();
  }
  refresh();
}

function toggle(index = current) {
  if (index !== current) {
    pause();
    choose(index);
    play();
  } else if (playing) {
    pause();
  } else {
    play();
  }
}

function frame() {
  cancelAnimationFrame(drawing);
  if (!playing) return;
  showPlace(true);
  drawing = requestAnimationFrame(frame);
}

function showPlace(follow) {
  const now = placeNow();
  rolls[current].show(now, follow);
  byId("clock").textContent = clockOf(now / quartersPerSecond() + 1e-6);
}

function refresh() {
  const piece = pieces[current];
  articles.forEach((article, index) => {
    const sounds = playing && index === current;
    const button = article.querySelector(".play");
    article.classList.toggle("current", index === current);
    button.classList.toggle("playing", sounds);
    button.setAttribute("aria-label", `${sounds ? "Pause" : "Play"} ${pieces[index].name}`);
  });
  byId("play").classList.toggle("playing", playing);
  byId("play").setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${piece.name}`);
  byId("now-title").textContent = piece.name;
  byId("duration").textContent = clockOf(Math.round(piece.length / quartersPerSecond()));
  const bpm = `♩ = ${Math.round(quartersPerSecond() * 60)}`;
  byId("tempo-value").textContent = bpm;
  byId("tempo").setAttribute("aria-valuetext", `${Math.round(quartersPerSecond() * 60)} quarter notes a minute`);
  showPlace(false);
}

function setTempo() {
  const now = timer && placeAt(context.currentTime);
  factor = byId("tempo").value / 100;
  if (timer) origin = { time: Math.max(context.currentTime, origin.time), place: now };
  refresh();
}

function setVolume() {
  const share = byId("volume").value / 100;
  byId("volume-value").textContent = `${Math.round(share * 100)} %`;
  instrument?.volume.gain.setTargetAtTime(share * share, context.currentTime, 0.02); // the ear hears ratios
}

// Hear the parts that are alone, or without such ones all that are not muted.
function mix(index) {
  const { parts } = pieces[index];
  const isAlone = parts.some((part) => part.solo);
  for (const part of parts) {
    part.heard = isAlone ? part.solo : !part.mute;
    instrument?.hear(part);
    articles[index].classList.toggle(`without-${part.role}`, !part.heard);
  }
  rolls[index].show(rolls[index].position);
}

async function saveWav(index, button) {
  const status = byId("status");
  button.disabled = true;
  status.classList.add("unseen");
  status.textContent = `Rendering ${pieces[index].name}`;
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await renderWav(pieces[index], quartersPerSecond(pieces[index])));
    link.download = `${pieces[index].file}.wav`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    status.textContent = `Saved ${link.download}`;
  } catch (error) { // a piece of half an hour may need more memory than the browser gives
    status.textContent = `Cannot render ${pieces[index].name}: ${error.message}`;
    status.classList.remove("unseen");
  }
  button.disabled = false;
}

articles.forEach((article, index) => {
  const [button, wav, roll] = [".play", ".wav", ".roll"].map((name) => article.querySelector(name));
  button.hidden = wav.hidden = false;
  button.addEventListener("click", () => toggle(index));
  wav.addEventListener("click", () => saveWav(index, wav));
  roll.addEventListener("click", (event) => {
    const there = rolls[index].placeOf(event);
    if (index === current) seek(there);
    else choose(index, there);
  });
  article.querySelectorAll(".facts button").forEach((button, place) => {
    const part = pieces[index].parts[place >> 1], kind = button.className;
    button.hidden = false;
    button.setAttribute("aria-label", `${button.textContent} ${part.role} of ${pieces[index].name}`);
    button.addEventListener("click", () => {
      part[kind] = !part[kind];
      button.setAttribute("aria-pressed", part[kind]);
      mix(index);
    });
  });
  roll.addEventListener("focus", () => {
    if (!playing) choose(index, rolls[index].position);
  });
});

// Up, down and the page keys scroll the page, but on a roll they move within it, as on any slider.
const MOVES = { ArrowRight: 1, ArrowLeft: -1 };
const MOVES_ON_ROLL = { ArrowUp: 1, ArrowDown: -1, PageUp: 1, PageDown: -1 };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const inRoll = rolls.findIndex((roll) => roll.element.contains(target));
  const index = inRoll < 0 ? current : inRoll;
  const piece = pieces[index];
  const slides = target.matches("[type=range]");
  const move = MOVES[key] ?? (inRoll < 0 ? undefined : MOVES_ON_ROLL[key]);
  if (key === " ") {
    if (target.closest("a, button, [type=checkbox]")) return; // they have a use for it
    toggle(index);
  } else if (key === "Escape") {
    stop();
  } else if (move && !slides) {
    const step = event.shiftKey || key.startsWith("Page") ? piece.bar : piece.beat;
    choose(index);
    const at = (placeNow() - piece.upbeat) / step; // from the first bar line on
    seek(piece.upbeat + ((at < 0 ? Math.floor(at) : Math.round(at)) + move) * step);
  } else if (key === "Home" && !slides) {
    choose(index);
    seek(0);
  } else if (key === "End" && inRoll >= 0) {
    choose(index);
    seek(piece.length);
  } else {
    return;
  }
  rolls[current].reveal();
  event.preventDefault();
});

byId("play").addEventListener("click", () => toggle());
byId("stop").addEventListener("click", stop);
byId("tempo").addEventListener("input", setTempo);
byId("volume").addEventListener("input", setVolume);
document.addEventListener("visibilitychange", () => timer && schedule());
addEventListener("beforeprint", () => rolls.forEach((roll) => roll.layout(700)));
addEventListener("afterprint", () => rolls.forEach((roll) => roll.layout(roll.element.clientWidth)));
for (const name of [".transport", ".keys"]) document.querySelector(name).hidden = false;
setVolume();
refresh();
