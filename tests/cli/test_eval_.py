"""`lnfgen eval` as a script meets it."""

import json
from pathlib import Path
from typing import Any

from command import Call, fails
from toy_runs import make_run

import lnfgen
from lnfgen.conventions import PASSES
from lnfgen.data.dataset import open_dataset


def test_eval_prints_one_flat_object(call: Call) -> None:
    done = call("eval", "run-rolls", "--nll", "--samples", "3", "--json")
    values = json.loads(done.stdout)
    scores = {"nll", "elbo", "reconstruction", "kl", "unit", "marginal_nll"}
    sizes = {"samples", "split", "sequences", "steps", "dropped"}
    assert scores | sizes <= values.keys()
    assert values["unit"] == "nats_per_step"
    assert values["emission"] == "bernoulli"
    assert values["nll"] <= values["elbo"]
    assert values["sounding_nll"] <= values["nll"]
    assert (values["samples"], values["split"]) == (3, "test")
    assert (values["sequences"], values["steps"]) == (2, 33)
    assert done.stderr.count(b"\x1b") == 0


def test_eval_scores_another_dataset(call: Call) -> None:
    done = call("eval", "run-lines", "lines", "--split", "valid", "--json")
    assert json.loads(done.stdout)["split"] == "valid"
    assert "nll" not in json.loads(done.stdout)
    fails(call("eval", "run-lines", "rolls"), "text")


def test_a_model_by_blocks_draws_and_scores_in_the_passes_that_are_asked_for(
    toy_home: Path, call: Call
) -> None:
    make_run(
        toy_home / "blocks", open_dataset(toy_home / "lines"), name="blocks-codes", max_steps=1
    )

    def scored(*passes: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(
            call("eval", "blocks", "--json", "--samples", "1", *passes).stdout
        )
        return values

    def text(*passes: str) -> bytes:
        return call(
            "sample", "blocks", "--length", "80", "--seed", "1", "--out", "-", *passes
        ).stdout

    usual = scored()
    few = scored("--passes", "4")
    assert (usual["passes"], few["passes"]) == (PASSES, 4)
    assert usual["elbo"] != few["elbo"]
    assert usual == scored("--passes", str(PASSES))
    assert text() == text("--passes", str(PASSES)) != text("--passes", "4")
    assert (
        lnfgen.load(toy_home / "blocks", passes=4)
        .nll(open_dataset(toy_home / "lines").pieces("test"), samples=1)
        .elbo
    )
    fails(
        call("eval", "run-lines", "--passes", "4"),
        "run-lines is af-scf",
        "blocks-scf or blocks-codes",
    )


def test_the_table_has_a_row_for_each_known_figure(call: Call) -> None:
    shown = call("eval", "run-lines", "--samples", "1").stdout.decode()
    assert "af-scf on lines, test" in shown
    names = [line.split()[0] for line in shown.splitlines()[1:]]
    assert names[:2] == ["elbo", "reconstruction"]
    assert "nll" not in names
    assert "passes" not in names  # this model has none
