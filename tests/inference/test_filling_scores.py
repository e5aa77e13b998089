"""How good filling is: the figures against exact sums at toy sizes, and the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Call, fails
from toy_models import every_sequence, toy

from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling_scores import score_filling
from lnfgen.inference.gaps import GAPS, with_gap
from lnfgen.inference.marginal import Marginal
from lnfgen.models import Frames, Symbols
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.folder import RunFolder

TEXT = Encoding("text", vocabulary=("\ufffd", "a", "b", "c"))
MUSIC = Encoding("music", True, lowest_pitch=60, num_pitches=6, steps_per_quarter=1)


def rolls(count: int, steps: int = 8) -> list[PianoRoll]:
    rng = np.random.default_rng(0)
    values = [rng.choice(np.array([0, 0, 3], np.uint8), (steps, 6)) for _ in range(count)]
    found = [MUSIC.decode(value) for value in values]
    return [roll for roll in found if isinstance(roll, PianoRoll)]


@torch.no_grad()
def test_the_nll_of_a_gap_is_that_of_the_sum_over_all_that_may_be_in_it() -> None:
    model, text = toy("lstm", Symbols(4)), "abca"
    scores = score_filling(model, TEXT, [text], [text], particles=800)
    given = with_gap(text, TEXT.encode(text), "gap", np.random.default_rng((0, 0, 0)))
    assert given is not None
    assert given.free.sum() == 1
    x = every_sequence(Symbols(4), 4)
    whole, known = torch.from_numpy(TEXT.encode(text)), torch.from_numpy(~given.free)
    log_p = model(x, torch.full((len(x),), 4), None).reconstruction[0].double()
    agrees = ((x == whole) | ~known).all(1)
    exact = torch.logsumexp(log_p[agrees], 0) - log_p[(x == whole).all(1)][0]
    assert scores["gap"].total_nats == pytest.approx((float(exact), float(exact)), abs=0.03)
    assert scores["gap"].nll == pytest.approx([nats / math.log(2) for nats in scores["gap"].total_nats])
    # All that is seen comes first, so filling in the model's own order needs no inference.
    second = scores["second_half"]
    assert second.nll == pytest.approx([second.prior_nll, second.prior_nll], rel=1e-5)
    assert (second.hidden_steps, second.pieces) == (2, 1)
    assert second.marginal_nll == pytest.approx(
        -Marginal(TEXT, [TEXT.encode(text)]).log_prob(whole.numpy()[2:]) / 2 / math.log(2)
    )


@pytest.mark.parametrize(("name", "emission"), [("lstm", "past"), ("af-scf", "bernoulli")])
def test_each_gap_of_music_is_scored_and_filled(name: str, emission: str) -> None:
    model, pieces, done = toy(name, Frames(6, True), emission=emission), rolls(3), []
    scores = score_filling(
        model,
        MUSIC,
        pieces,
        rolls(2),
        num_samples=4,
        particles=4,
        progress=lambda what, now, total: done.append((now, total)),
    )
    assert list(scores) == list(GAPS["music"])
    assert [now for now, total in done if now == total] == [15, 9, 9, 9]
    for gap, score in scores.items():
        figures = (*score.nll, score.prior_nll, score.marginal_nll, *score.total_nats)
        assert np.isfinite(figures).all()
        assert score.nll.low <= score.nll.high
        assert 0 <= score.agreement <= 1
        assert (score.alone_nll is not None) == (score.gain is not None) == (gap == "lower_voices")
        assert (score.moved is None) == model.exact
        assert score.music is not None
        if score.alone_nll is not None and score.gain is not None:
            assert score.gain.low == pytest.approx(1 - score.nll.high / score.alone_nll.low)
            assert score.gain.low <= score.gain.high
    assert scores["middle"].hidden_steps == 3 * 4
    assert json.dumps(scores["middle"].to_json(), allow_nan=False)


def test_a_piece_without_a_gap_is_left_out_and_odd_numbers_are_refused() -> None:
    model = toy("lstm", Symbols(4))
    assert score_filling(model, TEXT, ["a", "ab"], ["ab"], particles=2)["second_half"].pieces == 1
    for pieces, words, numbers in (([], "no pieces", {}), (["ab"], "particles", {"particles": 1})):
        with pytest.raises(LnfgenError, match=words):
            score_filling(model, TEXT, pieces, ["ab"], **numbers)


def test_the_command_tells_it_in_a_table_and_as_json(
    toy_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--samples", 2, "--particles", 2, "--count", 1)
    monkeypatch.setattr(RunFolder, "name", "its name")
    facts = json.loads(call("eval", "run-rolls", "--fill", "--json", *few).stdout)
    assert set(facts["gaps"]) == set(GAPS["music"])
    assert facts["run"] == "its name"
    assert facts["gaps"]["lower_voices"]["music"]["figures"]
    low, high = facts["gaps"]["lower_voices"]["gain"]
    assert low <= high
    done = call("eval", "run-lines", "--fill", *few)
    assert done.returncode == 0, done.stderr.decode()
    for word in (b"bits a hidden character", b"second half", b"by the marginal"):
        assert word in done.stdout
    fails(call("eval", "run-lines", "--fill", "--nll"), "--nll beside --fill")
    fails(call("eval", "run-lines", "--fill", "--temperature", "1"), "--temperature")
    fails(call("eval", "run-lines", "--particles", "4"), "--particles")
