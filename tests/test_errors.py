"""Errors of parsers become one line, and a lack of memory stays what it is."""

import pytest

from lnfgen.errors import LnfgenError, UnreadableFileError, is_out_of_memory, unreadable


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EOFError(), "it ends too early"),
        (ValueError("two\n lines"), "two lines"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 500), "x" * 120),
    ],
)
def test_whatever_a_parser_raises_is_one_line(error, reason):
    with pytest.raises(UnreadableFileError) as found, unreadable("a.mid", "expected MIDI"):
        raise error
    assert str(found.value) == f"a.mid: {reason}; expected MIDI"
    with pytest.raises(UnreadableFileError) as found, unreadable("a.mid"):
        raise error
    assert str(found.value) == f"a.mid: {reason}"


@pytest.mark.parametrize("error", [LnfgenError("ours"), MemoryError("none left")])
def test_errors_of_ours_and_a_lack_of_memory_pass(error):
    with pytest.raises(type(error)) as found, unreadable("a.mid"):
        raise error
    assert found.value is error


def test_a_lack_of_memory_is_known_by_its_words():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))
