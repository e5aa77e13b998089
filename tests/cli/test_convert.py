"""`lnfgen convert` as a person and a script meet it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mido
import pytest
import typer
from command import Call, fails
from reading import one_roll, one_song
from toy_music import ROLL, TUNES, struck_chords

from lnfgen.cli import convert
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import read, read_bytes, to_bytes, write
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song


def test_convert_there_and_back_by_file_and_by_pipe(
    lnfgen: Call, here: Call, tmp_path: Path
) -> None:
    write(tmp_path / "a.npz", ROLL)
    done = lnfgen("convert", "a.npz", "b.mid", "--program", 40)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"b.mid\n", b"")
    piped = lnfgen(
        "convert", "-", "-", "--tempo", 90, "--key", "C", input=(tmp_path / "b.mid").read_bytes()
    )
    assert piped.returncode == 0, piped.stderr
    assert piped.stderr.startswith(b"stdin: found ")
    fails(here("convert", "a.npz", "b.png", "--program", 40), ".png", "leave --program out")
    (song,) = read_bytes(piped.stdout)
    assert isinstance(song, Song)
    expected = PianoRoll(ROLL.sounding, ROLL.onsets, tempo_bpm=90.0, time_signature=(3, 4))
    assert song.roll == expected


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system whose file names are any bytes")
def test_a_name_that_is_no_utf8_is_printed_as_it_is_and_json_has_it_escaped(tmp_path: Path) -> None:
    name = b"caf\xe9.mid"
    (tmp_path / "a.mid").write_bytes(to_bytes(ROLL, ".mid"))
    program = [sys.executable, "-m", "lnfgen"]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}  # as in a locale of UTF-8
    for args in (["convert", "a.mid", name], ["info", name, name]):
        done = subprocess.run([*program, *args], cwd=tmp_path, env=strict, capture_output=True)
        assert done.returncode == 0, done.stderr
        assert name in done.stdout
    done = subprocess.run(
        [*program, "info", name, "--json"], cwd=tmp_path, env=strict, capture_output=True
    )
    assert os.fsencode(json.loads(done.stdout.decode("utf-8"))["path"]) == name


def test_music_that_cannot_become_text_leaves_no_folder(tmp_path: Path, here: Call) -> None:
    (tmp_path / "a.mid").write_bytes(to_bytes(ROLL, ".mid"))
    fails(here("convert", tmp_path / "a.mid", "--to", "abc", "--out", tmp_path / "new"), ".abc")
    assert not (tmp_path / "new").exists()


def test_a_chart_is_written_and_read_by_people_alone(here: Call, tmp_path: Path) -> None:
    song = struck_chords((39, 55, 58, 63), (46, 56, 62, 65), grid=1, length=4)
    write(tmp_path / "a.npz", song)
    assert here("convert", "a.npz", "a.chords").returncode == 0
    assert (tmp_path / "a.chords").read_text() == "| Eb | Bb7 |\n"
    fails(here("convert", "a.chords", "b.mid"), "a.chords is a chart of chords", "expected one of")
    (tmp_path / "b.txt").write_text("Dear diary")
    fails(here("convert", "b.txt", "b.chords"), "cannot write a text as '.chords'")


def test_several_pieces_are_numbered_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, out = str(tmp_path / "book.abc"), str(tmp_path / "out.mid")
    Path(book).write_text(TUNES)
    convert.command([book, out])
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "out-01.mid",
        "out-02.mid",
    ]
    assert [note[2] for note in one_roll(read(tmp_path / "out-02.mid")).notes()] == [64, 65, 72]
    with pytest.raises(LnfgenError, match="2 pieces, stdout takes one"):
        convert.command([book, "-"])


def test_many_files_go_to_a_folder_and_a_bad_one_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name, ROLL)
    (tmp_path / "bad.mid").write_text("Dear diary")
    (tmp_path / "book.abc").write_text(TUNES)
    files = [str(tmp_path / name) for name in ("a.npz", "bad.mid", "b.npz", "book.abc")]
    out = tmp_path / "new" / "out"
    with pytest.raises(typer.Exit) as ended:
        convert.command(files, to="mid", out=out, transpose=-3)
    printed, said = capsys.readouterr()
    assert ended.value.exit_code == 1
    assert said.count("\n") == 1
    assert said.startswith(f"error: {files[1]} is no MIDI file")
    names = ["a.mid", "b.mid", "book-01.mid", "book-02.mid"]
    assert printed.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.iterdir()) == names
    assert one_roll(read(out / "b.mid")) == ROLL.transposed(-3)


def test_many_files_replace_neither_one_another_nor_what_they_are_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    files = [str(tmp_path / name) for name in ("a.npz", "a.txt", "other/a.txt", "b.txt")]
    for path in files:
        write(path, ROLL)
    before = {path: Path(path).read_bytes() for path in files}
    with pytest.raises(typer.Exit):
        convert.command(files, to="txt", transpose=2)  # no file has a name to itself
    assert {path: Path(path).read_bytes() for path in files} == before
    assert capsys.readouterr().err.count("choose another --out") == 4
    with pytest.raises(typer.Exit):
        convert.command(files, to=".mid", out=tmp_path / "out")
    printed, said = capsys.readouterr()
    assert [Path(line).name for line in printed.splitlines()] == ["a.mid", "b.mid"]
    assert said.count("just written") == 2


def test_what_convert_takes_and_what_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.npz", ROLL)
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.mid")
    for files, options in (([a], {}), ([a, b, a], {}), ([a, b], {"out": tmp_path})):
        with pytest.raises(typer.BadParameter, match="--to"):
            convert.command(files, **options)  # type: ignore[arg-type]
    with pytest.raises(LnfgenError, match=r"--to mp3: unknown suffix '\.mp3'"):
        convert.command([a], to="mp3")
    with pytest.raises(
        LnfgenError, match=r"a\.npz: \+60 semitones would .* off the keys; expected -39 to \+41"
    ):
        convert.command([a, b], transpose=60)
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(LnfgenError, match=r"cannot write a text as '\.mid'"):
        convert.command([str(tmp_path / "a.txt"), b], transpose=1)
    of_music = {
        "transpose": 1,
        "tempo": 60,
        "key": "G",
        "tracks": "melody",
        "parts": "4",
        "steps_per_quarter": 8,
    }
    for option, value in of_music.items():
        with pytest.raises(
            LnfgenError,
            match=f"is a text; leave --{option.replace('_', '-')} out, which is for music",
        ):
            convert.command([str(tmp_path / "a.txt"), str(tmp_path / "b.txt")], **{option: value})  # type: ignore[arg-type]
    for option, value in {"tracks": "melody", "parts": "4", "steps_per_quarter": 8}.items():
        with pytest.raises(
            LnfgenError, match=f"is a piano-roll; leave --{option.replace('_', '-')} out"
        ):
            convert.command([a, b], **{option: value})  # type: ignore[arg-type]
    with pytest.raises(LnfgenError, match="stdin has no name"):
        convert.command(["-"], to="mid")
    assert not Path(b).exists()
    assert capsys.readouterr() == ("", "")


def test_convert_says_what_it_leaves_out_merges_and_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = str(tmp_path / "a.mid"), str(tmp_path / "a.npz")
    write(
        a,
        PianoRoll.from_notes(
            [(0, 4, 60), (0, 4, 10), (0, 4, 120)], num_pitches=128, lowest_pitch=0
        ),
    )
    convert.command([a, b])
    assert "left out 2 notes" in capsys.readouterr().err

    hands = mido.MidiFile(ticks_per_beat=4)
    for channel, pitch in enumerate((60, 40)):
        strike = mido.Message("note_on", channel=channel, note=pitch)
        hands.tracks.append(
            mido.MidiTrack([strike, mido.Message("note_off", channel=channel, note=pitch, time=4)])
        )
    hands.save(a)
    convert.command([a, b], tracks="1")
    assert "kept 1 of 2 tracks, left out 1\n" in capsys.readouterr().err
    assert one_roll(read(b)).notes() == [(0, 4, 60)]

    write(
        a,
        PianoRoll.from_notes(
            [(0, 2, 60), (2, 2, 62), (4, 2, 64)], num_steps=12, steps_per_quarter=6
        ),
    )
    convert.command([a, b])
    assert (
        "rounded 4 of 6 starts and ends of notes to 4 steps per quarter; "
        "--steps-per-quarter 12 would round 0" in capsys.readouterr().err
    )
    convert.command([a, b], steps_per_quarter=6)
    assert capsys.readouterr().err == ""


def test_convert_says_which_changes_of_tempo_and_time_signature_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        mido.Message("note_on", note=60),
        mido.MetaMessage("set_tempo", tempo=600_000, time=4),
        mido.MetaMessage("set_tempo", tempo=600_000, time=4),  # no change
        mido.MetaMessage("set_tempo", tempo=500_000, time=4),
        mido.MetaMessage("time_signature", numerator=4, denominator=4),
        mido.Message("note_off", note=60, time=4),
        mido.MetaMessage("set_tempo", tempo=900_000),  # at the end, where nothing sounds
    ]
    mido.MidiFile(ticks_per_beat=4, tracks=[mido.MidiTrack(marks)]).save(tmp_path / "a.mid")
    a, b = str(tmp_path / "a.mid"), str(tmp_path / "b.mid")
    convert.command([a, b])
    said = capsys.readouterr().err
    assert said.endswith("a.mid: a piano-roll has one tempo and time signature; left out changes: "
                         "2 of tempo, 1 of time signature\n")  # fmt: skip
    convert.command([a, b], tempo=90.0)
    assert "left out changes: 1 of time signature\n" in capsys.readouterr().err
    convert.command([b, a])
    assert capsys.readouterr().err == ""


def test_many_files_become_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mid", "b.npz"):
        write(tmp_path / name, ROLL)
    (tmp_path / "book.abc").write_text(TUNES)
    (tmp_path / "diary.txt").write_text("Dear diary")
    files = [str(tmp_path / name) for name in ("a.mid", "b.npz", "diary.txt", "book.abc")]
    page = tmp_path / "all.html"
    with pytest.raises(typer.Exit) as ended:
        convert.command([*files, str(page)])
    printed, said = capsys.readouterr()
    assert (ended.value.exit_code, printed) == (1, f"{page}\n")
    assert said == f"error: {files[2]} is a text; a page holds music alone\n"
    html = page.read_text()
    assert [f">{name}</h2>" in html for name in ("a", "b", "book 1", "book 2", "diary")] == [
        *[True] * 4,
        False,
    ]


FOUR = PianoRoll.from_notes(
    [(start, 4, pitch) for start in (0, 4, 8) for pitch in (48, 55, 64, 72 + start // 4)]
)


def test_voices_are_tracks_with_their_programs_and_the_same_music(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.npz", FOUR)
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.mid")
    for asked, programs in (
        ({"program": "73,48,48,32"}, [73, 48, 48, 32]),
        ({"program": "flute, string ensemble 1,48,Acoustic Bass"}, [73, 48, 48, 32]),
        ({"voices": 4}, [0, 0, 0, 0]),
        ({"program": "73,48", "voices": 4}, [73, 48, 48, 48]),
    ):
        convert.command([a, b], **asked)  # type: ignore[arg-type]
        song = one_song(read(b))
        assert song.roll == FOUR
        tracks = song.origin.tracks
        assert [track.program for track in tracks] == programs
        assert [track.name for track in tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
        assert mido.MidiFile(b).type == 1
    convert.command([a, b], voices=8)
    assert one_roll(read(b)) == FOUR
    assert 10 not in [track.channel for track in one_song(read(b)).origin.tracks]
    capsys.readouterr()
    with pytest.raises(typer.BadParameter, match="3 programs for 2 voices"):
        convert.command([a, b], program="1,2,3", voices=2)
    for wrong in ("128", "kazoo", "", "flute,"):
        with pytest.raises(LnfgenError, match="expected 0 to 127 or a name of General MIDI"):
            convert.command([a, b], program=wrong)
    with pytest.raises(
        LnfgenError, match=r"'sax'; expected one of 64 Soprano Sax, .* 67 Baritone Sax$"
    ):
        convert.command([a, b], program="sax")
    with pytest.raises(LnfgenError, match=r"cannot write voices apart as '\.png'"):
        convert.command([a, str(tmp_path / "b.png")], voices=4)


def test_a_score_keeps_its_title_on_the_way(tmp_path: Path) -> None:
    book, one, other = (
        str(tmp_path / name) for name in ("book.abc", "new.musicxml", "other.musicxml")
    )
    Path(book).write_text(TUNES.replace("T:A", "T:The Kesh % a jig"))
    convert.command([book, one])
    convert.command([str(tmp_path / "new-01.musicxml"), other], key="G", tempo=90)
    assert one_song(read(other)).origin.title == "The Kesh"
    # A piano-roll has no title, so that its score has the file's name.
    convert.command([other, str(tmp_path / "a.npz")])
    convert.command([str(tmp_path / "a.npz"), other])
    assert one_song(read(other)).origin.title == "other"


def test_a_piece_goes_to_a_key_and_both_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = PianoRoll.from_notes(
        [(4 * i, 4, pitch) for i, pitch in enumerate((60, 64, 67, 65, 62, 67, 71, 72, 60))]
    )
    write(tmp_path / "a.npz", scale)
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    for key, semitones, said in (
        ("G", -5, "G major"),
        ("f", 5, "F major"),
        ("B-flat", -2, "Bb major"),
    ):
        convert.command([a, b], key=key)
        assert one_roll(read(b)) == scale.transposed(semitones)
        assert (
            capsys.readouterr().err
            == f"{a}: found C major, moved {semitones:+} semitones to {said}\n"
        )
    minor = PianoRoll.from_notes(
        [(4 * i, 4, pitch) for i, pitch in enumerate((57, 60, 64, 62, 59, 64, 56, 57))]
    )
    write(a, minor)
    convert.command([a, b], key="C")
    assert one_roll(read(b)) == minor.transposed(3)
    assert capsys.readouterr().err == f"{a}: found A minor, moved +3 semitones to C minor\n"
    # a model has some keys alone, and a moved piece may need others
    write(a, scale.in_range(50, 24))
    convert.command([a, b], key="f")
    assert one_roll(read(b)) == scale.transposed(5).in_range(0, 128)
    capsys.readouterr()
    write(a, PianoRoll.from_notes([], num_steps=4))
    convert.command([a, b], key="G")
    assert "no notes and so no key" in capsys.readouterr().err
    with pytest.raises(typer.BadParameter, match="one of them"):
        convert.command([a, b], key="G", transpose=1)


def test_a_missing_folder_is_refused_before_any_file_is_read(here: Call, tmp_path: Path) -> None:
    fails(here("convert", "absent.mid", "none/all.html"), "there is no folder none; make it first")
