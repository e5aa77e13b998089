// The instrument: struck strings, plucked ones for a bass, and drums, in a room, on a bus that
// cannot clip. The same graph plays live and renders the WAV. A sound has a number: the pitch of a
// string, or more for the others.

export const PLUCKED = 128; // more than the pitch of a string that is plucked
export const DRUMS = 256; // more than the key of a drum
const PAIRED = 1.0003; // how much higher the second string of a note is tuned

// Numbers from -1 to 1 that are the same each time.
function noise(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2147483648 - 1;
  };
}

// A decaying sine, added to samples: y[t] = 2 r cos(w) y[t-1] - r^2 y[t-2]. A weak second one is
// slightly higher, and lasts three times as long.
function addPartial(samples, rate, { frequency, amplitude, seconds }) {
  const angle = 2 * Math.PI * frequency / rate;
  const r = Math.exp(-1 / (seconds * rate));
  const r2 = Math.exp(-1 / (3 * seconds * rate));
  const a = 2 * r * Math.cos(angle);
  const a2 = 2 * r2 * Math.cos(PAIRED * angle);
  const b = r * r;
  const b2 = r2 * r2;
  const silent = Math.ceil(3 * seconds * rate * Math.log(amplitude / 4e-5));
  const until = Math.min(samples.length, silent);
  let before = 0;
  let now = 0.75 * amplitude * r * Math.sin(angle);
  let before2 = 0;
  let now2 = 0.25 * amplitude * r2 * Math.sin(PAIRED * angle);
  for (let t = 1; t < until; t++) {
    samples[t] += now + now2;
    const after = a * now - b * before;
    const after2 = a2 * now2 - b2 * before2;
    before = now;
    now = after;
    before2 = now2;
    now2 = after2;
  }
}

// A struck string, as the samples of an AudioBuffer. Partial n of a stiff string lies at
// n f sqrt(1 + B n^2). Each has a strong part that decays fast and a weak one, slightly out of
// tune, that decays slowly, as the two or three strings of a piano's note have together. High
// partials start weaker and decay faster, so the tone darkens while it sounds. A plucked string has
// other partials, and is darker.
function string(context, pitch, plucked) {
  const rate = context.sampleRate;
  const octave = (pitch - 60) / 12;
  const fundamental = 440 * 2 ** ((pitch - 69) / 12);
  const stiffness = 4e-4 * 2 ** (octave * 1.1);
  const decay = 1.4 * 2 ** (-octave / 2); // seconds in which the fundamental falls by 1/e
  const count = Math.round(rate * Math.min(6, Math.max(1.2, 3.8 * decay)));
  const buffer = context.createBuffer(1, count, rate);
  const samples = buffer.getChannelData(0);
  const brightest = (plucked ? 400 : 1200) + 2.2 * fundamental; // falls by 1/e up to this frequency
  const struckAt = plucked ? 0.22 : 0.12; // of the length of the string
  for (let n = 1; n <= 32; n++) {
    const frequency = n * fundamental * Math.sqrt(1 + stiffness * n * n);
    if (frequency > 0.45 * rate || (n > 1 && frequency > 11000)) break;
    const hammer = Math.exp(-frequency / brightest);
    const amplitude = Math.abs(Math.sin(Math.PI * n * struckAt)) / n ** 1.15 * hammer;
    const seconds = decay * (1 + fundamental / 1500) / (1 + frequency / 1500);
    if (amplitude > 1e-4) addPartial(samples, rate, { frequency, amplitude, seconds });
  }
  const thump = noise(pitch + 1);
  let felt = 0;
  for (let t = 0; t < Math.min(count, 0.06 * rate); t++) {
    felt += 0.12 * (thump() - felt); // low-passed
    samples[t] += 0.1 * felt * Math.exp(-t / (0.012 * rate));
  }
  // The same strength on all keys, by the mean power of the first quarter of a second; a little
  // more in the bass, which the ear hears less. The start is smoothed, and the end fades.
  const heard = Math.min(count, Math.round(rate / 4));
  let power = 0;
  for (let t = 0; t < heard; t++) power += samples[t] * samples[t] / heard;
  const scale = 0.11 * 2 ** (-octave / 4) / Math.sqrt(power);
  const attack = 0.002 * rate;
  const fade = 0.25 * count;
  for (let t = 0; t < count; t++) {
    samples[t] *= scale * Math.min(1, t / attack) * Math.min(1, (count - 1 - t) / fade);
  }
  return buffer;
}

// Drums by their keys in General MIDI. A tone of some `hertz`, which begins `drop` times as high,
// falls by 1/e in `ring` seconds. Noise, `share` of all, lies between two frequencies and falls in
// `hiss` seconds; `metal` is its share of the tones of a cymbal. `loud` compares a drum with the
// others.
const KIT = [
  {
    keys: [35, 36], hertz: 50, drop: 3.5, ring: 0.12,
    share: 0.1, between: [0, 2500], hiss: 0.006, loud: 1.6,
  },
  {
    keys: [38, 40], hertz: 185, drop: 1.4, ring: 0.06,
    share: 0.7, between: [900, 5000], hiss: 0.09,
  },
  {
    keys: [37, 75, 76, 77], hertz: 1100, ring: 0.018,
    share: 0.3, between: [1500, 5000], hiss: 0.008, loud: 0.8,
  },
  { keys: [39], share: 1, between: [800, 2200], hiss: 0.09, claps: 3 },
  { keys: [42], share: 1, between: [7000, 16000], hiss: 0.03, metal: 0.5, loud: 0.5 },
  { keys: [44], share: 1, between: [4000, 9000], hiss: 0.045, metal: 0.3, loud: 0.4 },
  { keys: [46], share: 1, between: [7000, 16000], hiss: 0.28, metal: 0.5, loud: 0.5 },
  {
    keys: [41, 43, 45, 47, 48, 50], drop: 1.8, ring: 0.18,
    share: 0.1, between: [0, 2500], hiss: 0.02, loud: 1.2,
  },
  { keys: [49, 52, 55, 57], share: 1, between: [2500, 12000], hiss: 0.7, metal: 0.3, loud: 0.6 },
  {
    keys: [53], hertz: 2600, ring: 0.35,
    share: 0.3, between: [5000, 12000], hiss: 0.3, metal: 0.8, loud: 0.4,
  },
  {
    keys: [51, 59], hertz: 3100, ring: 0.25,
    share: 0.6, between: [5000, 12000], hiss: 0.4, metal: 0.8, loud: 0.4,
  },
  { keys: [54, 58, 69, 70], share: 1, between: [5000, 12000], hiss: 0.05, metal: 0.1, loud: 0.5 },
];
const OTHER = { drop: 1.1, ring: 0.1, share: 0.15, between: [500, 5000], hiss: 0.01 };
const USUAL = { drop: 1, ring: 0, metal: 0, claps: 1, loud: 1 };
const METAL = [842, 1248, 1515, 2143, 2214, 3280]; // the partials of a cymbal, no harmonic ones
const CLAP = 0.011; // seconds between hands that do not clap together

function drum(context, key) {
  const rate = context.sampleRate;
  const kind = KIT.find(({ keys }) => keys.includes(key)) ?? OTHER;
  const ownHertz = 80 * 2 ** ((key - 41) / 7); // of toms, and of drums without a kind
  const voice = { ...USUAL, hertz: ownHertz, ...kind };
  const { hertz, drop, ring, share, between, hiss, metal, claps, loud } = voice;
  const count = Math.round(rate * Math.min(3, 7 * Math.max(ring, hiss) + 0.05));
  const buffer = context.createBuffer(1, count, rate);
  const samples = buffer.getChannelData(0);
  const next = noise(key);
  const [below, above] = between.map((edge) => 1 - Math.exp(-2 * Math.PI * edge / rate));
  let phase = 0;
  let low = 0;
  let middle = 0;
  let power = 0;
  for (let t = 0; t < count; t++) {
    const seconds = t / rate;
    phase += 2 * Math.PI * hertz * (1 + (drop - 1) * Math.exp(-seconds / 0.025)) / rate;
    const cymbal = metal && cymbalAt(seconds);
    middle += above * (next() * (1 - metal) + cymbal * metal - middle);
    low += below * (middle - low);
    let sinceClap = seconds - CLAP * (claps - 1);
    if (seconds < CLAP * claps) sinceClap = seconds % CLAP;
    const tone = ring && (1 - share) * Math.sin(phase) * Math.exp(-seconds / ring);
    samples[t] = tone + share * (middle - low) * Math.exp(-sinceClap / hiss);
    if (seconds < 0.05) power += samples[t] ** 2 / (0.05 * rate);
  }
  // As loud as the others by the mean power of the first twentieth of a second; the end fades.
  const scale = 0.13 * loud / Math.sqrt(power);
  const attack = 0.0005 * rate;
  const fade = 0.25 * count;
  for (let t = 0; t < count; t++) {
    samples[t] *= scale * Math.min(1, t / attack, (count - 1 - t) / fade);
  }
  return buffer;
}

// The tones of a cymbal, from -1 to 1.
function cymbalAt(seconds) {
  const tone = (hertz) => Math.sign(Math.sin(2 * Math.PI * hertz * seconds));
  return METAL.reduce((sum, hertz) => sum + tone(hertz), 0) / 6;
}

// A room's answer to a click: noise that dies away, and is duller the later it is.
function room(context) {
  const rate = context.sampleRate;
  const count = Math.round(1.7 * rate);
  const start = Math.round(0.014 * rate);
  const buffer = context.createBuffer(2, count, rate);
  for (const channel of [0, 1]) {
    const samples = buffer.getChannelData(channel);
    const next = noise(7 + channel);
    let dull = 0;
    for (let t = start; t < count; t++) {
      const seconds = (t - start) / rate;
      dull += (0.55 * Math.exp(-seconds / 0.5) + 0.06) * (next() - dull);
      samples[t] = dull * Math.exp(-seconds / 0.32);
    }
  }
  return buffer;
}

export class Instrument {
  constructor(context) {
    this.context = context;
    this.samples = new Map();
    this.outputs = new Map(); // of the parts of a band, by their roles
    this.voices = new Set();
    this.bus = this.node("Gain", { gain: 1 });
    const wet = this.node("Gain", { gain: 0.3 });
    const reverb = this.node("Convolver", { buffer: room(context) });
    const limits = { threshold: -9, knee: 6, ratio: 12, attack: 0.003, release: 0.2 };
    const limiter = this.node("DynamicsCompressor", limits);
    // What the limiter lets through in its first milliseconds is bent below full scale, and cannot
    // clip.
    const bent = (_, index) => 0.95 * Math.tanh(1.6 * (index / 1024 - 1));
    const bend = this.node("WaveShaper", { curve: Float32Array.from({ length: 2049 }, bent) });
    // The limiter makes up for what it takes; this takes it back.
    const before = this.node("Gain", { gain: 0.6 });
    this.volume = this.node("Gain", { gain: 1 });
    this.bus.connect(limiter);
    this.bus.connect(reverb).connect(wet).connect(limiter);
    limiter.connect(before).connect(bend).connect(this.volume).connect(context.destination);
  }

  // A node of a kind with these values, of which some are parameters.
  node(kind, values = {}) {
    const made = this.context["create" + kind]();
    for (const [name, value] of Object.entries(values)) {
      if (made[name] instanceof AudioParam) {
        made[name].value = value;
      } else {
        made[name] = value;
      }
    }
    return made;
  }

  // The samples of a sound, made when they are first needed.
  sample(sound) {
    if (!this.samples.has(sound)) this.samples.set(sound, this.made(sound));
    return this.samples.get(sound);
  }

  made(sound) {
    const pitch = sound % 128;
    if (sound >= DRUMS) return drum(this.context, pitch);
    return string(this.context, pitch, sound >= PLUCKED);
  }

  // Where a part of a band goes. A part that is not heard plays on in silence, so that it can come
  // back in the middle.
  output(part) {
    if (!part) return this.bus;
    if (!this.outputs.has(part.role)) {
      const gain = this.context.createGain();
      gain.gain.value = part.heard ? 1 : 0;
      gain.connect(this.bus);
      this.outputs.set(part.role, gain);
    }
    return this.outputs.get(part.role);
  }

  hear(part) {
    this.output(part).gain.setTargetAtTime(part.heard ? 1 : 0, this.context.currentTime, 0.015);
  }

  // Strike the key of a note at a time of the context's clock. `level` is its gain.
  strike(note, time, level) {
    const { pitch, isDrum } = note;
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    const place = this.context.createStereoPanner();
    source.buffer = this.sample(note.sound);
    gain.gain.value = level * note.loudness;
    place.pan.value = Math.max(-0.5, Math.min(0.5, this.side(note)));
    source.connect(gain).connect(place).connect(this.output(note.part));
    source.start(time);
    const voice = { note, source, gain, pitch, time, isDrum, released: Infinity };
    if (isDrum && [42, 44].includes(pitch)) { // a hat that closes is no longer open
      for (const other of this.voices) {
        const isOpenHat = other.isDrum && other.pitch === 46;
        if (isOpenHat && other.time < time) this.damp(other, time, 0.015);
      }
    }
    this.voices.add(voice);
    source.onended = () => {
      this.voices.delete(voice);
      place.disconnect();
    };
    return voice;
  }

  // Where a note sounds, from -1 at the left to 1. A bass, kick and snare are in the middle, the
  // other drums around them.
  side({ pitch, sound, isDrum }) {
    if (sound < PLUCKED) return (pitch - 62) / 60;
    if (isDrum && pitch > 40) return (pitch % 5 - 2) / 6;
    return 0;
  }

  // A key is let go at a time; a drum has no damper.
  release(voice, time) {
    voice.released = time;
    if (!voice.isDrum) this.damp(voice, time, 0.07 + 0.05 * 2 ** ((60 - voice.pitch) / 18));
  }

  // Take back a release that is still to come at a time: the key stays down.
  hold(voice, time) {
    if (voice.released <= time) return;
    voice.released = Infinity;
    voice.gain.gain.cancelScheduledValues(time);
    voice.source.stop(voice.time + voice.source.buffer.duration);
  }

  // Take back a voice that has not begun.
  cancel(voice) {
    voice.source.stop();
  }

  // Let the damper fall on a voice at a time.
  damp(voice, time, seconds) {
    voice.gain.gain.setTargetAtTime(0, Math.max(time, voice.time), seconds);
    voice.source.stop(Math.max(time, voice.time) + 8 * seconds);
  }

  silence() {
    const now = this.context.currentTime;
    for (const voice of this.voices) {
      if (voice.time > now) {
        this.cancel(voice);
      } else {
        this.damp(voice, now, 0.015);
      }
    }
  }
}
