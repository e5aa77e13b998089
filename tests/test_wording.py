"""How messages say a number of things."""

from lnfgen.data.encoding import changes_in_words
from lnfgen.music.conversion import ConversionReport
from lnfgen.wording import (
    counted,
    frequencies,
    gigabytes,
    in_one_line,
    in_short,
    in_utf8,
    shown,
    with_name,
)


def test_one_thing_is_singular():
    assert counted(0, "note") == "0 notes"
    assert counted(1, "note") == "1 note"
    assert counted(2, "note") == "2 notes"
    assert counted(2100, "note") == "2,100 notes"
    assert counted(1, "copy", "copies") == "1 copy"
    assert counted(2, "copy", "copies") == "2 copies"


def test_one_change_is_singular():
    one, two = (
        changes_in_words(ConversionReport(rounded=n, out_of_range=n, unknown=n)) for n in (1, 2)
    )
    for singular, plural in (
        ("start or end", "starts and ends"),
        ("1 note ", "2 notes "),
        ("1 character ", "2 char"),
    ):
        assert singular in one
        assert plural in two


def test_facts_are_shown_in_one_line():
    assert shown(None) == "-"
    assert shown(True) == "yes"
    assert shown(12345) == "12,345"
    assert shown(0.125) == "0.125"
    assert shown(["a", 2]) == "a; 2"
    assert shown({"out_of_range": 3, "rounded": 0, "parts": {"bass": 1}}) == (
        "out of range: 3; parts: bass: 1"
    )


def test_words_are_counted_with_the_most_common_first():
    assert frequencies(["3/4", "4/4", "4/4"]) == "4/4: 2, 3/4: 1"
    assert frequencies(["3/4", "4/4", "4/4"], most=1) == "4/4: 2"


def test_a_name_is_shown_in_one_line_and_in_utf8():
    assert in_one_line("a\x1b[31m\n\tb ") == "a [31m b"
    assert in_utf8("caf\udce9") == "caf?"


def test_a_name_is_put_in_front_once():
    assert with_name("song.mid", "it ends too early") == "song.mid: it ends too early"
    assert with_name("song.mid", "song.mid: empty") == "song.mid: empty"
    copied = "the same as sub/song.mid"
    assert with_name("song.mid", copied) == f"song.mid: {copied}"


def test_the_middle_of_a_long_message_is_left_out():
    found = f"--out {'x' * 100_000}: found a name; expected a short one"
    short = in_short(found)
    assert len(short) < 1500
    assert short.startswith("--out xxx")
    assert short.endswith("xxx: found a name; expected a short one")
    assert in_short(short) == short


def test_memory_is_in_gigabytes():
    assert gigabytes(3_812_345_678) == "3.81 GB"
