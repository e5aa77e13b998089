"""Facts about a dataset folder, a piece of music or a text, as flat dictionaries, and words on what
a piece lost."""

from collections.abc import Sequence
from typing import Any

from lnfgen.data.dataset import Dataset
from lnfgen.formats.read_write import Piece
from lnfgen.formats.text import LINE_ENDS
from lnfgen.music.parts import ROLES, in_roles
from lnfgen.music.pianoroll import FINER, LOSSES, Losses
from lnfgen.music.tonality import pitch_name
from lnfgen.wording import counted, counted_ends, frequencies

# Facts of a piece that add up over the pieces of a file.
_SUMS = ("steps", "bars", "seconds", "notes", "characters", "lines", *LOSSES)
# a finer grid is advised if it would round at most this share of the starts and ends that were
# rounded
_FEW = 0.1


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """The name, the encoding and the sizes of a dataset."""
    encoding, manifest = dataset.encoding, dataset.manifest
    facts: dict[str, Any] = {"kind": "dataset", "name": dataset.name, "holds": encoding.kind}
    for split, counts in manifest["splits"].items():
        facts |= {f"{split}_{key}": counts[key] for key in ("sequences", "steps", "dropped")}
    if encoding.kind == "text":
        facts["vocabulary"] = len(encoding.vocabulary)
    else:
        keys = ("has_onsets", "lowest_pitch", "num_pitches", "tempo_bpm")
        facts |= {"steps_per_quarter": encoding.grid} | {
            key: getattr(encoding, key) for key in keys
        }
        facts |= {"parts": " ".join(encoding.roles)} if encoding.parts else {}
        facts["time_signature"] = "{}/{}".format(*encoding.time_signature)
        each = (
            signature
            for name in dataset.split_names
            for signature in dataset.split(name).time_signatures
        )
        if found := frequencies(f"{beats}/{unit}" for beats, unit in each):
            facts["time_signatures"] = found
    counts = {key: len(manifest[key]) for key in ("sources", "skipped")}
    return (
        facts
        | manifest["preprocessing"].get("losses", {})
        | counts
        | {"fingerprint": dataset.fingerprint}
    )


def file_facts(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of a file, from the `piece_facts` of its pieces: those of its only piece, or the
    sums over several."""
    if len(each) == 1:
        return each[0]
    sums = {key: round(sum(piece[key] for piece in each), 3) for key in _SUMS if key in each[0]}
    tracks = [track for piece in each for track in piece.get("tracks", ())]
    return {"kind": each[0]["kind"], "pieces": len(each), **sums} | (
        {"tracks": tracks} if tracks else {}
    )


def piece_facts(piece: Piece) -> dict[str, Any]:
    """The length, the notes or characters, and the grid of one piece."""
    if isinstance(piece, str):
        lines = LINE_ENDS.split(piece)
        lines = lines if lines[-1] else lines[:-1]  # the last line may end too
        return {
            "kind": "text",
            "characters": len(piece),
            "lines": len(lines),
            "longest_line": max(map(len, lines), default=0),
            "distinct_characters": len(set(piece)),
        }
    notes = piece.notes()
    whole = piece.merged
    per_step = whole.sounding.sum(axis=1)
    pitches = sorted(pitch for _, _, pitch in notes)
    tracks = [
        {
            key: getattr(track, key)
            for key in ("number", "name", "instrument", "program", "channel", "notes")
        }
        | {"lowest_note": pitch_name(track.lowest), "highest_note": pitch_name(track.highest)}
        | {"notes_at_a_time": round(track.polyphony, 2), "kept": track.kept}
        | {"part": track.role or None, "by": track.why or None}
        for track in (piece.tracks if piece.parts else in_roles(piece.tracks, ROLES))
    ]
    return {
        "kind": "music",
        "title": piece.title or None,
        "steps": whole.num_steps,
        "bars": piece.num_bars,
        "seconds": round(piece.seconds, 3),
        "notes": len(notes),
        "lowest_note": pitch_name(pitches[0]) if pitches else None,
        "highest_note": pitch_name(pitches[-1]) if pitches else None,
        "notes_per_sounding_step": round(float(per_step[per_step > 0].mean()), 3)
        if pitches
        else 0.0,
        "onsets": piece.onsets is not None,
        "steps_per_quarter": whole.steps_per_quarter,
        "tempo_bpm": piece.tempo_bpm,
        "time_signature": "{}/{}".format(*piece.time_signature),
        "upbeat": whole.upbeat,
        **{name: piece.losses[name] for name in LOSSES},
    } | {
        key: value for key, value in (("parts", " ".join(piece.roles)), ("tracks", tracks)) if value
    }


def losses_in_words(
    losses: Losses, steps_per_quarter: int, keys: str = "a piano's 88 keys (A0 to C8)"
) -> list[str]:
    """A line for a person on each kind of loss. `steps_per_quarter` is the grid of the piano-rolls,
    of these keys."""
    notes, ends = counted(losses["notes"], "note"), counted_ends(2 * losses["notes"])
    advice = "no finer grid would hold most of them exactly"
    for times in reversed(FINER):
        if (left := losses[f"rounded_{times}"]) <= _FEW * losses["rounded"]:
            advice = f"--steps-per-quarter {times * steps_per_quarter} would round {left:,}"

    def changes(**names: str) -> str:
        counts = {words: losses[f"{name}_changes"] for name, words in names.items()}
        return ", ".join(f"{count:,} of {words}" for words, count in counts.items() if count)

    lines = {
        "rounded": f"rounded {losses['rounded']:,} of {ends} to {steps_per_quarter} steps per quarter; {advice}",
        "merged": f"merged {losses['merged']:,} of {notes} with another of the same key and start",
        "overlapping": f"struck a key that sounds already, at {losses['overlapping']:,} of {notes}",
        "out_of_range": f"left out {counted(losses['out_of_range'], 'note')} outside {keys}",
    }
    lines = {name: line for name, line in lines.items() if losses[name]}
    if found := changes(tempo="tempo", metre="time signature"):
        lines["time"] = f"a piano-roll has one tempo and time signature; left out changes: {found}"
    if found := changes(velocity="velocity", bend="pitch bend", pedal="pedal"):
        lines["sound"] = (
            f"a piano-roll has no velocities, pitch bends or pedal; left out changes: {found}"
        )
    return [*lines.values()]
