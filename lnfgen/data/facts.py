"""Facts about a dataset folder, a piece of music or a text, as flat dictionaries.

And words on what a piece lost.
"""

from collections.abc import Sequence
from typing import Any

from lnfgen.data.dataset import Dataset
from lnfgen.formats.text import LINE_ENDS
from lnfgen.music.chord_finding import chords_of
from lnfgen.music.conversion import FINER, REPORTED, ConversionReport
from lnfgen.music.key_signature import signature_for
from lnfgen.music.parts import ROLES, in_roles
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song, as_song
from lnfgen.music.tonality import pitch_name
from lnfgen.music.tracks import Track
from lnfgen.wording import counted, counted_ends, frequencies

# Facts of a piece that add up over the pieces of a file.
_SUMS = ("steps", "bars", "seconds", "notes", "characters", "lines", "chord_symbols", *REPORTED)
# a finer grid is advised if it would round at most this share of the starts and ends that were
# rounded
_FEW = 0.1
PIANO_KEYS = "a piano's 88 keys (A0 to C8)"
# of a track, under the names that a person sees them by
_OF_TRACK = ("number", "name", "instrument", "program", "channel", "notes")


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """The name, the encoding and the sizes of a dataset."""
    encoding = dataset.encoding
    manifest = dataset.manifest
    facts: dict[str, Any] = {"kind": "dataset", "name": dataset.name, "holds": encoding.kind}
    for split, counts in manifest["splits"].items():
        for key in ("sequences", "steps", "dropped"):
            facts[f"{split}_{key}"] = counts[key]
    facts |= encoding.facts()
    signatures = []
    for name in dataset.split_names:
        for beats, unit in dataset.split(name).time_signatures:
            signatures.append(f"{beats}/{unit}")
    if signatures:
        facts["time_signatures"] = frequencies(signatures)
    facts |= manifest["preprocessing"].get("report", {})
    for key in ("sources", "skipped"):
        facts[key] = len(manifest[key])
    facts["fingerprint"] = dataset.fingerprint
    return facts


def file_facts(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a file, from the `piece_facts` of its pieces.

    They are those of its only piece, or the sums over several.
    """
    if len(each) == 1:
        return each[0]
    facts: dict[str, Any] = {"kind": each[0]["kind"], "pieces": len(each)}
    for key in _SUMS:
        if key in each[0]:
            facts[key] = round(sum(piece[key] for piece in each), 3)
    tracks = [track for piece in each for track in piece.get("tracks", ())]
    if tracks:
        facts["tracks"] = tracks
    return facts


def piece_facts(piece: Song | PianoRoll | str) -> dict[str, Any]:
    """The length, the notes or characters, and the grid of one piece."""
    if isinstance(piece, str):
        return _text_facts(piece)
    return _music_facts(as_song(piece))


def _text_facts(text: str) -> dict[str, Any]:
    lines = LINE_ENDS.split(text)
    if not lines[-1]:  # the last line may end too
        del lines[-1]
    return {
        "kind": "text",
        "characters": len(text),
        "lines": len(lines),
        "longest_line": max(map(len, lines), default=0),
        "distinct_characters": len(set(text)),
    }


def _music_facts(song: Song) -> dict[str, Any]:
    roll = song.roll
    origin = song.origin
    pitches: list[int] = []
    for part in range(roll.num_parts):
        pitches += [pitch for _, _, pitch in roll.notes(part)]
    facts: dict[str, Any] = {
        "kind": "music",
        "title": origin.title or None,
        "steps": roll.num_steps,
        "bars": roll.num_bars,
        "seconds": round(roll.seconds, 3),
        "notes": len(pitches),
        "lowest_note": None,
        "highest_note": None,
        "notes_per_sounding_step": 0.0,
        "onsets": roll.onsets is not None,
        "steps_per_quarter": roll.steps_per_quarter,
        "tempo_bpm": roll.tempo_bpm,
        "time_signature": "{}/{}".format(*roll.time_signature),
        "upbeat": roll.upbeat,
        "chord_symbols": len(origin.chords),
    }
    if pitches:
        facts["lowest_note"] = pitch_name(min(pitches))
        facts["highest_note"] = pitch_name(max(pitches))
        per_step = roll.merged.sounding.sum(axis=(1, 2))
        sounding = per_step[per_step > 0]
        if len(sounding):  # not where drums play alone
            facts["notes_per_sounding_step"] = round(float(sounding.mean()), 3)
    for name in REPORTED:
        facts[name] = origin.report[name]
    if roll.parts:
        facts["parts"] = " ".join(roll.roles)
    tracks = origin.tracks if roll.parts else in_roles(origin.tracks, ROLES)
    if tracks:
        facts["tracks"] = [_track_facts(track) for track in tracks]
    return facts


def _track_facts(track: Track) -> dict[str, Any]:
    facts = {key: getattr(track, key) for key in _OF_TRACK}
    facts["lowest_note"] = pitch_name(track.lowest)
    facts["highest_note"] = pitch_name(track.highest)
    facts["notes_at_a_time"] = round(track.polyphony, 2)
    facts["kept"] = track.kept
    facts["part"] = track.role or None
    facts["by"] = track.why or None
    return facts


def chord_facts(song: Song) -> list[dict[str, Any]]:
    """The chords of a song: where each starts, in quarters, and its symbol."""
    sharps = signature_for(song.roll, song.origin.key).sharps
    facts: list[dict[str, Any]] = []
    for start, chord in chords_of(song):
        facts.append({"start": float(start), "chord": chord.name(sharps)})
    return facts


def report_in_words(
    report: ConversionReport, steps_per_quarter: int, keys: str = PIANO_KEYS
) -> list[str]:
    """A line for a person on each kind of loss.

    `steps_per_quarter` is the grid of the piano-rolls, and `keys` are words for the keys they have.
    """
    notes = counted(report["notes"], "note")
    lines = []
    if report["rounded"]:
        ends = counted_ends(2 * report["notes"])
        grid = f"{steps_per_quarter} steps per quarter"
        advice = _finer_grid(report, steps_per_quarter)
        lines.append(f"rounded {report['rounded']:,} of {ends} to {grid}; {advice}")
    if report["merged"]:
        count = f"{report['merged']:,} of {notes}"
        lines.append(f"merged {count} with another of the same key and start")
    if report["overlapping"]:
        count = f"{report['overlapping']:,} of {notes}"
        lines.append(f"struck a key that sounds already, at {count}")
    if report["out_of_range"]:
        lines.append(f"left out {counted(report['out_of_range'], 'note')} outside {keys}")
    if report["unread_chords"]:
        texts = counted(report["unread_chords"], "text")
        lines.append(f"left out {texts} in the place of chord symbols, which name no chord")
    of_time = _changes(report, tempo="tempo", time_signature="time signature")
    if of_time:
        has = "a piano-roll has one tempo and time signature"
        lines.append(f"{has}; left out changes: {of_time}")
    of_sound = _changes(report, velocity="velocity", bend="pitch bend", pedal="pedal")
    if of_sound:
        has = "a piano-roll has no velocities, pitch bends or pedal"
        lines.append(f"{has}; left out changes: {of_sound}")
    return lines


def _finer_grid(report: ConversionReport, steps_per_quarter: int) -> str:
    """Advice on the coarsest grid that would round only a few of the notes, if there is one."""
    for times in FINER:
        left = report[f"rounded_{times}"]
        if left <= _FEW * report["rounded"]:
            return f"--steps-per-quarter {times * steps_per_quarter} would round {left:,}"
    return "no finer grid would hold most of them exactly"


def _changes(report: ConversionReport, **nouns: str) -> str:
    """How many changes of each of these were left out, as in `2 of tempo`; empty for none."""
    counts = []
    for name, noun in nouns.items():
        count = report[f"{name}_changes"]
        if count:
            counts.append(f"{count:,} of {noun}")
    return ", ".join(counts)
