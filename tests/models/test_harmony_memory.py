"""The memory of harmonies counts from the home, goes on step by step, and needs a home."""

import pytest
import torch
from torch import Tensor, nn

from lnfgen.models.harmony_memory import HarmonyMemory
from lnfgen.nn.positions import NUM_HOMES

NUM_KEYS = 30
OF_PLACE = 5  # features of the context before the home


@pytest.fixture
def memory() -> HarmonyMemory:
    torch.manual_seed(0)
    memory = HarmonyMemory(NUM_KEYS, OF_PLACE + NUM_HOMES, 4, dropout=0.0)
    nn.init.normal_(memory.of_degrees.weight)  # a new one gives 0
    return memory


def frames_of(num_steps: int = 12) -> Tensor:
    """Frames of two pieces, without their lowest and highest keys."""
    generator = torch.Generator().manual_seed(1)
    frames = (torch.rand(2, num_steps, NUM_KEYS, generator=generator) < 0.15).long()
    frames[..., :3] = 0
    frames[..., -3:] = 0
    return frames


def context_of(tonics: list[int], num_steps: int = 12) -> Tensor:
    """Contexts that differ in the home alone, `[2, T, C]`."""
    place = torch.randn(1, num_steps, OF_PLACE, generator=torch.Generator().manual_seed(2))
    homes = nn.functional.one_hot(torch.tensor(tonics), NUM_HOMES)[:, None]
    return torch.cat([place.expand(2, -1, -1), homes.expand(-1, num_steps, -1)], -1)


def units_of(memory: HarmonyMemory, frames: Tensor, context: Tensor) -> Tensor:
    remembered, _ = memory(frames, context)
    return memory.units(remembered.flatten(0, 1), context.flatten(0, 1))


def test_a_piece_that_is_moved_has_the_same_features_at_its_moved_keys(
    memory: HarmonyMemory,
) -> None:
    frames = frames_of()
    units = units_of(memory, frames, context_of([0, 17]))
    moved = units_of(memory, frames.roll(3, -1), context_of([3, 20]))
    torch.testing.assert_close(moved[:, 3:], units[:, :-3])


def test_a_degree_has_the_same_features_in_each_octave(memory: HarmonyMemory) -> None:
    units = units_of(memory, frames_of(), context_of([2, 14]))
    torch.testing.assert_close(units[:, 12:24], units[:, :12])


def test_features_follow_from_the_frames_so_far_alone(memory: HarmonyMemory) -> None:
    frames = frames_of()
    context = context_of([0, 5])
    remembered, _ = memory(frames, context)
    changed = frames.clone()
    changed[:, 6:] = 0
    others, _ = memory(changed, context)
    torch.testing.assert_close(others[:, :6], remembered[:, :6])
    assert not torch.allclose(others[:, 6:], remembered[:, 6:])


def test_it_goes_on_from_its_state(memory: HarmonyMemory) -> None:
    frames = frames_of()
    context = context_of([0, 5])
    at_once, _ = memory(frames, context)
    state = None
    for step in range(frames.shape[1]):
        now = slice(step, step + 1)
        remembered, state = memory(frames[:, now], context[:, now], state)
        torch.testing.assert_close(remembered, at_once[:, now])


def test_without_a_home_it_gives_nothing(memory: HarmonyMemory) -> None:
    context = context_of([0, 5])
    context[..., OF_PLACE:] = 0
    assert not units_of(memory, frames_of(), context).any()


def test_several_samples_of_z_read_one_memory(memory: HarmonyMemory) -> None:
    frames = frames_of()
    context = context_of([0, 5])
    remembered, _ = memory(frames, torch.stack([context, context + 0]))
    torch.testing.assert_close(remembered, memory(frames, context)[0])
