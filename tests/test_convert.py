"""`lnfgen convert` and `lnfgen info` as a person and a script meet them."""

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lnfgen import formats
from lnfgen.cli import info
from lnfgen.errors import LnfgenError, RunError
from lnfgen.music.pianoroll import PianoRoll

ROLL = PianoRoll.from_notes([(0, 4, 60), (4, 4, 60), (8, 4, 64), (8, 4, 67)], num_steps=40, time_signature=(3, 4))
TUNES = "X:1\nT:A\nM:4/4\nL:1/4\nK:C\nC D E F | G4 | A4 |]\n\nX:2\nT:B\nM:4/4\nL:1/4\nK:C\nE4 | F4 | c2 z2 |]\n"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


def test_convert_there_and_back_by_file_and_by_pipe(lnfgen: Run, tmp_path: Path) -> None:
    formats.write(tmp_path / "a.npz", ROLL)
    done = lnfgen("convert", "a.npz", "b.mid", "--program", 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"b.mid\n", b"")
    piped = lnfgen("convert", "-", "-", "--tempo", 90, input=(tmp_path / "b.mid").read_bytes())
    assert piped.returncode == 0, piped.stderr
    (roll,) = formats.read_bytes(piped.stdout)
    assert roll == PianoRoll(ROLL.sounding, ROLL.onsets, tempo_bpm=90.0, time_signature=(3, 4))


def test_several_pieces_are_numbered_files(lnfgen: Run, tmp_path: Path) -> None:
    (tmp_path / "book.abc").write_text(TUNES)
    done = lnfgen("convert", "book.abc", "out.mid")
    assert done.stdout == b"out-01.mid\nout-02.mid\n", done.stderr
    assert [note[2] for note in formats.read(tmp_path / "out-02.mid")[0].notes()] == [64, 65, 72]  # type: ignore[union-attr]
    refused = lnfgen("convert", "book.abc", "-")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"2 pieces" in refused.stderr


def test_notes_out_of_range_are_one_line(lnfgen: Run, tmp_path: Path) -> None:
    wide = PianoRoll.from_notes([(0, 4, 60), (0, 4, 10), (0, 4, 120)], num_pitches=128, lowest_pitch=0)
    formats.write(tmp_path / "wide.mid", wide)
    done = lnfgen("convert", "wide.mid", "a.txt")
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1
    assert b"left out 2 notes" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "out", "said"),
    [
        ("a.mid", b"Dear diary", "b.npz", b"no MIDI file"),
        ("a.txt", b"Dear diary", "b.mid", b".txt .abc"),
        ("a.txt", b"Dear diary", "b.mp3", b"unknown suffix '.mp3'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(
    lnfgen: Run, tmp_path: Path, name: str, content: bytes, out: str, said: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    done = lnfgen("convert", name, out)
    assert (done.returncode, done.stdout) == (1, b"")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_info_of_a_piece(lnfgen: Run, tmp_path: Path) -> None:
    content = formats.to_bytes(ROLL, ".mid")
    done = lnfgen("info", "-", "--json", input=content)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts == {
        "kind": "music",
        "steps": 40,
        "bars": 4,
        "seconds": 5.0,
        "notes": 4,
        "lowest_note": "C4",
        "highest_note": "G4",
        "notes_per_sounding_step": 1.333,
        "onsets": True,
        "steps_per_quarter": 4,
        "tempo_bpm": 120.0,
        "time_signature": "3/4",
        "out_of_range": 0,
    }
    (tmp_path / "a.mid").write_bytes(content)
    table = lnfgen("info", "a.mid").stdout.decode()
    assert "lowest note" in table
    assert "\x1b" not in table


def facts_of(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    info.command(str(path), as_json=True)
    facts: dict[str, object] = json.loads(capsys.readouterr().out)
    return facts


def test_info_of_several_pieces_and_of_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book.abc"
    book.write_text(TUNES)
    facts = facts_of(book, capsys)
    assert (facts["pieces"], facts["steps"], facts["notes"]) == (2, 96, 9)
    info.command(str(book))
    assert "piece  steps" in capsys.readouterr().out
    (tmp_path / "a.txt").write_text("ab\nabc\n")
    facts = facts_of(tmp_path / "a.txt", capsys)
    assert facts == {"kind": "text", "characters": 7, "lines": 2, "longest_line": 3, "distinct_characters": 4}


def a_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"name": "af-scf", "preset": "tiny"}))
    (folder / "dataset.json").write_text(json.dumps({"name": "chorales", "kind": "music"}))
    lines = [
        {"epoch": 1, "step": 10, "valid_elbo": 7.0, "kl": 0.5, "kl_weight": 0.1},
        {"epoch": 2, "step": 20, "valid_elbo": 8.0, "kl": 1.5, "kl_weight": 1.0},
        {"epoch": 3, "step": 30, "valid_elbo": 9.0, "kl": 1.5, "kl_weight": 1.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 4, "st')
    header = json.dumps({"__metadata__": {"a": "b"}, "w": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]}})
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(60))
    return folder


def test_info_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run")
    facts = facts_of(run, capsys)
    assert facts["model"] == "af-scf"
    assert facts["dataset"] == "chorales"
    assert facts["parameters"] == 15
    assert (facts["epochs"], facts["best_epoch"], facts["best_valid_elbo"]) == (3, 2, 8.0)
    for name in ("metrics.jsonl", "model.safetensors", "dataset.json"):
        (run / name).unlink()
        assert facts_of(run, capsys)["model"] == "af-scf"


def test_info_of_a_damaged_run_and_of_any_other_folder(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (run / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(RunError, match=r"model\.safetensors is damaged"):
        info.command(str(run))
    (run / "config.json").write_text("{")
    with pytest.raises(LnfgenError, match=r"config\.json: no JSON object"):
        info.command(str(run))
    (tmp_path / "other").mkdir()
    with pytest.raises(LnfgenError, match="holds nothing; expected a dataset folder"):
        info.command(str(tmp_path / "other"))
