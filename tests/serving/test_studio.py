"""A session at work, without HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from toy_home import make_home

from lnfgen.errors import LnfgenError
from lnfgen.formats.midi import midi_bytes
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.asked import Asked
from lnfgen.serving.opened_files import opened
from lnfgen.serving.studio import Studio
from lnfgen.serving.takes import Takes, UnknownTakeError

TUNE = midi_bytes(PianoRoll.from_notes([(4 * place, 4, 60 + place) for place in range(16)]))


@pytest.fixture
def studio(toy_run: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(RunFolder(toy_run), Takes(tmp_path / "takes"), "cpu")
    yield studio
    studio.close()
    studio.takes.close()


def test_a_song_to_begin_with_is_opened_once(studio: Studio) -> None:
    found = opened(studio.encoding, TUNE, "tune.mid")
    firsts: list[str | None] = []
    for name, content in (("tune.mid", TUNE), ("same.mid", TUNE), ("other.mid", TUNE + b"\0")):
        studio.begin_with(found, name, content)
        firsts.append(studio.first_take)
    assert firsts == ["0001", "0001", "0002"]
    assert [take.name for take in studio.takes.all()] == ["tune", "other"]
    assert studio.open(TUNE, "tune.mid").name == "tune (2)"


def test_where_there_are_takes_no_song_is_drawn(studio: Studio) -> None:
    studio.open(TUNE, "tune.mid")
    studio.start()
    assert studio.first_drawing is None


def test_without_takes_a_song_is_drawn(studio: Studio) -> None:
    studio.start()
    assert studio.first_drawing == "d1"


def test_what_is_not_there_is_not_drawn_from(studio: Studio) -> None:
    with pytest.raises(UnknownTakeError):
        studio.ask(Asked(action="vary", take="0001"))
    with pytest.raises(LnfgenError, match="the wish key=H"):
        studio.ask(Asked(action="sample", want={"key": "H"}))
    assert studio.drawings.unfinished() == []


def test_a_model_of_text_is_refused(tmp_path: Path) -> None:
    make_home(tmp_path)
    takes = Takes(tmp_path / "takes")
    with pytest.raises(LnfgenError, match="makes text; expected a model of music"):
        Studio(RunFolder(tmp_path / "run-lines"), takes)
    takes.close()
