"""Models from their configurations: what does not fit the data, and what is made of which parts."""

import dataclasses

import pytest
import torch
from toy_models import LENGTHS, SIZES, toy

from lnfgen.config import NAMED_MODELS
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.flows.codebook import Codebook
from lnfgen.flows.coupling import CouplingFlow
from lnfgen.flows.temporal import AutoregressiveFlow, IndependentFlow, InverseAutoregressiveFlow
from lnfgen.flows.wordwise import WordwiseFlow
from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.output import IndependentHead, NADEHead
from lnfgen.nn.copying import CopyingNetwork

pytestmark = pytest.mark.contract

DO_NOT_FIT = [
    ("lstm", Symbols(4), {"emission": "nade"}, "found nade .*expected categorical"),
    ("af-scf", Symbols(4), {"emission": "bernoulli"}, "found bernoulli .*expected categorical"),
    (
        "af-scf",
        Frames(3, True),
        {"emission": "categorical"},
        "expected bernoulli or nade or autoregressive",
    ),
    ("lstm", Symbols(4), {"reads_time_signature": True}, "found true for text, which has no bars"),
    ("lstm", Symbols(4), {"reads_home": True}, "found true for text, which has no key"),
    ("af-codes", Frames(3, False), {}, "found codes for music"),
]


@pytest.mark.parametrize(("name", "toy_observation", "changes", "message"), DO_NOT_FIT)
def test_a_configuration_that_does_not_fit_the_data_is_refused_in_one_line(
    name, toy_observation, changes, message
):
    with pytest.raises(ConfigError, match=message) as error:
        toy(name, toy_observation, **changes)
    assert "\n" not in str(error.value)


PRIORS = {
    "af-only": IndependentFlow,
    "af-scf": AutoregressiveFlow,
    "af-codes": AutoregressiveFlow,
    "iaf-scf": InverseAutoregressiveFlow,
    "coupling": CouplingFlow,
    "blocks-scf": BlockwiseFlow,
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_name_says_what_the_prior_is(name):
    assert type(toy(name, Symbols(4)).prior) is PRIORS[name]


def test_blocks_of_a_text_with_separators_begin_with_words():
    model = toy("blocks-codes", Symbols(4, separators=(1,)))
    assert type(model.prior) is WordwiseFlow


@pytest.mark.parametrize(
    ("emission", "head"),
    [("bernoulli", IndependentHead), ("nade", NADEHead), ("autoregressive", AutoregressiveHead)],
)
def test_an_emission_says_what_the_output_head_is(emission, head):
    for parts in (1, 2):
        model = toy("af-scf", Frames(3, True, parts), emission=emission)
        assert type(model.emission.head) is head


@pytest.mark.parametrize("emission", ["bernoulli", "autoregressive"])
def test_either_the_prior_copies_or_the_output_that_reads_the_past(emission):
    model = toy("af-scf", Frames(3, True), emission=emission)
    copies = isinstance(model.prior.network, CopyingNetwork)
    assert copies == (emission != "autoregressive")


@pytest.mark.parametrize("name", ["af-codes", "blocks-codes"])
def test_all_codebooks_begin_alike_and_learn_apart(name):
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS[name])
    model = build_model(config, Symbols(30), LengthModel.fit(LENGTHS))
    books = [module for module in model.modules() if isinstance(module, Codebook)]
    assert len(books) == 4
    assert {book.num_codes for book in books} == {30}
    parameters = set()
    for book in books:
        assert torch.equal(book.means, books[0].means)
        assert torch.equal(book.log_scales, books[0].log_scales)
        parameters.update(id(parameter) for parameter in book.parameters())
    assert len(parameters) == 2 * len(books)
