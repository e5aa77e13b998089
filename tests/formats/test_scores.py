"""Scores in MusicXML, ABC and humdrum are read as they sound; damage gives an error of one line."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from music21 import bar, meter, musicxml, note, spanner, stream
from reading import one_roll, one_song

from lnfgen.errors import UnreadableFileError
from lnfgen.formats import scores
from lnfgen.formats.read_write import read, to_bytes
from lnfgen.formats.scores import read_score, roll_of_score

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
    head = (
        "<attributes><divisions>4</divisions><time><beats>4</beats><beat-type>4</beat-type></time>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="4.0">'
        '<part-list><score-part id="P1"><part-name>x</part-name></score-part></part-list>'
        f'<part id="P1"><measure number="1">{head}{attributes}</attributes>{notes}</measure></part>'
        "</score-partwise>"
    ).encode()


def note_xml(step: str, octave: int, duration: int, extra: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration>{extra}</note>"


@pytest.mark.parametrize(
    ("suffix", "before", "title"),
    [
        (".musicxml", "<work><work-title>Ave &amp;\nVale</work-title></work>", "Ave & Vale"),
        (".musicxml", "<movement-title>Gigue</movement-title>", "Gigue"),
        (
            ".musicxml",
            "<work><work-title>Suite</work-title></work><movement-title>Gigue</movement-title>",
            "Suite",
        ),
        (".musicxml", "", ""),
        (".abc", "X:1\nT: The Kesh % a jig\nT:Kincora\n", "The Kesh"),
        (".abc", "X:1\n", ""),
        (".krn", "!!!COM: Bach\n!!!OTL: Ach Gott\n", "Ach Gott"),
        (".krn", "!!!COM: Bach\n", ""),
    ],
)
def test_a_song_has_the_title_of_its_score(suffix: str, before: str, title: str) -> None:
    if suffix == ".abc":
        content = f"{before}K:C\nCDEF|\n".encode()
    elif suffix == ".krn":
        content = f"{before}{KERN}".encode()
    else:
        score = score_xml(note_xml("C", 4, 16))
        content = score.replace(b"<part-list>", before.encode() + b"<part-list>")
    song = one_song(read_score(content, suffix))
    assert song.origin.title == title
    assert song.transposed(1).origin.title == title
    again = to_bytes(song, ".musicxml", title="a file")
    assert one_song(read_score(again, ".musicxml")).origin.title == (title or "a file")


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
    part = stream.Part()
    measures: list[stream.Measure] = []
    endings = []
    starts = False
    number = ""
    for word in bars.split():
        if word == ":|":
            measures[-1].rightBarline = bar.Repeat("end")
        elif word == "|:":
            starts = True
        elif word.startswith("["):
            number = word[1]
        else:
            measure = stream.Measure([note.Note(word, quarterLength=4)])
            if starts:
                measure.leftBarline = bar.Repeat("start")
            part.append(measure)
            measures.append(measure)
            if number:
                endings.append(spanner.RepeatBracket(measure, number=int(number)))
            starts = False
            number = ""
    for ending in endings:
        part.insert(0, ending)
    written = musicxml.m21ToXml.GeneralObjectExporter(stream.Score([part])).parse()
    roll = one_roll(read_score(written, ".musicxml"))
    assert "".join("C D EF G A B"[pitch % 12] for _, _, pitch in roll.notes()) == played


def test_a_tie_of_musicxml_is_read_at_either_note() -> None:
    start = '<tie type="start"/>'
    stop = '<tie type="stop"/>'
    for first, second in ((start, stop), (start, ""), ("", stop)):
        notes = note_xml("C", 4, 4, first) + note_xml("C", 4, 8, second)
        roll = one_roll(read_score(score_xml(notes), ".musicxml"))
        assert roll.notes() == [(0, 12, 60)]
    free = note_xml("C", 4, 4, "<voice>1</voice>") * 2
    back = "<backup><duration>8</duration></backup>"
    tied = note_xml("C", 4, 4, f"{start}<voice>2</voice>")
    tied += note_xml("C", 4, 8, f"{stop}<voice>2</voice>")
    roll = one_roll(read_score(score_xml(free + back + tied), ".musicxml"))
    assert roll.notes() == [(0, 4, 60), (4, 8, 60)], "of two notes of one pitch, one alone is tied"


def test_of_several_time_signatures_at_the_start_the_last_given_counts() -> None:
    part = stream.Part([meter.TimeSignature("2/4"), note.Note("C4", quarterLength=8)])
    part.insert(0, meter.TimeSignature("4/4"))
    part.insert(4, meter.TimeSignature("1/4"))
    assert roll_of_score(stream.Score([part])).time_signature == (4, 4)


def test_humdrum() -> None:
    roll = one_roll(read_score(KERN.encode(), ".krn"))
    assert roll.notes() == [
        (0, 4, 48),
        (0, 12, 64),
        (4, 4, 55),
        (8, 4, 55),
        (12, 12, 48),
        (12, 4, 60),
        (16, 4, 60),
    ]
    assert (roll.time_signature, roll.num_steps) == ((3, 4), 24)
    kern = "**kern\n*M4/4\n=1-\n1c\n=2\n1d\n=:|!|:\n1e\n=4\n1f\n=:|!\n*-\n"
    roll = one_roll(read_score(kern.encode(), ".krn"))
    assert [pitch for _, _, pitch in roll.notes()] == [60, 62, 60, 62, 64, 65, 64, 65], (
        "repeats are played"
    )


def test_musicxml_sounds_at_pitch_and_leaves_out_grace_notes() -> None:
    clarinet = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    grace = (
        "<note><grace/><pitch><step>A</step><octave>4</octave></pitch><type>eighth</type></note>"
    )
    content = score_xml(grace + note_xml("D", 4, 8) + note_xml("E", 4, 8), clarinet)
    roll = one_roll(read_score(content, ".musicxml"))
    assert roll.notes() == [(0, 8, 60), (8, 8, 62)]


def test_triplets_go_to_the_nearest_step_or_on_a_finer_grid() -> None:
    numbers = "<actual-notes>3</actual-notes><normal-notes>2</normal-notes>"
    triplet = f"<time-modification>{numbers}</time-modification>"
    notes = "".join(note_xml(step, 4, 4, triplet) for step in "CDE") + note_xml("F", 4, 12)
    content = score_xml(notes).replace(b"<divisions>4<", b"<divisions>12<")
    rounded = one_roll(read_score(content, ".xml"))
    assert [start for start, _, _ in rounded.notes()] == [0, 1, 3, 4]
    exact = one_roll(read_score(content, ".xml", steps_per_quarter=12))
    assert exact.notes() == [(0, 4, 60), (4, 4, 62), (8, 4, 64), (12, 12, 65)]


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


CONTAINER = b"<container><rootfiles><rootfile full-path='%s'/></rootfiles></container>"
DAMAGED_CONTAINERS = [
    CONTAINER % b"music/it's a.xml",  # as real files have it
    CONTAINER % b"music/b.xml",
    b"<container/>",
    b"<?xml version='1.0' encoding='none'?><container/>",
    b"\xff\x00",
    b"",
]


@pytest.mark.parametrize("container", [CONTAINER % b"music/a.xml", None, *DAMAGED_CONTAINERS])
def test_compressed_musicxml(container: bytes | None) -> None:
    files = {"__MACOSX/._a.xml": b"\x00", "music/a.xml": score_xml(note_xml("C", 4, 16))}
    if container is not None:
        files["META-INF/container.xml"] = container
    assert one_roll(read_score(archive_of(files), ".mxl")).notes() == [(0, 16, 60)]


def test_the_container_says_which_of_several_scores_it_is() -> None:
    scores_of = {name: score_xml(note_xml(name[0].upper(), 4, 16)) for name in ("c.xml", "d.xml")}
    named = {"META-INF/container.xml": CONTAINER % b"d.xml", **scores_of}
    assert one_roll(read_score(archive_of(named), ".mxl")).notes() == [(0, 16, 62)]
    for container in DAMAGED_CONTAINERS:
        content = archive_of({**scores_of, "META-INF/container.xml": container})
        with pytest.raises(UnreadableFileError, match=r"2 scores, and a damaged META-INF") as error:
            read_score(content, ".mxl")
        assert "\n" not in str(error.value)


def test_every_lead_sheet_has_a_score(shared_data: Callable[[str], Path]) -> None:
    """A fifth of them have containers that are no XML."""
    sheets = sorted(shared_data("openewld").glob("*.mxl"))
    assert len(sheets) > 390
    damaged = 0
    for sheet in sheets:
        content = sheet.read_bytes()
        assert "<score-" in scores._score_text(content, "MusicXML", sheet.name)
        with zipfile.ZipFile(sheet) as archive:
            damaged += not scores._named_by(archive.read("META-INF/container.xml"))
    assert damaged > 70


def test_a_chorale_of_the_corpus() -> None:
    import music21

    path = Path(music21.__file__).parent / "corpus" / "bach" / "bwv360.mxl"
    if not path.exists():
        pytest.skip("this music21 came without its corpus")
    song = one_song(read_score(path.read_bytes(), ".mxl"))
    roll = song.roll
    assert (roll.num_steps, roll.time_signature) == (256, (4, 4))
    assert song.origin.report["out_of_range"] == 0
    assert {pitch for start, _, pitch in roll.notes() if start == 0} == {74, 70, 62, 58}
    assert [part.name for part in song.origin.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    melody = one_song(read_score(path.read_bytes(), ".mxl", tracks="melody"))
    assert melody.roll.sounding.sum(axis=2).max() == 1
    assert [part.kept for part in melody.origin.tracks] == [True, False, False, False]


def test_an_archive_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", score_xml(note_xml("C", 4, 16)) + b" " * 100_000)
        archive.writestr("picture.png", b" " * 100_000)
    assert len(read_score(buffer.getvalue(), ".mxl")) == 1
    monkeypatch.setattr(scores, "_MAX_UNPACKED", 150_000)  # each of the two is within it
    with pytest.raises(UnreadableFileError, match=r"^tune unpacks to 200"):
        read_score(buffer.getvalue(), ".mxl", "tune")


def test_of_a_book_that_is_too_long_no_more_is_read_than_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tune = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|\n"
    book = (tune * 9 + "X:2\nwithout a key\n").encode()
    with pytest.raises(UnreadableFileError, match="a tune without a field K:"):
        read_score(book, ".abc")
    monkeypatch.setattr(scores, "MAX_STEPS", 100)
    with pytest.raises(UnreadableFileError, match=r"^a lasts 128 steps or more; .* at most 100$"):
        read_score(book, ".abc", "a")


def test_entities_of_xml_are_harmless(tmp_path: Path) -> None:
    """Neither a file on this machine nor a gigabyte of text gets into a score."""
    (tmp_path / "secret.txt").write_text("secret")
    laughs = '<!ENTITY a0 "ha">'
    for level in range(1, 12):
        ten_of_the_last = f"&a{level - 1};" * 10
        laughs += f'<!ENTITY a{level} "{ten_of_the_last}">'
    address = (tmp_path / "secret.txt").as_uri()
    secret = f'<!ENTITY a11 SYSTEM "{address}">'
    for entity in (laughs, secret):
        head = f"<!DOCTYPE score-partwise [{entity}]><score-partwise".encode()
        content = score_xml(note_xml("C", 4, 16)).replace(b"<score-partwise", head)
        content = content.replace(b">x<", b">&a11;<")
        (tmp_path / "song.musicxml").write_bytes(content)
        try:
            found = str(one_roll(read(tmp_path / "song.musicxml")).notes())
        except UnreadableFileError as error:
            found = str(error).replace("secret.txt", "")
        assert len(found) < 400
        assert "secret" not in found


def test_bars_and_notes_of_any_length_are_read() -> None:
    roll = one_roll(read_score(b"X:1\nM:4/4\nL:1/4\nK:C\n|:A|A2 D9999 E|G2\n", ".abc"))
    assert (roll.num_steps, len(roll.notes())) == (40020, 5)
    roll = one_roll(read_score(b"X:1\nM:3/4\nL:1/8\nK:C\n" + b"CDEF " * 120 + b"|G6|\n", ".abc"))
    assert (roll.num_steps, len(roll.notes())) == (972, 481)
    with pytest.raises(
        UnreadableFileError, match=r"^tune lasts \d+ steps; expected at most 1000000$"
    ):
        read_score(b"X:1\nM:4/4\nL:1/4\nK:C\nA2 D99999999 E|G2\n", ".abc", "tune")


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
