"""Write songs as sound (WAV) with the program FluidSynth.

It takes its instruments from a soundfont.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lnfgen.errors import LnfgenError
from lnfgen.formats.messages import END_OF_TRACK, end_of_track, last_tick, meta_type
from lnfgen.formats.midi_file import (
    ESCAPE,
    FIRST_SYSTEM,
    META,
    SYSEX,
    Event,
    TrackEvents,
    file_bytes,
    new_file,
    read_file,
)
from lnfgen.formats.song import kept_tracks, midi_of
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song, as_song

SOUNDFONT = "LNFGEN_SOUNDFONT"  # the environment variable that names a soundfont
_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/opt/homebrew/share/soundfonts")
_SECONDS = 600  # that FluidSynth may take
# A header, and the block that FluidSynth writes for a file that it cannot play.
_BYTES_OF_NOTHING = 300


def wav_bytes(
    piece: Song | PianoRoll, *, programs: Sequence[int] = (), voices: int | None = None
) -> bytes:
    """A WAV file of 16 bits, in stereo, at 44,100 Hz, as FluidSynth plays the MIDI file of a piece.

    A piece that was read from a file is played as it is there, with its own instruments, of the
    tracks that were kept.

    Args:
        programs, voices: as `lnfgen.formats.song.midi_of` takes them; then a file's own instruments
            are not heard.

    Raises:
        LnfgenError: if there is no synthesiser, or it fails.
    """
    command, soundfont = require_synthesiser()
    song = as_song(piece)
    is_as_read = song.origin.midi is not None and song.drawn is None
    if is_as_read and not programs and voices is None:
        midi = kept_tracks(song)
    else:
        midi = midi_of(song, programs=programs, voices=voices)
    return _synthesise(_playable(midi), command, soundfont)


def _playable(content: bytes) -> bytes:
    """A MIDI file of the events that FluidSynth knows; it refuses a file that has others."""
    midi = read_file(content)
    tracks: list[TrackEvents] = []
    for track in midi.tracks:
        plain = [event._replace(is_running=False) for event in track if _is_plain(event)]
        tracks.append([*plain, end_of_track(last_tick([track]))])
    return file_bytes(new_file(int(len(tracks) > 1), midi.division, tracks))


def _is_plain(event: Event) -> bool:
    """True of messages of channels, whole system-exclusive ones, and meta events in a track."""
    if event.status == SYSEX:
        return event.data.endswith(bytes([ESCAPE]))
    if event.status == META:
        return meta_type(event) != END_OF_TRACK
    return event.status < FIRST_SYSTEM


def _synthesise(midi: bytes, command: str, soundfont: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "piece.mid")
        target = Path(folder, "piece.wav")
        source.write_bytes(midi)
        options = ["-n", "-i", "-q", "-F", str(target), "-T", "wav", "-r", "44100", "-g", "1"]
        arguments = [command, *options, soundfont, str(source)]
        try:
            done = subprocess.run(arguments, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LnfgenError(f"{command} failed: {error}") from error
        wav = target.read_bytes() if target.exists() else b""
    if done.returncode != 0 or len(wav) <= _BYTES_OF_NOTHING:
        words = done.stderr.decode(errors="replace").split()
        said = " ".join(words)[:200] or "it said nothing"
        raise LnfgenError(
            f"{command} made no sound with {soundfont}: {said}; "
            f"try another soundfont in ${SOUNDFONT}"
        )
    return wav


def require_synthesiser() -> tuple[str, str]:
    """The paths of FluidSynth and of the soundfont.

    The soundfont is `$LNFGEN_SOUNDFONT`, or the first one in the usual folders.

    Raises:
        LnfgenError: if one of them is missing, with a way to get it.
    """
    command = shutil.which("fluidsynth")
    named = os.environ.get(SOUNDFONT)
    fonts = [named] if named else _usual_soundfonts()
    font = next(filter(os.path.isfile, fonts), None)
    if command and font:
        return command, font
    if command and named:
        raise LnfgenError(f"{SOUNDFONT}={named} is no file; expected a soundfont (.sf2 or .sf3)")
    missing = "no FluidSynth"
    if command:
        missing = f"no soundfont in {' '.join(_FOLDERS)} or ${SOUNDFONT}"
    raise LnfgenError(
        f"found {missing}; install fluidsynth and a soundfont "
        "(apt install fluidsynth fluid-soundfont-gm; brew install fluid-synth), "
        "or write .html, which plays and saves WAV in a browser"
    )


def _usual_soundfonts() -> list[str]:
    fonts: list[str] = []
    for folder in _FOLDERS:
        fonts += map(str, sorted(Path(folder).glob("*.sf[23]")))
    return fonts
