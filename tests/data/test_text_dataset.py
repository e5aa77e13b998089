"""Text files to datasets: lines, chunks and tunes, their splits, and the memory that a text
takes."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import all_texts, sizes, texts_in

from lnfgen.conventions import SPLITS
from lnfgen.data import named, text_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import DatasetError
from lnfgen.formats.abc import read_tunes
from lnfgen.runs.evaluation_data import open_source

ODD = (
    "\ufeffone  \r\n\r\n\u2003 caf\u00e9\u00a0\r\r\n\x0c\U0001d11e two \x1f\n \nlong "
    + 40 * "x"
    + "\n\x85three\ufffd\n end"
)


def words(count: int, width: int = 40) -> str:
    """So many lines of random words."""
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, width * count, dtype=np.uint8)
    letters[rng.random(width * count) < 0.15] = ord(" ")
    letters[width - 1 :: width] = ord("\n")
    return letters.tobytes().decode()


def with_unknown(text: str, known: set[str]) -> str:
    """A text with the unknown symbol for each character that is not known."""
    return "".join(character if character in known else "\ufffd" for character in text)


@pytest.mark.parametrize("together", [3, 4096])
@pytest.mark.parametrize("content", [ODD, words(30), words(30) + ODD], ids=["odd", "plain", "both"])
def test_each_line_is_a_sequence_of_one_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, together: int
) -> None:
    monkeypatch.setattr(text_dataset, "_TOGETHER", together)
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    dataset = prepare([path], tmp_path / "d", Options(max_length=39))
    lines = re.split(r"\r\n|\n|\r", content.removeprefix("\ufeff"))
    lines = [line.strip() for line in lines if line.strip()]
    short = [line for line in lines if len(line) < 40]
    known = set(dataset.encoding.vocabulary)
    assert known == {"\ufffd"}.union(*texts_in(dataset, "train"))
    assert sorted(all_texts(dataset)) == sorted(with_unknown(line, known) for line in short)
    splits = dataset.manifest["splits"].values()
    assert sum(counts["dropped"] for counts in splits) == len(lines) - len(short)


@pytest.mark.parametrize("max_length", [7, 50, 10_000])
def test_chunks_keep_all_text_in_order(tmp_path: Path, max_length: int) -> None:
    numbered = "".join(f"line {number}\r\n\n" for number in range(200))
    contents = [ODD.removeprefix("\ufeff") + numbered, "second\r\nfile"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.txt").write_bytes(content.encode())
    has_all_splits = max_length < 100
    split = (0.8, 0.1, 0.1) if has_all_splits else (1, 0, 0)
    options = Options(chunks=True, max_length=max_length, split=split)
    dataset = prepare([tmp_path / "0.txt", tmp_path / "1.txt"], tmp_path / "d", options)
    known = set(dataset.encoding.vocabulary)
    expected: list[str] = []
    for content in contents:
        for start in range(0, len(content), max_length):
            expected.append(with_unknown(content[start : start + max_length], known))
    assert all_texts(dataset) == expected
    assert len(dataset.split_names) == (3 if has_all_splits else 1)


def test_long_lines_are_dropped_and_counted_by_split(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\n" * 50 + "b" * 289 + "\n" + "c" * 288)
    splits = prepare([tmp_path / "words.txt"], tmp_path / "d").manifest["splits"].values()
    assert sum(split["dropped"] for split in splits) == 1
    assert sum(split["sequences"] for split in splits) == 51
    (tmp_path / "words.txt").write_text("b" * 289)
    with pytest.raises(
        DatasetError, match=r"1 dropped for their length.*--chunks, which cuts texts without lines"
    ):
        prepare([tmp_path / "words.txt"], tmp_path / "e")


def test_a_text_that_is_no_utf8_is_skipped_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good\n\xff bad")
    (tmp_path / "b.txt").write_text(words(30))
    (skipped,) = prepare([tmp_path], tmp_path / "d").manifest["skipped"]
    assert skipped["path"] == "a.txt"
    assert "byte 0xff at offset 5" in skipped["reason"]


def test_memory_is_a_few_times_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(words(40_000, 100))
    tracemalloc.start()
    prepare([path], tmp_path / "d")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * path.stat().st_size


WRITTEN = """X: 12
T: The Reel, with words
T: its other name
Z:someone@example.org
M: C|
R:reel
L: 1/8 % the unit
K: Am
"^Segno"vA2|\
 ((3ABc) {d}e.f  | G4- [G2B2] !trill! Te>d | % a remark
|[L:1/16] A8 | [r:remark] z4 :|
w: words to it
 |
M: 6/8
|: ~c3 || B<A [1 g2 :|[2 a2|]
"""
PLAIN = """X:1
T:The Reel, with words
M:C|
L:1/8
K:Am
A2|(3ABc ef|G4- [G2B2] e>d|
[L:1/16] A8|z4:|
M:6/8
|:c3||B<A [1 g2:|[2 a2|]
"""


def test_a_plain_tune_is_played_as_the_tune_it_is_from() -> None:
    assert text_dataset.plain_tune(WRITTEN) == text_dataset.plain_tune(PLAIN) == PLAIN
    [plain] = read_tunes(PLAIN)
    [written] = read_tunes(WRITTEN)
    assert plain.tracks == written.tracks
    assert text_dataset.plain_tune("X:1\nK:C\n") == "X:1\nT:\nK:C\n"


def test_ptb(tmp_path: Path, shared_data) -> None:
    dataset = prepare([shared_data("ptb")], tmp_path / "ptb")
    assert sizes(dataset) == [41740, 3356, 3735]
    assert [dataset.split(name).dropped for name in SPLITS] == [328, 14, 26]
    assert dataset.encoding.num_symbols == 49 + 1


def test_folk_abc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    dataset = open_source("folk-abc")
    assert sizes(dataset) == [2379, 313, 271]
    assert named.NAMED["folk-abc"].size == "2,963 tunes"
    header = re.compile(r"X:1\nT:.*\n(?:[ML]:\S+\n)*K:\S+\n")
    passages: dict[str, set[tuple[str, ...]]] = {name: set() for name in SPLITS}
    notes: list[str] = []
    for name in SPLITS:
        for tune in texts_in(dataset, name):
            assert header.match(tune)
            assert len(tune) <= text_dataset.MAX_TUNE
            bars = _bars(tune)
            notes.append("".join(bars))
            for start in range(len(bars) - 3):
                passages[name].add(bars[start : start + 4])
    assert not passages["train"] & passages["valid"]
    assert not passages["train"] & passages["test"]
    assert not passages["valid"] & passages["test"]
    assert len(notes) == len(set(notes))
    assert open_source("folk-abc").path == dataset.path


def _bars(tune: str) -> tuple[str, ...]:
    """The notes of the bars of a plain tune, without their spaces."""
    music = re.sub(r"^[A-Z]:.*|\[[A-Z]:.*?\]|\s", "", tune, flags=re.MULTILINE)
    return tuple(bar for bar in re.split(r":*\|[|\]:]*(?:\[?\d)?|::", music) if bar)
