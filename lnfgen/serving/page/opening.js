// Files that come in, by a button or dropped on the page.

import { byId, element } from "./dom.js";

const READ = ".mid,.midi,.musicxml,.mxl,.xml,.abc";

// Have files opened that are chosen or dropped.
export function takeIn(opened) {
  const chooser = element("input", { type: "file", accept: READ, hidden: true, tabindex: "-1" });
  chooser.id = "file";
  chooser.addEventListener("change", () => {
    const files = [...chooser.files];
    chooser.value = ""; // the same file may be chosen again
    opened(files);
  });
  document.body.append(chooser);
  byId("open").addEventListener("click", () => chooser.click());
  const hasFiles = (event) => [...event.dataTransfer.types].includes("Files");
  const show = (isOver) => document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) show(false);
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(false);
    opened([...event.dataTransfer.files]);
  });
}
