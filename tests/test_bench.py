"""`lnfgen bench`: what it counts, in what order it measures, what it leaves out, and what it prints."""

import itertools
import json
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from lnfgen.bench import measure as benchmark
from lnfgen.bench import timing
from lnfgen.bench.measure import BASELINE, OBSERVATIONS, SUBJECTS, Plan, Subject, Update, operations, quick_plan
from lnfgen.bench.timing import take_turns
from lnfgen.bench.update import update_call
from lnfgen.config import NAMED_MODELS, build_config
from lnfgen.models import LengthModel, SequenceModel, build_model
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.plots.figures import TimeCurve, _apart, time_against_length

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = {"hidden": 16, "embedding": 12, "latent": 6, "lstm_layers": 1, "flow_layers": 2, "flow_hidden": 8}


def model_of(name: str, backbone: str, kind: str = "text") -> SequenceModel:
    torch.manual_seed(0)
    config = build_config(name, "tiny").override({"model": {**SMALL, "backbone": backbone}})
    return build_model(config.model, OBSERVATIONS[kind], LengthModel())


# What is counted. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["music", "text"])
@pytest.mark.parametrize("name", ["af-only", "af-af", "af-scf", "coupling"])
def test_operations_of_an_update_are_those_that_the_trainer_makes(name: str, kind: str) -> None:
    """On a backbone of matrix products alone, which torch's own counter sees. The inputs need no gradient: a little
    less than three products."""
    batch, length, samples = 2, 5, 3
    model = model_of(name, "scan", kind)
    call = update_call(model, batch, samples, "float32", length)
    assert call is not None
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with FlopCounterMode(display=False) as counter:
        assert call() > 0
    needed = operations(model, batch, length, samples)["update"]
    assert 0.95 * needed < counter.get_total_flops() <= needed
    assert all(bool((a != b).any()) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["iaf-scf", "coupling"])
def test_operations_of_a_parallel_sample_are_those_made(name: str) -> None:
    model = model_of(name, "scan").eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.sample(7, torch.Generator().manual_seed(0), 1.0)
    assert counter.get_total_flops() == operations(model, 1, 7)["sample"]


@pytest.mark.filterwarnings("ignore:TF32")
def test_operations_of_an_lstm_are_those_of_its_products() -> None:
    """Without oneDNN, whose LSTM is one call, torch's counter sees them."""
    lstm = CausalLSTM(5, 8, 2, 0.0)
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        lstm(torch.zeros(3, 4, 5))
    assert counter.get_total_flops() == 2 * 3 * 4 * benchmark._matrix_elements(lstm)
    assert benchmark._matrix_elements(lstm) == 4 * 8 * (5 + 8) + 4 * 8 * (8 + 8)  # four gates, each of input and state


def test_operations_grow_with_the_samples_of_the_latent_alone() -> None:
    latent, exact = model_of("af-scf", "lstm"), model_of("lstm", "lstm")
    one, two, three = (operations(latent, 2, 5, k)["score"] for k in (1, 2, 3))
    assert three - two == two - one > 0
    assert operations(exact, 2, 5, 9) == operations(exact, 2, 5, 1)
    assert operations(latent, 4, 15)["sample"] == 6 * operations(latent, 2, 5)["sample"]


# In what order, and what is left out. ---------------------------------------------------------------------------------


class Clock:
    """Time that passes only in the calls, each of which takes the seconds given for it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.calls = {name: lambda name=name: self.call(name, seconds[name]) for name in seconds}

    def call(self, name: str, seconds: float) -> float:
        self.said.append(name)
        self.now += seconds
        return seconds

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock({"a": 1.0, "b": 2.0, "c": 5.0})
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_calls_take_turns_after_a_warm_up(clock: Clock) -> None:
    turns = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 3, float("inf"))
    assert clock.said == ["a", "b", "c"] * 4
    assert turns.seconds == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [5.0] * 3}
    assert not turns.left_out


def test_what_is_foretold_to_overrun_is_never_called(clock: Clock) -> None:
    turns = take_turns(clock.calls, {"a": 1.0, "b": 100.0, "c": 5.0}, 3, deadline=90)
    assert "b" not in clock.said
    assert turns.left_out == {"b": 100.0}


def test_what_turns_out_to_overrun_is_left_out_after_its_warm_up(clock: Clock) -> None:
    turns = take_turns(clock.calls, dict.fromkeys("abc", 1.0), 3, deadline=20)
    assert turns.left_out == {"c": 5.0}
    assert set(turns.seconds) == {"a", "b"}
    assert clock.now <= 20


def test_what_others_are_compared_with_is_the_last_to_be_left_out(clock: Clock) -> None:
    foretold = {"a": 30.0, "b": 2.0, "c": 5.0}
    assert set(take_turns(clock.calls, foretold, 3, deadline=95).seconds) == {"a"}
    assert not take_turns(clock.calls, foretold, 3, deadline=95, fixed=2).seconds
    assert not take_turns(clock.calls, dict.fromkeys("abc", 1.0), 3, deadline=clock.now).seconds


@pytest.mark.parametrize("deadline", [24, 40, 60, 1000])
def test_rounds_end_before_the_deadline(clock: Clock, deadline: float) -> None:
    turns = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 9, deadline)
    assert {len(series) for series in turns.seconds.values()} == {min(9, deadline // 8 - 1)}
    assert clock.now <= deadline


def test_no_more_than_the_least_rounds_are_made_at_others_cost(clock: Clock) -> None:
    turns = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 9, deadline=400, share=0.125)
    assert {len(series) for series in turns.seconds.values()} == {5}
    assert len(take_turns(clock.calls, dict.fromkeys("abc", 0.0), 9, deadline=400, share=0.0).seconds["a"]) == 2


# The whole, and what it prints. ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    heard: list[tuple[int, int, str]] = []
    plan = Plan("tiny", {"music": (2, 4)}, (1,), {"music": Update(2, 3, 2)}, ("float32",), rounds=2, budget=600)
    with pytest.MonkeyPatch.context() as patch:
        for module in (benchmark, timing):
            patch.setattr(module, "SQUARE", (64, 64, 64))
        result = benchmark.run(plan, lambda *what: heard.append(what))
    assert heard[-1][:2] == (33, 33)
    return result


def test_every_named_model_is_measured_on_every_backbone(figures: dict[str, Any]) -> None:
    assert {subject.model for subject in SUBJECTS} == set(NAMED_MODELS)
    for task, cases in (("sampling", 2), ("training", 1)):
        measured = [Subject(row["model"], row["backbone"]) for row in figures[task]]
        assert measured == SUBJECTS * cases
    assert figures["left_out"] == []


def test_figures_agree_with_each_other(figures: dict[str, Any]) -> None:
    for row in figures["sampling"] + figures["training"]:
        (baseline,) = (
            other
            for other in figures["training" if "samples" in row else "sampling"]
            if (other["model"], other["length"]) == (BASELINE.model, row["length"])
        )
        assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
        assert row["gflop_per_second"] == pytest.approx(row["gflop"] / row["seconds"])
        assert row["speed_to_lstm"] > 0
        assert row["share_of_product"] > 0
        if row is baseline:
            assert row["speed_to_lstm"] == 1
        elif "samples" not in row:  # timed in the baseline's own rounds
            low = baseline["seconds_min"] / row["seconds_max"]
            assert low <= row["speed_to_lstm"] <= baseline["seconds_max"] / row["seconds_min"]
    rates = [rate for by_shape in figures["products"].values() for rate in by_shape.values()]
    assert len(rates) == 4
    assert min(rates) > 0


def test_trained_models_are_sampled_from_beside_those_of_their_kind() -> None:
    plan = Plan("tiny", {"music": (2, 3)}, (1,), {"music": Update(2, 3, 2)}, ("float32",), rounds=2, budget=600)
    mine = {
        Subject("mine", "lstm"): model_of("af-af", "lstm", "music"),
        Subject("words", "scan"): model_of("af-af", "scan"),
    }
    heard: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "SUBJECTS", [BASELINE])
        result = benchmark.run(plan, lambda *what: heard.append(what), mine)
    assert [row["model"] for row in result["sampling"]] == ["lstm", "mine"] * 2
    assert [row["model"] for row in result["training"]] == ["lstm"]
    assert heard[-1][:2] == (5, 5)


def test_without_time_every_case_is_named_as_left_out() -> None:
    plan = Plan("tiny", {"music": (2,)}, (1, 3), {"music": Update(2, 3, 2)}, ("float32",), rounds=2, budget=0)
    result = benchmark.run(plan)
    assert not result["sampling"]
    assert not result["training"]
    assert len(result["left_out"]) == 3 * len(SUBJECTS)
    assert len({json.dumps(row) for row in result["left_out"]}) == len(result["left_out"])


def test_quick_is_a_part_of_the_whole() -> None:
    quick, whole = quick_plan(), Plan()
    assert quick.preset == whole.preset
    assert quick.budget < 60
    assert quick.rounds <= whole.rounds
    assert set(quick.batches) <= set(whole.batches)
    assert quick.updates.items() <= whole.updates.items()
    (lengths,) = quick.lengths.values()
    assert len(lengths) > 1  # a line to draw
    assert max(lengths) <= max(map(max, whole.lengths.values()))


@pytest.fixture
def measured(figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "run", lambda plan, progress, trained: figures)


@pytest.mark.usefixtures("measured")
def test_command_prints_one_object_and_draws(figures: dict[str, Any], tmp_path: Any) -> None:
    from lnfgen.cli import app

    done = CliRunner().invoke(app, ["bench", "--json", "--quiet", "--plot", str(tmp_path / "speed.png")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads(json.dumps(figures))
    assert (tmp_path / "speed.png").read_bytes().startswith(PNG)


@pytest.mark.usefixtures("measured")
def test_command_prints_a_row_for_each_model() -> None:
    from lnfgen.cli import app

    done = CliRunner().invoke(app, ["bench", "--quick"])
    assert done.exit_code == 0, done.output
    for name, backbone in SUBJECTS[1:]:
        assert done.stdout.count(f"\n{name}, {backbone} ") == 2
    assert "bfloat16" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "wrong", [["--preset", "huge"], ["--plot", "speed.txt"], ["--plot", "nowhere/speed.png"], ["no-run"]]
)
def test_command_refuses_before_it_measures(wrong: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from lnfgen.cli import app

    monkeypatch.setattr(benchmark, "run", lambda *_: pytest.fail("measured"))
    assert CliRunner().invoke(app, ["bench", *wrong]).exit_code == 1


def test_labels_of_lines_keep_their_order_and_distance() -> None:
    places = [0.5, 0.51, 0.1, 0.505, 0.9, 0.93]
    moved = _apart(places, 0.05)
    order = sorted(range(len(places)), key=places.__getitem__)
    gaps = [moved[b] - moved[a] for a, b in itertools.pairwise(order)]
    assert min(gaps) >= 0.05 - 1e-12
    assert moved[2] == pytest.approx(0.1)  # nothing near it
    curves = [TimeCurve(str(i), str(i), "lstm", [4, 8], [i + 1, 2 * i + 2]) for i in range(9)]
    assert time_against_length({"text": curves, "music": curves[:1]}, "two panels").startswith(PNG)
