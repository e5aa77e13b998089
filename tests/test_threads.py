"""Threads of one program that read, change, draw and write give what one thread gives."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import mido
import numpy as np
import pytest
import torch
from midi_hexdumps import END, midi
from mido.midifiles import midifiles
from reading import one_song

import lnfgen
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import to_bytes
from lnfgen.formats.song import transposed_song
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.trained import TrainedModel

THREADS = 8
KEY = "00 FF 59 02 02 02"  # a mode that MIDI does not define


@pytest.fixture
def short_turns() -> Iterator[None]:
    """Python changes from one thread to the next as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def own_file(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    notes = [(step, 4, 60 + int(rng.integers(0, 12))) for step in range(0, 48, 4)]
    return to_bytes(PianoRoll.from_notes(notes), ".mid")


def read_and_write(seed: int) -> bytes:
    song = one_song(read_midi(own_file(seed)))
    return to_bytes(song.roll, ".mid")


def transpose(seed: int) -> bytes:
    song = one_song(read_midi(own_file(seed)))
    moved = transposed_song(song, seed % 5 + 1)
    assert moved.origin.midi is not None
    return moved.origin.midi + to_bytes(moved.roll, ".mid")


def fill(model: TrainedModel, seed: int) -> bytes:
    song = one_song(read_midi(own_file(seed)))
    (filled,) = model.fill(song, "bars:2", particles=2, seed=seed)
    return to_bytes(filled, ".mid")


def sample(model: TrainedModel, seed: int) -> bytes:
    (piece,) = model.sample(bars=2, seed=seed)
    return to_bytes(piece, ".mid")


def read_key_by_mido(_: int) -> bytes:
    """Somebody else's use of mido, which refuses this file."""
    content = midi(f"{KEY} 00 90 3C 40 04 80 3C 00 {END}")
    try:
        mido.MidiFile(file=io.BytesIO(content))
    except mido.KeySignatureError:
        return b"refused"
    return b"read"


def require_the_same(tasks: Sequence[Callable[[], bytes]]) -> None:
    """In threads, each task has the result that it has in one thread."""
    expected = [task() for task in tasks]
    with ThreadPoolExecutor(THREADS) as threads:
        futures = [threads.submit(task) for task in tasks]
        found = [future.result() for future in futures]
    different = [index for index, one in enumerate(found) if one != expected[index]]
    assert not different
    assert torch.backends.mkldnn.enabled


@pytest.mark.usefixtures("short_turns")
def test_files_in_threads() -> None:
    tasks: list[Callable[[], bytes]] = []
    for seed in range(24):
        tasks += [partial(one, seed) for one in (read_and_write, transpose, read_key_by_mido)]
    require_the_same(tasks)


@pytest.mark.usefixtures("short_turns")
@pytest.mark.parametrize("count", [2, pytest.param(24, marks=pytest.mark.slow)])
def test_all_that_draws_in_threads(count: int) -> None:
    model = lnfgen.load("chorales")
    tasks: list[Callable[[], bytes]] = []
    for seed in range(count):
        tasks += [partial(fill, model, seed), partial(sample, model, seed)]
        tasks += [partial(transpose, seed), partial(read_and_write, seed)]
    require_the_same(tasks)


def test_no_function_of_mido_is_another_one_while_a_file_is_read_or_changed() -> None:
    content = midi(f"{KEY} 00 90 3C 40 10 80 3C 00 {END}")
    seen: set[object] = set()
    sys.setprofile(lambda *_: seen.add(midifiles.build_meta_message))
    try:
        transposed_song(one_song(read_midi(content)), 1)
    finally:
        sys.setprofile(None)
    assert seen == {midifiles.build_meta_message}
