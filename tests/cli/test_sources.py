"""`lnfgen.cli.sources`: what commands read from the names that a person gives."""

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import mido
import pytest
from toy_bands import band_file
from toy_music import ROLL

from lnfgen.cli.sources import for_each, read_pieces
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.read_write import to_bytes
from lnfgen.music.parts import ROLES
from lnfgen.music.song import Song


def without(role: str) -> bytes:
    """The band's file without the track of a name."""
    midi = mido.MidiFile(file=io.BytesIO(band_file()))
    midi.tracks[:] = [track for track in midi.tracks if track.name != role]
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def roles_of(content: bytes, folder: Path, tracks: str = "all", parts: str = "auto") -> list[str]:
    (folder / "song.mid").write_bytes(content)
    (song,) = read_pieces(str(folder / "song.mid"), 4, tracks, parts)
    assert isinstance(song, Song)
    return list(song.roll.roles)


def test_a_file_has_the_parts_that_it_plays(tmp_path: Path) -> None:
    assert roles_of(band_file(), tmp_path) == list(ROLES)
    assert roles_of(without("Bass"), tmp_path) == ["drums", "chords", "melody"]
    # A track that is named a melody beside others makes a band too.
    assert roles_of(without("Drum kit"), tmp_path) == ["bass", "chords", "melody"]
    assert roles_of(to_bytes(ROLL, ".mid"), tmp_path) == []


def test_one_piano_roll_where_tracks_or_one_part_are_asked_for(tmp_path: Path) -> None:
    assert roles_of(band_file(), tmp_path, parts="1") == []
    assert roles_of(band_file(), tmp_path, parts="drums,bass") == ["drums", "bass"]
    assert roles_of(band_file(), tmp_path, tracks="melody") == []
    assert roles_of(to_bytes(ROLL, ".mid"), tmp_path, tracks="melody=1") == ["melody"]


def test_stdin_and_a_pipe_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(band_file()))
    monkeypatch.setattr(sys, "stdin", stdin)
    (piped,) = read_pieces("-", 4, "all", "auto")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(band_file(),))
    writer.start()
    (named,) = read_pieces(str(pipe), 4, "all", "auto")
    writer.join()
    assert isinstance(named, Song)
    assert list(named.roll.roles) == list(ROLES)
    assert named == piped


def test_the_error_of_an_only_file_is_raised_with_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(path: str) -> None:
        raise UnreadableFileError("a damaged file")

    with pytest.raises(UnreadableFileError, match=r"^a\.mid: a damaged file$"):
        for_each(["a.mid"], refuse)
    assert for_each(["a.mid", "b.mid"], refuse)
    assert capsys.readouterr().err.splitlines() == [
        "error: a.mid: a damaged file",
        "error: b.mid: a damaged file",
    ]
    assert not for_each(["a.mid"], str)
    with pytest.raises(LnfgenError):
        for_each(["a.mid"], refuse)
