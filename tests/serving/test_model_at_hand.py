"""A model is loaded once, and an error is met by who asks for it."""

import shutil
import threading
from pathlib import Path

import pytest

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import RunError
from lnfgen.inference.pitch_range import range_samples
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.trained import TrainedModel
from lnfgen.serving.model_at_hand import ModelAtHand


def test_it_is_loaded_once_for_all_who_ask(toy_run: Path) -> None:
    at_hand = ModelAtHand(RunFolder(toy_run), "cpu")
    found: list[TrainedModel] = []
    threads = [threading.Thread(target=lambda: found.append(at_hand.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in found}) == 1
    assert found[0].run.path == toy_run


def test_a_damaged_model_is_an_error_of_who_asks(toy_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(toy_run, copy)
    (copy / "model.safetensors").write_bytes(b"no model")
    at_hand = ModelAtHand(RunFolder(copy), "cpu")
    at_hand.load()
    with pytest.raises(RunError, match="is damaged"):
        at_hand.get()


def test_what_a_first_drawing_needs_is_there_already(
    toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand = ModelAtHand(RunFolder(toy_run), "cpu")
    at_hand.load()
    trained = at_hand.get()
    monkeypatch.setattr("lnfgen.inference.pitch_range.drawn_pieces", None)
    assert isinstance(trained.encoding, MusicEncoding)
    assert range_samples(trained.model, trained.encoding)
