"""What `lnfgen bench` measures: models as train begins them, the operations they need, and batches of both kinds."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lnfgen import device as compute
from lnfgen.bench import calls, machine, measure
from lnfgen.bench.calls import fresh_model, matrix_elements, operations, trained_models, update_call
from lnfgen.bench.passes import measure_passes
from lnfgen.bench.plan import (
    BASELINE,
    EQUAL,
    OBSERVATIONS,
    RAGGED,
    STRUCK,
    TRAINING,
    VARIANTS,
    Plan,
    Variant,
    batch_lengths,
    kind_of,
    quick_plan,
)
from lnfgen.bench.rows import Row
from lnfgen.config import NAMED_MODELS, Config, build_config
from lnfgen.models import LatentFlow, LengthModel, SequenceModel, add_conditional, build_model
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.training import trainer

PNG = b"\x89PNG\r\n\x1a\n"
SMALL = {
    "hidden_size": 16,
    "embedding_size": 12,
    "latent_size": 6,
    "num_layers": 1,
    "num_flow_layers": 2,
    "conditioner_size": 8,
}


def model_of(name: str, backbone: str, kind: str = "text", **changes: object) -> SequenceModel:
    torch.manual_seed(0)
    config = build_config(name, "tiny").override({"model": {**SMALL, "backbone": backbone, **changes}})
    return build_model(config.model, OBSERVATIONS[kind], LengthModel())


def test_what_is_measured_is_what_train_would_begin() -> None:
    variant = Variant("af-scf", "scan")
    models = {kind: fresh_model(variant, "tiny", kind) for kind in OBSERVATIONS}
    outputs = {kind: {type(module).__name__ for module in model.modules()} for kind, model in models.items()}
    assert [kind for kind in OBSERVATIONS if "VoiceHead" in outputs[kind]] == [STRUCK]
    assert [kind_of(model.observation) for model in models.values()] == list(OBSERVATIONS)
    assert update_call(models[STRUCK], [3, 2], 1, "float32")() > 0


# What is counted. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["music", "text"])
@pytest.mark.parametrize("name", ["af-only", "af-af", "af-scf", "coupling"])
def test_operations_of_an_update_are_those_that_the_trainer_makes(name: str, kind: str) -> None:
    """On a backbone of matrix products alone, which torch's own counter sees. The inputs need no gradient: a little
    less than three products."""
    batch, length, samples = 2, 5, 3
    model = model_of(name, "scan", kind)
    call = update_call(model, [length] * batch, samples, "float32")
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with FlopCounterMode(display=False) as counter:
        assert call() > 0
    needed = operations(model, batch * length, samples)["training"]
    assert 0.95 * needed < counter.get_total_flops() <= needed
    assert all(bool((a != b).any()) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "changes", "length"), [("iaf-scf", {}, 7), ("coupling", {}, 7), ("iaf-scf", {"time": "blocks"}, 7)]
)
def test_operations_of_a_parallel_sample_are_those_made(name: str, changes: dict[str, object], length: int) -> None:
    model = model_of(name, "scan", **changes).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.sample(length, torch.Generator().manual_seed(0), 1.0)
    assert counter.get_total_flops() == operations(model, length)["sampling"]


@pytest.mark.filterwarnings("ignore:TF32")
def test_operations_of_an_lstm_are_those_of_its_products() -> None:
    """Without oneDNN, whose LSTM is one call, torch's counter sees them."""
    lstm = CausalLSTM(5, 8, 2, 0.0)
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        lstm(torch.zeros(3, 4, 5))
    assert counter.get_total_flops() == 2 * 3 * 4 * matrix_elements(lstm)
    assert matrix_elements(lstm) == 4 * 8 * (5 + 8) + 4 * 8 * (8 + 8)  # four gates, each of input and state


def test_operations_grow_with_the_samples_of_the_latent_alone() -> None:
    latent, exact = model_of("af-scf", "lstm"), model_of("lstm", "lstm")
    one, two, three = (operations(latent, 10, k)["training"] for k in (1, 2, 3))
    assert three - two == two - one > 0
    assert operations(exact, 10, 9) == operations(exact, 10, 1)
    assert operations(latent, 60)["sampling"] == 6 * operations(latent, 10)["sampling"]


def test_the_flow_that_only_fill_draws_from_needs_no_operations() -> None:
    model = model_of("af-scf", "scan")
    before = operations(model, 10, 2)
    add_conditional(cast(LatentFlow, model), build_config("af-scf", "tiny", "scan").override({"model": SMALL}).model)
    assert operations(model, 10, 2) == before


# Batches of equal and of ragged lengths. ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRAINING[::4], ids=lambda case: case["kind"])
def test_ragged_lengths_are_spread_from_half_the_longest_to_the_longest(case: Row) -> None:
    batch, longest = case["batch"], case["length"]
    lengths = batch_lengths(RAGGED, batch, longest)
    assert lengths == batch_lengths(RAGGED, batch, longest)
    assert len(lengths) == batch
    assert longest / 2 <= min(lengths) < 0.6 * longest
    assert 0.9 * longest <= max(lengths) <= longest
    assert sum(lengths) / batch == pytest.approx(0.75 * longest, rel=0.05)
    assert lengths != sorted(lengths)
    assert batch_lengths(EQUAL, batch, longest) == [longest] * batch


@pytest.mark.parametrize(("batch", "longest"), [(1, 1), (3, 1), (3, 2), (2, 7), (40, 8)])
def test_ragged_lengths_of_short_sequences_are_in_range(batch: int, longest: int) -> None:
    lengths = batch_lengths(RAGGED, batch, longest)
    assert len(lengths) == batch
    assert max(1, longest / 2) <= min(lengths) <= max(lengths) <= longest


@pytest.mark.parametrize("kind", ["music", "text"])
@pytest.mark.parametrize("variant", [BASELINE, Variant("af-scf", "scan")])
def test_a_ragged_update_is_one_batch_padded_to_its_longest(
    variant: Variant, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every update takes all sequences at once, computes as much as if all were as long as the longest, and ends with
    other weights than an update with these, since the padding does not count."""
    lengths = [3, 6, 4]
    batches = []
    whole = trainer.accumulate_gradients

    def watched(model: SequenceModel, batch: Any, *args: Any, **options: Any) -> Any:
        batches.append(batch)
        return whole(model, batch, *args, **options)

    monkeypatch.setattr(trainer, "accumulate_gradients", watched)
    counted = []
    weights = []
    for given in (lengths, [max(lengths)] * len(lengths)):
        model = model_of(*variant, kind)
        call = update_call(model, given, 2, "float32")
        with FlopCounterMode(display=False) as counter:
            call()
        counted.append(counter.get_total_flops())
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
        call()
    assert [sorted(batch.lengths.tolist()) for batch in batches] == [[3, 4, 6]] * 2 + [[6, 6, 6]] * 2
    assert all(batch.x.shape[:2] == (3, 6) for batch in batches)
    assert counted[0] == counted[1]
    assert not torch.equal(weights[0], weights[1])


# A whole measurement. -------------------------------------------------------------------------------------------------


SHORT = Plan(
    "tiny",
    sampling=[{"kind": "music", "length": length, "batch": 1} for length in (1, 2)],
    training=[{**case, "length": 3, "batch": 2, "samples": 2} for case in TRAINING[:2]],
    rounds=2,
    budget=600,
)


FEW = [BASELINE, Variant("af-af", "lstm"), Variant("coupling", "scan")]


@pytest.fixture(scope="module")
def small_products() -> Iterator[None]:
    """The machine's rate by small products of matrices; those of the usual size take half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (measure, machine):
            patch.setattr(module, "SQUARE", (64, 64, 64))
        yield


def measured(plan: Plan) -> dict[str, Any]:
    heard: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "fresh_model", lambda variant, preset, kind: model_of(*variant, kind))
        result = measure.measure(plan, lambda *what: heard.append(what))
    cases = len(plan.sampling) + len(plan.training)
    assert heard[-1][:2] == (cases * len(plan.variants),) * 2
    return result


@pytest.fixture(scope="module")
def figures(small_products: None) -> dict[str, Any]:
    """Of a few models, in every case."""
    return measured(dataclasses.replace(SHORT, variants=FEW))


def models_and(column: str, rows: list[Row]) -> list[tuple[Variant, Any]]:
    return [(Variant(row["model"], row["backbone"]), row[column]) for row in rows]


@pytest.mark.usefixtures("small_products")
def test_every_named_model_is_measured_on_every_backbone() -> None:
    assert {variant.model for variant in VARIANTS} == set(NAMED_MODELS)
    plan = dataclasses.replace(SHORT, sampling=SHORT.sampling[1:], training=SHORT.training[1:], rounds=1)
    found = measured(plan)
    assert models_and("length", found["sampling"]) == [(variant, 2) for variant in VARIANTS]
    assert models_and("lengths", found["training"]) == [(variant, RAGGED) for variant in VARIANTS]
    assert found["left_out"] == []


def test_every_case_is_measured(figures: dict[str, Any]) -> None:
    assert models_and("length", figures["sampling"]) == [(variant, case) for case in (1, 2) for variant in FEW]
    expected = [(variant, case) for case in (EQUAL, RAGGED) for variant in FEW]
    assert models_and("lengths", figures["training"]) == expected
    assert figures["left_out"] == []


def test_operations_of_a_row_are_those_of_its_real_steps(figures: dict[str, Any]) -> None:
    assert [row["steps"] for row in figures["sampling"]] == [row["length"] for row in figures["sampling"]]
    by_lengths = {
        lengths: [row for row in figures["training"] if row["lengths"] == lengths] for lengths in (EQUAL, RAGGED)
    }
    for equal, ragged in zip(by_lengths[EQUAL], by_lengths[RAGGED], strict=True):
        assert equal["steps"] == 2 * 3
        assert ragged["steps"] == sum(batch_lengths(RAGGED, 2, 3)) < equal["steps"]
        assert ragged["gflop"] / ragged["steps"] == pytest.approx(equal["gflop"] / equal["steps"])
        for row in (equal, ragged):
            assert row["steps_per_second"] == pytest.approx(row["steps"] / row["seconds"])


def test_figures_agree_with_each_other(figures: dict[str, Any]) -> None:
    for row in figures["sampling"] + figures["training"]:
        (baseline,) = (
            other
            for other in figures["training" if "samples" in row else "sampling"]
            if other["model"] == BASELINE.model and all(other.get(key) == row.get(key) for key in ("length", "lengths"))
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
    plan = dataclasses.replace(SHORT, training=SHORT.training[:1], variants=[BASELINE])
    mine = {
        Variant("mine", "lstm"): model_of("af-af", "lstm", "music"),
        Variant("words", "scan"): model_of("af-af", "scan"),
    }
    heard: list[tuple[int, int, str]] = []
    result = measure.measure(plan, lambda *what: heard.append(what), mine)
    assert [row["model"] for row in result["sampling"]] == ["lstm", "mine"] * 2
    assert [row["model"] for row in result["training"]] == ["lstm"]
    assert heard[-1][:2] == (5, 5)


def test_runs_of_one_name_and_runs_named_as_models_are_all_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "load_model", lambda run, device: run.path)
    paths = [Path("a/mine"), Path("b/mine"), Path("lstm"), Path()]
    found = trained_models([SimpleNamespace(path=path, config=Config()) for path in paths])  # type: ignore[misc]
    assert list(found.values()) == paths
    assert all(variant.model and variant not in VARIANTS for variant in found)


@pytest.mark.usefixtures("small_products")
def test_models_compute_on_the_threads_that_train_takes_for_their_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """At `tiny` that is one, but for the output `past` of music with onsets."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(compute, "_default_threads", 2)
    case = {"length": 2, "batch": 1}
    plan = Plan("tiny", [{"kind": kind, **case} for kind in OBSERVATIONS], [], rounds=1, variants=[BASELINE])
    before = torch.get_num_threads()
    try:
        rows = measure.measure(plan)["sampling"]
    finally:
        torch.set_num_threads(before)
    assert {row["kind"]: row["threads"] for row in rows} == {"music": 1, "text": 1, STRUCK: 2}


@pytest.mark.usefixtures("small_products")
def test_without_time_every_case_is_named_as_left_out() -> None:
    result = measure.measure(dataclasses.replace(SHORT, budget=0))
    assert not result["sampling"]
    assert not result["training"]
    assert len(result["left_out"]) == 4 * len(VARIANTS)
    assert len({json.dumps(row) for row in result["left_out"]}) == len(result["left_out"])
    left_out = [row["lengths"] for row in result["left_out"] if row["task"] == "training"]
    assert left_out == [EQUAL] * len(VARIANTS) + [RAGGED] * len(VARIANTS)


def test_passes_of_an_update_are_measured_from_one_sample_each_to_all_at_once() -> None:
    rows = measure_passes(
        "tiny", torch.device("cpu"), samples=4, batch=2, length=3, variants=[Variant("af-scf", "scan")]
    )
    assert [(row["passes"], row["pass_steps"]) for row in rows] == [(4, 6), (2, 12), (1, 24)]
    assert all(row["seconds"] > 0 and row["megabytes"] is None for row in rows)


@pytest.mark.cuda
def test_a_gpu_is_measured_with_its_memory() -> None:
    plan = dataclasses.replace(SHORT, sampling=SHORT.sampling[:1])
    result = measure.measure(plan, device=torch.device("cuda"))
    assert result["device"] == torch.cuda.get_device_name()
    assert len(result["sampling"]) == len(VARIANTS)
    assert all(row["megabytes"] > 0 for row in result["sampling"] + result["training"])


def test_quick_is_a_part_of_the_whole() -> None:
    quick, whole = quick_plan(), Plan()
    assert quick.preset == whole.preset
    assert quick.budget < 60
    assert quick.rounds <= whole.rounds
    assert {case["lengths"] for case in quick.training} == {EQUAL}
    assert {case["lengths"] for case in whole.training} == {EQUAL, RAGGED}
    assert all(case in whole.training for case in quick.training)
    assert {case["kind"] for case in quick.sampling} == {"music"}
    assert len({case["length"] for case in quick.sampling}) > 1  # a line to draw
