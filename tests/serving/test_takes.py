"""A folder of takes: what is in it comes back, whatever happens to the program or the files."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnfgen.errors import OutputError
from lnfgen.formats.read_write import read
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.serving.takes import REMOVED, Take, Takes, TakeSong, UnknownTakeError

ROLL = PianoRoll.from_notes(
    [(4 * place, 4, 60 + place) for place in range(8)], num_pitches=128, lowest_pitch=0
)


def a_song() -> TakeSong:
    """A song of which the second bar was drawn, and the first one before."""
    new = np.zeros_like(ROLL.sounding)
    new[16:] = True
    return TakeSong(Song(ROLL, drawn=np.ones_like(new)), new)


def add(takes: Takes, name: str = "song", **facts: Any) -> Take:
    usual: dict[str, Any] = {"base": name, "action": "fill", "settings": {"seed": 1}}
    return takes.add(a_song(), name=name, **(usual | facts))


@pytest.fixture
def takes(tmp_path: Path) -> Iterator[Takes]:
    takes = Takes(tmp_path / "takes")
    yield takes
    takes.close()


def again(takes: Takes) -> Takes:
    """The same folder, as the next server opens it."""
    takes.close()
    return Takes(takes.path)


def test_a_take_has_its_facts_and_comes_back(takes: Takes) -> None:
    first = add(takes, warnings=["found a clash"])
    second = add(takes, source=first.id, name="song, bars 2-2")
    assert (first.id, second.id, second.source) == ("0001", "0002", "0001")
    assert (first.bars, first.seconds, first.drawn_notes) == (2, 4.0, 4)
    assert first.key
    later = again(takes)
    assert later.all() == [first, second]
    found = later.song("0001")
    assert found.song.roll == ROLL
    assert found.song.num_drawn == 8
    assert found.shown.num_drawn == 4
    later.close()


def test_a_take_has_a_file_to_listen_to(takes: Takes) -> None:
    take = add(takes)
    (song,) = read(takes.path / take.id / "take.mid")
    assert isinstance(song, Song)
    assert song.roll.notes() == ROLL.notes()


def test_two_takes_never_share_a_name_or_a_number(takes: Takes) -> None:
    assert [add(takes).name for _ in range(3)] == ["song", "song (2)", "song (3)"]
    takes.remove("0003")
    takes.remove("0002")
    assert add(takes).id == "0004"
    later = again(takes)
    assert add(later).id == "0005"
    later.close()


def test_names_and_stars_stay(takes: Takes) -> None:
    take = add(takes)
    changed = takes.change(take.id, name="the best", starred=True)
    assert changed == replace(take, name="the best", base="the best", starred=True)
    assert takes.change(take.id, starred=False).name == "the best"
    later = again(takes)
    assert later.get(take.id) == replace(changed, starred=False)
    later.close()


def test_removed_takes_come_back_whole(takes: Takes) -> None:
    take = add(takes)
    takes.remove(take.id)
    assert takes.all() == []
    for unknown in (take.id, "0009", "../0001", ""):
        with pytest.raises(UnknownTakeError):
            takes.get(unknown)
    with pytest.raises(UnknownTakeError):
        takes.restore("../takes/0001")
    later = again(takes)
    assert later.all() == []
    assert later.restore(take.id) == take
    assert later.song(take.id).song.roll == ROLL
    assert later.all() == [take]
    later.close()


def test_a_damaged_take_is_left_out_and_said(takes: Takes) -> None:
    for _ in range(5):
        add(takes)
    folder = takes.path
    (folder / "0001" / "take.json").write_text("{")
    (folder / "0002" / "take.json").unlink()
    other = json.loads((folder / "0003" / "take.json").read_text())
    (folder / "0003" / "take.json").write_text(json.dumps(other | {"id": "0004"}))
    (folder / "0004" / "take.json").write_text(json.dumps(other | {"more": 1}))
    later = again(takes)
    assert [take.id for take in later.all()] == ["0005"]
    assert len(later.problems) == 4
    assert all("\n" not in problem for problem in later.problems)
    assert add(later).id == "0006"
    later.close()


def test_what_a_kill_leaves_behind_is_no_take(takes: Takes) -> None:
    """A folder that was being written has another name until it is whole."""
    take = add(takes)
    shutil.copytree(takes.path / take.id, takes.path / ".0002.0123abcd.tmp")
    later = again(takes)
    assert later.all() == [take]
    assert later.problems == []
    assert add(later).id == "0002"
    later.close()


def test_a_folder_has_one_server(takes: Takes) -> None:
    with pytest.raises(OutputError, match="another `lnfgen serve` has the takes"):
        Takes(takes.path)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(OutputError, match="holds other things than takes"):
        Takes(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        Takes(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_token_is_the_same_the_next_time_and_only_its_owners(takes: Takes) -> None:
    token = takes.token()
    assert len(token) >= 32
    assert (takes.path / "token").stat().st_mode & 0o077 == 0
    later = again(takes)
    assert later.token() == token
    (takes.path / "token").write_text("cut")  # as by a kill while it was written
    assert len(later.token()) >= 32
    later.close()


def test_songs_that_are_no_longer_in_memory_are_read_again(
    takes: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnfgen.serving.takes._KEPT_SONGS", 2)
    for _ in range(4):
        add(takes)
    first = takes.song("0001")
    assert first.song == a_song().song
    assert np.array_equal(first.new, a_song().new)
    assert len(takes._songs) == 2


def test_the_folder_of_removed_takes_is_no_take(takes: Takes) -> None:
    assert (takes.path / REMOVED).is_dir()
    assert takes.all() == []
    assert takes.problems == []
