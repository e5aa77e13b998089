// The name of the take that is shown, with what can be done to it: rename, star, save.

import { byId } from "./dom.js";
import { savers } from "./saving.js";

export class Heading {
  // `named` is called with another name, `starred` when the star is pressed, `saveWav` to save the
  // sound of the page.
  constructor({ named, starred, saveWav }) {
    this.named = named;
    this.saveWav = saveWav;
    byId("star").addEventListener("click", starred);
    byId("rename").addEventListener("click", () => this.rename());
    byId("rename-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.close(true);
      byId("rename").focus();
    });
    byId("new-name").addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.close(false);
    });
    byId("new-name").addEventListener("blur", () => this.close(true));
  }

  // Show a take with its facts in a line; `writable` are the formats that the server writes.
  show(take, facts, writable) {
    document.title = `${take.name} – lnfgen`;
    byId("title").textContent = take.name;
    byId("facts").textContent = facts;
    byId("legend").hidden = ["open", "sample"].includes(take.action); // all kept, or all drawn
    byId("now-title").textContent = take.name;
    byId("roll").setAttribute("aria-label", `Position in ${take.name}`);
    byId("star").textContent = take.starred ? "★" : "☆";
    byId("star").setAttribute("aria-pressed", String(take.starred));
    byId("save").replaceChildren(...savers(take, writable, this.saveWav));
    this.name = take.name;
  }

  rename() {
    byId("rename-form").hidden = false;
    byId("title").hidden = true;
    byId("new-name").value = this.name;
    byId("new-name").focus();
    byId("new-name").select();
  }

  // End to rename, and take the new name over if it is wanted.
  close(isWanted) {
    if (byId("rename-form").hidden) return;
    byId("rename-form").hidden = true;
    byId("title").hidden = false;
    const name = byId("new-name").value.trim();
    if (isWanted && name && name !== this.name) this.named(name);
  }
}
