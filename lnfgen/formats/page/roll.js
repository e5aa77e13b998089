
// The piano-roll of a piece, drawn as rows that are as wide as the page, with whole bars in each. An upbeat is in the
// first row, before its bars.

const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const BLACK = [1, 3, 6, 8, 10];
const GUTTER = 34, NAMES_OF_DRUMS = 60; // pixels of the keyboard, and of one beside drums
const DRUM = 9, GAP = 6; // pixels of the row of a drum, and above all of them
const HEAD = 20; // pixels of the bar numbers

function svg(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

const box = (x, y, width, height) => `M${+x.toFixed(2)} ${+y.toFixed(2)}h${+width.toFixed(2)}v${+height.toFixed(2)}h${-width.toFixed(2)}z`;

class Roll {
  constructor(piece, element, index) {
    Object.assign(this, { piece, element, id: `pitches-${index}` });
    this.gutter = piece.drums.length ? NAMES_OF_DRUMS : GUTTER;
    this.drumRow = new Map(piece.drums.map(([key], row) => [key, row]));
    const pitches = piece.notes.filter((note) => !note.isDrum).map((note) => note.pitch);
    const low = pitches.length ? pitches.reduce((a, b) => Math.min(a, b)) : 60;
    const high = pitches.length ? pitches.reduce((a, b) => Math.max(a, b)) : 71;
    const short = Math.max(0, 12 - (high - low)); // at least an octave, so that a C with its name is among them
    this.low = Math.max(0, low - 2 - (short >> 1));
    this.high = Math.min(127, high + 2 + short - (short >> 1));
    if (!pitches.length && piece.drums.length) this.high = this.low - 1; // no keyboard
    this.longest = piece.notes.reduce((longest, note) => Math.max(longest, note.end - note.start), 0);
    this.position = 0;
    this.playhead = svg("g", { class: "playhead" });
    this.sounding = svg("path", { class: "sounding" });
    this.keysDown = svg("path", { class: "keys-down" });
    new ResizeObserver(() => this.layout(element.clientWidth)).observe(element);
    this.layout(element.clientWidth);
  }

  y(pitch) {
    return HEAD + (this.high - pitch) * this.step;
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
    const tallest = width < 600 ? 210 : 270;
    this.step = Math.max(3.5, Math.min(8, tallest / (this.high - this.low + 1))); // pixels of a semitone
    const room = width - this.gutter - 1;
    const bars = Math.max(1, Math.ceil((piece.length - piece.upbeat) / piece.bar - 1e-9));
    const narrowest = Math.max(12, Math.min(18, width / 36)); // pixels of a quarter note
    const most = Math.max(1, Math.floor((room / narrowest - piece.upbeat) / piece.bar));
    let each = Math.ceil(bars / Math.ceil(bars / most)); // rows of nearly equal length ...
    for (const phrase of [4, 2]) { // ... and of whole phrases, where there is room
      const rounded = Math.ceil(each / phrase) * phrase;
      if (rounded <= most) {
        each = rounded;
        break;
      }
    }
    const shown = Math.min(piece.upbeat + each * piece.bar, piece.length);
    this.scale = Math.min(room / shown, 72); // pixels of a quarter note
    this.rowLength = each * piece.bar;
    this.rows = [];
    this.row = undefined;
    const drawn = document.createDocumentFragment();
    for (let line = piece.upbeat; line < piece.length - 1e-9; line += this.rowLength) {
      const from = this.rows.length ? line : 0;
      this.rows.push(this.draw(from, Math.min(line + this.rowLength, piece.length), drawn));
    }
    this.element.replaceChildren(drawn);
    const playhead = `M0 ${HEAD - 2}V${this.rows[0].height}`;
    this.playhead.replaceChildren(svg("path", { d: playhead }), svg("path", { d: `M-4.5 ${HEAD - 8}h9L0 ${HEAD - 1}z` }));
    this.show(this.position);
  }

  draw(from, to, parent) {
    const { piece, scale, low, high, step, gutter } = this;
    const keysEnd = this.y(low - 1), drumsTop = keysEnd + GAP;
    const bottom = piece.drums.length ? drumsTop + piece.drums.length * DRUM : keysEnd;
    const height = Math.ceil(bottom) + 1;
    const root = svg("svg", { viewBox: `0 0 ${this.width} ${height}`, "aria-hidden": "true" }, parent);
    const right = gutter + (to - from) * scale;
    const x = (quarters) => gutter + (quarters - from) * scale;
    const sheets = [[HEAD, keysEnd], [drumsTop, bottom]].filter(([top, end]) => end > top);
    svg("path", { class: "sheet", d: sheets.map(([top, end]) => box(gutter, top, right - gutter, end - top)).join("") }, root);
    const paths = { rows: "", octaves: "", ebony: "", lines: "" };
    for (let pitch = low; pitch <= high; pitch++) {
      const top = this.y(pitch);
      if (BLACK.includes(pitch % 12)) {
        paths.rows += box(gutter, top, right - gutter, step);
        paths.ebony += box(0, top, gutter * 0.6, step);
        paths.lines += `M${gutter * 0.6} ${top + step / 2}H${gutter}`;
      } else if (pitch % 12 === 0 || pitch % 12 === 5) {
        paths.lines += `M0 ${top + step}H${gutter}`;
      }
      if (pitch % 12 === 0) paths.octaves += `M${gutter} ${top + step}H${right}`;
    }
    for (let row = 1; row < piece.drums.length; row += 2) paths.rows += box(gutter, drumsTop + row * DRUM, right - gutter, DRUM);
    svg("path", { class: "black-rows", d: paths.rows }, root);
    svg("path", { class: "octaves", d: paths.octaves }, root);
    this.drawTime(root, from, to, x, bottom);

    // The colour says how high a note is, alike in all pieces: from E2 to G5, or which part of a band plays it. A note
    // that was given has none, but an edge of the colour of its part.
    const id = `${this.id}-${this.rows.length}`;
    const ends = { x1: 0, x2: 0, y1: this.y(40), y2: this.y(79) };
    const shades = svg("linearGradient", { id, gradientUnits: "userSpaceOnUse", ...ends }, root);
    ["low", "tenor", "alto", "high"].forEach((name, index) => svg("stop", { class: name, offset: index / 3 }, shades));
    const row = { root, from, to, x, height };
    const notes = this.between(from, to);
    const paint = `url(#${id})`;
    for (const part of piece.parts.length ? piece.parts : [undefined]) {
      for (const given of [true, false]) {
        const own = notes.filter((note) => note.part === part && note.given === given);
        const style = part || given ? {} : { fill: paint, stroke: paint };
        const path = svg("path", { class: "notes", d: own.map((note) => this.box(note, row)).join(""), ...style }, root);
        path.classList.toggle("given", given);
        if (part) path.classList.add("part", part.role);
      }
    }

    svg("path", { class: "ivory", d: box(0, HEAD, gutter, keysEnd - HEAD) }, root);
    svg("path", { class: "key-lines", d: paths.lines }, root);
    svg("path", { class: "ebony", d: paths.ebony }, root);
    const frame = ([top, end]) => box(0.5, top + 0.5, right - 1, end - top - 1) + `M${gutter} ${top}V${end}`;
    svg("path", { class: "frame", d: sheets.map(frame).join("") }, root);
    row.names = svg("g", {}, root);
    for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
      svg("text", { class: "key-name", x: gutter - 2, y: this.y(pitch) + step / 2 + 2.8 }, row.names).textContent = `C${pitch / 12 - 1}`;
    }
    piece.drums.forEach(([, name], index) => {
      svg("text", { class: "drum-name", x: gutter - 6, y: drumsTop + index * DRUM + 7.3 }, row.names).textContent = name;
    });
    return row;
  }

  drawTime(root, from, to, x, bottom) {
    const { bar, beat, upbeat } = this.piece;
    let beats = "", bars = "";
    if (beat * this.scale >= 6) {
      const first = from || upbeat % beat; // the upbeat may begin inside a beat
      for (let at = first; at < to - 1e-9; at += beat) beats += `M${Math.round(x(at)) + 0.5} ${HEAD}V${bottom}`;
    }
    const first = Math.max(0, Math.round((from - upbeat) / bar)), last = Math.ceil((to - upbeat) / bar - 1e-9);
    let every = 1;
    while (every * bar * this.scale < 24) every *= 2;
    for (let index = first; index < last; index++) {
      const left = Math.round(x(upbeat + index * bar)) + 0.5;
      if (index % every === 0) svg("text", { x: left + 2, y: HEAD - 9 }, root).textContent = index + 1;
      if (bar * this.scale >= 4 || index % every === 0) bars += `M${left} ${HEAD - 16}V${bottom}`;
    }
    svg("path", { class: "beats", d: beats }, root);
    svg("path", { class: "bars", d: bars }, root);
  }

  // The notes that sound somewhere from `from` to `to`, in quarters.
  between(from, to) {
    const { notes } = this.piece;
    const found = [];
    for (let index = firstFrom(notes, from - this.longest); index < notes.length && notes[index].start < to; index++) {
      if (notes[index].end > from) found.push(notes[index]);
    }
    return found;
  }

  box(note, row) {
    const left = row.x(Math.max(note.start, row.from)), right = row.x(Math.min(note.end, row.to));
    const [top, height] = this.rowOf(note), inset = Math.min(0.9, height / 5);
    return box(left + 1.2, top + inset, Math.max(right - left - 2.4, 0.6), height - 2 * inset);
  }

  // Show the playhead at a place, in quarters, and the notes that sound there. `follow` scrolls a new row
  // into view, unless the reader has scrolled elsewhere.
  show(position, follow = false) {
    this.position = position;
    const index = Math.floor((position - this.piece.upbeat) / this.rowLength + 1e-9);
    const row = this.rows[Math.max(0, Math.min(index, this.rows.length - 1))];
    if (row !== this.row) {
      const seen = this.row?.root.getBoundingClientRect();
      row.root.insertBefore(this.keysDown, row.names);
      row.root.append(this.sounding, this.playhead);
      this.row = row;
      if (follow && (!seen || (seen.bottom > 0 && seen.top < innerHeight))) this.reveal();
    }
    this.playhead.setAttribute("transform", `translate(${row.x(Math.min(position, row.to)).toFixed(2)} 0)`);
    const now = position > 0 ? this.between(position, position + 1e-6).filter((note) => note.part?.heard !== false) : [];
    this.sounding.setAttribute("d", now.map((note) => this.box(note, row)).join(""));
    const key = (note) => {
      const [top, height] = this.rowOf(note), isShort = BLACK.includes(note.pitch % 12);
      return note.isDrum ? box(this.gutter - 4, top, 4, height) : box(0, top, this.gutter * (isShort ? 0.6 : 1), height);
    };
    this.keysDown.setAttribute("d", now.map(key).join(""));
    this.tell();
  }

  // Scroll the row of the playhead into view, above the player. `scrollIntoView` would change where Tab goes next.
  reveal() {
    const { top, bottom } = this.row.root.getBoundingClientRect();
    const below = bottom + 8 - document.querySelector(".transport").getBoundingClientRect().top;
    if (top < 8) scrollBy(0, top - 8);
    else if (below > 0) scrollBy(0, Math.min(below, top - 8));
  }

  // What a screen reader says of the place. An upbeat is bar 0.
  tell() {
    const { bar, beat, upbeat, length } = this.piece;
    const at = this.position + 1e-6 + bar - upbeat; // from a bar line before the piece on
    const words = `bar ${Math.floor(at / bar)}, beat ${Math.floor((at % bar) / beat) + 1}`;
    if (words === this.said) return;
    this.said = words;
    this.element.setAttribute("aria-valuetext", words);
    this.element.setAttribute("aria-valuemax", Math.round(length));
    this.element.setAttribute("aria-valuenow", Math.round(this.position));
  }

  // The place in the piece under a pointer, in quarters.
  placeOf(event) {
    for (const row of this.rows) {
      const edge = row.root.getBoundingClientRect();
      if (event.clientY > edge.bottom) continue;
      const pixels = (event.clientX - edge.left) * (this.width / edge.width) - this.gutter;
      return Math.max(row.from, Math.min(row.from + pixels / this.scale, row.to - 1e-3));
    }
    return 0;
  }
}

// The index of the first item that starts at `start` or later, in a list sorted by start.
function firstFrom(items, start) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start < start) low = middle + 1;
    else high = middle;
  }
  return low;
}
