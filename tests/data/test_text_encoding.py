"""Text as integers, and back; and files of text as lines, chunks and tunes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tunes import tune

from lnfgen.data.dataset_options import Options
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats import text
from lnfgen.formats.read_write import write
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.conversion import ConversionReport


def test_text_round_trip_and_unknown() -> None:
    encoding = TextEncoding(text.fit_vocabulary(["naïve é\n", "𝄞"]))
    assert encoding.vocabulary[0] == UNKNOWN
    assert list(encoding.vocabulary[1:]) == sorted(set("naïve é\n𝄞"))
    values = encoding.encode("é𝄞\n n")
    assert values.dtype == np.int32
    assert encoding.decode(values) == "é𝄞\n n"
    assert encoding.decode(encoding.encode("nxn")) == f"n{UNKNOWN}n"
    assert encoding.unit == "bits_per_char"
    with pytest.raises(LnfgenError, match="found music; expected text"):
        encoding.encode(tune(0))
    for values in (np.array([99]), np.array([-1]), np.zeros((2, 2), np.int32)):
        with pytest.raises(LnfgenError, match="are not text of"):
            encoding.decode(values)


@given(st.text(), st.integers(1, 9))
def test_any_text_is_the_same_again(piece: str, length: int) -> None:
    chunks = text.chunks(piece, length)
    encoding = TextEncoding(text.fit_vocabulary(chunks))
    assert "".join(encoding.decode(encoding.encode(chunk)) for chunk in chunks) == piece


def test_unknown_characters_are_counted_but_not_the_unknown_symbol_itself() -> None:
    encoding = TextEncoding((UNKNOWN, "a"))
    sequences, changes = encoding.adapt(["axa", f"{UNKNOWN}a"])
    assert [sequence.tolist() for sequence in sequences] == [[1, 0, 1], [0, 1]]
    assert changes == ConversionReport(unknown=1)


@pytest.mark.parametrize(
    ("name", "options", "pieces"),
    [
        ("a.txt", {}, ["one two", "three"]),
        ("a.txt", {"chunks": True, "max_length": 8}, ["one two\n", "\nthree"]),
        ("a.doc", {}, ["one two", "three"]),
    ],
)
def test_a_file_is_read_as_its_dataset_was(
    tmp_path: Path, name: str, options: dict[str, object], pieces: list[str]
) -> None:
    (tmp_path / name).write_text("one two\n\nthree\n")
    read_with = Options(kind="text", **options)  # type: ignore[arg-type]
    assert TextEncoding().read_file(tmp_path / name, read_with) == pieces


def test_files_of_tunes_of_music_and_of_nothing(tmp_path: Path) -> None:
    encoding = TextEncoding((UNKNOWN, "a"))
    (tmp_path / "book.abc").write_text("X:1\nK:C\nCDE|\n\nX:2\nK:C\nEDC|\n")
    tunes = encoding.read_file(tmp_path / "book.abc", Options(kind="text"))
    assert tunes == ["X:1\nK:C\nCDE|\n", "X:2\nK:C\nEDC|\n"]
    write(tmp_path / "a.mid", tune(0))
    pieces = encoding.read_file(tmp_path / "a.mid", Options(kind="text"))
    with pytest.raises(LnfgenError, match="found music; expected text"):
        encoding.adapt(pieces)
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(UnreadableFileError, match="holds no text"):
        encoding.read_file(tmp_path / "blank.txt", Options(kind="text"))


def test_abc_tunes() -> None:
    tunes = text.abc_tunes("% book\nX:1\nT:a X: b\nK:C\nCDE|\n\n\nX: 2\r\nK:G\r\nGAB|\rX:3\r")
    assert tunes == ["X:1\nT:a X: b\nK:C\nCDE|\n", "X: 2\nK:G\nGAB|\n", "X:3\n"]


def test_text_that_is_not_utf8_names_the_byte() -> None:
    with pytest.raises(UnreadableFileError, match=r"song.txt .*0xff at offset 3"):
        text.decode_utf8(b"abc\xff", "song.txt")
    assert text.decode_utf8("\ufeffabc".encode(), "song.txt") == "abc"
