"""Particles that do not fit into memory are refused before any is drawn, with how many would do."""

import re

import pytest
import torch
from toy_models import toy

from lnfgen.data.text_encoding import TextEncoding
from lnfgen.device import memory
from lnfgen.device.memory import peak_bytes
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import KnownPart, known_part
from lnfgen.inference.particle_memory import require_memory
from lnfgen.models.observation import Symbols
from lnfgen.models.sequence_model import SequenceModel

ENCODING = TextEncoding(("\ufffd", " ", "a", "b"))


def given(num_steps: int) -> KnownPart:
    """A text of which all but the ends is hidden."""
    return known_part(ENCODING, "ab" * (num_steps // 2), [f"2-{num_steps - 1}"])


@pytest.fixture(params=["af-scf", "lstm"])
def text_model(request: pytest.FixtureRequest) -> SequenceModel:
    return toy(request.param, Symbols(4), emission="categorical")


def test_what_no_machine_has_is_refused_at_once() -> None:
    model = toy("af-scf", Symbols(4), emission="categorical")
    with pytest.raises(LnfgenError, match=r"1,000,000,000 particles of 200 steps need about"):
        next(fill_pieces(model, given(200), particles=1_000_000_000))


def test_the_number_that_is_named_fits(
    text_model: SequenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 50_000_000
    monkeypatch.setattr(memory, "available_bytes", lambda device: free)
    part = given(60)
    with pytest.raises(LnfgenError, match="expected at most") as error:
        require_memory(text_model, part, 1_000_000)
    said = re.search(
        r"and 0\.05 GB are free; expected at most ([\d,]+) particles$", str(error.value)
    )
    assert said is not None
    fitting = int(said[1].replace(",", ""))
    require_memory(text_model, part, fitting)
    with pytest.raises(LnfgenError, match="expected at most"):
        require_memory(text_model, part, fitting + max(10, fitting // 50))
    # What so many particles take is foretold from few of them and a few steps.
    measured = peak_bytes(lambda: list(fill_pieces(text_model, part, particles=fitting)))
    assert free / 8 < measured < free


def test_usual_numbers_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 0)
    model = toy("af-scf", Symbols(4), emission="categorical")
    require_memory(model, given(60), 512)
    require_memory(model, given(3000), 32)


def test_random_states_stay_as_they_were() -> None:
    state = torch.get_rng_state()
    require_memory(toy("af-scf", Symbols(4), emission="categorical"), given(60), 600)
    assert torch.equal(torch.get_rng_state(), state)
