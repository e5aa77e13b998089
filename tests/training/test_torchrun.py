"""Several processes train as one does with the whole batch, and one that fails ends them all with one message."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import in_ranks
from toy_config import training_config
from toy_training import SIZES, SMALL, TRAINING, Listener, after, figures, make_dataset, without_clock

from lnfgen.api import open_session
from lnfgen.cli import main
from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.batches import Batch, collate
from lnfgen.data.dataset import Dataset
from lnfgen.errors import ConfigError
from lnfgen.runs.checkpoint import new_model
from lnfgen.runs.folder import RunFolder
from lnfgen.training import torchrun
from lnfgen.training.objective import accumulate_gradients
from lnfgen.training.session import TrainingSession

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")

BATCHES = ([1, 4, 2, 11, 7], [3, 5, 8], [6])
"""Ragged and uneven ones, also with fewer sequences than processes."""


def changed(config: Any, **values: Any) -> Any:
    return type(config)(**{**config.__dict__, **values})


# One update. ----------------------------------------------------------------------------------------------------------


def update(dataset: Dataset, name: str, indices: list[int]) -> tuple[list[float], list[torch.Tensor]]:
    """The figures and the gradients of the update of a batch, in float64 and without dropout."""
    sizes = changed(SIZES, **NAMED_MODELS[name], dropout=0.0)
    model = new_model(Config(sizes, training_config()), dataset).double().train()
    batch = collate([dataset.split("train")[index] for index in indices], indices)
    noise = model.draw_noise(3, *batch.x.shape, torch.Generator().manual_seed(1))
    part, rows, share = torchrun.own_part(batch)
    own = None if noise is None else noise[:, rows, : part.x.shape[1]].double()
    averaging, size = torchrun.averaging(model), torchrun.place()[1]
    options: dict[str, Any] = {"free_bits": 0.1, "share": share, "averaging": averaging}
    found = accumulate_gradients(model, part, own, 0.3, **options)
    figures = torch.stack([found.loss / size, found.reconstruction.sum(), found.kl.sum()])
    sums = torchrun.summed(figures * (share > 0))
    return sums.tolist(), [parameter.grad for parameter in model.parameters()]


def updates(dataset: Dataset, names: list[str]) -> dict[str, Any]:
    with torchrun.joined():
        return {
            f"{name} {len(indices)}": [
                value.tolist() if isinstance(value, torch.Tensor) else value
                for part in update(dataset, name, indices)
                for value in part
            ]
            for name in names
            for indices in BATCHES
        }


def flat(values: Any) -> torch.Tensor:
    return torch.cat([torch.tensor(value, dtype=torch.float64).flatten() for value in values])


ALL = sorted(NAMED_MODELS)


@pytest.mark.parametrize(
    ("count", "names"), [(2, ["af-scf", "lstm"]), *(pytest.param(n, ALL, marks=pytest.mark.slow) for n in (2, 4))]
)
def test_processes_have_the_gradient_and_the_figures_of_one_with_the_whole_batch(dataset, count, names):
    whole = updates(dataset, names)
    for found in in_ranks(count, updates, dataset, names):
        assert found.keys() == whole.keys()
        for case, expected in whole.items():
            torch.testing.assert_close(flat(found[case]), flat(expected), rtol=1e-9, atol=1e-9, msg=case)


def test_parts_hold_each_sequence_once(monkeypatch):
    for total, size in itertools.product((1, 3, 7), (1, 2, 8)):
        batch = Batch(torch.arange(total)[:, None].expand(-1, total), torch.arange(1, total + 1), list(range(total)))
        rows: list[int] = []
        shares = 0.0
        for rank in range(size):
            monkeypatch.setattr(torchrun, "place", lambda: (rank, size))  # noqa: B023
            part, _, share = torchrun.own_part(batch)
            assert part.indices == part.x[:, 0].tolist() == (part.lengths - 1).tolist()
            assert part.x.shape[1] == part.lengths.max()
            rows += part.indices if share else []
            shares += share
        assert sorted(rows) == list(range(total))
        assert shares / size == pytest.approx(1)


# A run. ---------------------------------------------------------------------------------------------------------------


def trained(dataset: Dataset, path: Path, stop: int | None = None) -> dict[str, Any]:
    with torchrun.joined():
        return trained_here(dataset, path, stop)


def trained_here(dataset: Dataset, path: Path, stop: int | None) -> dict[str, Any]:
    """A run to its end, or to an update and then to its end."""
    sizes = changed(SIZES, num_layers=1, num_flow_layers=1)  # with dropout
    config = Config(sizes, changed(TRAINING, batch_size=5, max_steps=6, seed=torchrun.place()[0]))
    session = TrainingSession.begin(config, dataset, "cpu", path)
    if stop is not None:
        # One process alone is asked to stop, and all do.
        interrupted = after(stop) if torchrun.place()[0] == 1 else lambda: False
        assert not session.train(Listener(), interrupted)
        assert session.trainer.step == stop
        session = TrainingSession.resume(RunFolder(path), "cpu")
    listener = Listener()
    assert session.train(listener)
    weights = [value.tolist() for value in session.trainer.model.state_dict().values()]
    return {"weights": weights, "steps": without_clock(listener.steps)}


def files(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*")}


def test_a_run_is_written_once_and_stops_and_goes_on_to_the_same_weights(dataset, tmp_path):
    whole = in_ranks(2, trained, dataset, tmp_path / "whole")
    assert whole[0] == whole[1]
    cut = in_ranks(2, trained, dataset, tmp_path / "cut", 2)
    assert cut[0]["weights"] == cut[1]["weights"] == whole[0]["weights"]
    assert cut[0]["steps"] == whole[0]["steps"][2:]
    config = Config(SIZES, changed(TRAINING, batch_size=5, max_steps=2))
    alone = TrainingSession.begin(config, dataset, "cpu", tmp_path / "alone")
    alone.train(Listener())
    assert files(tmp_path / "whole") == files(tmp_path / "cut") == files(tmp_path / "alone")
    assert figures(tmp_path / "whole") == figures(tmp_path / "cut")
    assert RunFolder(tmp_path / "whole").config.training.seed == 0  # that of the first process
    # One process goes on with it.
    session = TrainingSession.resume(RunFolder(tmp_path / "cut"), "cpu", max_steps=7)
    assert session.train(Listener())
    assert session.trainer.step == 7


# The command. ---------------------------------------------------------------------------------------------------------


def command(folder: Path, args: list[str], fails_at: int | None = None, how: str = "") -> Any:
    """`lnfgen ARGS` in a process of several, with its streams in files. The second one may break at an update."""
    from lnfgen.training.trainer import Trainer

    os.chdir(folder)
    rank = os.environ["RANK"]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    before = Trainer._update

    def updating(self: Trainer, *args: Any) -> None:
        if rank == "1" and self.step == fails_at:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError if how == "memory" else ValueError("a defect")
        before(self, *args)

    Trainer._update = updating  # type: ignore[method-assign]
    try:
        main(args)
    except SystemExit as ended:
        return ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def said(folder: Path) -> str:
    return "".join((folder / f"err{rank}").read_text() for rank in (0, 1))


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "toy")
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    return tmp_path


TRAIN = ["train", "toy", "--config", "small.json", "--out", "run"]


def test_the_command_says_all_once(toy_folder):
    assert in_ranks(2, command, toy_folder, TRAIN) == [0, 0]
    assert [(toy_folder / f"out{rank}").read_text() for rank in (0, 1)] == ["run\n", ""]
    assert "9 updates of 4 sequences" in (toy_folder / "err0").read_text()
    assert said(toy_folder).count("seed ") == 1
    assert not (toy_folder / "err1").read_text()


@pytest.mark.parametrize(
    ("how", "words"), [("killed", "another process of this job has ended"), ("memory", "out of memory")]
)
def test_a_process_that_ends_is_one_message(toy_folder, how, words):
    codes = in_ranks(2, command, toy_folder, TRAIN, 4, how)
    assert codes == [1, None if how == "killed" else 1]
    assert said(toy_folder).count("error: ") == 1
    assert words in said(toy_folder)
    assert "Traceback" not in said(toy_folder)


def test_a_mistake_that_all_make_is_said_once(toy_folder):
    assert in_ranks(2, command, toy_folder, [*TRAIN, "--set", "training.patience=0"]) == [1, 1]
    assert said(toy_folder).count("error: ") == 1
    for args in (["train", "nothing", "--out", "run"], ["sample"]):
        assert in_ranks(2, command, toy_folder, args) == [1, 1]
        assert said(toy_folder).count("error: ") == 1


def test_a_run_that_may_be_started_again_needs_a_name(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    with pytest.raises(ConfigError, match="--max-restarts without --out"):
        open_session(None, None, None, out=None, resume=False, device="cpu")


BREAKS_ONCE = """
import os, signal
from lnfgen.training.trainer import Trainer
update = Trainer._update
def updating(self, *args):
    if self.step == 7 and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    update(self, *args)
Trainer._update = updating
from lnfgen.cli import main
main()
"""


@pytest.mark.slow
def test_torchrun_starts_a_run_again_from_its_last_state(toy_folder):
    (toy_folder / "breaks.py").write_text(BREAKS_ONCE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "--max-restarts", "1", "breaks.py", *TRAIN, "--seed", "1"],
        cwd=toy_folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n"
    assert done.stderr.count("9 updates of 4 sequences") == 2
    steps = [json.loads(line)["step"] for line in (toy_folder / "run/metrics.jsonl").read_text().splitlines()]
    assert steps == [3, 6, 9]
