"""`lnfgen.cli.outputs`: where drawn pieces go."""

import json
from pathlib import Path

import pytest

from lnfgen.cli.options import Instruments
from lnfgen.cli.outputs import PieceWriter
from lnfgen.errors import LnfgenError, OutputError
from lnfgen.runs.folder import RunFolder

PLAIN: Instruments = {"program": None, "voices": None, "drawn_name": "drawn"}


@pytest.fixture
def run(toy_home: Path) -> RunFolder:
    return RunFolder(toy_home / "run-lines")


def test_names_are_numbered_if_there_are_several(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = PieceWriter(run, str(tmp_path / "a.txt"), 1, "--count", PLAIN, json=False)
    assert one.next_name == str(tmp_path / "a.txt")
    several = PieceWriter(run, str(tmp_path / "b.txt"), 2, "--count", PLAIN, json=False)
    several.write("ab", {})
    several.write("ba\n", {})
    several.close()
    names = ["b-01.txt", "b-02.txt"]
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == names
    # The last line of a file ends.
    assert [(tmp_path / name).read_text() for name in names] == ["ab\n", "ba\n"]


def test_stdout_has_the_piece_alone(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    writer = PieceWriter(run, "-", 1, "--count", PLAIN, json=False)
    assert writer.next_name == "piece 1"
    writer.write("ab", {})
    writer.close(seed=1)
    assert capsys.readouterr().out == "ab\n"


def test_json_has_the_paths_and_facts(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = PieceWriter(run, str(tmp_path / "a.txt"), 1, "--count", PLAIN, json=True)
    writer.write("ab", {"index": 1})
    writer.close(seed=7)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"seed": 7, "pieces": [{"path": str(tmp_path / "a.txt"), "index": 1}]}


@pytest.mark.parametrize(
    ("target", "count", "json", "message"),
    [
        ("-", 2, False, "--out - holds one piece, found --count 2"),
        ("-", 1, True, "found --json beside --out -"),
        ("a.mid", 1, False, "run-lines makes text; expected one of .txt .abc"),
        ("a", 1, False, "found suffix 'none'"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(
    run: RunFolder, target: str, count: int, json: bool, message: str
) -> None:
    with pytest.raises(LnfgenError) as refused:
        PieceWriter(run, target, count, "--count", PLAIN, json)
    assert message in str(refused.value)


def test_a_missing_folder_is_refused(run: RunFolder) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        PieceWriter(run, "nowhere/a.txt", 1, "--count", PLAIN, json=False)


def test_chords_of_a_text_are_refused_before_anything_is_drawn(run: RunFolder) -> None:
    with pytest.raises(LnfgenError, match="makes text, which has no chords"):
        PieceWriter(run, "a.txt", 1, "--count", PLAIN, json=False, chords=True)
