"""A drawing gives takes, each on disk before anybody hears of it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served import Served

from lnfgen.errors import GivenPieceWarning, LnfgenWarning
from lnfgen.formats.midi import midi_bytes
from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.pretrained import BOX
from lnfgen.serving.asked import Asked
from lnfgen.serving.drawing_queue import Drawing, DrawingCancelled
from lnfgen.serving.work import Work

TUNE = midi_bytes(PianoRoll.from_notes([(4 * place, 4, 60 + place) for place in range(16)]))


def test_a_take_is_on_disk_before_it_is_said(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(served.events("d1"))  # the song that is drawn at the start
    take = served.open(TUNE)
    tell = Drawing.tell
    said: list[str] = []

    def spy(self: Drawing, name: str, data: dict[str, Any]) -> None:
        if name == "take":
            assert (served.studio.takes.path / data["id"] / "take.mid").is_file()
            said.append(data["id"])
        tell(self, name, data)

    monkeypatch.setattr(Drawing, "tell", spy)
    takes = served.draw("vary", take=take["id"], count=2)
    assert said == [take["id"] for take in takes]


def test_what_was_drawn_before_a_cancel_stays(served: Served) -> None:
    """Two of three songs, for the third is not wanted any more."""
    drawing = Drawing(99, None, lambda drawing: None)
    work = Work(served.studio.takes, Asked(action="sample", count=3, bars=2), drawing)
    model = served.studio._model.get()
    advance = drawing.advance

    def spy(what: str, done: int, total: int) -> None:
        if len(drawing.takes) == 2:
            drawing.cancel()
        advance(what, done, total)

    drawing.advance = spy  # type: ignore[method-assign]
    with pytest.raises(DrawingCancelled):
        work.do(model)
    assert len(drawing.takes) == 2
    assert set(drawing.takes) <= {take["id"] for take in served.takes}


def test_one_line_alone_is_a_melody_to_harmonise(
    serve: Callable[..., Served], band_run: Path
) -> None:
    served = serve(band_run)
    chords = PianoRoll.from_notes(
        [(8 * place, 8, pitch) for place in range(4) for pitch in (60, 64, 67)]
    )
    take = served.open(midi_bytes(chords), "chords.mid")
    before = served.get(f"/api/takes/{take['id']}")["piece"]
    parts = [part["role"] for part in before["parts"]]
    assert [bool(notes) for notes in before["notes"]] == [part == "chords" for part in parts]
    (drawn,) = served.draw("harmonize", take=take["id"], particles=2)
    after = served.get(f"/api/takes/{drawn['id']}")["piece"]
    melody = parts.index(MELODY)
    assert after["notes"][melody] == before["notes"][parts.index("chords")]
    assert len(after["given"][melody]) == 12


def test_a_drawing_does_not_repeat_what_was_said_before(serve: Callable[..., Served]) -> None:
    """The model hears a home, and has not the lowest note."""
    served = serve(BOX / "chorales")
    notes = [(4 * place, 4, 60 + 2 * place % 12) for place in range(12)]
    song = PianoRoll.from_notes([*notes, (0, 4, 24)])
    take = served.open(midi_bytes(song))
    assert any("1 note beyond" in text for text in take["warnings"])
    (drawn,) = served.draw("fill", take=take["id"], first_bar=3, particles=2)
    given = served.studio.takes.song(take["id"]).song
    with pytest.warns(LnfgenWarning) as warned:
        served.studio._model.get().fill(given, "bars:3", particles=2)
    said = [one for one in warned if one.category is GivenPieceWarning]
    assert len(said) == 2
    others = [str(one.message) for one in warned if one not in said]
    assert drawn["warnings"] == others


def test_remarks_are_told_apart_by_their_class_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remark(*_: object, **__: object) -> None:
        warnings.warn("left out the last bar", LnfgenWarning, stacklevel=1)
        warnings.warn("the bars are long", GivenPieceWarning, stacklevel=1)

    monkeypatch.setattr(Asked, "draw", remark)
    events = list(served.events(served.begin("sample")))
    warned = [data["text"] for name, data in events if name == "warning"]
    assert warned == ["left out the last bar"]
