// Scrolls the page while a drag over the roll is held at the upper or lower edge of what one sees,
// so that marks can go on to bars that are out of view.

const EDGE = 56; // pixels from an edge, in which a drag scrolls
const FASTEST = 800; // pixels a second, at the edge itself and beyond
const SLACK = 12; // pixels; a drag that begins near an edge scrolls once it is so much nearer
const MARGIN = 8; // pixels that are left between an end of the roll and an edge
const LONGEST = 0.1; // seconds of a step, so that a page that was busy does not leap

export class EdgeScroll {
  // `scrolled` is called with the last event of the pointer, which is now at another place of the
  // element.
  constructor(element, scrolled) {
    this.element = element;
    this.scrolled = scrolled;
  }

  // Begin with the event that begins a drag.
  begin(event) {
    this.end();
    this.first = event.clientY;
    this.event = event;
    this.owed = 0; // pixels, of which the page scrolls whole ones
    this.time = undefined;
    this.wait();
  }

  // The drag goes on to the place of an event.
  follow(event) {
    this.event = event;
  }

  end() {
    cancelAnimationFrame(this.frame);
  }

  wait() {
    this.frame = requestAnimationFrame((time) => this.step(time / 1000));
  }

  step(time) {
    const passed = Math.min(time - (this.time ?? time), LONGEST);
    this.time = time;
    const { speed } = this;
    this.owed = speed ? this.within(this.owed + speed * passed) : 0;
    const pixels = Math.trunc(this.owed);
    if (pixels) {
      this.owed -= pixels;
      scrollBy(0, pixels);
      this.scrolled(this.event);
    }
    this.wait();
  }

  // Pixels a second, below 0 for upwards: the faster, the nearer the pointer is to the edge.
  get speed() {
    const { clientY } = this.event;
    const above = Math.min(EDGE, this.first - SLACK) - clientY;
    const below = clientY - Math.max(lowerEdge() - EDGE, this.first + SLACK);
    if (above > 0) return -FASTEST * Math.min(1, above / EDGE);
    if (below > 0) return FASTEST * Math.min(1, below / EDGE);
    return 0;
  }

  // As many of these pixels as there are to an end of the roll.
  within(pixels) {
    const { top, bottom } = this.element.getBoundingClientRect();
    const most = Math.max(0, bottom + MARGIN - lowerEdge());
    const least = Math.min(0, top - MARGIN);
    return Math.max(least, Math.min(pixels, most));
  }
}

// Where the part of the window ends in which one sees the roll.
function lowerEdge() {
  const dock = document.querySelector(".dock").getBoundingClientRect();
  return Math.min(innerHeight, dock.top);
}
