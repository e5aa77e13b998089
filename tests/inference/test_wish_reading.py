"""Wishes: what they accept, and when they hold and count."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from reading import one_song
from toy_metres import ENCODING as OF_METRES
from toy_music import song_of_band

import lnfgen
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.wish_measures import FAR
from lnfgen.inference.wish_reading import numbers, wishes_for
from lnfgen.inference.wishes import NO_WISHES, Wishes
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

MUSIC = MusicEncoding(True, steps_per_quarter=2, lowest_pitch=36, num_pitches=49)
TEXT = TextEncoding(tuple("\ufffd\nABCDEFGKM:/68|abc"))
TUNE = PianoRoll.from_notes(
    [(2 * i, 2, 60 + pitch) for i, pitch in enumerate((0, 4, 7, 5, 4, 2, 7, 12))]
)


def wanted(*want: str, encoding: Encoding = MUSIC) -> Wishes:
    return wishes_for(want, encoding)


def holds(piece: PianoRoll | str, want: str) -> bool:
    encoding: Encoding = TEXT if isinstance(piece, str) else MUSIC
    (found,) = wanted(want, encoding=encoding).report(piece).values()
    return bool(found["held"])


HELD = [
    *(
        "key=C",
        "key=C major",
        "mode=major",
        "top=C4..C5",
        "top=..C5",
        "bass=C4..",
        "time_signature=4/4",
    ),
    *("notes_per_bar=8", "leaps=0", "note_length=0.5", "scale_consistency=0.9..1"),
    "top_pitch=64..65",
]
NOT_HELD = [
    *("key=G", "key=Cm", "mode=minor", "top=C4..B4", "bass=D4..", "time_signature=3/4"),
    *("notes_per_bar=..7", "leaps=1..2", "ends=cadence", "note_length=0.6.."),
    "close_distance=0..9",
]


@pytest.mark.parametrize(
    ("want", "is_held"), [*((want, True) for want in HELD), *((want, False) for want in NOT_HELD)]
)
def test_a_wish_holds_for_the_pieces_that_have_it(want: str, is_held: bool) -> None:
    assert holds(TUNE, want) == is_held
    assert holds(TUNE, want) == wanted(want).report(Song(TUNE))[want]["held"]


TEXT_HELD = ["key=A minor", "key=A", "time_signature=6/8", "line_length=5..6"]
TEXT_NOT_HELD = ["key=A major", "key=G", "time_signature=3/4", "line_length=6.."]


def test_a_wish_holds_for_the_tunes_that_have_it() -> None:
    tune = "K:Am\nM:6/8\nabc|abc"
    for want in TEXT_HELD:
        assert holds(tune, want), want
    for want in TEXT_NOT_HELD:
        assert not holds(tune, want), want
    assert not holds("K:Ador", "key=A"), "its line is not whole"


def test_a_report_has_what_the_piece_has() -> None:
    assert wanted("time_signature=4/4").report(TUNE) == {
        "time_signature=4/4": {"value": "4/4", "held": True}
    }
    silence = PianoRoll.from_notes([], num_steps=4)
    assert wanted("key=C").report(silence) == {"key=C": {"value": None, "held": False}}
    both = wanted("key=C", "time_signature=4/4").report(TUNE)
    assert list(both) == ["time_signature=4/4", "key=C"]


def test_the_distance_is_that_from_the_nearest_value_and_grows_in_weight() -> None:
    assert wanted("notes_per_bar=10..12").distance(TUNE) == 2
    assert wanted("notes_per_bar=10..12").distance(Song(TUNE), 0.5) == 0.25
    assert wanted("top=D4..B4").distance(TUNE, 0.25) == 3, "what follows does not mend it"
    for end in ("ends=cadence", "ends=tonic"):
        assert wanted(end).distance(TUNE, 0.9) == 0
    assert wanted("ends=cadence").distance(TUNE) == 1
    assert wanted("ends=tonic").distance(TUNE) == 0
    silent = PianoRoll.from_notes([], num_steps=8)
    assert wanted("note_length=1").distance(silent, 0.5) == 0
    assert wanted("note_length=1").distance(silent) == FAR


def test_what_is_sure_or_not_wanted_does_not_steer() -> None:
    assert not wanted("time_signature=3/4").steers
    assert wanted("time_signature=3/4").time_signature == (3, 4)
    assert wanted("contains=abc", encoding=TEXT).steers
    assert not NO_WISHES.steers
    assert wishes_for(None, MUSIC) == wishes_for({}, MUSIC)
    assert wishes_for(NO_WISHES, MUSIC) is NO_WISHES


@pytest.mark.parametrize("name", music_figures(4))
def test_each_figure_of_compare_is_a_wish(name: str) -> None:
    figure = numbers("music")[name]
    assert figure.unit > 0
    value = figure.value(TUNE)
    assert holds(TUNE, f"{name}=0..1") == (0 <= value <= 1)


@pytest.mark.parametrize("name", ["groove_consistency", "scale_consistency", "chord_rate"])
def test_a_share_over_1_is_refused(name: str) -> None:
    for value in ("5", "1.5.."):
        with pytest.raises(LnfgenError, match=rf"the wish {name}={value}; expected a share"):
            wanted(f"{name}={value}")
    assert wanted(f"{name}=0.5..1.5").steers, "shares that a piece can have are among these"


def test_parallels_are_no_share() -> None:
    """A chord change may have several pairs of voices in parallel."""
    assert wanted("parallel_rate=1.5..").steers


def test_a_piece_is_like_itself(tmp_path: Path) -> None:
    path = tmp_path / "scale.mid"
    lnfgen.write(path, TUNE)
    song = one_song(lnfgen.read(path, steps_per_quarter=2))
    for like in (str(path), path, song, song.roll):
        wishes = wishes_for({"like": like}, MUSIC)
        assert len(wishes.wishes) > 10
        assert wishes.distance(song) == 0
        other = PianoRoll.from_notes([(0, 16, 40), (0, 16, 47)], num_steps=16)
        assert wishes.distance(other) > 10


def test_a_band_has_wishes_for_its_parts_and_is_like_itself() -> None:
    song = song_of_band(1)
    band = replace(MUSIC, parts=song.parts)
    wishes = wanted("drums_repeat_rate=0.5..", "bass_polyphony=3..", encoding=band)
    assert [found["held"] for found in wishes.report(song).values()] == [True, False]
    like = wishes_for({"like": song}, band)
    assert like.distance(song) == 0
    assert like.distance(song_of_band(1, wrong=0.5)) > 1
    with pytest.raises(LnfgenError, match="drums_repeat_rate=1"):
        wanted("drums_repeat_rate=1")


REFUSED = [
    ("speed=3", "the wish speed=3; expected one of key, mode, time_signature, top"),
    ("key", "the wish key=; expected a tonic"),
    ("key=H", "the wish key=H; expected a tonic"),
    ("mode=dorian", "expected major or minor"),
    ("top=C9", "pitches that leave some of C2 to C6 free"),
    ("top=..C1", "pitches that leave some of C2 to C6 free"),
    ("bass=C7..", "pitches that leave some of C2 to C6 free"),
    ("bass=C11..", "pitches that leave some of C2 to C6 free"),
    ("top=some", "expected a value or a range, such as 8"),
    ("notes_per_bar=9..8", "expected a value or a range, such as 8"),
    ("notes_per_bar=-3..-1", "not below 0"),
    ("notes_per_bar=1..2..3", "expected a value or a range"),
    ("notes_per_bar=nan", "expected a value or a range"),
    ("ends=now", "expected ends=tonic or ends=cadence"),
    ("like=absent.mid", "absent.mid"),
]


@pytest.mark.parametrize(("want", "said"), REFUSED)
def test_a_wish_that_cannot_be_is_refused(want: str, said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        wanted(want)


def test_wishes_that_contradict_each_other_are_refused() -> None:
    said = r"the wish bass=C4..; expected pitches that leave some of C2 to C6 free"
    with pytest.raises(LnfgenError, match=said):
        wanted("top=..C3", "bass=C4..")
    with pytest.raises(LnfgenError, match=r"expected characters that the model writes"):
        wanted("contains=z", encoding=TEXT)
    with pytest.raises(
        LnfgenError, match=r"expected one of contains, key, time_signature, line_length"
    ):
        wanted("mode=minor", encoding=TEXT)


CONTRADICTIONS = [
    (("key=C", "key=G"), "the wish key=G; expected one key for a piece, but found key=C too"),
    (("mode=major", "key=Am"), "the wish key=Am; .* found mode=major too"),
    (("key=C", "mode=minor", "key=Eb"), "the wish key=Eb; .* found key=C and mode=minor too"),
    (("time_signature=3/4", "time_signature=4/4"), "expected one time signature for a piece"),
]
AGREEING = [
    (("key=C", "mode=minor"), ["C minor"]),
    (("mode=minor", "key=C", "key=C minor"), ["C minor"]),
    (("key=G",), ["G major", "G minor"]),
    (("notes_per_bar=8",), []),
]


@pytest.mark.parametrize(("want", "said"), CONTRADICTIONS)
def test_two_homes_or_time_signatures_are_refused(want: tuple[str, ...], said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        wanted(*want)
    if "mode=major" not in want and "mode=minor" not in want:
        with pytest.raises(LnfgenError, match=said):
            wanted(*want, encoding=TEXT)


@pytest.mark.parametrize(("want", "homes"), AGREEING)
def test_wishes_that_agree_leave_the_keys_that_all_want(
    want: tuple[str, ...], homes: list[str]
) -> None:
    assert [str(key) for key in wanted(*want).homes] == homes
    assert wanted("time_signature=3/4", "time_signature=3/4").time_signature == (3, 4)


def test_keys_of_texts_agree_or_are_refused() -> None:
    assert wanted("key=A", "key=Am", encoding=TEXT).steers
    for other in ("key=A major", "key=G"):
        with pytest.raises(LnfgenError, match="found key=Am too"):
            wanted("key=Am", other, encoding=TEXT)


@pytest.mark.parametrize("wrong", ["3", "3/5", "0/4", "3/4/4", "-3/4", "9" * 5000 + "/4"])
def test_a_time_signature_is_two_numbers(wrong: str) -> None:
    assert wishes_for(["time_signature=12/8"], OF_METRES).time_signature == (12, 8)
    assert wishes_for({"time_signature": (3, 4)}, OF_METRES).time_signature == (3, 4)
    with pytest.raises(
        LnfgenError, match=r"the wish time_signature=.{,60}; expected a time signature"
    ):
        wishes_for([f"time_signature={wrong}"], OF_METRES)


def test_an_open_range_has_no_end() -> None:
    assert holds(TUNE, "notes_per_bar=8..")
    assert list(wishes_for({"note_length": (9, math.inf)}, MUSIC).report(TUNE)) == [
        "note_length=9..inf"
    ]


@pytest.mark.parametrize("value", ["inf", "1e400", "1e308", "inf..inf", "nan", "-inf", "-1"])
def test_a_number_that_no_piece_can_have_is_refused(value: str) -> None:
    for name in ("notes_per_bar", "longest_silence"):
        with pytest.raises(LnfgenError, match=r"expected a value or a range, .*over 1,000,000"):
            wanted(f"{name}={value}")


def test_a_share_is_at_most_one_and_an_open_end_may_be_infinite() -> None:
    with pytest.raises(LnfgenError, match="expected a share, at most 1"):
        wanted("groove_consistency=5")
    assert holds(TUNE, "notes_per_bar=8..inf")
    assert holds(TUNE, "leaps=-0")
    assert wishes_for({"leaps": (0, math.inf)}, MUSIC).distance(TUNE) == 0
