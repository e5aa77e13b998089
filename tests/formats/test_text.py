"""Text is decoded, divided and compared by characters."""

import os
from pathlib import Path

import pytest

from lnfgen.errors import UnreadableFileError
from lnfgen.formats import text


def test_text_that_is_not_utf8_names_the_byte() -> None:
    with pytest.raises(UnreadableFileError, match=r"song.txt .*0xff at offset 3"):
        text.decode_utf8(b"abc\xff", "song.txt")
    assert text.decode_utf8("\ufeffabc".encode(), "song.txt") == "abc"


def test_a_file_that_is_missing_empty_or_too_large_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(UnreadableFileError, match=r"a\.txt is not there; expected a poem"):
        text.bytes_of(path, "a poem")
    path.touch()
    with pytest.raises(UnreadableFileError, match=r"a\.txt is empty; expected a poem"):
        text.bytes_of(path, "a poem")
    with pytest.raises(UnreadableFileError, match="is a folder"):
        text.bytes_of(tmp_path, "a poem")
    os.truncate(path, 3_000_000)
    monkeypatch.setenv("LNFGEN_READ_MB", "2")
    with pytest.raises(UnreadableFileError, match=r"has 3 MB; expected 2 at most"):
        text.bytes_of(path, "a poem")


def test_lines_end_in_any_way_but_at_no_form_feed() -> None:
    assert text.lines(" one\r\ntwo\x0c2\r\n\n three\rfour") == ["one", "two\x0c2", "three", "four"]


def test_chunks_joined_together_are_the_text() -> None:
    assert text.chunks("abcdefg", 3) == ["abc", "def", "g"]
    assert text.chunks("", 3) == []


def test_long_copies() -> None:
    corpus = ["the cat sat", "on the mat"]
    texts = ["a cat sat", "cat on", "", "the mat on"]
    assert text.with_long_copies(texts, corpus, 7) == [True, False, False, False]
    assert text.with_long_copies(texts, corpus, 8) == [False, False, False, False]
    # A passage is in one text of the corpus.
    assert text.with_long_copies(["sat on the"], corpus, 6) == [False]
    assert text.with_long_copies([], corpus, 3) == []
    assert text.with_long_copies([], [], 3) == []


def test_a_vocabulary_is_sorted_and_begins_with_the_unknown_symbol() -> None:
    assert text.fit_vocabulary(["bab", "é", text.UNKNOWN]) == (text.UNKNOWN, "a", "b", "é")
    assert text.fit_vocabulary([]) == (text.UNKNOWN,)


def test_the_tunes_of_an_abc_file() -> None:
    book = "% book\nX:1\nT:a X: b\nK:C\nCDE|\n\n\nX: 2\r\nK:G\r\nGAB|\rX:3\r"
    assert text.abc_tunes(book) == ["X:1\nT:a X: b\nK:C\nCDE|\n", "X: 2\nK:G\nGAB|\n", "X:3\n"]
