"""Write piano-rolls as sound (WAV), with the program FluidSynth, which takes its instruments from a
soundfont."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lnfgen.errors import LnfgenError
from lnfgen.formats.song import kept_tracks, midi_of
from lnfgen.music.pianoroll import PianoRoll

SOUNDFONT = "LNFGEN_SOUNDFONT"  # the environment variable that names a soundfont
_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/opt/homebrew/share/soundfonts")


def wav_bytes(roll: PianoRoll, *, programs: Sequence[int] = (), voices: int | None = None) -> bytes:
    """A WAV file of 16 bits, in stereo, at 44,100 Hz, as FluidSynth plays the MIDI file of the
    piece.

    A piece that was read from a file is played as it is there, with its own instruments, of the
    tracks that were kept.

    Args:
        programs, voices: as `lnfgen.formats.song.midi_of` takes them; then a file's own instruments
            are not heard.

    Raises:
        LnfgenError: if there is no synthesiser, or it fails.
    """
    command, soundfont = require_synthesiser()
    is_as_read = roll.song is not None and roll.drawn is None and not programs and voices is None
    content = kept_tracks(roll) if is_as_read else midi_of(roll, programs=programs, voices=voices)
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.write_bytes(content)
        options = ["-n", "-i", "-q", "-F", str(wav), "-T", "wav", "-r", "44100", "-g", "1"]
        try:
            done = subprocess.run(
                [command, *options, soundfont, str(midi)], capture_output=True, timeout=600
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LnfgenError(f"{command} failed: {error}") from error
        content = wav.read_bytes() if wav.exists() else b""
    # a header, and the block that it writes of a file it cannot play
    if done.returncode or len(content) <= 300:
        said = " ".join(done.stderr.decode(errors="replace").split())[:200] or "it said nothing"
        raise LnfgenError(
            f"{command} made no sound with {soundfont}: {said}; try another soundfont in ${SOUNDFONT}"
        )
    return content


def require_synthesiser() -> tuple[str, str]:
    """The paths of FluidSynth and of the soundfont: `$LNFGEN_SOUNDFONT`, or the first one in the
    usual folders.

    The `LnfgenError` of one that is missing says how to get it.
    """
    command, named = shutil.which("fluidsynth"), os.environ.get(SOUNDFONT)
    fonts = (
        [named]
        if named
        else [str(path) for folder in _FOLDERS for path in sorted(Path(folder).glob("*.sf[23]"))]
    )
    font = next(filter(os.path.isfile, fonts), None)
    if command and font:
        return command, font
    if command and named:
        raise LnfgenError(f"{SOUNDFONT}={named} is no file; expected a soundfont (.sf2 or .sf3)")
    missing = (
        f"no soundfont in {' '.join(_FOLDERS)} or ${SOUNDFONT}" if command else "no FluidSynth"
    )
    how = "install fluidsynth and a soundfont (apt install fluidsynth fluid-soundfont-gm; brew install fluid-synth)"
    raise LnfgenError(
        f"found {missing}; {how}, or write .html, which plays and saves WAV in a browser"
    )
