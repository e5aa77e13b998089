"""Models at toy sizes, and servers that draw with them."""

import os
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from served import Served
from toy_bands import band_encoding
from toy_dataset import write_dataset
from toy_home import make_run

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.sound import SOUNDFONT

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
def synthesiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for FluidSynth: it keeps the file that it plays, and its sound is another file.

    They are `played.mid` and `sound.wav` in the folder.
    """
    folder = tmp_path / "synthesiser"
    folder.mkdir()
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(np.arange(2000, dtype="<i2").tobytes())
    program = folder / "fluidsynth"
    program.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        f'cp "$last" "{folder}/played.mid"; cp "{folder}/sound.wav" "$5"\n'
    )
    program.chmod(0o755)
    (folder / "some.sf2").write_bytes(b"")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv(SOUNDFONT, str(folder / "some.sf2"))
    return folder


@pytest.fixture
def no_synthesiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FluidSynth has no soundfont, if there is one at all."""
    monkeypatch.setenv(SOUNDFONT, str(tmp_path / "none.sf2"))


@pytest.fixture
def served(serve: Callable[..., Served], toy_run: Path) -> Served:
    """A server of the toy run."""
    return serve(toy_run)
