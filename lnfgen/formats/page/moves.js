// The keys that move the playhead.

// Up, down and the page keys scroll the page, but on a roll they move within it, as on any slider.
const MOVES = { ArrowRight: 1, ArrowLeft: -1 };
const MOVES_ON_ROLL = { ArrowUp: 1, ArrowDown: -1, PageUp: 1, PageDown: -1 };

// Where a key moves to from a place in a piece, in quarters; undefined for a key that does not.
export function placeAfter({ key, shiftKey, target }, piece, place, isOnRoll) {
  if (target.matches("[type=range]")) return undefined; // they move a slider
  if (key === "Home") return 0;
  if (key === "End" && isOnRoll) return piece.length;
  const move = MOVES[key] ?? (isOnRoll ? MOVES_ON_ROLL[key] : undefined);
  if (!move) return undefined;
  const step = shiftKey || key.startsWith("Page") ? piece.bar : piece.beat;
  const steps = (place - piece.upbeat) / step; // from the first bar line on
  const whole = steps < 0 ? Math.floor(steps) : Math.round(steps);
  return piece.upbeat + (whole + move) * step;
}
