"""A song in files, which are read again as the same song.

`notes.safetensors` has the cells of its roll and those that were drawn, `song.json` all that is a
word or a number, and `own.mid` the MIDI file that the song came from, if there is one. The `.mid`
that a person wants to have is another one, of which nobody could tell what was drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.files import read_object, sha256_of, write_bytes, write_json
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import Chord
from lnfgen.music.key_signature import TONIC_OF_MODE, KeySignature
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.music.timing import Timing
from lnfgen.music.tracks import Track
from lnfgen.serving.json_records import record

_CELLS = "notes.safetensors"
_WORDS = "song.json"
_OWN_FILE = "own.mid"
_NUM_KEYS = 128
# What Python raises where a value is none that `write_song` writes.
_OF_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


def write_song(folder: Path, song: Song, masks: Mapping[str, np.ndarray]) -> None:
    """Write a song, and masks of its cells, into a folder.

    Args:
        song: with all 128 keys of MIDI.
        masks: bool [T, R, 128] by their names.
    """
    roll = song.roll
    cells = {"sounding": roll.sounding, **masks}
    if roll.onsets is not None:
        cells["onsets"] = roll.onsets
    packed = {name: np.packbits(values, axis=-1) for name, values in cells.items()}
    write_bytes(folder / _CELLS, save(packed))
    files = [_CELLS]
    if song.origin.midi is not None:
        write_bytes(folder / _OWN_FILE, song.origin.midi)
        files.append(_OWN_FILE)
    words = {
        "roll": _words_of_roll(roll),
        "origin": _words_of_origin(song.origin),
        "sha256": {name: sha256_of(folder / name) for name in files},
    }
    write_json(folder / _WORDS, words, indent=1)


def read_song(folder: Path, names: Sequence[str]) -> tuple[Song, dict[str, np.ndarray]]:
    """The song in a folder, and its masks of these names. That of `drawn` is the song's own.

    Raises:
        UnreadableFileError: if a file is missing or damaged.
    """
    try:
        words = read_object(folder / _WORDS)
        for name, digest in words["sha256"].items():
            if name not in (_CELLS, _OWN_FILE) or sha256_of(folder / name) != digest:
                raise ValueError(f"{name} is not as it was written")
        cells = _unpacked((folder / _CELLS).read_bytes())
        roll = _roll_of(words["roll"], cells.pop("sounding"), cells.pop("onsets", None))
        origin = _origin_of(words["origin"])
        if _OWN_FILE in words["sha256"]:
            origin = replace(origin, midi=(folder / _OWN_FILE).read_bytes())
        masks = {name: cells[name] for name in names}
        if any(mask.shape != roll.sounding.shape for mask in masks.values()):
            raise ValueError("the cells that were drawn are of another piece")
        return Song(roll, origin, masks.get("drawn")), masks
    except OSError as error:
        raise UnreadableFileError(f"{folder}: {error.strerror}") from error
    except (SafetensorError, LnfgenError, *_OF_DAMAGE) as error:
        raise UnreadableFileError(f"{folder} is damaged: {error}") from error


def _unpacked(content: bytes) -> dict[str, np.ndarray]:
    """The cells bool [T, R, 128] of each name."""
    cells: dict[str, np.ndarray] = {}
    for name, packed in load(content).items():
        cells[name] = np.unpackbits(packed, axis=-1, count=_NUM_KEYS).astype(np.bool_)
    return cells


def _words_of_roll(roll: PianoRoll) -> dict[str, Any]:
    return {
        "steps_per_quarter": roll.steps_per_quarter,
        "tempo_bpm": roll.tempo_bpm,
        "time_signature": roll.time_signature,
        "upbeat": roll.upbeat,
        "parts": [asdict(part) for part in roll.parts],
    }


def _roll_of(
    words: Mapping[str, Any], sounding: np.ndarray, onsets: np.ndarray | None
) -> PianoRoll:
    beats, unit = words["time_signature"]
    return PianoRoll(
        sounding,
        onsets,
        steps_per_quarter=words["steps_per_quarter"],
        lowest_pitch=0,
        tempo_bpm=words["tempo_bpm"],
        time_signature=(beats, unit),
        upbeat=words["upbeat"],
        parts=tuple(Part.from_json(part) for part in words["parts"]),
    )


def _words_of_origin(origin: Origin) -> dict[str, Any]:
    """What was read from a file beside the notes, but for the file and for what it lost."""
    chords = []
    for start, chord in origin.chords:
        chords.append([str(start), chord.root, sorted(chord.intervals), chord.bass])
    return {
        "title": origin.title,
        "key": None if origin.key is None else asdict(origin.key),
        "chords": chords,
        "late": str(origin.timing.late),
        "swing": str(origin.timing.swing),
        "tracks": [asdict(track) for track in origin.tracks],
    }


def _origin_of(words: Mapping[str, Any]) -> Origin:
    key = words["key"]
    chords = []
    for start, root, intervals, bass in words["chords"]:
        if not {root, bass, *intervals} <= set(range(12)):
            raise ValueError(f"the chord {root}, {intervals}, {bass}")
        chords.append(ChordChange(Fraction(start), Chord(root, frozenset(intervals), bass)))
    return Origin(
        title=str(words["title"]),
        key=None if key is None else _signature_of(key),
        chords=tuple(chords),
        timing=_timing_of(Fraction(words["late"]), Fraction(words["swing"])),
        tracks=tuple(record(Track, track) for track in words["tracks"]),
    )


def _signature_of(words: Mapping[str, Any]) -> KeySignature:
    key = record(KeySignature, words)
    if abs(key.sharps) > 7 or key.mode not in ("", *TONIC_OF_MODE):
        raise ValueError(f"the key signature {key}")
    return key


def _timing_of(late: Fraction, swing: Fraction) -> Timing:
    if abs(late) >= 1 or not 0 < swing < 1:
        raise ValueError(f"notes that are {late} late and swing at {swing}")
    return Timing(late, swing)
