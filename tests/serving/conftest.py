"""Models at toy sizes, and servers that draw with them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from served import Served
from toy_bands import band_encoding
from toy_dataset import write_dataset
from toy_home import make_run

from lnfgen.data.music_encoding import MusicEncoding

ENCODING = MusicEncoding(
    lowest_pitch=48, num_pitches=30, steps_per_quarter=2, fills_upbeats=True, tempo_bpm=90
)


def make_toy(folder: Path, encoding: MusicEncoding) -> Path:
    """The folder of an untrained run, beside its dataset."""
    rng = np.random.default_rng(0)
    sequences: list[np.ndarray] = []
    for bars in range(2, 16):
        size = (bars * 4 * encoding.steps_per_quarter, *encoding.no_steps.shape[1:])
        sequences.append(np.where(rng.random(size) < 0.05, 3, 0).astype(np.uint8))
    splits = {"train": sequences[:12], "valid": sequences[12:13], "test": sequences[13:]}
    dataset = write_dataset(folder / "dataset", name="toy", encoding=encoding, splits=splits)
    make_run(folder / "run", dataset)
    return folder / "run"


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained run of music in one part, on a grid of eighths."""
    return make_toy(tmp_path_factory.mktemp("toy"), ENCODING)


@pytest.fixture(scope="session")
def band_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained run of a band of four parts."""
    return make_toy(tmp_path_factory.mktemp("band"), band_encoding())


@pytest.fixture(autouse=True)
def _few_home_samples(few_home_samples: None) -> None:
    """Untrained models are asked for the keys that they are at home on, too."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers of a run, which end with the test."""
    servers: list[Served] = []

    def start(run: Path, folder: str = "takes") -> Served:
        server = Served(run, tmp_path / folder)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def served(serve: Callable[..., Served], toy_run: Path) -> Served:
    """A server of the toy run."""
    return serve(toy_run)
