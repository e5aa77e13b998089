// The piano-roll of a piece, drawn as rows that are as wide as the page, with whole bars in each.
// An upbeat is in the first row, before its bars. Bars can be marked.

import { MOMENT, notesBetween } from "./piece.js";

const BLACK = [1, 3, 6, 8, 10];
const GUTTER = 34; // pixels of the keyboard
const NAMES_OF_DRUMS = 60; // pixels of a keyboard beside drums
const DRUM = 9; // pixels of the row of a drum
const GAP = 6; // pixels above all drums
const BAR_NUMBERS = 20; // pixels above the keys
const CHORDS = 15; // pixels of the names of chords above the bar numbers
const RULER = document.createElement("canvas").getContext("2d"); // measures these
RULER.font = '600 11px system-ui, -apple-system, "Segoe UI", sans-serif'; // as in style.css
const SHADES = ["low", "tenor", "alto", "high"];
const NEARLY = 1e-9; // quarters, for what rounding adds

function svg(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

// The path of a rectangle.
function box(x, y, width, height) {
  const [left, top, across, down] = [x, y, width, height].map((pixels) => +pixels.toFixed(2));
  return `M${left} ${top}h${across}v${down}h${-across}z`;
}

// Pixels: the height of all keys and of one at most, and the width of a quarter note at least.
const USUAL_SIZE = { tallest: 270, thickest: 8, narrowest: 18 };

export class Roll {
  // `options` are sizes; `chordLine`, the height of the line of chords where there are none;
  // `hasRuler`, true if the line of bar numbers is to be felt by a pointer; and `beside`, pieces
  // with which this one is compared, so that their keys have a place too.
  constructor(piece, element, index, options = {}) {
    this.options = { ...USUAL_SIZE, chordLine: 0, beside: [], ...options };
    this.piece = piece;
    this.element = element;
    this.id = `pitches-${index}`;
    this.gutter = piece.drums.length ? NAMES_OF_DRUMS : GUTTER;
    this.drumRow = new Map(piece.drums.map(([key], row) => [key, row]));
    this.chordLine = Math.max(this.options.chordLine, piece.chords.length ? CHORDS : 0);
    this.head = BAR_NUMBERS + this.chordLine;
    this.choosePitches();
    this.position = 0;
    this.playhead = svg("g", { class: "playhead" });
    this.sounding = svg("path", { class: "sounding" });
    this.keysDown = svg("path", { class: "keys-down" });
    this.resizing = new ResizeObserver(() => this.layout(element.clientWidth));
    this.resizing.observe(element);
    this.layout(element.clientWidth);
  }

  // Leave the element to another roll.
  close() {
    this.resizing.disconnect();
  }

  // The lowest and highest pitch to show: at least an octave, so that a C with its name is among
  // them. A piece of drums alone has no keyboard.
  choosePitches() {
    const { drums } = this.piece;
    const notes = [this.piece, ...this.options.beside].flatMap((piece) => piece.notes);
    const pitches = notes.filter((note) => !note.isDrum).map((note) => note.pitch);
    let lowest = 60;
    let highest = 71;
    if (pitches.length) {
      lowest = pitches.reduce((a, b) => Math.min(a, b));
      highest = pitches.reduce((a, b) => Math.max(a, b));
    }
    const missing = Math.max(0, 12 - (highest - lowest));
    const below = Math.floor(missing / 2);
    this.low = Math.max(0, lowest - 2 - below);
    this.high = Math.min(127, highest + 2 + missing - below);
    if (!pitches.length && drums.length) this.high = this.low - 1;
  }

  y(pitch) {
    return this.head + (this.high - pitch) * this.step;
  }

  // The top and the height of the row of a note. Drums are below all keys.
  rowOf(note) {
    if (!note.isDrum) return [this.y(note.pitch), this.step];
    return [this.y(this.low - 1) + GAP + this.drumRow.get(note.pitch) * DRUM, DRUM];
  }

  layout(width) {
    if (!width || width === this.width) return;
    this.width = width;
    const { piece } = this;
    const tallest = width < 600 ? Math.min(210, this.options.tallest) : this.options.tallest;
    const numPitches = this.high - this.low + 1;
    const step = Math.min(this.options.thickest, tallest / numPitches);
    this.step = Math.max(3.5, step); // pixels of a semitone
    const room = width - this.gutter - 1;
    const barsOfRow = this.barsOfRow(room);
    const shown = Math.min(piece.upbeat + barsOfRow * piece.bar, piece.length);
    this.scale = Math.min(room / shown, 72); // pixels of a quarter note
    this.rowLength = barsOfRow * piece.bar;
    this.rows = [];
    this.row = undefined;
    const drawn = document.createDocumentFragment();
    for (let line = piece.upbeat; line < piece.length - NEARLY; line += this.rowLength) {
      const from = this.rows.length ? line : 0;
      const to = Math.min(line + this.rowLength, piece.length);
      this.rows.push(this.draw(from, to, drawn));
    }
    this.element.replaceChildren(drawn);
    const line = svg("path", { d: `M0 ${this.head - 2}V${this.rows[0].height}` });
    const handle = svg("path", { d: `M-4.5 ${this.head - 8}h9L0 ${this.head - 1}z` });
    this.playhead.replaceChildren(line, handle);
    this.mark(this.marked);
    this.show(this.position);
  }

  // Mark a stretch, from one place to another, or nothing.
  mark(stretch) {
    this.marked = stretch;
    for (const row of this.rows) {
      const from = Math.max(stretch?.from ?? 0, row.from);
      const to = Math.min(stretch?.to ?? 0, row.to);
      const width = Math.max(0, (to - from) * this.scale);
      const isMarked = width > NEARLY;
      row.mark.setAttribute("d", isMarked ? box(row.x(from), 0, width, row.bottom) : "");
    }
  }

  // How many bars a row has, so that rows are nearly equally long, and whole phrases where there is
  // room for them.
  barsOfRow(room) {
    const { length, upbeat, bar } = this.piece;
    const bars = Math.max(1, Math.ceil((length - upbeat) / bar - NEARLY));
    const narrowest = Math.max(12, Math.min(this.options.narrowest, this.width / 36));
    const most = Math.max(1, Math.floor((room / narrowest - upbeat) / bar));
    const numRows = Math.ceil(bars / most);
    const each = Math.ceil(bars / numRows);
    for (const phrase of [4, 2]) {
      const rounded = Math.ceil(each / phrase) * phrase;
      if (rounded <= most) return rounded;
    }
    return each;
  }

  // Draw a row from one place to another, in quarters.
  draw(from, to, parent) {
    const { piece, scale, gutter } = this;
    const keysEnd = this.y(this.low - 1);
    const drumsTop = keysEnd + GAP;
    const bottom = piece.drums.length ? drumsTop + piece.drums.length * DRUM : keysEnd;
    const height = Math.ceil(bottom) + 1;
    const viewBox = `0 0 ${this.width} ${height}`;
    const row = {
      root: svg("svg", { viewBox, "aria-hidden": "true" }, parent),
      from,
      to,
      height,
      keysEnd,
      drumsTop,
      bottom,
      right: gutter + (to - from) * scale,
      x: (quarters) => gutter + (quarters - from) * scale,
    };
    const sheets = [[this.head, keysEnd], [drumsTop, bottom]].filter(([top, end]) => end > top);
    const sheet = ([top, end]) => box(gutter, top, row.right - gutter, end - top);
    svg("path", { class: "sheet", d: sheets.map(sheet).join("") }, row.root);
    const keys = this.keys(row);
    svg("path", { class: "black-rows", d: keys.rows }, row.root);
    svg("path", { class: "octaves", d: keys.octaves }, row.root);
    row.mark = svg("path", { class: "marked" }, row.root);
    this.drawTime(row);
    if (this.options.hasRuler) {
      const size = { width: row.right - gutter, height: BAR_NUMBERS };
      svg("rect", { class: "ruler", x: gutter, y: this.chordLine, ...size }, row.root);
    }
    this.drawChords(row);
    this.drawNotes(row);
    svg("path", { class: "ivory", d: box(0, this.head, gutter, keysEnd - this.head) }, row.root);
    svg("path", { class: "key-lines", d: keys.lines }, row.root);
    svg("path", { class: "ebony", d: keys.ebony }, row.root);
    const frame = ([top, end]) => {
      return box(0.5, top + 0.5, row.right - 1, end - top - 1) + `M${gutter} ${top}V${end}`;
    };
    svg("path", { class: "frame", d: sheets.map(frame).join("") }, row.root);
    row.names = svg("g", {}, row.root);
    this.drawNames(row);
    return row;
  }

  // The paths of black keys, of lines between keys, and of the rows and octaves beside them.
  keys(row) {
    const { step, gutter } = this;
    const length = row.right - gutter;
    const paths = { rows: "", octaves: "", ebony: "", lines: "" };
    for (let pitch = this.low; pitch <= this.high; pitch++) {
      const top = this.y(pitch);
      if (BLACK.includes(pitch % 12)) {
        paths.rows += box(gutter, top, length, step);
        paths.ebony += box(0, top, gutter * 0.6, step);
        paths.lines += `M${gutter * 0.6} ${top + step / 2}H${gutter}`;
      } else if (pitch % 12 === 0 || pitch % 12 === 5) {
        paths.lines += `M0 ${top + step}H${gutter}`;
      }
      if (pitch % 12 === 0) paths.octaves += `M${gutter} ${top + step}H${row.right}`;
    }
    for (let drum = 1; drum < this.piece.drums.length; drum += 2) {
      paths.rows += box(gutter, row.drumsTop + drum * DRUM, length, DRUM);
    }
    return paths;
  }

  // The colour of a note says how high it is, alike in all pieces: from E2 to G5, or which part of
  // a band plays it. A note that was given has none, but an edge of the colour of its part.
  drawNotes(row) {
    const { piece } = this;
    const id = `${this.id}-${this.rows.length}`;
    const ends = { x1: 0, x2: 0, y1: this.y(40), y2: this.y(79) };
    const gradient = { id, gradientUnits: "userSpaceOnUse", ...ends };
    const shades = svg("linearGradient", gradient, row.root);
    SHADES.forEach((name, index) => svg("stop", { class: name, offset: index / 3 }, shades));
    const paint = `url(#${id})`;
    const notes = notesBetween(piece, row.from, row.to);
    const parts = piece.parts.length ? piece.parts : [undefined];
    for (const part of parts) {
      for (const given of [true, false]) {
        const own = notes.filter((note) => note.part === part && note.given === given);
        const d = own.map((note) => this.box(note, row)).join("");
        const style = part || given ? {} : { fill: paint, stroke: paint };
        const path = svg("path", { class: "notes", d, ...style }, row.root);
        path.classList.toggle("given", given);
        if (part) path.classList.add("part", part.role);
      }
    }
  }

  // The name of each C at its key, and that of each drum.
  drawNames(row) {
    const { low, high, step, gutter } = this;
    for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
      const place = { x: gutter - 2, y: this.y(pitch) + step / 2 + 2.8 };
      const text = svg("text", { class: "key-name", ...place }, row.names);
      text.textContent = `C${pitch / 12 - 1}`;
    }
    this.piece.drums.forEach(([, name], index) => {
      const place = { x: gutter - 6, y: row.drumsTop + index * DRUM + 7.3 };
      svg("text", { class: "drum-name", ...place }, row.names).textContent = name;
    });
  }

  // Bar lines with their numbers, and lines for beats where there is room.
  drawTime(row) {
    const { bar, beat, upbeat } = this.piece;
    const middle = (quarters) => Math.round(row.x(quarters)) + 0.5; // of a pixel, for a sharp line
    let beats = "";
    if (beat * this.scale >= 6) {
      const firstBeat = row.from || upbeat % beat; // the upbeat may begin inside a beat
      for (let at = firstBeat; at < row.to - NEARLY; at += beat) {
        beats += `M${middle(at)} ${this.head}V${row.bottom}`;
      }
    }
    const first = Math.max(0, Math.round((row.from - upbeat) / bar));
    const end = Math.ceil((row.to - upbeat) / bar - NEARLY);
    let every = 1;
    while (every * bar * this.scale < 24) every *= 2;
    let bars = "";
    for (let index = first; index < end; index++) {
      const left = middle(upbeat + index * bar);
      const isNumbered = index % every === 0;
      const number = { x: left + 2, y: this.head - 9 };
      if (isNumbered) svg("text", number, row.root).textContent = index + 1;
      if (isNumbered || bar * this.scale >= 4) bars += `M${left} ${this.head - 16}V${row.bottom}`;
    }
    svg("path", { class: "beats", d: beats }, row.root);
    svg("path", { class: "bars", d: bars }, row.root);
  }

  // The names of chords where they begin, but for those that the one before leaves no room. The
  // chord at the start of a row is named there again.
  drawChords(row) {
    const { chords } = this.piece;
    const own = chords.filter(([start]) => start > row.from && start < row.to);
    const first = chords.filter(([start]) => start <= row.from).pop();
    if (first) own.unshift([row.from, first[1]]);
    let free = 0;
    for (const [start, name] of own) {
      const left = row.x(start);
      if (left < free) continue;
      const place = { class: "chord-name", x: left + 1, y: this.chordLine - 4 };
      svg("text", place, row.root).textContent = name;
      free = left + RULER.measureText(name).width + 6;
    }
  }

  // The path of a note, as far as it is in a row.
  box(note, row) {
    const left = row.x(Math.max(note.start, row.from));
    const right = row.x(Math.min(note.end, row.to));
    const [top, height] = this.rowOf(note);
    const inset = Math.min(0.9, height / 5);
    return box(left + 1.2, top + inset, Math.max(right - left - 2.4, 0.6), height - 2 * inset);
  }

  // The path of the key of a note on the keyboard, or of a mark beside the row of a drum.
  boxOfKey(note) {
    const [top, height] = this.rowOf(note);
    if (note.isDrum) return box(this.gutter - 4, top, 4, height);
    const isShort = BLACK.includes(note.pitch % 12);
    return box(0, top, isShort ? this.gutter * 0.6 : this.gutter, height);
  }

  // Show the playhead at a place, in quarters, and the notes that sound there. `follow` scrolls a
  // new row into view, unless the reader has scrolled elsewhere.
  show(position, follow = false) {
    this.position = position;
    const index = Math.floor((position - this.piece.upbeat) / this.rowLength + NEARLY);
    const row = this.rows[Math.max(0, Math.min(index, this.rows.length - 1))];
    if (row !== this.row) {
      const seen = this.row?.root.getBoundingClientRect();
      row.root.insertBefore(this.keysDown, row.names);
      row.root.append(this.sounding, this.playhead);
      this.row = row;
      const wasInView = !seen || (seen.bottom > 0 && seen.top < innerHeight);
      if (follow && wasInView) this.reveal();
    }
    const left = row.x(Math.min(position, row.to)).toFixed(2);
    this.playhead.setAttribute("transform", `translate(${left} 0)`);
    let now = [];
    if (position > 0) {
      const sounding = notesBetween(this.piece, position, position + MOMENT);
      now = sounding.filter((note) => note.part?.heard !== false);
    }
    this.sounding.setAttribute("d", now.map((note) => this.box(note, row)).join(""));
    this.keysDown.setAttribute("d", now.map((note) => this.boxOfKey(note)).join(""));
    this.tell();
  }

  // Scroll the row of the playhead into view, above the player. `scrollIntoView` would change where
  // Tab goes next.
  reveal() {
    const { top, bottom } = this.row.root.getBoundingClientRect();
    const player = document.querySelector(".dock, .transport").getBoundingClientRect();
    const below = bottom + 8 - player.top;
    if (top < 8) scrollBy(0, top - 8);
    else if (below > 0) scrollBy(0, Math.min(below, top - 8));
  }

  // Name the place for a screen reader. An upbeat is bar 0.
  tell() {
    const { bar, beat, upbeat, length } = this.piece;
    const at = this.position + MOMENT + bar - upbeat; // from a bar line before the piece on
    const numberOfBeat = Math.floor((at % bar) / beat) + 1;
    const words = `bar ${Math.floor(at / bar)}, beat ${numberOfBeat}`;
    if (words === this.said) return;
    this.said = words;
    this.element.setAttribute("aria-valuetext", words);
    this.element.setAttribute("aria-valuemax", Math.round(length));
    this.element.setAttribute("aria-valuenow", Math.round(this.position));
  }

  // The place in the piece under a pointer, in quarters. Below all rows is in the last one.
  placeOf(event) {
    const isAbove = ({ root }) => event.clientY <= root.getBoundingClientRect().bottom;
    const row = this.rows.find(isAbove) ?? this.rows.at(-1);
    const edge = row.root.getBoundingClientRect();
    const pixels = (event.clientX - edge.left) * (this.width / edge.width) - this.gutter;
    const place = row.from + pixels / this.scale;
    return Math.max(row.from, Math.min(place, row.to - 1e-3));
  }
}
