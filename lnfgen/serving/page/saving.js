// Takes that are saved, or dragged out of the page.

import { button, element } from "./dom.js";
import { save } from "./save.js";
import { downloadOf } from "./server.js";
import { renderWav } from "./wav.js";

const KINDS = {
  mid: "audio/midi",
  musicxml: "application/vnd.recordare.musicxml+xml",
};

// A browser that knows `DownloadURL` writes the file where it is dropped, such as in a sequencer.
export function dragOut(event, take, format) {
  const address = downloadOf(take.id, format);
  const file = `${fileNameOf(take)}.${format}`;
  event.dataTransfer.setData("DownloadURL", `${KINDS[format]}:${file}:${address}`);
  event.dataTransfer.setData("text/plain", take.name);
  event.dataTransfer.effectAllowed = "copy";
}

// A name that a file may have on any system. A colon would end it in a `DownloadURL`.
export function fileNameOf({ name }) {
  const safe = name.replace(/[\u0000-\u001f"*/:<>?\\|]+/g, " ").trim().slice(0, 80);
  return safe || "take";
}

// The links and the button that save a take.
export function saveLinks(take, saveWav) {
  const links = [["mid", "MIDI"], ["musicxml", "MusicXML"]].map(([format, word]) => {
    const link = element("a", {
      href: downloadOf(take.id, format),
      download: `${fileNameOf(take)}.${format}`,
      draggable: "true",
      "aria-label": `Save ${take.name} as ${word}`,
      title: "A click saves it; or drag it into another program",
    }, word);
    link.addEventListener("dragstart", (event) => dragOut(event, take, format));
    return link;
  });
  const attributes = { class: "link", "aria-label": `Save ${take.name} as WAV` };
  const wav = button("WAV", attributes, async () => {
    wav.disabled = true;
    await saveWav();
    wav.disabled = false;
  });
  return [...links, wav];
}

export async function saveAsWav(piece, take, quartersPerSecond) {
  const file = `${fileNameOf(take)}.wav`;
  save(await renderWav(piece, quartersPerSecond), file);
  return file;
}
