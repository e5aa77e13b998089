"""Scores in MusicXML, ABC and humdrum: what sounds in them, and that a piano-roll survives as one."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from music21 import bar, meter, musicxml, note, spanner, stream

from lnfgen import formats
from lnfgen.errors import UnreadableFileError
from lnfgen.music import scores
from lnfgen.music.notation import musicxml_bytes
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.scores import read_score, roll_of_score

TUNES = """X:1
T:Ties and a chord symbol
M:3/4
L:1/4
Q:1/4=90
K:D
"D"F-F A | [DF]2 z |]

X:2
T:A repeat with two endings
M:4/4
L:1/4
K:C
|: C D E F | G4 | A4 |1 c4 :|2 C4 |]
"""

KERN = """**kern\t**kern
*M3/4\t*M3/4
=1\t=1
4C\t[2e
4G\t.
4G\t4e]
=2\t=2
2.C\t4c
.\t4c
.\t4r
==\t==
*-\t*-
"""


def score_xml(notes: str, attributes: str = "") -> bytes:
    head = "<attributes><divisions>4</divisions><time><beats>4</beats><beat-type>4</beat-type></time>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="4.0">'
        '<part-list><score-part id="P1"><part-name>x</part-name></score-part></part-list>'
        f'<part id="P1"><measure number="1">{head}{attributes}</attributes>{notes}</measure></part></score-partwise>'
    ).encode()


def note_xml(step: str, octave: int, duration: int, extra: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{extra}</note>"


def test_abc_with_many_tunes_is_as_many_rolls() -> None:
    first, second = read_score(TUNES.encode(), ".abc")
    # the key makes it F#; a tied note is one note; the symbol "D" does not sound
    assert first.notes() == [(0, 8, 66), (8, 4, 69), (12, 8, 62), (12, 8, 66)]
    assert (first.tempo_bpm, first.time_signature, first.num_steps) == (90.0, (3, 4), 24)
    assert second.time_signature == (4, 4)
    assert [pitch for _, _, pitch in second.notes()] == [60, 62, 64, 65, 67, 69, 72, 60, 62, 64, 65, 67, 69, 60]


def test_the_unit_of_an_abc_tune_without_unit_and_metre_is_an_eighth() -> None:
    (roll,) = read_score(b"X:1\nT:no metre, no unit\nK:D\nA2 cd|M:2/4\n[M:2/4] e4|]\n", ".abc")
    assert roll.notes() == [(0, 4, 69), (4, 2, 73), (6, 2, 74), (8, 8, 76)]
    (halved,) = read_score(b"X:1\nM:2/4\nK:D\nA2 cd|]\n", ".abc")  # below 3/4 it is a sixteenth
    assert halved.notes() == [(0, 2, 69), (2, 1, 73), (3, 1, 74)]
    (rest,) = read_score(b"X:1\nM:4/4\nK:D\nA8|[M:2/4]Z|B4|]\n", ".abc")  # another metre leaves the unit as it is
    assert rest.notes() == [(0, 16, 69), (24, 8, 71)]


@pytest.mark.parametrize(
    ("music", "meant"),
    [
        ("^FFfG|F4|", "^F^F^fG|=F4|"),
        ("{_B}B~^f.f|", "{_B}_B^f^f|"),
        ("[^FA]F2[FA]|", "[^FA]^F2[^FA]|"),
        ("^F4-|F2F2|", "^F6=F2|"),
        ("%%propagate-accidentals not\n^FFGF|", "^F=FG=F|"),
        ('C">here"D"Am"EF|', "CDEF|"),
        ("C2x2|G4|", "C2z2|G4|"),
        ("C4|Z2|G4|[M:3/4]Z|G3|", "C4|z4|z4|G4|\nM:3/4\nz3|G3|"),
        ("CDEF|G4:|cdef|g4:|", "CDEF|G4|CDEF|G4|cdef|g4|cdef|g4|"),
        ("CDEF|G4||cdef|g4:|", "CDEF|G4|cdef|g4|cdef|g4|"),
        ("CDEF|GGGG::cdef|g4:|", "CDEF|GGGG|CDEF|GGGG|cdef|g4|cdef|g4|"),
        ("CDEF|GFED:|:cdef|g4:|", "CDEF|GFED|CDEF|GFED|cdef|g4|cdef|g4|"),
        ("CDEF|1G4:|2A4||cdef|g4:|", "CDEF|G4|CDEF|A4|cdef|g4|cdef|g4|"),
        ("|:CDEF|G4||cdef|g4:|", "CDEF|G4|cdef|g4|CDEF|G4|cdef|g4|"),
        ("V:1\n^FFGF|\nV:2 clef=bass\nA,4|\nV:1\nc4|\nV:2\nC4|", "V:1\n^F^FG^F|c4|\nV:2\nA,4|C4|"),
        ("[V:S]CDEF|G4|[V:B]E,4|D,4|\n[V:S]c4:|[V:B]C4:|", "V:1\nCDEF|G4|c4|CDEF|G4|c4|\nV:2\nE,4|D,4|C4|E,4|D,4|C4|"),
        ("F2[K:G]F2|[L:1/8]FG[r:no music]A2F4|[M:2/4]G4|F4|", "F2^F2|^F/2G/2A^F2|\nM:2/4\nG2|^F2|"),
        ("CDEF|G4:|\nK:D\nFGAB|d4:|", "CDEF|G4|CDEF|G4|\nK:D\nFGAB|d4|FGAB|d4|"),
        ("CDEF|G4::[K:D]FGAB|d4:|", "CDEF|G4|CDEF|G4|\nK:D\nFGAB|d4|FGAB|d4|"),
        (
            "V:1\n^FFGF|G4:|c4|d4:|\nV:2\nF4|C4:|C4|D4:|",
            "V:1\n^F^FG^F|G4|^F^FG^F|G4|c4|d4|c4|d4|\nV:2\nF4|C4|F4|C4|C4|D4|C4|D4|",
        ),
        ("HF2 ~TG2|.A2(Bc)|H[FA]2 uvB2|", "F2G2|A2Bc|[FA]2B2|"),
        ("F>{g}A F>(A|B>.c) G2|{^a}A4|A4|", "F>AF>A|B>cG2|^A4|A4|"),
        ("(3{g}FGA (3B.c(d)|F2y2 F2|X2|G4|", "(3FGA (3Bcd|F2F2|z4|z4|G4|"),
        ("|:F4|G4:|", "F4|G4|F4|G4|"),
        ("F4:|:G4|A4:|", "F4|F4|G4|A4|G4|A4|"),
        ("|:C4|1F4:|2G4:|3A4|]", "C4|F4|C4|G4|C4|A4|"),
        ("C4|[1,2F4:|\\\n [3G4|]A4:|", "C4|F4|C4|F4|C4|G4|A4|A4|"),
        ("|:C4|[1,3F4:|[2,4-5G4:|A4:|", "C4|F4|C4|G4|C4|F4|C4|G4|C4|G4|A4|A4|"),
        ("C4|1D4|E4:|2F4|G4|A4:|", "C4|D4|E4|C4|F4|G4|A4|A4|"),
        ("C4|D4:|2F4|G4:|", "C4|D4|C4|D4|F4|G4|G4|"),
        ("C4|1D4||E4:|2F4|", "C4|D4|E4|C4|F4|"),
        ("|::C4|D4::|", "C4|D4|C4|D4|C4|D4|"),
        ("F_EF2|[K:D exp _b ^f]FBcB-|B=BBB|[K:D phr ^f]FDEB|", "F_EF2|^F_Bc_B-|_B=B=B=B|^FD_E_B|"),
        ("[K:Hp]FGcC|[K:C clef=bass]FGcC|", "^FG^c^C|FGcC|"),
        ("F2(3::CDE|G4|", "F2(3CDE|G4|"),
        ("C4[|]D4:|", "C4|D4|C4|D4|"),
        ("F2GA|[M:2+3/8]F2B/2|[M:(2+2)/4]c4|", "F2GA|\nM:5/8\nF2B/2|\nM:4/4\nc4|"),
    ],
)
@pytest.mark.parametrize("version", ["", "%abc-2.1\n"])
def test_accidentals_repeats_and_rests_of_abc_are_as_the_standard_has_them(
    music: str, meant: str, version: str
) -> None:
    head = "X:1\nM:4/4\nL:1/4\nK:C\n"
    (found,) = read_score(f"{version}{head}{music}\n".encode(), ".abc")
    (expected,) = read_score(f"{head}{meant}\n".encode(), ".abc")
    assert found == expected


@pytest.mark.parametrize(
    ("order", "played"),
    [
        ("ABA", "A A B B A A"),
        ("A(BA)2 % words", "A A B B A A B B A A"),
        ("B.A2", "B B A A A A"),
        ("AC", "A A B B"),  # a section that is not there
        ("the old version", "A A B B"),
        ("(A", "A A B B"),
        ("A99B99", "A A B B"),  # over a hundred
    ],
)
def test_sections_of_abc_are_played_in_their_order(order: str, played: str) -> None:
    head = "X:1\nM:2/4\nL:1/8\n"
    tune = "K:C\nP:A\nC2 D2|E4:|\nP:B\nF2 G2|A4:|\n"
    sections = {"A": "C2 D2|E4|", "B": "F2 G2|A4|"}
    (found,) = read_score(f"{head}P:{order}\n{tune}".encode(), ".abc")
    (expected,) = read_score(f"{head}K:C\n{''.join(sections[name] for name in played.split())}\n".encode(), ".abc")
    assert found.notes() == expected.notes()


def test_a_section_of_abc_may_have_a_start_without_an_end() -> None:
    head = "X:1\nM:2/4\nL:1/8\n"
    (found,) = read_score(f"{head}P:ABA\nK:C\nP:A\nC2 D2|E4::\nP:B\nF2 G2|A4||\n".encode(), ".abc")
    (expected,) = read_score(f"{head}K:C\nC2 D2|E4|C2 D2|E4|F2 G2|A4|C2 D2|E4|C2 D2|E4|\n".encode(), ".abc")
    assert found.notes() == expected.notes()


def test_a_section_of_abc_keeps_its_key_and_metre_where_it_is_played_again() -> None:
    head = "X:1\nM:2/4\nL:1/8\nP:ABA\nK:C\n"
    (found,) = read_score(f"{head}c4|\nP:A\nF2 C2|\nP:B\n[K:D]\nM:3/4\nL:1/4\nF C C|\n".encode(), ".abc")
    pitches = [pitch for _, _, pitch in found.notes()]
    assert pitches == [72, 65, 60, 66, 61, 61, 65, 60], "what is ahead of the sections is played first"
    assert [length for _, length, _ in found.notes()] == [8, 4, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("head", "metre", "tempo"),
    [("M:(2+3+2)/8\nQ:1/4 = 100", (7, 8), 100), ("M:2+3/8\nQ:3/8 = 60", (5, 8), 90), ("M:4/4\nQ:1/4=50", (4, 4), 50)],
)
def test_metres_that_are_sums_and_tempos_with_blanks(head: str, metre: tuple[int, int], tempo: float) -> None:
    (roll,) = read_score(f"X:1\n{head}\nL:1/8\nK:C\nCDEFG|GFEDC|C5|\n".encode(), ".abc")
    assert (roll.time_signature, roll.tempo_bpm, roll.upbeat) == (metre, tempo, 0)


@pytest.mark.parametrize(
    ("bars", "played"),
    [
        ("C D :| E F :|", "CDCDEFEF"),
        ("C :| D :| E :|", "CCDDEE"),
        ("|: C D :| E F :|", "CDCDEFEF"),
        ("C [1 D :| [2 E F [1 G :| [2 A B", "CDCEFGFAB"),
        ("C :| D |: E :| F", "CCDEEF"),
        ("C :| D |: E", "CCDE"),
    ],
)
def test_a_repeat_without_a_start_goes_back_to_the_one_before(bars: str, played: str) -> None:
    part, endings, starts, number = stream.Part(), [], False, ""
    for word in bars.split():
        if word == ":|":
            part[stream.Measure].last().rightBarline = bar.Repeat("end")
        elif word == "|:":
            starts = True
        elif word.startswith("["):
            number = word[1]
        else:
            measure = stream.Measure([note.Note(word, quarterLength=4)])
            measure.leftBarline = bar.Repeat("start") if starts else None
            part.append(measure)
            endings += [spanner.RepeatBracket(measure, number=int(number))] if number else []
            starts, number = False, ""
    for ending in endings:
        part.insert(0, ending)
    written = musicxml.m21ToXml.GeneralObjectExporter(stream.Score([part])).parse()
    (roll,) = read_score(written, ".musicxml")
    assert "".join("C D EF G A B"[pitch % 12] for _, _, pitch in roll.notes()) == played


def test_metres_and_upbeats_of_abc_are_found() -> None:
    for music, found in (
        ("CDE|FGA|\nM:4/4\nCDEF|CDEF|CDEF|", ((4, 4), 1, 0)),
        ("[M:2/4]CD|EF|[M:4/4]CDEF|CDEF|", ((4, 4), 1, 0)),
        ("|:A|CDE|FG:|A|CDE|FG|]", ((3, 4), 0, 4)),
        ("CD", ((3, 4), 0, 0)),
        ("CDEFGABc|]", ((3, 4), 0, 0)),
        ("A[K:G]CD|EFG|EFG|", ((3, 4), 0, 0)),
        ("V:1\nA|CDE|FGA|c3|\nV:2\nz|z3|CDE|F3|", ((3, 4), 0, 4)),
        ("C|DEF|GABc|def|def|C|DEF|GABc|def|", ((3, 4), 4, 4)),  # music21 divides a bar that is too long
    ):
        (roll,) = read_score(f"X:1\nM:3/4\nL:1/4\nK:C\n{music}\n".encode(), ".abc")
        assert (roll.time_signature, roll.metre_changes, roll.upbeat) == found


@pytest.mark.parametrize(
    ("music", "notes"),
    [
        ("[CE]2-[CE]2|G4|", [(0, 16, 60), (0, 16, 64), (16, 16, 67)]),
        ("z2[CE]2-|[CE]2 z2|", [(8, 16, 60), (8, 16, 64)]),
        ("[C-E]2[CE]2-|E4|", [(0, 16, 60), (0, 8, 64), (8, 24, 64)]),
        ('"C"[^C2E2]-"G7"[CE-]E|G4|', [(0, 12, 61), (0, 16, 64), (16, 16, 67)]),
        ("C2E2&C,4|G4|", [(0, 16, 48), (0, 8, 60), (8, 8, 64), (16, 16, 67)]),
        ("E4|C4-&E4-&z2G,2|C4&E4|]", [(0, 16, 64), (16, 32, 60), (16, 32, 64), (24, 8, 55)]),
        (
            "|:C4&E4|1G4:|2uA4&+u+F4",
            [(0, 16, 60), (0, 16, 64), (16, 16, 67), (32, 16, 60), (32, 16, 64), (48, 16, 65), (48, 16, 69)],
        ),
        ("V:1\nC4|D4&E4\nV:2\nC,4|D,4|", [(0, 16, 48), (0, 16, 60), (16, 16, 50), (16, 16, 62), (16, 16, 64)]),
    ],
)
def test_abc_ties_chords_and_plays_overlays_together(music: str, notes: list[tuple[int, int, int]]) -> None:
    (roll,) = read_score(f"X:1\nM:4/4\nL:1/4\nK:C\n{music}\n".encode(), ".abc")
    assert sorted(roll.notes()) == sorted(notes)


def test_a_tie_of_musicxml_is_read_at_either_note() -> None:
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    for first, second in ((start, stop), (start, ""), ("", stop)):
        (roll,) = read_score(score_xml(note_xml("C", 4, 4, first) + note_xml("C", 4, 8, second)), ".musicxml")
        assert roll.notes() == [(0, 12, 60)]
    free = note_xml("C", 4, 4, "<voice>1</voice>") * 2
    tied = note_xml("C", 4, 4, f"{start}<voice>2</voice>") + note_xml("C", 4, 8, f"{stop}<voice>2</voice>")
    (roll,) = read_score(score_xml(f"{free}<backup><duration>8</duration></backup>{tied}"), ".musicxml")
    assert roll.notes() == [(0, 4, 60), (4, 8, 60)], "of two notes of one pitch, one alone is tied"


def test_of_several_time_signatures_at_the_start_the_last_given_counts() -> None:
    part = stream.Part([meter.TimeSignature("2/4"), note.Note("C4", quarterLength=8)])
    part.insert(0, meter.TimeSignature("4/4"))
    part.insert(4, meter.TimeSignature("1/4"))
    assert roll_of_score(stream.Score([part])).time_signature == (4, 4)


def test_repeats_of_humdrum_are_played() -> None:
    kern = "**kern\n*M4/4\n=1-\n1c\n=2\n1d\n=:|!|:\n1e\n=4\n1f\n=:|!\n*-\n"
    (roll,) = read_score(kern.encode(), ".krn")
    assert [pitch for _, _, pitch in roll.notes()] == [60, 62, 60, 62, 64, 65, 64, 65]


def test_humdrum() -> None:
    (roll,) = read_score(KERN.encode(), ".krn")
    assert roll.notes() == [(0, 4, 48), (0, 12, 64), (4, 4, 55), (8, 4, 55), (12, 12, 48), (12, 4, 60), (16, 4, 60)]
    assert (roll.time_signature, roll.num_steps) == ((3, 4), 24)


def test_musicxml_sounds_at_pitch_and_leaves_out_grace_notes() -> None:
    clarinet = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    grace = "<note><grace/><pitch><step>A</step><octave>4</octave></pitch><type>eighth</type></note>"
    content = score_xml(grace + note_xml("D", 4, 8) + note_xml("E", 4, 8), clarinet)
    (roll,) = read_score(content, ".musicxml")
    assert roll.notes() == [(0, 8, 60), (8, 8, 62)]


def test_triplets_go_to_the_nearest_step_or_on_a_finer_grid() -> None:
    triplet = "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes></time-modification>"
    notes = "".join(note_xml(step, 4, 4, triplet) for step in "CDE") + note_xml("F", 4, 12)
    content = score_xml(notes).replace(b"<divisions>4<", b"<divisions>12<")
    assert [start for start, _, _ in read_score(content, ".xml")[0].notes()] == [0, 1, 3, 4]
    (exact,) = read_score(content, ".xml", steps_per_quarter=12)
    assert exact.notes() == [(0, 4, 60), (4, 4, 62), (8, 4, 64), (12, 12, 65)]


def test_compressed_musicxml() -> None:
    content = score_xml(note_xml("C", 4, 16))
    container = '<container><rootfiles><rootfile full-path="music/a.xml"/></rootfiles></container>'
    for meta in (container, None):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            if meta:
                archive.writestr("META-INF/container.xml", meta)
            archive.writestr("music/a.xml", content)
        assert read_score(buffer.getvalue(), ".mxl")[0].notes() == [(0, 16, 60)]


def test_a_chorale_of_the_corpus() -> None:
    import music21

    path = Path(music21.__file__).parent / "corpus" / "bach" / "bwv360.mxl"
    if not path.exists():
        pytest.skip("this music21 came without its corpus")
    (roll,) = read_score(path.read_bytes(), ".mxl")
    assert (roll.num_steps, roll.time_signature, roll.out_of_range) == (256, (4, 4), 0)
    assert {pitch for start, _, pitch in roll.notes() if start == 0} == {74, 70, 62, 58}
    assert [part.name for part in roll.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    (melody,) = read_score(path.read_bytes(), ".mxl", tracks="melody")
    assert melody.sounding.sum(axis=1).max() == 1
    assert [part.kept for part in melody.tracks] == [True, False, False, False]


@pytest.mark.parametrize(
    ("steps_per_quarter", "signature"), [(4, (4, 4)), (2, (6, 8)), (3, (5, 8)), (8, (7, 8)), (12, (3, 2)), (1, (7, 8))]
)
def test_writing_and_reading_a_score_is_exact_on_the_grid(steps_per_quarter: int, signature: tuple[int, int]) -> None:
    rng = np.random.default_rng(steps_per_quarter)
    notes = [(int(rng.integers(2, 60)), int(rng.integers(1, 14)), int(rng.integers(40, 80))) for _ in range(40)]
    roll = PianoRoll.from_notes(
        notes, num_steps=93, steps_per_quarter=steps_per_quarter, time_signature=signature, tempo_bpm=72.5
    )
    assert read_score(musicxml_bytes(roll), ".musicxml", steps_per_quarter=steps_per_quarter) == [roll]


@pytest.mark.parametrize("notes", [[], [(0, 4, 60)], [(5, 1, 40), (6, 70, 80)]])
def test_silence_stays_in_a_score(notes: list[tuple[int, int, int]]) -> None:
    roll = PianoRoll.from_notes(notes, num_steps=83)
    assert read_score(musicxml_bytes(roll), ".musicxml") == [roll]


@pytest.mark.parametrize(("num_steps", "upbeat"), [(40, 0), (64, 16)])  # in 6/4 a bar has 24 steps
def test_a_whole_rest_that_is_less_than_a_bar_stays_as_long_as_it_is(num_steps: int, upbeat: int) -> None:
    roll = PianoRoll.from_notes([(upbeat, 4, 60)], num_steps=num_steps, time_signature=(6, 4)).with_upbeat(upbeat)
    assert read_score(musicxml_bytes(roll, voices=1), ".musicxml") == [roll]


def test_the_same_roll_is_the_same_score() -> None:
    roll = PianoRoll.from_notes([(0, 20, 60), (3, 5, 50)])
    assert musicxml_bytes(roll) == musicxml_bytes(roll)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", score_xml(note_xml("C", 4, 16)) + b" " * 100_000)
        archive.writestr("picture.png", b" " * 100_000)
    assert len(read_score(buffer.getvalue(), ".mxl")) == 1
    monkeypatch.setattr(scores, "_MAX_UNPACKED", 150_000)  # each of the two is within it
    with pytest.raises(UnreadableFileError, match=r"^tune unpacks to 200"):
        read_score(buffer.getvalue(), ".mxl", "tune")


def test_entities_of_xml_are_harmless(tmp_path: Path) -> None:
    """Neither a file on this machine nor a gigabyte of text gets into a score."""
    (tmp_path / "secret.txt").write_text("secret")
    laughs = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 12))
    for entity in (f'<!ENTITY a0 "ha">{laughs}', f'<!ENTITY a11 SYSTEM "{(tmp_path / "secret.txt").as_uri()}">'):
        head = f"<!DOCTYPE score-partwise [{entity}]><score-partwise".encode()
        content = score_xml(note_xml("C", 4, 16)).replace(b"<score-partwise", head).replace(b">x<", b">&a11;<")
        (tmp_path / "song.musicxml").write_bytes(content)
        try:
            found = str([roll.notes() for roll in formats.read(tmp_path / "song.musicxml")])
        except UnreadableFileError as error:
            found = str(error).replace("secret.txt", "")
        assert len(found) < 400
        assert "secret" not in found


def kern(metre: str, *events: str) -> bytes:
    return "\n".join(("**kern", metre, "=1", *events, "==", "*-")).encode()


@pytest.mark.parametrize(
    ("content", "suffix", "steps", "notes"),
    [
        (b"X:1\nM:4/4\nL:1/4\nK:C\n|:A|A2 D9999 E|G2\n", ".abc", 40020, 5),
        (b"X:1\nM:3/4\nL:1/8\nK:C\n" + b"CDEF " * 120 + b"|G6|\n", ".abc", 972, 481),
        (kern("*M999/2", "4c", "4d"), ".krn", 8, 2),
        (kern("*M2/4+997/8", "4c", "4d"), ".krn", 8, 2),
        (score_xml(note_xml("C", 4, 16)).replace(b"<beats>4<", b"<beats>9999<"), ".xml", 16, 1),
    ],
    ids=["a long note", "a long bar", "humdrum", "a sum", "MusicXML"],
)
def test_a_metre_of_many_beats_takes_no_time(content: bytes, suffix: str, steps: int, notes: int) -> None:
    """music21 works out an accent for each beat, in a time that grows as their third power."""
    (roll,) = read_score(content, suffix)
    assert (roll.num_steps, len(roll.notes())) == (steps, notes)


def test_a_note_that_lasts_for_days_is_refused() -> None:
    with pytest.raises(UnreadableFileError, match=r"^tune lasts \d+ steps; expected at most 1000000$"):
        read_score(b"X:1\nM:4/4\nL:1/4\nK:C\nA2 D99999999 E|G2\n", ".abc", "tune")


def test_lines_of_abc_may_end_in_any_way_and_a_key_may_have_accidentals() -> None:
    tunes = "X:1\nM:4/4\nL:1/4\nK:D exp _e ^f % freygish\nDEFG|\n\nX:2\nM:4/4\nL:1/4\nK:C\nG4|\n"
    for end in ("\n", "\r\n", "\r"):
        first, second = read_score(tunes.replace("\n", end).encode(), ".abc")
        assert [pitch for _, _, pitch in first.notes()] == [62, 63, 66, 67]
        assert second.notes() == [(0, 16, 67)]


def test_a_book_of_tunes_shares_its_head_and_keeps_tunes_of_one_number() -> None:
    book = "M:3/4\nL:1/4\n\n" + "X:1\nK:D\nDEF|\n\n" * 3
    rolls = read_score(book.encode(), ".abc")
    assert [(roll.time_signature, [pitch for _, _, pitch in roll.notes()]) for roll in rolls] == [
        ((3, 4), [62, 64, 66])
    ] * 3


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"   \n", ".abc"),
        (b"Dear diary, today I wrote no music.", ".abc"),
        (b"Dear diary, today I wrote no music.", ".krn"),
        (b"Dear diary, today I wrote no music.", ".musicxml"),
        (b"<?xml version='1.0'?><html><body/></html>", ".xml"),
        (score_xml(note_xml("C", 4, 16))[:-40], ".musicxml"),
        (score_xml(note_xml("H", 4, 16)), ".musicxml"),
        (b"PK\x03\x04 but no more than that", ".mxl"),
        (bytes(range(256)), ".krn"),
        (bytes(range(256)), ".abc"),
    ],
)
def test_what_is_no_score_is_said_in_one_line(content: bytes, suffix: str) -> None:
    with pytest.raises(UnreadableFileError, match="tune") as caught:
        read_score(content, suffix, "tune")
    assert "\n" not in str(caught.value)
    assert " a ABC" not in str(caught.value)
