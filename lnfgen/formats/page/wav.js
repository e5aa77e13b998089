// A piece as a WAV file, by the instrument that also plays it.

import { Instrument } from "./sound.js";

// The whole piece as a WAV file: 16 bits, stereo.
export async function renderWav(piece, quartersPerSecond) {
  const rate = 44100;
  const tail = 3; // seconds in which the last notes die away
  const count = Math.ceil((piece.length / quartersPerSecond + tail) * rate);
  const context = new OfflineAudioContext(2, count, rate);
  const instrument = new Instrument(context);
  for (const note of piece.notes) {
    const voice = instrument.strike(note, note.start / quartersPerSecond, piece.level);
    instrument.release(voice, note.end / quartersPerSecond);
  }
  const rendered = await context.startRendering();
  return wavOf(rendered.getChannelData(0), rendered.getChannelData(1), rate);
}

// A WAV file of two channels with samples from -1 to 1.
function wavOf(left, right, rate) {
  const bytes = 4 * left.length;
  const view = new DataView(new ArrayBuffer(44 + bytes));
  const words = (offset, text) => {
    [...text].forEach((letter, index) => view.setUint8(offset + index, letter.charCodeAt(0)));
  };
  words(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  words(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 4 * rate, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  words(36, "data");
  view.setUint32(40, bytes, true);
  for (let t = 0; t < left.length; t++) {
    view.setInt16(44 + 4 * t, Math.round(32767 * left[t]), true);
    view.setInt16(46 + 4 * t, Math.round(32767 * right[t]), true);
  }
  return new Blob([view], { type: "audio/wav" });
}
