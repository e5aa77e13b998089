"""A script that listens to what a page plays."""

TAP = """
const connect = AudioNode.prototype.connect;
const start = AudioBufferSourceNode.prototype.start;
const tap = { loudest: 0, starts: [] };
AudioNode.prototype.connect = function (target, ...rest) {
  const isHeard = target instanceof AudioDestinationNode && this.context instanceof AudioContext;
  if (isHeard && !tap.analyser) {
    tap.analyser = this.context.createAnalyser();
    connect.call(this, tap.analyser);
    const samples = new Float32Array(tap.analyser.fftSize);
    setInterval(() => {
      tap.analyser.getFloatTimeDomainData(samples);
      for (const sample of samples) tap.loudest = Math.max(tap.loudest, Math.abs(sample));
    }, 20);
  }
  return connect.call(this, target, ...rest);
};
AudioBufferSourceNode.prototype.start = function (when) {
  tap.starts.push(when);
  return start.call(this, when);
};
"""
"""What goes to the loudspeakers also goes to an analyser, and the start of each note is kept."""
