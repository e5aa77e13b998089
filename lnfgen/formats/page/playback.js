// Plays one piece at a time: it hands notes to the audio clock a little ahead of time, so that each
// begins exactly where it should, however busy the page is. Places are in quarter notes.

import { firstFrom, MOMENT, notesBetween } from "./piece.js";
import { Instrument } from "./sound.js";

// Seconds ahead; more would delay a change of tempo, less would be late where the machine is busy.
const AHEAD = 0.4;
const AHEAD_HIDDEN = 2.5; // browsers call the timers of a hidden page once a second at most
const SOON = 0.06; // seconds until the first note, which is made on the way
const AT_ONCE = 0.03; // seconds until a change in music that plays
const SLOWEST = 4; // quarters a minute that are played
const FASTEST = 1000;

export class Playback {
  // `changed` is called when a piece begins or ends to play, and when it is moved in.
  constructor(changed) {
    this.changed = changed;
    this.piece = undefined;
    this.isPlaying = false;
    this.place = 0; // where the piece stands while it does not play
    this.anchors = []; // times of the audio clock, with the places that sound then; the last leads
    this.next = 0; // the event to hand over next
    this.loops = false;
    this.stretch = undefined; // from and to, which a loop repeats; without it the whole piece
    this.factor = 1; // of the tempo
    this.share = 0.8; // of the volume
    this.held = new Map(); // the voice of each note that sounds
    document.addEventListener("visibilitychange", () => this.timer && this.schedule());
  }

  quartersPerSecond(piece = this.piece) {
    return Math.min(FASTEST, Math.max(SLOWEST, piece.tempo * this.factor)) / 60;
  }

  // From a time of the audio clock on, a place sounds.
  anchor(time, place) {
    this.anchors.push({ time, place, rate: this.quartersPerSecond() });
  }

  // The time of the audio clock of a place that is handed over next.
  timeOf(place) {
    const { time, place: start, rate } = this.anchors.at(-1);
    return time + (place - start) / rate;
  }

  // The place that sounds at a time of the audio clock.
  placeAt(time) {
    const { anchors } = this;
    const last = anchors.findLast((anchor) => anchor.time <= time) ?? anchors[0];
    return last.place + Math.max(0, time - last.time) * last.rate;
  }

  // The place that is heard now. That may be before the turn of a loop that is handed over.
  placeNow() {
    if (!this.timer) return this.place;
    const heard = this.placeAt(this.context.currentTime - (this.context.outputLatency || 0));
    return Math.min(heard, this.piece.length);
  }

  // Where a loop turns round, and where to. A lap that begins behind the stretch goes on to the end
  // of the piece.
  turn() {
    if (!this.loops) return undefined;
    const { length } = this.piece;
    const { from, to } = this.stretch ?? { from: 0, to: length };
    const isBefore = this.anchors.at(-1).place < to - MOMENT;
    return { from, to: isBefore ? to : length };
  }

  // Hand over the events of the next moments, and make a sound that will be needed.
  schedule() {
    const { piece } = this;
    const now = this.context.currentTime;
    const until = now + (document.hidden ? AHEAD_HIDDEN : AHEAD);
    for (;;) {
      const event = piece.events[this.next];
      const turn = this.turn();
      const isTurn = turn && !(event?.start < turn.to - MOMENT);
      if (!event && !isTurn) break;
      const time = this.timeOf(isTurn ? turn.to : event.start);
      if (time > until) break;
      if (isTurn) {
        this.turnRound(time, turn.from);
      } else {
        this.handOver(event, Math.max(time, now));
        this.next++;
      }
    }
    while (this.anchors[1]?.time < now - 1) this.anchors.shift(); // no longer heard
    const missing = piece.sounds.find((sound) => !this.instrument.samples.has(sound));
    if (missing !== undefined) this.instrument.sample(missing); // one a call
    const isOver = this.next >= piece.events.length && this.placeAt(now) > piece.length;
    if (isOver && !this.loops) this.rest(0); // the last notes die away
  }

  handOver({ note, on }, time) {
    if (on) {
      this.strike(note, time);
    } else {
      if (this.held.has(note)) this.instrument.release(this.held.get(note), time);
      this.held.delete(note);
    }
  }

  strike(note, time) {
    this.held.set(note, this.instrument.strike(note, time, this.piece.level));
  }

  // Go on at a place from a time on.
  turnRound(time, place) {
    for (const voice of this.held.values()) this.instrument.release(voice, time);
    this.held = new Map();
    this.enter(time, place);
  }

  // Begin at a place at a time. Notes that are held across it are struck, but for those that sound.
  enter(time, place) {
    this.anchor(time, place);
    this.next = firstFrom(this.piece.events, place);
    for (const note of notesBetween(this.piece, place, place + MOMENT)) {
      const isHeld = note.start < place && !note.isDrum && !this.held.has(note);
      if (isHeld) this.strike(note, time);
    }
  }

  begin() {
    // The first sounds are made before the clock is read, so that a chord is struck at one time.
    const soon = this.place + 2 * AHEAD * this.quartersPerSecond();
    const first = notesBetween(this.piece, this.place, soon);
    for (const note of first) this.instrument.sample(note.sound);
    this.anchors = [];
    this.enter(this.context.currentTime + SOON, this.place);
    this.schedule();
  }

  async play() {
    if (!this.context) {
      this.context = new AudioContext({ latencyHint: "interactive" });
      this.instrument = new Instrument(this.context);
      this.setVolume(this.share);
    }
    this.hear();
    if (this.place >= this.piece.length) this.place = 0;
    this.isPlaying = true;
    this.changed();
    await this.context.resume();
    if (!this.isPlaying || this.timer) return;
    this.begin();
    this.timer = setInterval(() => this.schedule(), 30);
    this.changed();
  }

  rest(at) {
    this.place = at;
    this.isPlaying = false;
    clearInterval(this.timer);
    this.timer = undefined;
    this.changed();
  }

  silence() {
    this.instrument?.silence();
    this.held = new Map();
  }

  pause() {
    const at = this.placeNow();
    this.silence();
    this.rest(at);
  }

  stop() {
    this.silence();
    this.rest(0);
  }

  seek(place) {
    this.place = Math.max(0, Math.min(place, this.piece.length));
    if (this.timer) {
      this.silence();
      this.begin();
    }
    this.changed();
  }

  // Take another piece, in the same place. If it plays, the clock goes on, and notes that both
  // pieces have sound on.
  change(piece) {
    const isSounding = this.timer !== undefined;
    const time = isSounding && this.context.currentTime + AT_ONCE;
    const place = isSounding ? this.placeAt(time) : this.place;
    this.piece = piece;
    this.hear();
    if (isSounding) {
      this.carryOver(time, place);
      if (place < piece.length) {
        this.enter(time, place);
      } else {
        this.enter(time, 0);
      }
      this.schedule();
    } else {
      this.place = Math.min(place, piece.length);
    }
    this.changed();
  }

  // The tempo or the loop is another one: hand over again what is still to come.
  replan() {
    if (this.timer) {
      this.change(this.piece);
    } else {
      this.changed();
    }
  }

  // Keep the voices of notes that the new piece has too, and end all others.
  carryOver(time, place) {
    const twins = new Map();
    for (const note of notesBetween(this.piece, place, place + MOMENT)) {
      if (note.start < place) twins.set(nameOf(note), note);
    }
    this.held = new Map();
    for (const voice of this.instrument.voices) {
      const twin = twins.get(nameOf(voice.note));
      if (voice.time >= time) {
        this.instrument.cancel(voice);
      } else if (twin && voice.released > time) {
        this.instrument.hold(voice, time);
        this.held.set(twin, voice);
      } else if (voice.released > time) {
        this.instrument.release(voice, time);
      }
    }
    this.anchors = this.anchors.filter((anchor) => anchor.time < time);
  }

  // Let the parts be heard that should be.
  hear() {
    if (this.context) this.piece.parts.forEach((part) => this.instrument.hear(part));
  }

  setTempo(factor) {
    this.factor = factor;
    this.replan();
  }

  setVolume(share) {
    this.share = share;
    // The square of the share, as the ear hears ratios.
    this.instrument?.volume.gain.setTargetAtTime(share * share, this.context.currentTime, 0.02);
  }

  // Repeat a stretch, or the whole piece without one.
  setLoop(loops, stretch) {
    this.loops = loops;
    this.stretch = stretch;
    this.replan();
  }
}

// Notes with the same name sound alike, and at the same time.
function nameOf({ start, end, pitch, part }) {
  return `${start} ${end} ${pitch} ${part?.role}`;
}
