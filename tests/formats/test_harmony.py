"""Chord symbols of MusicXML mean what the standard says, and come back as they were written."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import one_song
from strategies import rolls

from lnfgen.formats.harmony import chord_of_xml, xml_of_chord
from lnfgen.formats.read_write import read, read_bytes, to_bytes
from lnfgen.formats.scores import read_score
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

PITCH_CLASSES = st.integers(0, 11)
ANY_CHORD = st.builds(
    Chord, PITCH_CLASSES, st.frozensets(PITCH_CLASSES, min_size=1), PITCH_CLASSES
) | st.just(NO_CHORD)
QUARTERS_OF_4 = 4  # divisions of a quarter in the scores of these tests

C_NOTE = "<note><pitch><step>C</step><octave>5</octave></pitch><duration>{}</duration>{}</note>"


def degree(value: object, alter: object, kind: str) -> str:
    return (
        f"<degree><degree-value>{value}</degree-value><degree-alter>{alter}</degree-alter>"
        f"<degree-type>{kind}</degree-type></degree>"
    )


def harmony(root: str, kind: str, more: str = "") -> str:
    step, alter = root[0], {"": 0, "b": -1, "#": 1}[root[1:]]
    return (
        f"<harmony><root><root-step>{step}</root-step><root-alter>{alter}</root-alter></root>"
        f"<kind>{kind}</kind>{more}</harmony>"
    )


def score(*measures: str, attributes: str = "") -> bytes:
    """A score of 4/4 whose quarters have 4 divisions."""
    head = (
        "<attributes><divisions>4</divisions><time><beats>4</beats><beat-type>4</beat-type></time>"
        f"{attributes}</attributes>"
    )
    bars = ""
    for number, content in enumerate(measures, start=1):
        bars += f'<measure number="{number}">{head if number == 1 else ""}{content}</measure>'
    return (
        '<score-partwise version="4.0"><part-list><score-part id="P1"><part-name>x</part-name>'
        f'</score-part></part-list><part id="P1">{bars}</part></score-partwise>'
    ).encode()


def chords_in(content: bytes) -> list[tuple[float, str]]:
    song = one_song(read_score(content, ".musicxml"))
    return [(float(start), str(chord)) for start, chord in song.origin.chords]


@pytest.mark.parametrize(
    ("xml", "name"),
    [
        (harmony("C", "major"), "C"),
        (harmony("Bb", "dominant"), "Bb7"),
        (harmony("F#", "half-diminished"), "F#m7b5"),
        (harmony("C", "dominant-13th"), "C13"),
        (harmony("C", "suspended-fourth", degree(7, 0, "add")), "C7sus4"),
        (harmony("C", "major", degree(7, 1, "add")), "Cmaj7"),
        (harmony("C", "dominant", degree(5, -1, "alter") + degree(9, -1, "add")), "C7b5b9"),
        (harmony("C", "minor-seventh", degree(9, -1, "alter")), "Cm7(addb9)"),
        (harmony("C", "diminished-seventh", degree(7, 0, "subtract")), "Cdim"),
        (harmony("C", "other", degree(5, 0, "add")), "C5"),
        (harmony("C", "none"), "N.C."),
        (harmony("C", ""), "C"),
        ("<harmony><root><root-step>C</root-step></root><kind text='69'>maj69</kind></harmony>",
         "C69"),
        ("<harmony><root><root-step>C</root-step></root><kind text='m7b5'>x</kind></harmony>",
         "Cm7b5"),
        (harmony("D", "minor", "<bass><bass-step>C</bass-step></bass>"), "Dm/C"),
    ],
)  # fmt: skip
def test_a_kind_with_degrees_is_a_chord(xml: str, name: str) -> None:
    assert chord_of_xml(ElementTree.fromstring(xml)) == parse_chord(name)


@pytest.mark.parametrize(
    "xml",
    [
        "<harmony/>",
        harmony("C", "Italian"),
        "<harmony><numeral><numeral-root>5</numeral-root></numeral><kind>major</kind></harmony>",
        "<harmony><root><root-step>H</root-step></root><kind>major</kind></harmony>",
        "<harmony><root><root-step>C</root-step><root-alter>x</root-alter></root></harmony>",
        "<harmony><root><root-step>C</root-step><root-alter>1e999</root-alter></root></harmony>",
        harmony("C", "major", degree("", 0, "add")),
        harmony("C", "major", degree(99999999, 0, "add")),
        harmony("C", "major", degree(9, "nan", "add")),
        harmony("C", "major", "<bass><bass-step/></bass>"),
    ],
)
def test_what_names_no_chord_is_counted_and_the_notes_are_read(xml: str) -> None:
    assert chord_of_xml(ElementTree.fromstring(xml)) is None
    content = score(xml + harmony("G", "major") + C_NOTE.format(16, ""))
    song = one_song(read_score(content, ".musicxml"))
    assert song.origin.report["unread_chords"] == 1
    assert song.roll.notes() == [(0, 16, 72)]


@given(ANY_CHORD, st.integers(-7, 7))
def test_a_chord_comes_back_from_its_element(chord: Chord, sharps: int) -> None:
    assert chord_of_xml(xml_of_chord(chord, sharps)) == chord


def test_an_element_has_what_other_programs_print() -> None:
    element = xml_of_chord(parse_chord("Bb7b5b9/D"), -2)
    kind = element.find("kind")
    assert kind is not None
    assert (kind.text, kind.get("text")) == ("dominant", "7b5b9")
    assert [child.tag for child in element] == ["root", "kind", "bass", "degree", "degree"]
    # the text has the degrees already
    assert {child.get("print-object") for child in element.findall("degree")} == {"no"}
    assert element.findtext("root/root-alter") == "-1"


@st.composite
def songs(draw: st.DrawFn) -> Song:
    """A piece with chords at some of its steps, or between them."""
    roll = draw(rolls(st.sampled_from((1, 2, 3, 4, 12))))
    end = Fraction(roll.num_steps, roll.steps_per_quarter)
    starts = draw(st.sets(st.integers(0, 12 * 20).map(lambda twelfths: Fraction(twelfths, 12))))
    chords = [ChordChange(start, draw(ANY_CHORD)) for start in sorted(starts) if start < end]
    return Song(roll, Origin(chords=tuple(chords)))


@given(songs())
def test_chords_come_back_from_files_at_their_times(song: Song) -> None:
    for suffix in (".musicxml", ".mid"):
        content = to_bytes(song, suffix)
        grid = song.roll.steps_per_quarter
        again = one_song(read_bytes(content, suffix=suffix, steps_per_quarter=grid))
        if suffix == ".mid" and not _are_told_from_sections(song):
            continue
        assert again.origin.chords == song.origin.chords
        assert again.origin.report["unread_chords"] == 0


def _are_told_from_sections(song: Song) -> bool:
    return any(len(str(chord)) > 2 for _, chord in song.origin.chords)


def test_symbols_are_where_they_stand_and_repeated_with_the_music() -> None:
    first = harmony("C", "major") + C_NOTE.format(8, "") + C_NOTE.format(4, "")
    # the symbol is a quarter before the place where the file has it
    early = harmony("G", "dominant", "<offset>-4</offset>") + C_NOTE.format(4, "")
    repeat = '<barline location="right"><repeat direction="backward"/></barline>'
    content = score(first + early + repeat, harmony("F", "minor") + C_NOTE.format(16, ""))
    assert chords_in(content) == [(0, "C"), (2, "G7"), (4, "C"), (6, "G7"), (8, "Fm")]


@pytest.mark.parametrize(
    ("count", "length", "starts"),
    [(2, 16, [0, 2]), (3, 16, [0, 2, 3]), (2, 12, [0, 2]), (2, 8, [0, 1]), (3, 8, [0, 1, 1.5])],
)
def test_symbols_over_one_note_share_it(count: int, length: int, starts: list[float]) -> None:
    symbols = "".join(harmony(root, "major") for root in "CFG"[:count])
    content = score(symbols + C_NOTE.format(length, "") + C_NOTE.format(4, ""))
    assert [start for start, _ in chords_in(content)] == starts


def test_symbols_move_with_their_instrument() -> None:
    clarinet = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    content = score(harmony("C", "major") + C_NOTE.format(16, ""), attributes=clarinet)
    song = one_song(read_score(content, ".musicxml"))
    assert song.roll.notes() == [(0, 16, 70)]
    assert [str(chord) for _, chord in song.origin.chords] == ["Bb"]


def test_an_upbeat_and_the_notes_of_all_staves_stay_where_they_are() -> None:
    notes = [(0, 4, 72), (4, 16, 60), (4, 16, 48), (20, 14, 64)]
    roll = PianoRoll.from_notes(notes, num_steps=36).with_upbeat(4)
    starts = (Fraction(0), Fraction(1), Fraction(5, 2), Fraction(7), Fraction(35, 4))
    chords = [
        ChordChange(start, parse_chord(name)) for start, name in zip(starts, "CFGAB", strict=True)
    ]
    song = Song(roll, Origin(chords=tuple(chords)))
    again = one_song(read_bytes(to_bytes(song, ".musicxml"), suffix=".musicxml"))
    assert again.roll.notes() == roll.notes()
    assert again.roll.upbeat == 4
    assert again.origin.chords == song.origin.chords


def _comes_back(sheet: Path) -> None:
    """A lead sheet has chord symbols, and from a score that is written of it come the same."""
    song = one_song(read(sheet))
    assert song.origin.chords
    assert song.origin.report["unread_chords"] == 0
    again = one_song(read_bytes(to_bytes(song, ".musicxml"), suffix=".musicxml"))
    assert again.origin.chords == song.origin.chords
    assert again.roll.notes() == song.roll.notes()


def test_lead_sheets_keep_their_symbols(shared_data: Callable[[str], Path]) -> None:
    sheets = sorted(shared_data("openewld").glob("*.mxl"))
    for sheet in sheets[7::160]:
        _comes_back(sheet)


@pytest.mark.slow
def test_all_lead_sheets_keep_their_symbols(shared_data: Callable[[str], Path]) -> None:
    for sheet in sorted(shared_data("openewld").glob("*.mxl")):
        _comes_back(sheet)


def test_roots_are_spelled_as_in_the_names_of_chords():
    for name in ("Ab", "Ab/C", "G#dim7", "B7/D#", "Ebm"):
        chord = parse_chord(name)
        written = xml_of_chord(chord)
        step = written.findtext("root/root-step")
        alter = int(written.findtext("root/root-alter") or 0)
        assert f"{step}{'#' * alter}{'b' * -alter}" == chord.root_name()
        assert chord.name().startswith(chord.root_name())
