// Takes that are saved, or dragged out of the page.

import { button, element } from "./dom.js";
import { save } from "./save.js";
import { downloadOf } from "./server.js";
import { renderWav } from "./wav.js";

const FORMATS = {
  mid: { word: "MIDI", type: "audio/midi" },
  musicxml: { word: "MusicXML", type: "application/vnd.recordare.musicxml+xml" },
  wav: { word: "WAV", type: "audio/wav" },
};

// A browser that knows `DownloadURL` writes the file where it is dropped, such as in a sequencer.
export function dragOut(event, take, format) {
  const address = downloadOf(take.id, format);
  const file = `${fileNameOf(take)}.${format}`;
  event.dataTransfer.setData("DownloadURL", `${FORMATS[format].type}:${file}:${address}`);
  event.dataTransfer.setData("text/plain", take.name);
  event.dataTransfer.effectAllowed = "copy";
}

// A name that a file may have on any system. A colon would end it in a `DownloadURL`.
export function fileNameOf({ name }) {
  const safe = name.replace(/[\u0000-\u001f"*/:<>?\\|]+/g, " ").trim().slice(0, 80);
  return safe || "take";
}

// What saves a take in each format: a link, if the server writes it. A server without a synthesiser
// writes no WAV; there a button has the page render one, of which a drag has no address.
export function savers(take, writable, saveWav) {
  return Object.keys(FORMATS).map((format) => {
    return writable.includes(format) ? saveLink(take, format) : wavButton(take, saveWav);
  });
}

function saveLink(take, format) {
  const { word } = FORMATS[format];
  const link = element("a", {
    href: downloadOf(take.id, format),
    download: `${fileNameOf(take)}.${format}`,
    draggable: "true",
    "aria-label": `Save ${take.name} as ${word}`,
    title: "A click saves it; or drag it into another program",
  }, word);
  link.addEventListener("dragstart", (event) => dragOut(event, take, format));
  return link;
}

function wavButton(take, saveWav) {
  const attributes = {
    class: "link",
    "aria-label": `Save ${take.name} as WAV`,
    title: "The sound of this page; where FluidSynth is installed, a WAV can be dragged too",
  };
  const wav = button("WAV", attributes, async () => {
    wav.disabled = true;
    await saveWav();
    wav.disabled = false;
  });
  return wav;
}

export async function saveAsWav(piece, take, quartersPerSecond) {
  const file = `${fileNameOf(take)}.wav`;
  save(await renderWav(piece, quartersPerSecond), file);
  return file;
}
