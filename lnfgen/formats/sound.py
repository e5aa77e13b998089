"""Write piano-rolls as sound (WAV), with FluidSynth as the synthesiser.

FluidSynth is a program of its own, and takes its instruments from a soundfont. Of packages that pip installs, three
were looked at, and none does it alone: tinysoundfont 0.3.7 needs PortAudio to install, the synthesiser of
symusic 0.6.0 (an experimental part of it) failed, and pretty_midi without FluidSynth plays sines.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.formats.midi import midi_bytes
from lnfgen.music.pianoroll import PianoRoll

SAMPLE_RATE = 44_100
MAX_SECONDS = 3600.0
"""A longer piece would fill the memory."""

SOUNDFONT = "LNFGEN_SOUNDFONT"
"""The environment variable that names a soundfont."""

_PROGRAM = "fluidsynth"
_FOLDERS = (
    *("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/share/sounds/sf3", "/usr/local/share/soundfonts"),
    *("/opt/homebrew/share/soundfonts", "/usr/local/share/fluidsynth", "~/.local/share/soundfonts"),
)
_PREFERRED = ("default", "fluid", "musescore", "general", "gm")  # words of the names of General MIDI soundfonts
_PEAK = 0.9
_NOISE = 1e-4  # what the synthesiser's reverb makes of nothing
_AUDIBLE = 1e-3  # of the peak: where the last note has died away
_TAIL = 4.0  # seconds at most that it takes


def wav_bytes(roll: PianoRoll, *, program: int | Sequence[int] = 0, voices: int | None = None) -> bytes:
    """A WAV file of 16 bits, in stereo, at 44,100 Hz. It lasts as long as the piece, and until the last note is gone.

    Args:
        program, voices: as `midi_bytes` takes them.

    Raises:
        LnfgenError: if there is no synthesiser, it fails, or the piece lasts over an hour.
    """
    command, soundfont = require_synthesiser()
    if roll.seconds > MAX_SECONDS:
        raise LnfgenError(f"a piece of {roll.seconds / 60:.0f} minutes as sound; expected at most 60")
    with tempfile.TemporaryDirectory() as folder:
        midi, raw = Path(folder) / "piece.mid", Path(folder) / "piece.raw"
        midi.write_bytes(midi_bytes(roll, program=program, voices=voices))
        options = ["-n", "-i", "-q", "-F", str(raw), "-T", "raw", "-O", "float", "-E", "little", "-r", str(SAMPLE_RATE)]
        limit = 120 + 5 * roll.seconds
        try:
            done = subprocess.run(
                [command, *options, str(soundfont), str(midi)],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=limit,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LnfgenError(f"{command} failed: {error}") from error
        samples = np.fromfile(raw, "<f4").reshape(-1, 2) if raw.exists() else np.zeros((0, 2), np.float32)
        said = " ".join(done.stderr.decode(errors="replace").split())[:200] or "it said nothing"
    peak = float(np.abs(samples).max(initial=0.0))
    silent = not roll.sounding.any()
    if done.returncode or not len(samples) or not (silent or peak > _NOISE):
        raise LnfgenError(f"{command} made no sound with {soundfont}: {said}; try another soundfont in ${SOUNDFONT}")
    return _wave(0.0 * samples if silent else samples / peak * _PEAK, roll.seconds)


def require_synthesiser() -> tuple[str, Path]:
    """FluidSynth and the soundfont that it is to use.

    Raises:
        LnfgenError: if one of them is not there; the message says how to get it.
    """
    command = shutil.which(_PROGRAM)
    if command is None:
        raise LnfgenError(
            "sound needs FluidSynth, which is not there; install fluidsynth and a soundfont (apt install fluidsynth "
            "fluid-soundfont-gm; brew install fluid-synth), or write .html, which plays and saves WAV in a browser"
        )
    if named := os.environ.get(SOUNDFONT):
        if not Path(named).is_file():
            raise LnfgenError(f"{SOUNDFONT}={named} is no file; expected a soundfont (.sf2 or .sf3)")
        return command, Path(named)
    found = [
        path
        for folder in _FOLDERS
        for path in sorted(Path(folder).expanduser().glob("*.sf[23]"))
        if path.is_file()  # a link can lead nowhere
    ]
    if not found:
        raise LnfgenError(
            "FluidSynth is there but no soundfont; install one (apt install fluid-soundfont-gm), or name a .sf2 file "
            f"in the environment variable {SOUNDFONT}; .html plays and saves WAV without either"
        )

    def rank(path: Path) -> int:
        return next((rank for rank, word in enumerate(_PREFERRED) if word in path.name.lower()), len(_PREFERRED))

    return command, min(found, key=rank)


def _wave(samples: np.ndarray, seconds: float) -> bytes:
    """The WAV file of samples, float [frames, 2], without the silence after the piece."""
    least = round(seconds * SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples).max(axis=1) > _AUDIBLE)
    last = min(int(loud[-1]) + 1 if len(loud) else 0, least + round(_TAIL * SAMPLE_RATE))
    frames = np.zeros((max(least, last), 2), np.float32)
    kept = samples[: len(frames)]
    frames[: len(kept)] = kept
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((frames * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()
