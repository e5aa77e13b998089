// What a reload of the page keeps, in the browser's memory of this tab.

const NAME = "lnfgen serve";

export function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME)) ?? {};
  } catch { // a browser may forbid it, and then nothing is kept
    return {};
  }
}

export function remember(state) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(state));
  } catch { // as above
  }
}
