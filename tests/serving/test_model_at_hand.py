"""A model is loaded once, and an error is met by who asks for it."""

import shutil
import threading
from pathlib import Path

import pytest

from lnfgen.errors import RunError
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
