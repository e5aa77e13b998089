// A piece as the roll and the player need it, made of the data that the program writes. Times are
// in quarter notes.

import { DRUMS, PLUCKED } from "./sound.js";

const USUAL_VELOCITY = 80; // of MIDI, for a part that names none

export const MOMENT = 1e-6; // quarters, less than any note lasts

export function pieceOf(data) {
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
    events: eventsOf(notes),
    sounds: [...new Set(notes.map((note) => note.sound))], // in the order in which they come
    length,
    longest: notes.reduce((longest, note) => Math.max(longest, note.end - note.start), 0),
    level: 1.15 / Math.sqrt(voices), // one voice alone is as loud as a choir
    upbeat: data.upbeat / data.grid,
    bar: 4 * beats / unit,
    beat: 4 / unit,
  };
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

// The number of the sound of a note.
function soundOf(pitch, role) {
  if (role === "drums") return pitch + DRUMS;
  if (role === "bass") return pitch + PLUCKED;
  return pitch;
}

// The velocity of a part at a step, counted from the first bar line on.
function velocityOf(part, step) {
  const velocities = part?.velocities ?? []; // for each step of a bar
  const count = velocities.length;
  if (!count) return USUAL_VELOCITY;
  return velocities[(step + count) % count] || USUAL_VELOCITY;
}

// When notes begin and end.
function eventsOf(notes) {
  const events = [];
  for (const note of notes) {
    events.push({ start: note.start, note, on: true });
    events.push({ start: note.end, note, on: false });
  }
  // A note ends before its key is struck again.
  return events.sort((a, b) => a.start - b.start || a.on - b.on);
}

// The notes that sound somewhere from `from` to `to`, in quarters.
export function notesBetween({ notes, longest }, from, to) {
  const found = [];
  for (let index = firstFrom(notes, from - longest); index < notes.length; index++) {
    const note = notes[index];
    if (note.start >= to) break;
    if (note.end > from) found.push(note);
  }
  return found;
}

// The index of the first item that starts at `start` or later, in a list sorted by start.
export function firstFrom(items, start) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start < start) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Hear the parts that are alone, or without such ones all that are not muted.
export function mix(parts) {
  const isAlone = parts.some((part) => part.solo);
  for (const part of parts) part.heard = isAlone ? part.solo : !part.mute;
}
