"""`lnfgen info`: what a file, a dataset folder or a run folder is."""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError, RunError, UnreadableFileError

if TYPE_CHECKING:
    from lnfgen.formats import Piece

_RUN_FILES = ("config.json", "metrics.jsonl", "model.safetensors")


def command(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A piece or text, a dataset folder or a run; - is stdin.")
    ],
    as_json: options.Json = False,
    steps_per_quarter: Annotated[
        int, typer.Option(min=1, max=960, help="Grid that MIDI files and scores are laid on.")
    ] = 4,
    drums: Annotated[bool, typer.Option("--drums", help="Keep MIDI's drum channel, as pitches.")] = False,
) -> None:
    """Tell what a file, a dataset folder or a run folder is."""
    if path != "-" and Path(path).is_dir():
        facts = _folder_facts(Path(path))
        pieces: list[dict[str, Any]] = []
    else:
        facts, pieces = _file_facts(path, steps_per_quarter, drums)
    if as_json:
        console.result_json(facts)
        return
    rows = [(key.replace("_", " "), _shown(value)) for key, value in facts.items()]
    console.result_table("", [("path", path), *rows])  # as a title, Rich would fold a long path to the table's width
    if len(pieces) > 1:
        columns = list(dict.fromkeys(key for piece in pieces for key in piece if key != "kind"))
        table = [[number, *(_shown(piece.get(key)) for key in columns)] for number, piece in enumerate(pieces, start=1)]
        console.result("")
        console.result_table("", table, ["piece", *(key.replace("_", " ") for key in columns)])


def _file_facts(path: str, steps_per_quarter: int, drums: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One flat dictionary; of several pieces, their sums and extremes, and then a dictionary for each piece."""
    from lnfgen import formats

    if path == "-":
        content = sys.stdin.buffer.read()
        if not content:
            raise UnreadableFileError("stdin is empty; expected a piece of music or a text")
        pieces = formats.read_bytes(content, "stdin", steps_per_quarter=steps_per_quarter, drums=drums)
    else:
        pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    each = [_piece_facts(piece) for piece in pieces]
    if len(each) == 1:
        return each[0], each
    sums = ("steps", "bars", "seconds", "notes", "characters", "lines", "out_of_range")
    facts: dict[str, Any] = {"kind": each[0]["kind"], "pieces": len(each)}
    for key in sums:
        if key in each[0]:
            facts[key] = round(sum(piece[key] for piece in each), 3)
    return facts, each


def _piece_facts(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, str):
        lines = piece.splitlines()
        return {
            "kind": "text",
            "characters": len(piece),
            "lines": len(lines),
            "longest_line": max(map(len, lines), default=0),
            "distinct_characters": len(set(piece)),
        }
    from lnfgen.music.rolltext import pitch_name

    notes = piece.notes()
    per_step = piece.sounding.sum(axis=1)
    beats, unit = piece.time_signature
    pitches = sorted(pitch for _, _, pitch in notes)
    return {
        "kind": "music",
        "steps": piece.num_steps,
        "bars": math.ceil(piece.num_steps * unit / (4 * piece.steps_per_quarter * beats)),
        "seconds": round(piece.seconds, 3),
        "notes": len(notes),
        "lowest_note": pitch_name(pitches[0]) if pitches else None,
        "highest_note": pitch_name(pitches[-1]) if pitches else None,
        "notes_per_sounding_step": round(float(per_step[per_step > 0].mean()), 3) if pitches else 0.0,
        "onsets": piece.onsets is not None,
        "steps_per_quarter": piece.steps_per_quarter,
        "tempo_bpm": piece.tempo_bpm,
        "time_signature": f"{beats}/{unit}",
        "out_of_range": piece.out_of_range,
    }


def _folder_facts(folder: Path) -> dict[str, Any]:
    if any((folder / name).exists() for name in _RUN_FILES):
        return _run_facts(folder)
    if (folder / "dataset.json").exists():
        return _dataset_facts(folder)
    found = ", ".join(sorted(item.name for item in folder.iterdir())[:4]) or "nothing"
    raise LnfgenError(
        f"{folder} holds {found}; expected a dataset folder (dataset.json), a run folder (config.json) or a file"
    )


def _dataset_facts(folder: Path) -> dict[str, Any]:
    from lnfgen.data.storage import open_dataset

    dataset = open_dataset(folder)
    encoding, manifest = dataset.encoding, dataset.manifest
    facts: dict[str, Any] = {"kind": "dataset", "name": dataset.name, "holds": encoding.kind}
    for split, counts in manifest.get("splits", {}).items():
        for key in ("sequences", "steps", "dropped"):
            facts[f"{split}_{key}"] = counts.get(key)
    if encoding.kind == "text":
        facts["vocabulary"] = len(encoding.vocabulary)
    else:
        for key in ("has_onsets", "steps_per_quarter", "lowest_pitch", "num_pitches", "tempo_bpm"):
            facts[key] = getattr(encoding, key)
        facts["time_signature"] = "{}/{}".format(*encoding.time_signature)
    facts["sources"] = len(manifest.get("sources", ()))
    facts["skipped"] = len(manifest.get("skipped", ()))
    facts["fingerprint"] = dataset.fingerprint
    return facts


def _run_facts(folder: Path) -> dict[str, Any]:
    """A run may be young or old: what is missing is None, what is damaged is an error."""
    config = _json(folder / "config.json")
    manifest = _json(folder / "dataset.json")
    metrics = _metrics(folder / "metrics.jsonl")
    scored = [line for line in metrics if _is_number(line.get("valid_elbo"))]
    # As in training, only the whole KL counts; of a run that ended before it did, anything.
    annealed = [line for line in scored if line.get("kl_weight") == 1.0] or scored
    best = min(annealed, key=lambda line: line["valid_elbo"], default={})
    weights = folder / "model.safetensors"
    return {
        "kind": "run",
        "model": config.get("name"),
        "preset": config.get("preset"),
        "dataset": manifest.get("name"),
        "dataset_path": manifest.get("path"),
        "holds": manifest.get("kind"),
        "parameters": _count_parameters(weights) if weights.exists() else None,
        "epochs": metrics[-1].get("epoch") if metrics else None,
        "steps": metrics[-1].get("step") if metrics else None,
        "best_epoch": best.get("epoch"),
        "best_valid_elbo": best.get("valid_elbo"),
        "best_valid_kl": best.get("valid_kl"),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}; expected a JSON object") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds a {type(value).__name__}; expected a JSON object")
    return value


def _metrics(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole: a run that was interrupted, or still goes on, may end in half of one."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def _count_parameters(path: Path) -> int:
    """Weights in a safetensors file, from its header alone (8 bytes of length, then JSON); p(T)'s histogram aside."""
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError(f"a header of {length} bytes in a file of {path.stat().st_size}")
            header = json.loads(file.read(length))
        shapes = [entry["shape"] for name, entry in header.items() if not name.startswith(("__", "length."))]
        return sum(math.prod(shape) for shape in shapes)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise RunError(f"{path} is damaged: {error}; expected safetensors weights") from error


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)
