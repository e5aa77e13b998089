"""`lnfgen bench` shows what was measured: as tables, as one object, and as a picture."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from lnfgen.bench import machine, measure
from lnfgen.bench.plan import BASELINE, EQUAL, RAGGED, TRAINING, Plan, Variant
from lnfgen.config import NAMED_MODELS
from lnfgen.nn.backbones import BACKBONES
from lnfgen.plots.speed import sampling_curves, time_against_length

PNG = b"\x89PNG\r\n\x1a\n"

VARIANTS = [BASELINE, Variant("af-scf", "scan"), Variant("coupling", "conv-scan")]
"""A few models, one of them with a name as long as any."""

PLAN = Plan(
    "tiny",
    sampling=[{"kind": "music", "length": length, "batch": 1} for length in (2, 4)],
    training=[{**case, "length": 3, "batch": 2} for case in TRAINING[:2]],
    rounds=2,
    variants=VARIANTS,
)


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (measure, machine):
            patch.setattr(module, "SQUARE", (64, 64, 64))
        return measure.measure(PLAN)


@pytest.fixture
def measured(figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure", lambda *_: figures)


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
    sampling, training = done.stdout.split("training on music")
    for name, backbone in VARIANTS[1:]:
        assert sampling.count(f"\n{name}, {backbone} ") == 1
        rows = [line.split() for line in training.splitlines() if line.startswith(f"{name}, {backbone} ")]
        assert [row[2] for row in rows] == [EQUAL, RAGGED]
    assert "bfloat16" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("backbone", BACKBONES)
def test_command_measures_one_backbone_by_its_name(
    backbone: str, figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnfgen.cli import app

    plans: list[Plan] = []
    monkeypatch.setattr(measure, "measure", lambda plan, *_: plans.append(plan) or figures)
    assert CliRunner().invoke(app, ["bench", "--backbone", backbone]).exit_code == 0
    others = [Variant(name, backbone) for name in NAMED_MODELS if name != BASELINE.model]
    assert list(plans[0].variants) == [BASELINE, *others]


def test_command_says_the_threads_of_each_kind_where_they_differ(
    figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnfgen.cli import app

    more = [{**row, "kind": "music with onsets", "threads": 2} for row in figures["sampling"]]
    both = {**figures, "sampling": [{**row, "threads": 1} for row in figures["sampling"]] + more}
    both["training"] = [{**row, "threads": 1} for row in figures["training"]]
    monkeypatch.setattr(measure, "measure", lambda *_: both)
    assert "1 for music; 2 for music with onsets" in CliRunner().invoke(app, ["bench"]).stdout


@pytest.mark.parametrize(
    "wrong",
    [
        ["--preset", "huge"],
        ["--backbone", "spine"],
        ["--plot", "speed.txt"],
        ["--plot", "nowhere/speed.png"],
        ["no-run"],
        ["--passes", "--quick"],
        ["chorales", "--quick"],
        ["--passes", "--backbone", "scan"],
        ["--passes", "chorales"],
    ],
)
def test_command_refuses_before_it_measures(wrong: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from lnfgen.cli import app

    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr("lnfgen.bench.passes.measure_passes", lambda *_: pytest.fail("measured"))
    assert CliRunner().invoke(app, ["bench", *wrong]).exit_code == 1


def test_time_against_length_is_a_picture() -> None:
    curves = [
        [{"model": str(i), "backbone": "lstm", "length": length, "seconds": length * (i + 1)} for length in (4, 8)]
        for i in range(9)
    ]
    assert time_against_length({"text": curves, "music": curves[:1]}, "two panels").startswith(PNG)


def test_curves_are_of_models_sampled_one_at_a_time_at_two_lengths() -> None:
    row = {"kind": "music", "model": "af-af", "backbone": "scan", "batch": 1}
    rows = [{**row, "length": length, "seconds": length / 10} for length in (2, 4)]
    others = [{**row, "batch": 3, "length": length, "seconds": 1.0} for length in (2, 4)]
    alone = {**row, "model": "lstm", "backbone": "lstm", "length": 2, "seconds": 1.0}
    assert sampling_curves([*others, *rows, alone]) == {"music": [rows]}
