
// The instrument: struck strings, plucked ones for a bass, and drums, in a room, on a bus that cannot clip. The same graph
// plays live and renders the WAV. A sound has a number: the pitch of a string, or more for the others.

const PLUCKED = 128, DRUMS = 256;

// Numbers from -1 to 1 that are the same each time.
function noise(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2147483648 - 1;
  };
}

// A struck string, as the samples of an AudioBuffer. Partial n of a stiff string lies at n f sqrt(1 + B n^2). Each has a
// strong part that decays fast and a weak one, slightly out of tune, that decays slowly, as the two or three strings of
// a piano's note have together. High partials start weaker and decay faster, so the tone darkens while it sounds. One that
// is plucked has other partials, and is darker.
function string(context, pitch, plucked) {
  const rate = context.sampleRate;
  const octave = (pitch - 60) / 12;
  const fundamental = 440 * 2 ** ((pitch - 69) / 12);
  const stiffness = 4e-4 * 2 ** (octave * 1.1);
  const decay = 1.4 * 2 ** (-octave / 2); // seconds in which the fundamental falls by 1/e
  const count = Math.round(rate * Math.min(6, Math.max(1.2, 3.8 * decay)));
  const buffer = context.createBuffer(1, count, rate);
  const samples = buffer.getChannelData(0);

  function ring(frequency, amplitude, seconds) {
    // y[t] = 2 r cos(w) y[t-1] - r^2 y[t-2] is a decaying sine. The weak part is 1.0003 times as high, and lasts longer.
    const angle = 2 * Math.PI * frequency / rate;
    const r = Math.exp(-1 / (seconds * rate)), r2 = Math.exp(-1 / (3 * seconds * rate));
    const a = 2 * r * Math.cos(angle), a2 = 2 * r2 * Math.cos(1.0003 * angle);
    const b = r * r, b2 = r2 * r2;
    const until = Math.min(count, Math.ceil(3 * seconds * rate * Math.log(amplitude / 4e-5)));
    let before = 0, now = 0.75 * amplitude * r * Math.sin(angle), after;
    let before2 = 0, now2 = 0.25 * amplitude * r2 * Math.sin(1.0003 * angle), after2;
    for (let t = 1; t < until; t++) {
      samples[t] += now + now2;
      after = a * now - b * before;
      after2 = a2 * now2 - b2 * before2;
      before = now;
      now = after;
      before2 = now2;
      now2 = after2;
    }
  }
  for (let n = 1; n <= 32; n++) {
    const frequency = n * fundamental * Math.sqrt(1 + stiffness * n * n);
    if (frequency > 0.45 * rate || (n > 1 && frequency > 11000)) break;
    const hammer = Math.exp(-frequency / (plucked ? 400 + 2.2 * fundamental : 1200 + 2.2 * fundamental));
    const amplitude = Math.abs(Math.sin(Math.PI * n * (plucked ? 0.22 : 0.12))) / n ** 1.15 * hammer;
    const seconds = decay * (1 + fundamental / 1500) / (1 + frequency / 1500);
    if (amplitude > 1e-4) ring(frequency, amplitude, seconds);
  }
  const thump = noise(pitch + 1);
  let felt = 0;
  for (let t = 0; t < Math.min(count, 0.06 * rate); t++) {
    felt += 0.12 * (thump() - felt); // low-passed
    samples[t] += 0.1 * felt * Math.exp(-t / (0.012 * rate));
  }
  // The same strength on all keys, by the mean power of the first quarter of a second; a little more in the bass, which
  // the ear hears less. The start is smoothed, and the end fades.
  const heard = Math.min(count, Math.round(rate / 4));
  let power = 0;
  for (let t = 0; t < heard; t++) power += samples[t] * samples[t] / heard;
  const scale = 0.11 * 2 ** (-octave / 4) / Math.sqrt(power);
  const attack = 0.002 * rate, fade = 0.25 * count;
  for (let t = 0; t < count; t++) {
    samples[t] *= scale * Math.min(1, t / attack) * Math.min(1, (count - 1 - t) / fade);
  }
  return buffer;
}

// Drums by their keys in General MIDI. A tone of some `hertz`, which begins `drop` times as high, falls by 1/e in `ring`
// seconds. Noise, `share` of all, lies between two frequencies and falls in `hiss` seconds; `metal` is its share of the
// tones of a cymbal.
const KIT = [
  { keys: [35, 36], hertz: 50, drop: 3.5, ring: 0.12, share: 0.1, between: [0, 2500], hiss: 0.006, loud: 1.6 },
  { keys: [38, 40], hertz: 185, drop: 1.4, ring: 0.06, share: 0.7, between: [900, 5000], hiss: 0.09 },
  { keys: [37, 75, 76, 77], hertz: 1100, ring: 0.018, share: 0.3, between: [1500, 5000], hiss: 0.008, loud: 0.8 },
  { keys: [39], share: 1, between: [800, 2200], hiss: 0.09, claps: 3 },
  { keys: [42], share: 1, between: [7000, 16000], hiss: 0.03, metal: 0.5, loud: 0.5 },
  { keys: [44], share: 1, between: [4000, 9000], hiss: 0.045, metal: 0.3, loud: 0.4 },
  { keys: [46], share: 1, between: [7000, 16000], hiss: 0.28, metal: 0.5, loud: 0.5 },
  { keys: [41, 43, 45, 47, 48, 50], drop: 1.8, ring: 0.18, share: 0.1, between: [0, 2500], hiss: 0.02, loud: 1.2 },
  { keys: [49, 52, 55, 57], share: 1, between: [2500, 12000], hiss: 0.7, metal: 0.3, loud: 0.6 },
  { keys: [53], hertz: 2600, ring: 0.35, share: 0.3, between: [5000, 12000], hiss: 0.3, metal: 0.8, loud: 0.4 },
  { keys: [51, 59], hertz: 3100, ring: 0.25, share: 0.6, between: [5000, 12000], hiss: 0.4, metal: 0.8, loud: 0.4 },
  { keys: [54, 58, 69, 70], share: 1, between: [5000, 12000], hiss: 0.05, metal: 0.1, loud: 0.5 },
];
const OTHER = { drop: 1.1, ring: 0.1, share: 0.15, between: [500, 5000], hiss: 0.01 }; // a tone of its own
const METAL = [842, 1248, 1515, 2143, 2214, 3280]; // the partials of a cymbal, which are no harmonic ones

function drum(context, key) {
  const rate = context.sampleRate;
  const kind = KIT.find(({ keys }) => keys.includes(key)) ?? OTHER;
  const { hertz = 80 * 2 ** ((key - 41) / 7), drop = 1, ring = 0, share, between, hiss, metal = 0, claps = 1, loud = 1 } = kind;
  const count = Math.round(rate * Math.min(3, 7 * Math.max(ring, hiss) + 0.05));
  const buffer = context.createBuffer(1, count, rate);
  const samples = buffer.getChannelData(0), next = noise(key);
  const [below, above] = between.map((edge) => 1 - Math.exp(-2 * Math.PI * edge / rate));
  let phase = 0, low = 0, middle = 0, power = 0;
  for (let t = 0; t < count; t++) {
    const seconds = t / rate;
    phase += 2 * Math.PI * hertz * (1 + (drop - 1) * Math.exp(-seconds / 0.025)) / rate;
    const cymbal = metal && METAL.reduce((sum, partial) => sum + Math.sign(Math.sin(2 * Math.PI * partial * seconds)), 0) / 6;
    middle += above * (next() * (1 - metal) + cymbal * metal - middle);
    low += below * (middle - low);
    const since = seconds < 0.011 * claps ? seconds % 0.011 : seconds - 0.011 * (claps - 1); // hands are not together
    samples[t] = (ring && (1 - share) * Math.sin(phase) * Math.exp(-seconds / ring)) + share * (middle - low) * Math.exp(-since / hiss);
    if (seconds < 0.05) power += samples[t] ** 2 / (0.05 * rate);
  }
  // As loud as the others by the mean power of the first twentieth of a second; the end fades.
  const scale = 0.13 * loud / Math.sqrt(power), fade = 0.25 * count;
  for (let t = 0; t < count; t++) samples[t] *= scale * Math.min(1, t / (0.0005 * rate), (count - 1 - t) / fade);
  return buffer;
}

// A room's answer to a click: noise that dies away, and is duller the later it is.
function room(context) {
  const rate = context.sampleRate, count = Math.round(1.7 * rate), start = Math.round(0.014 * rate);
  const buffer = context.createBuffer(2, count, rate);
  for (const channel of [0, 1]) {
    const samples = buffer.getChannelData(channel), next = noise(7 + channel);
    let dull = 0;
    for (let t = start; t < count; t++) {
      const seconds = (t - start) / rate;
      dull += (0.55 * Math.exp(-seconds / 0.5) + 0.06) * (next() - dull);
      samples[t] = dull * Math.exp(-seconds / 0.32);
    }
  }
  return buffer;
}

class Instrument {
  constructor(context) {
    this.context = context;
    this.samples = new Map();
    this.outputs = new Map(); // of the parts of a band
    this.voices = new Set();
    const node = (kind, values = {}) => {
      const made = context["create" + kind]();
      for (const [name, value] of Object.entries(values)) {
        if (made[name] instanceof AudioParam) made[name].value = value;
        else made[name] = value;
      }
      return made;
    };
    this.bus = node("Gain", { gain: 1 });
    const wet = node("Gain", { gain: 0.3 });
    const reverb = node("Convolver", { buffer: room(context) });
    const limiter = node("DynamicsCompressor", { threshold: -9, knee: 6, ratio: 12, attack: 0.003, release: 0.2 });
    // What the limiter lets through in its first milliseconds is bent below full scale, and cannot clip.
    const curve = Float32Array.from({ length: 2049 }, (_, index) => 0.95 * Math.tanh(1.6 * (index / 1024 - 1)));
    const bend = node("WaveShaper", { curve });
    const before = node("Gain", { gain: 0.6 }); // the limiter makes up for what it takes; this takes it back
    this.volume = node("Gain", { gain: 1 });
    this.bus.connect(limiter);
    this.bus.connect(reverb).connect(wet).connect(limiter);
    limiter.connect(before).connect(bend).connect(this.volume).connect(context.destination);
  }

  // The samples of a sound, made when they are first needed.
  sample(sound) {
    const { context, samples } = this, pitch = sound % 128;
    if (!samples.has(sound)) samples.set(sound, sound < DRUMS ? string(context, pitch, sound >= PLUCKED) : drum(context, pitch));
    return samples.get(sound);
  }

  // Where a part of a band goes. A part that is not heard plays on in silence, so that it can come back in the middle.
  output(part) {
    if (!part) return this.bus;
    if (!this.outputs.has(part)) {
      const gain = this.context.createGain();
      gain.gain.value = part.heard ? 1 : 0;
      gain.connect(this.bus);
      this.outputs.set(part, gain);
    }
    return this.outputs.get(part);
  }

  hear(part) {
    this.output(part).gain.setTargetAtTime(part.heard ? 1 : 0, this.context.currentTime, 0.015);
  }

  // Strike the key of a note at a time of the context's clock. `level` is its gain.
  strike({ pitch, sound, part, loudness, isDrum }, time, level) {
    const { context } = this;
    const source = context.createBufferSource();
    const gain = context.createGain();
    const place = context.createStereoPanner();
    source.buffer = this.sample(sound);
    gain.gain.value = level * loudness;
    // A bass, kick and snare are in the middle, the other drums around them.
    const side = sound < PLUCKED ? (pitch - 62) / 60 : isDrum && pitch > 40 ? (pitch % 5 - 2) / 6 : 0;
    place.pan.value = Math.max(-0.5, Math.min(0.5, side));
    source.connect(gain).connect(place).connect(this.output(part));
    source.start(time);
    const voice = { source, gain, pitch, time, isDrum };
    if (isDrum && [42, 44].includes(pitch)) { // a hat that closes is no longer open
      for (const open of this.voices) if (open.isDrum && open.pitch === 46 && open.time < time) this.damp(open, time, 0.015);
    }
    this.voices.add(voice);
    source.onended = () => {
      this.voices.delete(voice);
      place.disconnect();
    };
    return voice;
  }

  // A key is let go at a time; a drum has no damper.
  release(voice, time) {
    if (!voice.isDrum) this.damp(voice, time, 0.07 + 0.05 * 2 ** ((60 - voice.pitch) / 18));
  }

  // Let the damper fall on a voice at a time.
  damp(voice, time, seconds) {
    voice.gain.gain.setTargetAtTime(0, Math.max(time, voice.time), seconds);
    voice.source.stop(Math.max(time, voice.time) + 8 * seconds);
  }

  silence() {
    const now = this.context.currentTime;
    for (const voice of this.voices) {
      if (voice.time > now) voice.source.stop(); // it has not begun, and now never will
      else this.damp(voice, now, 0.015);
    }
  }
}

// The whole piece as the bytes of a WAV file: 16 bits, stereo.
async function renderWav(piece, quartersPerSecond) {
  const rate = 44100, tail = 3;
  const count = Math.ceil((piece.length / quartersPerSecond + tail) * rate);
  const context = new OfflineAudioContext(2, count, rate);
  const instrument = new Instrument(context);
  for (const note of piece.notes) {
    const voice = instrument.strike(note, note.start / quartersPerSecond, piece.level);
    instrument.release(voice, note.end / quartersPerSecond);
  }
  const rendered = await context.startRendering();
  const [left, right] = [rendered.getChannelData(0), rendered.getChannelData(1)];
  const view = new DataView(new ArrayBuffer(44 + 4 * count));
  const words = (offset, text) => [...text].forEach((letter, index) => view.setUint8(offset + index, letter.charCodeAt(0)));
  words(0, "RIFF");
  view.setUint32(4, 36 + 4 * count, true);
  words(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 4 * rate, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  words(36, "data");
  view.setUint32(40, 4 * count, true);
  for (let t = 0; t < count; t++) {
    view.setInt16(44 + 4 * t, Math.round(32767 * left[t]), true);
    view.setInt16(46 + 4 * t, Math.round(32767 * right[t]), true);
  }
  return new Blob([view], { type: "audio/wav" });
}
