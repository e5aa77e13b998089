"""`lnfgen info` as a person and a script meet it."""

import json
import struct
from pathlib import Path

import pytest
import typer
from command import Call
from toy_bands import band_file
from toy_config import toy_config
from toy_music import ROLL, TUNES, struck_chords

from lnfgen.cli import info
from lnfgen.errors import LnfgenError, RunError
from lnfgen.formats.read_write import to_bytes, write
from lnfgen.music.parts import DRUMS, Part
from lnfgen.music.pianoroll import PianoRoll


def test_info_of_a_piece(lnfgen: Call, here: Call, tmp_path: Path) -> None:
    content = to_bytes(ROLL, ".mid")
    done = lnfgen("info", "-", "--json", input=content)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    [track] = facts.pop("tracks")
    assert track == {
        "number": 1,
        "name": "",
        "instrument": "piano",
        "program": 0,
        "channel": 1,
        "notes": 4,
        "lowest_note": "C4",
        "highest_note": "G4",
        "notes_at_a_time": 1.33,
        "kept": True,
        "part": "chords",
        "by": "the others",
    }
    lost = (
        "rounded merged overlapping out_of_range unread_chords tempo_changes "
        "time_signature_changes velocity_changes bend_changes pedal_changes"
    )
    assert facts == {
        "path": "-",
        "kind": "music",
        "title": None,
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
        "upbeat": 0,
        "chord_symbols": 0,
        **dict.fromkeys(lost.split(), 0),
        "chords": [
            {"start": 0.0, "chord": "C"},
            {"start": 2.0, "chord": "Em"},
            {"start": 3.0, "chord": "N.C."},
        ],
    }
    (tmp_path / "a.mid").write_bytes(content)
    table = here("info", "a.mid").stdout.decode()
    assert "lowest note" in table
    assert table.endswith("chords heard:\n| C Em | N.C. | % | % |\n")
    assert "\x1b" not in table


def facts_of(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    info.command([str(path)], as_json=True)
    facts: dict[str, object] = json.loads(capsys.readouterr().out)
    return facts


def test_a_long_song_has_its_first_bars_in_the_chart_and_all_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chords = ((48, 55, 63), (53, 60, 68))  # C minor and F minor, so that both are spelled in flats
    song = struck_chords(*(chords * 150), grid=1, length=4)
    write(tmp_path / "a.npz", song)
    info.command([str(tmp_path / "a.npz")])
    _, chart = capsys.readouterr().out.split("chords heard:\n")
    lines = chart.splitlines()
    assert lines == ["| Cm | Fm | Cm | Fm |"] * info.MOST_CHART_LINES + ["and 44 more bars"]
    heard = facts_of(tmp_path / "a.npz", capsys)["chords"]
    assert isinstance(heard, list)
    assert len(heard) == 300
    assert heard[1] == {"start": 4.0, "chord": "Fm"}


def test_drums_have_no_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    struck = PianoRoll.from_notes([(step, 1, 36) for step in range(16)])
    write(tmp_path / "a.npz", PianoRoll.of_parts([struck], [Part(DRUMS)]))
    info.command([str(tmp_path / "a.npz")])
    assert "chords heard" not in capsys.readouterr().out


def test_what_all_pieces_of_a_book_share_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tunes = (
        f"X:{number}\nM:{time_signature}\nL:1/4\nK:C\nCDEF|GABc|\n"
        for number, time_signature in ((1, "4/4"), (2, "2/2"))
    )
    (tmp_path / "book.abc").write_text("\n".join(tunes))
    info.command([str(tmp_path / "book.abc")])
    facts, table, *_ = capsys.readouterr().out.split("\n\n")
    told = dict(line.rsplit(maxsplit=1) for line in facts.splitlines())
    assert (told["steps"], told["tempo bpm"], told["out of range"]) == ("64", "120", "0")
    header, *rows = table.splitlines()
    assert [word in header for word in ("steps", "time signature", "tempo", "range")] == [
        True,
        True,
        False,
        False,
    ]
    assert len(rows) == 2


def test_of_a_book_of_many_tunes_the_first_thousand_have_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tunes = [f"X:{number}\nL:1/4\nK:C\n{'CDEFGAB'[number % 7]}4|\n\n" for number in range(1200)]
    (tmp_path / "book.abc").write_text("".join(tunes))
    info.command([str(tmp_path / "book.abc")])
    lines = capsys.readouterr().out.splitlines()
    for noun in ("piece", "track"):
        assert f"and 200 more {noun}s" in lines
    assert sum(line.startswith("1000 ") for line in lines) == 2
    assert not any(line.startswith("1001 ") for line in lines)


def test_info_of_several_pieces_and_of_a_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = tmp_path / "book.abc"
    book.write_text(TUNES)
    facts = facts_of(book, capsys)
    assert (facts["pieces"], facts["steps"], facts["notes"]) == (2, 96, 9)
    info.command([str(book)])
    header, *rows = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert header.split()[:3] == ["piece", "title", "steps"]
    assert [row.split()[:2] for row in rows] == [["1", "A"], ["2", "B"]]
    (tmp_path / "a.txt").write_text("ab\nabc\n")
    facts = facts_of(tmp_path / "a.txt", capsys)
    assert " ".join(facts) == "path kind characters lines longest_line distinct_characters"
    assert list(facts.values()) == [str(tmp_path / "a.txt"), "text", 7, 2, 3, 4]


def test_lines_of_a_text_end_where_those_of_a_dataset_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_bytes("a\x0cb\u2028c\r\n\nd\n".encode())
    facts = facts_of(tmp_path / "a.txt", capsys)
    assert (facts["lines"], facts["longest_line"]) == (3, 5)


def test_info_of_many_files_is_a_line_of_json_each_and_a_bad_one_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / name) for name in ("a.npz", "bad.mid", "b.txt")]
    write(paths[0], ROLL)
    (tmp_path / "bad.mid").write_text("Dear diary")
    (tmp_path / "b.txt").write_text("words\n")
    with pytest.raises(typer.Exit) as ended:
        info.command(paths, as_json=True)
    out, err = capsys.readouterr()
    assert ended.value.exit_code == 1
    assert [json.loads(line)["path"] for line in out.splitlines()] == [paths[0], paths[2]]
    assert err.startswith(f"error: {paths[1]} is no MIDI file")
    info.command([paths[0], paths[2]])
    tables = capsys.readouterr().out
    assert paths[0] in tables
    assert "longest line" in tables


def a_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(toy_config().to_json())
    (folder / "dataset.json").write_text(json.dumps({"name": "chorales", "kind": "music"}))
    lines = [
        {"epoch": 1, "step": 10, "valid_elbo": 7.0, "kl": 0.5, "kl_weight": 0.1},
        {"epoch": 2, "step": 20, "valid_elbo": 8.0, "kl": 1.5, "kl_weight": 1.0},
        {"epoch": 3, "step": 30, "valid_elbo": 9.0, "kl": 1.5, "kl_weight": 1.0},
    ]
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + '{"epoch": 4, "st'
    )
    header = json.dumps(
        {
            "__metadata__": {"a": "b"},
            "w": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]},
        }
    )
    (folder / "model.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header.encode() + bytes(60)
    )
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
        info.command([str(run)])
    (run / "config.json").write_text("{")
    with pytest.raises(LnfgenError, match=r"config\.json: .*expected a JSON object"):
        info.command([str(run)])
    (tmp_path / "other").mkdir()
    with pytest.raises(LnfgenError, match="holds nothing; expected files of"):
        info.command([str(tmp_path / "other")])


def test_of_a_folder_without_notes_no_line_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mid").write_bytes(b"MThd" + struct.pack(">IHHH", 6, 0, 0, 480))
    info.command([str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    groups = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert groups == ["path", "kind", "copies", "files", "grid", "verdict"]
    assert all(line.strip(" :") for line in lines)


def test_of_a_folder_each_fact_has_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Groups of facts used to be lines with many semicolons."""
    for number in range(2):
        (tmp_path / f"{number}.mid").write_bytes(band_file())
    info.command([str(tmp_path)], parts="4")
    lines = capsys.readouterr().out.splitlines()
    assert "music:" in lines
    assert "  pieces: 2" in lines
    assert "  parts:" in lines
    of_drums = [line for line in lines if line.startswith("    drums: ")]
    assert len(of_drums) == 1
    groups = lines[: [line.partition(":")[0] for line in lines].index("verdict")]
    assert not [line for line in groups if "; " in line and "tracks" not in line]


def test_figures_are_of_runs_alone_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.mid", ROLL)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text("{}")
    with pytest.raises(typer.Exit):
        info.command(["a.mid", "data", "folk-abc"], as_csv=True)
    printed, said = capsys.readouterr()
    assert printed.startswith("step,")
    for line, name, kind in zip(
        said.splitlines(), ("a.mid", "data"), ("file", "dataset"), strict=True
    ):
        assert line.startswith(f"error: {name} is a {kind}; expected a run folder")
    with pytest.raises(LnfgenError, match="--csv beside --json"):
        info.command(["folk-abc"], as_csv=True, as_json=True)


def test_info_of_a_song_has_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a dataset of such songs has them, and as `convert` writes it."""
    (tmp_path / "song.mid").write_bytes(band_file())
    facts = facts_of(tmp_path / "song.mid", capsys)
    assert facts["parts"] == "drums bass chords melody"
    assert all(track["kept"] for track in facts["tracks"])  # type: ignore[attr-defined]
    info.command([str(tmp_path / "song.mid")], as_json=True, parts="1")
    facts = json.loads(capsys.readouterr().out)
    assert "parts" not in facts
    assert [track["kept"] for track in facts["tracks"]] == [False, True, True, True]
