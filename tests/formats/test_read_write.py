"""Every file is read by its suffix or its first bytes, there and back; damage is one line."""

import io
import json
import os
import threading
import zipfile
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import one_roll
from strategies import bands, rolls

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats import read_write
from lnfgen.formats.read_write import read, read_bytes, to_bytes, write
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, PianoRoll
from lnfgen.music.song import Song


def a_roll(**options: object) -> PianoRoll:
    notes = [(2, 3, 60), (5, 2, 60), (2, 8, 43), (12, 1, 21), (20, 4, 108)]
    return PianoRoll.from_notes(notes, num_steps=50, **options)  # type: ignore[arg-type]


@st.composite
def any_rolls(draw: st.DrawFn) -> PianoRoll:
    """A piece of any tempo and any keys, with onsets or without."""
    roll = draw(rolls())
    if draw(st.booleans()):
        roll = replace(roll, onsets=None)
    roll = replace(roll, tempo_bpm=draw(st.floats(MIN_BPM, MAX_BPM)))
    return roll.in_range(draw(st.integers(0, 90)), draw(st.integers(1, 38)))


@pytest.mark.parametrize("suffix", [".npz", ".txt"])
@given(any_rolls())
def test_a_piano_roll_file_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, roll: PianoRoll
) -> None:
    path = tmp_path_factory.getbasetemp() / f"roll{suffix}"
    write(path, roll)
    assert read(path) == [Song(roll)]
    assert read_bytes(to_bytes(roll, suffix)) == [Song(roll)]


@pytest.mark.parametrize("suffix", [".npz", ".txt"])
@given(bands())
def test_a_band_keeps_its_parts(suffix: str, band: PianoRoll) -> None:
    again = one_roll(read_bytes(to_bytes(band, suffix)))
    assert (again, again.parts) == (band, band.parts)


@given(bands())
def test_a_band_that_was_written_as_rows_is_read(band: PianoRoll) -> None:
    """Before parts were an axis, a `.npz` had a row for each part of a step, and counted rows."""
    assert band.onsets is not None
    shape = (band.num_steps * band.num_parts, band.num_pitches)
    content = npz(
        sounding=band.sounding.reshape(shape),
        onsets=band.onsets.reshape(shape),
        steps_per_quarter=band.steps_per_quarter * band.num_parts,
        upbeat=band.upbeat * band.num_parts,
        tempo_bpm=band.tempo_bpm,
        time_signature=np.array(band.time_signature),
        parts=json.dumps([asdict(part) for part in band.parts]),
    )
    again = one_roll(read_bytes(content))
    assert (again, again.parts) == (band, band.parts)


def test_the_arrays_of_one_piano_roll_have_no_axis_of_parts() -> None:
    with np.load(io.BytesIO(to_bytes(a_roll(), ".npz"))) as arrays:
        assert arrays["sounding"].shape == arrays["onsets"].shape == (50, 88)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_reads_back_exactly(text: str) -> None:
    """But for a byte order mark, and unless it begins as a piano-roll does."""
    assert read_bytes(to_bytes(text, ".txt"), suffix=".txt") == [text.removeprefix("\ufeff")]


def test_bytes_are_told_apart_by_how_they_start() -> None:
    for suffix in (".mid", ".musicxml", ".npz", ".txt"):
        assert one_roll(read_bytes(to_bytes(a_roll(), suffix))) == a_roll()
    written = to_bytes(a_roll(), ".musicxml")
    for start in (b"<!DOCTYPE score-", b"<score-"):  # the declaration of XML may be left out
        assert one_roll(read_bytes(written[written.index(start) :])) == a_roll()
    score = io.BytesIO()
    with zipfile.ZipFile(score, "w") as archive:
        archive.writestr("a.xml", to_bytes(a_roll(), ".musicxml"))
    assert one_roll(read_bytes(score.getvalue())) == a_roll()
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


def npz_without_arrays() -> bytes:
    """An archive with text where an array should be."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sounding.npy", "Dear diary")
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
        (".npz", npz_without_arrays(), "no piano-roll"),
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
        '<score-partwise><part-list><score-part id="a"><part-name>a</part-name></score-part>'
        f'</part-list><part id="a"><measure number="1">{back}{note}</measure></part>'
        "</score-partwise>"
    )
    with pytest.raises(
        UnreadableFileError, match=r"early\.xml: the note \(-4, 4, 60\) starts before the piece"
    ):
        read_bytes(early.encode(), "early.xml", ".xml")


def test_an_archive_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(read_write, "_MAX_UNPACKED", 9000)  # each of the two arrays has 4,400
        with pytest.raises(UnreadableFileError, match="unpacks to"):
            read_write._parse(GOOD, ".npz", "roll.npz", read_write._Options())
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
        assert one_roll(read(f"/dev/fd/{reader}")) == a_roll()


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
