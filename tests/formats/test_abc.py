"""ABC tunes are read as their standard means them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import one_roll, one_song
from strategies import METRES

from lnfgen.formats.scores import read_score

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


def test_abc_with_many_tunes_is_as_many_rolls() -> None:
    first, second = (song.roll for song in read_score(TUNES.encode(), ".abc"))
    # the key makes it F#; a tied note is one note; the symbol "D" does not sound
    assert first.notes() == [(0, 8, 66), (8, 4, 69), (12, 8, 62), (12, 8, 66)]
    assert (first.tempo_bpm, first.time_signature, first.num_steps) == (90.0, (3, 4), 24)
    assert second.time_signature == (4, 4)
    stretch = [60, 62, 64, 65, 67, 69]
    assert [pitch for _, _, pitch in second.notes()] == [*stretch, 72, *stretch, 60]


NAMES = ["=C", "^C", "=D", "^D", "=E", "=F", "^F", "=G", "^G", "=A", "^A", "=B"]


def in_abc(pitches: set[int], length: int) -> str:
    """A rest, or a chord whose notes all have an accidental."""
    if not pitches:
        return f"z{length}"
    chord = ""
    for pitch in pitches:
        octave = pitch // 12 - 5
        chord += NAMES[pitch % 12] + octave * "'" + -octave * ","
    return f"[{chord}]{length}"


LENGTHS = st.integers(1, 20)
CHORDS = st.tuples(
    st.sets(st.integers(21, 108), max_size=3),
    LENGTHS,
    LENGTHS,
    st.sampled_from(("", " ", "|", "|\n")),
)


@given(st.lists(CHORDS, min_size=1), st.sampled_from(("C", "D", "Ebm", "G mix")), METRES)
def test_any_notes_are_read_as_they_were_written(
    chords: list[tuple[set[int], int, int, str]], key: str, time_signature: tuple[int, int]
) -> None:
    music = ""
    notes = []
    now = 0
    for pitches, length, tied, space in chords:
        music += f"{in_abc(pitches, length)}-{space}{in_abc(pitches, tied)}{space}"
        notes += [(now, length + tied, pitch) for pitch in sorted(pitches)]
        now += length + tied
    beats, unit = time_signature
    tune = f"X:1\nL:1/16\nM:{beats}/{unit}\nK:{key}\n{music}|]\n"
    roll = one_roll(read_score(tune.encode(), ".abc"))
    assert (roll.notes(), roll.num_steps, roll.time_signature) == (notes, now, time_signature)


def test_the_unit_of_an_abc_tune_without_unit_and_time_signature_is_an_eighth() -> None:
    tune = b"X:1\nT:no time signature, no unit\nK:D\nA2 cd|M:2/4\n[M:2/4] e4|]\n"
    roll = one_roll(read_score(tune, ".abc"))
    assert roll.notes() == [(0, 4, 69), (4, 2, 73), (6, 2, 74), (8, 8, 76)]
    # below 3/4 it is a sixteenth
    halved = one_roll(read_score(b"X:1\nM:2/4\nK:D\nA2 cd|]\n", ".abc"))
    assert halved.notes() == [(0, 2, 69), (2, 1, 73), (3, 1, 74)]
    # another time signature leaves the unit as it is
    rest = one_roll(read_score(b"X:1\nM:4/4\nK:D\nA8|[M:2/4]Z|B4|]\n", ".abc"))
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
        (
            "[V:S]CDEF|G4|[V:B]E,4|D,4|\n[V:S]c4:|[V:B]C4:|",
            "V:1\nCDEF|G4|c4|CDEF|G4|c4|\nV:2\nE,4|D,4|C4|E,4|D,4|C4|",
        ),
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
    found = one_roll(read_score(f"{version}{head}{music}\n".encode(), ".abc"))
    expected = one_roll(read_score(f"{head}{meant}\n".encode(), ".abc"))
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
# a section may have a start of a repeat without an end
@pytest.mark.parametrize("ends", [":|", "::"])
def test_sections_of_abc_are_played_in_their_order(order: str, played: str, ends: str) -> None:
    head = "X:1\nM:2/4\nL:1/8\n"
    tune = f"K:C\nP:A\nC2 D2|E4{ends}\nP:B\nF2 G2|A4:|\n"
    sections = {"A": "C2 D2|E4|", "B": "F2 G2|A4|"}
    music = "".join(sections[name] for name in played.split())
    found = one_roll(read_score(f"{head}P:{order}\n{tune}".encode(), ".abc"))
    expected = one_roll(read_score(f"{head}K:C\n{music}\n".encode(), ".abc"))
    assert found.notes() == expected.notes()


def test_a_section_of_abc_keeps_its_key_and_time_signature_where_it_is_played_again() -> None:
    head = "X:1\nM:2/4\nL:1/8\nP:ABA\nK:C\n"
    music = "c4|\nP:A\nF2 C2|\nP:B\n[K:D]\nM:3/4\nL:1/4\nF C C|\n"
    found = one_roll(read_score(f"{head}{music}".encode(), ".abc"))
    pitches = [pitch for _, _, pitch in found.notes()]
    # The music ahead of the sections is played first.
    assert pitches == [72, 65, 60, 66, 61, 61, 65, 60]
    assert [length for _, length, _ in found.notes()] == [8, 4, 4, 4, 4, 4, 4, 4]


def test_time_signatures_upbeats_and_tempos_of_abc_are_found() -> None:
    for music, found in (
        ("CDE|FGA|\nM:4/4\nCDEF|CDEF|CDEF|", ((4, 4), 1, 0)),
        ("[M:2/4]CD|EF|[M:4/4]CDEF|CDEF|", ((4, 4), 1, 0)),
        ("|:A|CDE|FG:|A|CDE|FG|]", ((3, 4), 0, 4)),
        ("CD", ((3, 4), 0, 0)),
        ("CDEFGABc|]", ((3, 4), 0, 0)),
        ("A[K:G]CD|EFG|EFG|", ((3, 4), 0, 0)),
        ("V:1\nA|CDE|FGA|c3|\nV:2\nz|z3|CDE|F3|", ((3, 4), 0, 4)),
        # a bar that is too long is no change of time signature
        ("C|DEF|GABc|def|def|C|DEF|GABc|def|", ((3, 4), 0, 4)),
    ):
        song = one_song(read_score(f"X:1\nM:3/4\nL:1/4\nK:C\n{music}\n".encode(), ".abc"))
        changes = song.origin.report["time_signature_changes"]
        assert (song.roll.time_signature, changes, song.roll.upbeat) == found
    for head, time_signature, tempo in (
        ("M:(2+3+2)/8\nQ:1/4 = 100", (7, 8), 100),
        ("M:2+3/8\nQ:3/8 = 60", (5, 8), 90),
        ("M:4/4\nQ:1/4=50", (4, 4), 50),
    ):
        roll = one_roll(read_score(f"X:1\n{head}\nL:1/8\nK:C\nCDEFG|GFEDC|C5|\n".encode(), ".abc"))
        assert (roll.time_signature, roll.tempo_bpm, roll.upbeat) == (time_signature, tempo, 0)


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
            [
                (0, 16, 60),
                (0, 16, 64),
                (16, 16, 67),
                (32, 16, 60),
                (32, 16, 64),
                (48, 16, 65),
                (48, 16, 69),
            ],
        ),
        (
            "V:1\nC4|D4&E4\nV:2\nC,4|D,4|",
            [(0, 16, 48), (0, 16, 60), (16, 16, 50), (16, 16, 62), (16, 16, 64)],
        ),
    ],
)
def test_abc_ties_chords_and_plays_overlays_together(
    music: str, notes: list[tuple[int, int, int]]
) -> None:
    roll = one_roll(read_score(f"X:1\nM:4/4\nL:1/4\nK:C\n{music}\n".encode(), ".abc"))
    assert sorted(roll.notes()) == sorted(notes)


@pytest.mark.parametrize(
    ("key", "music", "meant"),
    [
        ("C clef=treble-8", "Cc,c'|", "C,C,c|"),
        ("C treble+8", "C[CE]_B|", "c[ce]_b|"),
        ("C tenor_8 octave=2", "c|", "c'|"),
        ("C octave=-1 transpose=12", "c|", "c|"),
        ("C transpose=-24", "c|", "C,|"),
        ("C transpose=-2", "c|", "c|"),  # as it is printed
        ("C middle=d", "E|", "E|"),  # no minor key
        ("clef=bass", "E|", "E|"),
        ("C treble-8", "|:C|[K:treble]D:|", "C,|D|C,|D|"),
        ("C treble-8", "C|[K:G]F|", "C,|^F,|"),
        ("D", "F|[K:bass]F|[K:clef=treble-8]F|[K:G]C|", "^F|^F|^F,|C,|"),
        ("C", 'V:1\toctave=1\nC|\nV:2 name="a tenor-8" bass-8\nG|', "V:1\nc|\nV:2\nG,|"),
        ("C\nV:bass", "C|\nV:1\nG|\nV:bass\nD|", "C,|D,|\nV:1\nG|"),
    ],
)
def test_octaves_of_clefs_and_voices_of_abc(key: str, music: str, meant: str) -> None:
    """A voice that the header defines keeps its clef where it comes again, and a clef alone changes
    no key."""
    for octaves in (9, -9):
        tune = f"X:1\nL:1/4\nK:C octave={octaves}\nC G c''2|\n"
        song = one_song(read_score(tune.encode(), ".abc"))
        assert (song.roll.notes(), song.origin.report["out_of_range"]) == ([], 3)
    head = "X:1\nM:1/4\nL:1/4\n"
    defined = "V:bass clef=treble-8\n" if "V:bass" in key else ""
    found = one_roll(read_score(f"{head}{defined}K:{key}\n{music}\n".encode(), ".abc"))
    expected = one_roll(read_score(f"{head}K:C\n{meant}\n".encode(), ".abc"))
    assert found.notes() == expected.notes()


def test_lines_of_abc_may_end_in_any_way_and_a_key_may_have_accidentals() -> None:
    tunes = "X:1\nM:4/4\nL:1/4\nK:D exp _e ^f % freygish\nDEFG|\n\nX:2\nM:4/4\nL:1/4\nK:C\nG4|\n"
    for end in ("\n", "\r\n", "\r"):
        songs = read_score(tunes.replace("\n", end).encode(), ".abc")
        first, second = (song.roll for song in songs)
        assert [pitch for _, _, pitch in first.notes()] == [62, 63, 66, 67]
        assert second.notes() == [(0, 16, 67)]
    # tunes of one number, with a head that they share
    book = "M:3/4\nL:1/4\n\n" + "X:1\nK:D\nDEF|\n\n" * 3
    rolls = [song.roll for song in read_score(book.encode(), ".abc")]
    assert len(rolls) == 3
    for roll in rolls:
        assert (roll.time_signature, len(roll.notes()), roll.num_steps) == ((3, 4), 3, 12)


SYMBOLS = """X:1
M:4/4
L:1/4
K:G
D |: "G"GA"^slower"Bc | "Am7"d2 z2 |1 "D7(F#dim)"d4 :|2 "Fine""G/B"G4 |]
"""


def test_chord_symbols_are_repeated_with_the_music_and_other_texts_are_none() -> None:
    song = one_song(read_score(SYMBOLS.encode(), ".abc"))
    symbols = [(float(start), str(chord)) for start, chord in song.origin.chords]
    first = [(1, "G"), (5, "Am7"), (9, "D7")]
    assert symbols == [*first, (13, "G"), (17, "Am7"), (21, "G/B")]
    assert song.origin.report["unread_chords"] == 1  # Fine, but not the annotation
    assert song.roll.notes()[0] == (0, 4, 62)


def test_symbols_stay_in_order_of_the_sections_and_are_of_the_first_voice_that_has_any() -> None:
    tune = 'X:1\nP:BA\nL:1/4\nK:C\nP:A\n"C"C4 |\nP:B\n"F"F4 |\n'
    song = one_song(read_score(tune.encode(), ".abc"))
    assert [str(chord) for _, chord in song.origin.chords] == ["F", "C"]
    tune = 'X:1\nL:1/4\nK:C\nV:1\nC4 |\nV:2\n"Am"C4 |\nV:3\n"G"C4 |\n'
    song = one_song(read_score(tune.encode(), ".abc"))
    assert [str(chord) for _, chord in song.origin.chords] == ["Am"]
