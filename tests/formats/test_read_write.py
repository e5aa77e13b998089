"""Every file goes through one door, by its suffix or its first bytes, there and back; damage is
said in one line."""

import io
import os
import struct
import threading
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from strategies import bands, rolls

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats import read_write, rolltext
from lnfgen.formats.read_write import read, read_bytes, to_bytes, write
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, PianoRoll
from lnfgen.music.tracks import ALL


def a_roll(**options: object) -> PianoRoll:
    notes = [(2, 3, 60), (5, 2, 60), (2, 8, 43), (12, 1, 21), (20, 4, 108)]
    return PianoRoll.from_notes(notes, num_steps=50, **options)  # type: ignore[arg-type]


ROLLS = [
    a_roll(),
    a_roll(tempo_bpm=90.5, time_signature=(6, 8)),
    PianoRoll(a_roll().sounding, None),
    a_roll(steps_per_quarter=12, lowest_pitch=0, num_pitches=128),
    PianoRoll(np.zeros((3, 88), dtype=bool), None),
]


@pytest.mark.parametrize("suffix", [".npz", ".txt"])
@given(rolls(), st.booleans(), st.floats(MIN_BPM, MAX_BPM), st.integers(0, 90), st.integers(1, 38))
def test_a_piano_roll_file_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    roll: PianoRoll,
    held: bool,
    bpm: float,
    low: int,
    keys: int,
) -> None:
    onsets = None if held else roll.onsets
    roll = replace(roll, onsets=onsets, tempo_bpm=bpm).in_range(low, keys)
    path = tmp_path_factory.getbasetemp() / f"roll{suffix}"
    write(path, roll)
    assert read(path) == [roll]
    assert read_bytes(to_bytes(roll, suffix)) == [roll]


@pytest.mark.parametrize("suffix", [".npz", ".txt"])
@given(bands())
def test_a_band_keeps_its_parts(suffix: str, band: PianoRoll) -> None:
    (again,) = read_bytes(to_bytes(band, suffix))
    assert isinstance(again, PianoRoll)
    assert (again, again.parts) == (band, band.parts)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_reads_back_exactly(text: str) -> None:
    """But for a byte order mark, and unless it begins as a piano-roll does."""
    assert read_bytes(to_bytes(text, ".txt"), suffix=".txt") == [text.removeprefix("\ufeff")]


def test_bytes_are_told_apart_by_how_they_start() -> None:
    for suffix in (".mid", ".musicxml", ".npz", ".txt"):
        assert read_bytes(to_bytes(a_roll(), suffix)) == [a_roll()]
    written = to_bytes(a_roll(), ".musicxml")
    for start in (b"<!DOCTYPE score-", b"<score-"):  # the declaration of XML may be left out
        assert read_bytes(written[written.index(start) :]) == [a_roll()]
    score = io.BytesIO()
    with zipfile.ZipFile(score, "w") as archive:
        archive.writestr("a.xml", to_bytes(a_roll(), ".musicxml"))
    assert read_bytes(score.getvalue()) == [a_roll()]
    assert read_bytes("déjà vu\n".encode()) == ["déjà vu\n"]


def test_text_stands_as_it_is_and_a_link_stays_and_the_file_that_it_leads_to_is_replaced(
    tmp_path: Path,
) -> None:
    text = "Ünicode, tabs\t, and\r\nline ends\n"
    assert to_bytes(text, ".abc") == text.encode()
    (tmp_path / "far").mkdir()
    (tmp_path / "a.txt").symlink_to(Path("far") / "b.txt")
    for content in ("one", text):
        write(tmp_path / "a.txt", content)
        assert read(tmp_path / "far" / "b.txt") == [content]
    assert (tmp_path / "a.txt").is_symlink()
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_piano_roll_as_text_is_readable() -> None:
    roll = PianoRoll.from_notes(
        [(0, 2, 60), (0, 1, 64), (2, 1, 60)], num_steps=4, time_signature=(2, 16)
    )
    lines = rolltext.roll_to_text(roll).splitlines()
    assert lines[:7] == [
        "# lnfgen piano-roll 1",
        "steps_per_quarter: 4",
        "tempo_bpm: 120.0",
        "time_signature: 2/16",
        "lowest_pitch: A0",
        "num_pitches: 88",
        "onsets: yes",
    ]
    assert lines[7:] == ["# bar 1", "C4! E4!", "C4", "# bar 2", "C4!", "."]
    text = "# lnfgen piano-roll 1\n\ntempo_bpm: 90\n# verse\nC#4! Eb4!\n  db4 \n.\n"
    roll = rolltext.roll_from_text(text)
    assert (roll.notes(), roll.tempo_bpm, roll.num_steps) == ([(0, 2, 61), (0, 1, 63)], 90.0, 3), (
        "written by hand"
    )


def test_a_band_as_text_is_readable() -> None:
    rolls = [
        PianoRoll.from_notes(notes, num_steps=4)
        for notes in ([(0, 1, 36), (2, 1, 42)], [(1, 3, 40)])
    ]
    band = PianoRoll.of_parts(
        rolls, [Part("drums"), Part("bass", 33, (80, 72))], upbeat=4
    ).in_range(36, 12)
    lines = rolltext.roll_to_text(band).splitlines()
    assert lines[1] == "steps_per_quarter: 4"
    assert lines[4] == "upbeat: 2"
    assert lines[8:] == [
        "part: drums 0",
        "part: bass 33 80 72",
        "# bar 0",
        "C2! | .",
        ". | E2!",
        "# bar 1",
        "F#2! | E2",
        ". | E2",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("C4! H4!\n", "line 2: 'H4' is no pitch"),
        ("C4!\n\n# bar\nC4 , E4\n", "line 5: ','"),
        ("tempo: 90\nC4\n", "line 2: unknown key 'tempo'"),
        ("tempo_bpm: fast\nC4\n", "line 2: tempo_bpm is 'fast'"),
        ("time_signature: 4/3\nC4\n", "power of two"),
        ("steps_per_quarter: 0\nC4\n", "0 steps per quarter"),
        ("onsets: no\nC4\nC4!\n", "line 4: C4! is struck"),
        ("C4!\nC9!\n", "line 3: C9 is outside"),
        ("part: flute 73\nC4\n", "line 2: part is 'flute 73'; expected a role such as bass"),
        ("part: bass 128\nC4\n", "line 2: part is 'bass 128'"),
        ("part: bass\nC4\n", "line 2: part is 'bass'"),
        ("part: bass 33\nC4 | E4\n", "line 3: found 1 of '|'; expected 0"),
        ("part: drums 0\npart: bass 33\nC2 | C4\nC2\n", "line 5: found 0 of '|'; expected 1"),
        ("num_pitches: 0\n.\n", "at least one step and one pitch"),
        ("", "holds no steps"),
    ],
)
def test_a_line_that_does_not_fit_is_named(body: str, said: str) -> None:
    with pytest.raises(UnreadableFileError, match=r"roll\.txt") as caught:
        rolltext.roll_from_text("# lnfgen piano-roll 1\n" + body, "roll.txt")
    assert said in str(caught.value)
    # and no prose
    with pytest.raises(UnreadableFileError, match="expected '# lnfgen piano-roll 1'"):
        read_bytes(b"# lnfgen piano-roll 2\n" + body.encode())


@pytest.mark.parametrize("roll", ROLLS, ids=repr)
def test_a_picture_is_a_png_and_the_same_every_time(roll: PianoRoll) -> None:
    content = to_bytes(roll, ".png")
    assert content.startswith(b"\x89PNG\r\n")
    assert content == to_bytes(roll, ".png")


def test_a_picture_shows_what_was_given_lighter_than_what_was_drawn() -> None:
    roll = PianoRoll.from_notes([(0, 16, 60), (0, 16, 64)])
    upper = np.zeros((16, 128), np.bool_)
    upper[:, 64] = True
    plain, mixed, drawn = (
        pixels(replace(roll, drawn=cells)) for cells in (None, upper, np.ones_like(upper))
    )
    given = (mixed != drawn).any(axis=2)  # the lower note
    assert 0.01 < given.mean() < 0.05
    lightness = np.array([0.2126, 0.7152, 0.0722])
    assert (mixed[given] @ lightness).mean() > (drawn[given] @ lightness).mean() + 0.3
    height, width, _ = plain.shape
    legends = [image[: height // 10, 3 * width // 4 :] for image in (plain, mixed, drawn)]
    assert [bool((legend < 1).any()) for legend in legends] == [False, True, True]


def pixels(roll: PianoRoll) -> np.ndarray:
    """The picture of a roll, float [height, width, 3] from 0 to 1."""
    return np.asarray(imread(io.BytesIO(to_bytes(roll, ".png"))))[:, :, :3]


def test_a_picture_of_a_band_has_the_colours_of_its_parts_and_its_drums_below() -> None:
    rolls = [PianoRoll.from_notes([(0, 16, pitch)], num_steps=16) for pitch in (36, 40, 60, 72)]
    rolls[0] = PianoRoll.from_notes([(step, 1, 36) for step in range(16)])
    band = PianoRoll.of_parts(rolls, [Part(role) for role in ROLES])
    colours = [
        np.array([*bytes.fromhex(name)]) / 255 for name in ("9c4695", "0c7a80", "4762b5", "cc5428")
    ]

    def shown(roll: PianoRoll) -> list[np.ndarray]:
        return [np.abs(pixels(roll) - colour).max(axis=2) < 0.01 for colour in colours]

    parts = shown(band)
    # of its notes, not of the legend
    heights = [np.flatnonzero(part.mean(axis=1) > 0.2).mean() for part in parts]
    assert heights == sorted(heights, reverse=True), "the drums are lowest, and the melody highest"
    drawn = np.zeros((band.num_steps, 128), np.bool_)
    drawn[1::4] = True
    left = [part.sum() for part in shown(replace(band, drawn=drawn))]
    assert left[1] > 0.9 * parts[1].sum(), "the bass was drawn"
    assert max(left[0], left[2], left[3]) < 0.5 * min(part.sum() for part in parts), (
        "the others were given"
    )
    alone = PianoRoll.of_parts(rolls[:1], band.parts[:1])
    assert len(pixels(alone)) < len(pixels(band))


@pytest.mark.parametrize(
    ("bars", "signature"), [(1, (4, 4)), (16, (4, 4)), (33, (6, 8)), (120, (2, 4)), (61, (5, 8))]
)
def test_a_picture_has_the_shape_of_a_page(bars: int, signature: tuple[int, int]) -> None:
    steps = bars * 16 * signature[0] // signature[1]
    notes = [(step, 1, 40 + step % 47) for step in range(0, steps, 8)]
    content = to_bytes(
        PianoRoll.from_notes(notes, num_steps=steps, time_signature=signature), ".png"
    )
    width, height = struct.unpack(">II", content[16:24])
    assert width < 3500
    assert 0.3 * width < height < 2.2 * width


def test_wrong_paths_and_suffixes_are_refused_with_those_that_fit(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="is not there"):
        read(tmp_path / "none.mid")
    with pytest.raises(UnreadableFileError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(LnfgenError, match=r"\.mid .*\.musicxml .*\.npz .*\.txt .*\.png"):
        write(tmp_path / "a.mp3", a_roll())
    with pytest.raises(LnfgenError, match=r"\.txt \.abc"):
        write(tmp_path / "a.mid", "text")
    assert list(tmp_path.iterdir()) == []


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


GOOD = to_bytes(a_roll(), ".npz")


@pytest.mark.parametrize(
    ("suffix", "content", "said"),
    [
        (".npz", b"", "empty"),
        (".npz", b"Dear diary", "damaged .npz"),
        (".npz", GOOD[: len(GOOD) // 2], "damaged .npz"),
        (".npz", npz(a=np.zeros(3)), "expected a piano-roll's array 'sounding'"),
        (".npz", npz(sounding=np.zeros((4, 88))), "float64"),
        (".npz", npz(sounding=np.array([{}], dtype=object)), "allow_pickle=False"),
        (
            ".npz",
            npz(sounding=np.zeros((4, 88), dtype=bool), time_signature=np.zeros(3)),
            "no piano-roll",
        ),
        (
            ".npz",
            npz(sounding=np.zeros((4, 88), dtype=bool), parts="[1]"),
            "no piano-roll: the part 1",
        ),
        (".npz", npz(sounding=np.zeros((4, 88), dtype=bool), parts="["), "no piano-roll"),
        (".txt", b"caf\xe9", "byte 0xe9 at offset 3"),
        (".mid", b"Dear diary", "no MIDI file"),
        (".abc", b"", "empty"),
        (".mp3", b"ID3", "unknown suffix '.mp3'"),
    ],
)
def test_damage_is_said_in_one_line_with_the_file(
    suffix: str, content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / f"song{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as caught:
        read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_piano_roll_refuses_is_said_with_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a.mid", a_roll())
    with pytest.raises(UnreadableFileError, match=r"a\.mid: 2000 steps per quarter"):
        read(tmp_path / "a.mid", steps_per_quarter=2000)
    note = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note>"
    back = (
        "<attributes><divisions>4</divisions></attributes>"
        + note
        + "<forward><duration>-8</duration></forward>"
    )
    early = (
        '<score-partwise><part-list><score-part id="a"><part-name>a</part-name></score-part></part-list>'
        f'<part id="a"><measure number="1">{back}{note}</measure></part></score-partwise>'
    )
    with pytest.raises(
        UnreadableFileError, match=r"early\.xml: the note \(-4, 4, 60\) starts before the piece"
    ):
        read_bytes(early.encode(), "early.xml", ".xml")


def test_an_archive_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(read_write, "_MAX_UNPACKED", 9000)  # each of the two arrays has 4,400
        with pytest.raises(UnreadableFileError, match="unpacks to"):
            read_write._parse(GOOD, ".npz", "roll.npz", 4, False, ALL)
    # a small file whose array claims 2^50 bytes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|b1", "fortran_order": False, "shape": (1 << 43, 128)}
        )
        archive.writestr("sounding.npy", header.getvalue())
    with pytest.raises(UnreadableFileError, match=r"over 1500 MB.*LNFGEN_READ_MB"):
        read_bytes(buffer.getvalue())


@pytest.mark.parametrize("suffix", [".mid", ".txt", ".npz"])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"big{suffix}"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(
        UnreadableFileError, match=r"big\.... has 1,099,512 MB; expected 1,500 .*LNFGEN_READ_MB"
    ):
        read(path)


needs_pipes = pytest.mark.skipif(
    not Path("/dev/fd").exists(), reason="needs named pipes and /dev/fd"
)


@needs_pipes
def test_devices_and_pipes_with_a_suffix_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "zero.mid").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.mid")
    for name in ("zero.mid", "pipe.mid"):
        with pytest.raises(UnreadableFileError, match="a pipe or a device; expected a file"):
            read(tmp_path / name)


@needs_pipes
@pytest.mark.parametrize("suffix", [".mid", ".musicxml", ".npz", ".txt"])
def test_what_a_shell_makes_of_another_command_is_read_by_its_first_bytes(suffix: str) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb") as file:
        file.write(to_bytes(a_roll(), suffix))
        file.close()
        assert read(f"/dev/fd/{reader}") == [a_roll()]


@needs_pipes
def test_a_pipe_without_an_end_is_read_no_further_than_memory_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LNFGEN_READ_MB", "3")
    reader, writer = os.pipe()

    def write_on() -> None:
        with suppress(BrokenPipeError), open(writer, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    thread = threading.Thread(target=write_on)
    thread.start()
    with (
        open(reader, "rb"),
        pytest.raises(UnreadableFileError, match=r"has \d MB; expected 3 at most"),
    ):
        read(f"/dev/fd/{reader}")
    thread.join()
