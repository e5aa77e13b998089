"""Paths and runners that all tests share."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from command import Call, call_in, start
from hypothesis import HealthCheck, settings
from toy_home import make_home
from toy_models import OFTEN, OUTPUTS, PAIRS, toy
from toy_training import make_dataset

from lnfgen.data.dataset import Dataset
from lnfgen.models.observation import Observation
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.stepper import FASTER

# Small tensors gain nothing from threads, and threads that wait for one another on a busy machine
# cost a great deal.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same few examples each time, and nothing written beside the tests; `--hypothesis-profile
# thorough` looks further.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir(), "hypothesis"))
)
calm = [HealthCheck.too_slow]  # on a busy machine
settings.register_profile(
    "thorough", deadline=None, database=None, suppress_health_check=calm, max_examples=1000
)
settings.register_profile(
    "few", settings.get_profile("thorough"), derandomize=True, max_examples=20
)
settings.load_profile("few")

# the program without its faster steps, for the contracts of flows
if os.environ.get("LNFGEN_TEST_PLAIN"):
    FASTER.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(
                    pytest.mark.skip(
                        reason="needs an NVIDIA GPU: torch.cuda.is_available() is False"
                    )
                )


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Finds a file or folder of the benchmark data below `$LNFGEN_TEST_DATA`; the test skips where
    it is absent."""

    def find(name: str) -> Path:
        folder = os.environ.get("LNFGEN_TEST_DATA")
        if not folder:
            pytest.skip(
                f"needs the benchmark data {name}; set LNFGEN_TEST_DATA to the folder that holds it"
            )
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(
                f"needs the benchmark data {name}; LNFGEN_TEST_DATA is {folder}, "
                "which does not hold it"
            )
        return path

    return find


@pytest.fixture(scope="module")
def toy_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with datasets and runs at toy sizes, as `make_home` makes it."""
    home = tmp_path_factory.mktemp("home")
    make_home(home)
    return home


@pytest.fixture
def call(
    toy_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`lnfgen ARGS` in `toy_home`, in this process."""
    return call_in(toy_home, monkeypatch, capsys)


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`lnfgen ARGS` in the test's own folder, in this process."""
    return call_in(tmp_path, monkeypatch, capsys)


@pytest.fixture
def few_home_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter samples where a model is asked for the keys that it is at home on; the usual ones
    take a second."""
    monkeypatch.setattr("lnfgen.inference.pitch_range.RANGE_STEPS", 12)


@pytest.fixture
def lnfgen(tmp_path: Path) -> Call:
    """Run `python -m lnfgen ARGS` as a person would, in the test's own folder."""

    return partial(start, tmp_path)


@pytest.fixture(params=sorted(OUTPUTS))
def output(request: pytest.FixtureRequest) -> tuple[Observation, str]:
    """Each kind of observation, with the emission of its toy models."""
    return OUTPUTS[request.param]


@pytest.fixture
def observation(output: tuple[Observation, str]) -> Observation:
    return output[0]


@pytest.fixture
def emission(output: tuple[Observation, str]) -> str:
    return output[1]


@pytest.fixture(
    params=[
        pytest.param(pair, marks=[] if pair in OFTEN else pytest.mark.slow, id="-".join(pair))
        for pair in PAIRS
    ]
)
def model(request: pytest.FixtureRequest) -> SequenceModel:
    """Each named model of each observation, at toy sizes."""
    kind, name = request.param
    observation, emission = OUTPUTS[kind]
    return toy(name, observation, emission=emission)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small one to train on."""
    return make_dataset(tmp_path_factory.mktemp("data") / "toy")
