
// The player: it hands notes to the audio clock a little ahead of time, and moves the playheads.
// Times of a piece are in quarter notes. Only one piece plays at a time.

// Seconds ahead; more would delay a change of tempo, less would be late where the machine is busy.
const AHEAD = 0.4;
const AHEAD_HIDDEN = 2.5; // browsers call the timers of a hidden page once a second at most
const SLOWEST = 4; // quarters a minute that are played
const FASTEST = 1000;
const USUAL_VELOCITY = 80; // of MIDI, for a part that names none
const MOMENT = 1e-6; // quarters, less than any note lasts

const byId = (id) => document.getElementById(id);

function clockOf(seconds) {
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return `${Math.floor(seconds / 60)}:${rest}`;
}

// The number of the sound of a note.
function soundOf(pitch, role) {
  if (role === "drums") return pitch + DRUMS;
  if (role === "bass") return pitch + PLUCKED;
  return pitch;
}

// The notes of a piece, sorted by their starts, and those of one moment by their parts. Music of
// one part has no entry in `parts`.
function notesOf(data, parts) {
  const notes = data.notes.flatMap((numbers, index) => {
    const own = notesOfPart(data, numbers, parts[index]);
    for (const place of data.given[index]) own[place].given = true;
    return own;
  });
  return notes.sort((a, b) => a.start - b.start);
}

// The notes of a part, which has three numbers for each: the step where it begins, its length and
// its pitch.
function notesOfPart(data, numbers, part) {
  const notes = [];
  for (let index = 0; index < numbers.length; index += 3) {
    const [step, length, pitch] = numbers.slice(index, index + 3);
    notes.push({
      start: step / data.grid,
      end: (step + length) / data.grid,
      pitch,
      part,
      given: false,
      isDrum: part?.role === "drums",
      sound: soundOf(pitch, part?.role),
      loudness: velocityOf(part, step - data.upbeat) / USUAL_VELOCITY,
    });
  }
  return notes;
}

// The velocity of a part at a step, counted from the first bar line on.
function velocityOf(part, step) {
  const velocities = part?.velocities ?? []; // for each step of a bar
  const count = velocities.length;
  if (!count) return USUAL_VELOCITY;
  return velocities[(step + count) % count] || USUAL_VELOCITY;
}

// When notes begin and end, and at last when the piece does.
function eventsOf(notes, length) {
  const events = [];
  for (const note of notes) {
    events.push({ start: note.start, note, on: true });
    events.push({ start: note.end, note, on: false });
  }
  // A note ends before its key is struck again.
  events.sort((a, b) => a.start - b.start || a.on - b.on);
  events.push({ start: length });
  return events;
}

function pieceOf(data) {
  const given = data.parts ?? [];
  const parts = given.map((part) => ({ ...part, mute: false, solo: false, heard: true }));
  const notes = notesOf(data, parts);
  const length = data.steps / data.grid;
  const pitched = notes.filter((note) => !note.isDrum);
  const sounding = pitched.reduce((sum, note) => sum + (note.end - note.start), 0);
  const voices = Math.max(1, sounding / length); // that sound together, on average
  const [beats, unit] = data.timeSignature;
  return {
    ...data,
    notes,
    parts,
    drums: data.drums ?? [],
    chords: (data.chords ?? []).map(([step, name]) => [step / data.grid, name]),
    events: eventsOf(notes, length),
    sounds: [...new Set(notes.map((note) => note.sound))], // in the order in which they come
    length,
    level: 1.15 / Math.sqrt(voices), // one voice alone is as loud as a choir
    upbeat: data.upbeat / data.grid,
    bar: 4 * beats / unit,
    beat: 4 / unit,
  };
}

const pieces = JSON.parse(byId("data").textContent).map(pieceOf);
const articles = [...document.querySelectorAll("article")];
const rolls = pieces.map((piece, index) => {
  return new Roll(piece, articles[index].querySelector(".roll"), index);
});

let current = 0;
let playing = false;
let place = 0; // where the piece stands while it does not play
let origin = { time: 0, place: 0 }; // a time of the audio clock, and the place that sounds then
let next = 0; // the event to hand over next
let lap = 0; // quarters before this lap of a loop
let factor = 1; // of the tempo
let context;
let instrument;
let timer; // calls `schedule` again and again while the piece plays
let drawing;
let held = new Map(); // the voice of each note that sounds

function quartersPerSecond(piece = pieces[current]) {
  return Math.min(FASTEST, Math.max(SLOWEST, piece.tempo * factor)) / 60;
}

// The time of the audio clock of a place, in quarters since the first lap began.
function timeOf(quarters) {
  return origin.time + (quarters - origin.place) / quartersPerSecond();
}

// Where the piece is at a time of the audio clock, in quarters since the first lap began.
function placeAt(time) {
  return origin.place + Math.max(0, time - origin.time) * quartersPerSecond();
}

// The place that is heard now. That may be in a lap before the one whose notes are handed over.
function placeNow() {
  if (!timer) return place;
  const heard = placeAt(context.currentTime - (context.outputLatency || 0)) - lap;
  const { length } = pieces[current];
  if (heard >= 0) return Math.min(heard, length);
  return lap ? length + heard % length : 0;
}

// Hand over the events of the next moments, and make a sound that will be needed.
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
  if (missing !== undefined) instrument.sample(missing); // one a call
  const isOver = next >= piece.events.length && placeAt(context.currentTime) > piece.length + lap;
  if (isOver) rest(0); // the last notes die away
}

function silence() {
  instrument?.silence();
  held = new Map();
}

// Begin to play at the present place. Notes that are held across it are struck.
function begin() {
  const piece = pieces[current];
  // The first sounds are made before the clock is read, so that a chord is struck at one time.
  const soon = place + 2 * AHEAD * quartersPerSecond();
  for (const note of rolls[current].between(place, soon)) instrument.sample(note.sound);
  origin = { time: context.currentTime + 0.06, place };
  lap = 0;
  next = firstFrom(piece.events, place);
  for (const note of rolls[current].between(place, place + MOMENT)) {
    const isHeld = note.start < place && !note.isDrum;
    if (isHeld) held.set(note, instrument.strike(note, origin.time, piece.level));
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
  byId("clock").textContent = clockOf(now / quartersPerSecond() + MOMENT);
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
  const bpm = Math.round(quartersPerSecond() * 60);
  byId("tempo-value").textContent = `♩ = ${bpm}`;
  byId("tempo").setAttribute("aria-valuetext", `${bpm} quarter notes a minute`);
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
  // The square of the share, as the ear hears ratios.
  instrument?.volume.gain.setTargetAtTime(share * share, context.currentTime, 0.02);
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
  const piece = pieces[index];
  button.disabled = true;
  status.classList.add("unseen");
  status.textContent = `Rendering ${piece.name}`;
  try {
    const wav = await renderWav(piece, quartersPerSecond(piece));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(wav);
    link.download = `${piece.file}.wav`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    status.textContent = `Saved ${link.download}`;
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
      seek(there);
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
    const steps = (placeNow() - piece.upbeat) / step; // from the first bar line on
    const whole = steps < 0 ? Math.floor(steps) : Math.round(steps);
    seek(piece.upbeat + (whole + move) * step);
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
addEventListener("afterprint", () => {
  rolls.forEach((roll) => roll.layout(roll.element.clientWidth));
});
for (const name of [".transport", ".keys"]) document.querySelector(name).hidden = false;
setVolume();
refresh();
