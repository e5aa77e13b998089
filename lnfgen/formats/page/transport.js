// The bar of controls of the player, and the playhead, which follows the audio clock.

import { MOMENT } from "./piece.js";

export const byId = (id) => document.getElementById(id);

export function clockOf(seconds) {
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return `${Math.floor(seconds / 60)}:${rest}`;
}

export class Transport {
  // `roll` gives the roll of the piece that plays.
  constructor(playback, roll) {
    this.playback = playback;
    this.roll = roll;
    byId("tempo").addEventListener("input", () => playback.setTempo(byId("tempo").value / 100));
    byId("volume").addEventListener("input", () => this.setVolume());
    this.setVolume();
  }

  setVolume() {
    const share = byId("volume").value / 100;
    byId("volume-value").textContent = `${Math.round(share * 100)} %`;
    this.playback.setVolume(share);
  }

  showPlace(follow) {
    const now = this.playback.placeNow();
    this.roll().show(now, follow);
    const seconds = now / this.playback.quartersPerSecond() + MOMENT;
    byId("clock").textContent = clockOf(seconds);
  }

  // Move the playhead until the piece does not play any more.
  frame() {
    cancelAnimationFrame(this.drawing);
    if (!this.playback.isPlaying) return;
    this.showPlace(true);
    this.drawing = requestAnimationFrame(() => this.frame());
  }

  refresh() {
    const { piece, isPlaying } = this.playback;
    const rate = this.playback.quartersPerSecond();
    byId("play").classList.toggle("playing", isPlaying);
    byId("play").setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${piece.name}`);
    byId("now-title").textContent = piece.name;
    byId("duration").textContent = clockOf(Math.round(piece.length / rate));
    const bpm = Math.round(rate * 60);
    byId("tempo-value").textContent = `♩ = ${bpm}`;
    byId("tempo").setAttribute("aria-valuetext", `${bpm} quarter notes a minute`);
    this.showPlace(false);
    if (isPlaying) this.frame();
  }
}
