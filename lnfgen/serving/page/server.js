// What the page asks of the server: JSON over HTTP, with the token of the page's address.

const TOKEN = new URLSearchParams(location.search).get("token") ?? "";

// The server refuses, and says why.
export class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

// The server does not answer.
export class Gone extends Error {}

async function ask(method, path, body) {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const isFile = body instanceof Blob;
  if (body !== undefined && !isFile) headers["Content-Type"] = "application/json";
  const content = isFile || body === undefined ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: content, cache: "no-store" });
  } catch (error) {
    throw new Gone(error.message);
  }
  const text = await answer.text();
  if (!answer.ok) throw new Refused(wordsOf(answer, text), answer.status);
  return text ? JSON.parse(text) : undefined;
}

function wordsOf(answer, text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return `The server answers ${answer.status} ${answer.statusText}`;
  }
}

const addressOf = (path) => `${path}${path.includes("?") ? "&" : "?"}token=${TOKEN}`;

export const session = () => ask("GET", "/api/session");
export const takes = async () => (await ask("GET", "/api/takes")).takes;
export const take = (id) => ask("GET", `/api/takes/${id}`);
export const changeTake = (id, changes) => ask("PATCH", `/api/takes/${id}`, changes);
export const removeTake = (id) => ask("DELETE", `/api/takes/${id}`);
export const restoreTake = (id) => ask("POST", `/api/takes/${id}/restore`);
export const draw = async (request) => (await ask("POST", "/api/drawings", request)).id;
export const cancel = (id) => ask("DELETE", `/api/drawings/${id}`);

export function open(file) {
  return ask("POST", `/api/takes?name=${encodeURIComponent(file.name)}`, file);
}

// The whole address of a take as a file.
export function downloadOf(id, format) {
  return new URL(addressOf(`/api/takes/${id}/download?format=${format}`), location.href).href;
}

// Follow a drawing. `heard` has a function for each kind of event, and `lost` is called when the
// server is gone. The result ends to follow it, which cancels the drawing.
export function follow(id, heard, lost) {
  const source = new EventSource(addressOf(`/api/drawings/${id}/events`));
  const isLast = ["done", "failed", "cancelled"];
  for (const [kind, react] of Object.entries(heard)) {
    source.addEventListener(kind, (event) => {
      if (isLast.includes(kind)) source.close();
      react(JSON.parse(event.data));
    });
  }
  // A stream that breaks off would be asked for again, for ever.
  source.addEventListener("error", () => {
    source.close();
    lost();
  });
  return () => source.close();
}
