"""Loops over time that are replayed: on a CPU from a tape in place of a CUDA graph, and marked `cuda` on a GPU."""

import dataclasses
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from toy_models import OUTPUTS, SIZES, randomise, toy

from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models import build_prior
from lnfgen.nn import stepper as door
from lnfgen.nn.backbones import BACKBONES
from lnfgen.stepping import graphs
from lnfgen.stepping.graphs import Outcome

STEPS = 4


class Recording(TorchDispatchMode):
    """Keeps every operation with the tensors that it read and made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, dict[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is graphs.READING:
            raise RuntimeError("operation not permitted when stream is capturing")
        made = func(*args, **(kwargs or {}))
        read = {each.untyped_storage().data_ptr() for each in tensors((args, kwargs))}
        new = [each for each in tensors(made) if each.untyped_storage().data_ptr() not in read]
        self.calls.append((func, args, kwargs or {}, new))
        return made


class Tape:
    """In place of a CUDA graph: like one, it repeats operations on the same memory, and runs no line of the loop.

    The values that a capture computes are wiped out, because a CUDA graph does not compute while it is captured.
    """

    made: ClassVar[list["Tape"]] = []
    replays: ClassVar[int] = 0

    def __init__(self, device: torch.device) -> None:
        self.calls: list[Any] = []
        Tape.made.append(self)

    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        with Recording() as recording:
            outcome = work()
        self.calls = recording.calls
        for *_, new in self.calls:
            for each in new:
                each.fill_(torch.nan if each.is_floating_point() else 0)
        return outcome

    def replay(self) -> None:
        Tape.replays += 1
        with door.looping(torch.empty(0)):
            for func, args, kwargs, new in self.calls:
                made = func(*args, **kwargs)
                for kept, value in zip(new, tensors(made) if new else [], strict=True):
                    kept.copy_(value)


class Again(Tape):
    """Runs the loop again, which may read numbers."""

    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        self.work, self.outcome = work, work()
        return self.outcome

    def replay(self) -> None:
        Tape.replays += 1
        for kept, value in zip(self.outcome, self.work(), strict=True):
            kept.copy_(value)


def tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


@pytest.fixture(autouse=True)
def tapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs on this CPU, of few steps; and no warning unless a test expects one."""
    monkeypatch.setattr(door, "enabled", True)
    monkeypatch.setattr(graphs, "STEPS", STEPS)
    monkeypatch.setattr(Tape, "made", [])
    monkeypatch.setattr(Tape, "replays", 0)
    monkeypatch.setitem(graphs.GRAPHS, "cpu", Tape)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "a loop over time")
        yield


def flow_of(**changes: Any) -> TemporalFlow:
    torch.manual_seed(0)
    return randomise(build_prior(dataclasses.replace(SIZES, time="af", features="scf", **changes)), 0.4).eval()


def arguments(steps: int, rows: int = 3, seed: int = 0, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 * steps + seed)
    sizes = (SIZES.latent_size, SIZES.position_size)
    eps, positions = (torch.randn(rows, steps, size, generator=generator).to(device) for size in sizes)
    return eps, positions, torch.full((rows,), steps, device=device)


@torch.inference_mode()
def drawn(flow: TemporalFlow, *args: Any, **options: Any) -> Outcome:
    z, ladj = flow(*arguments(*args, **options))
    return z, ladj


def plainly(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a function gives without graphs."""
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "GRAPHS", {})
        return function(*args, **options)


def same(one: Outcome, other: Outcome) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize(("backbone", "transform"), [*((name, "nlsq") for name in BACKBONES), ("lstm", "spline")])
def test_replays_give_the_bits_of_the_loop(backbone: str, transform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = flow_of(backbone=backbone, transform=transform)
    kept = []
    for seed, steps in enumerate([3, 4, 1, 2, 7, 5]):  # of two shapes
        found = drawn(flow, steps, seed=seed)
        kept.append((found, plainly(monkeypatch, drawn, flow, steps, seed=seed)))
    assert (len(Tape.made), Tape.replays) == (2, 3 + 1)
    assert all(same(*pair) for pair in kept)  # at the end, so a replay leaves what earlier ones gave


@pytest.mark.parametrize("name", ["af-scf", "af-scf/scan", "af-af", "af-af/scan"])
def test_samples_are_those_without_graphs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all could be captured, so that padding, the memory that is read, and lengths are tried with every model."""
    monkeypatch.setitem(graphs.GRAPHS, "cpu", Again)
    monkeypatch.setattr(graphs, "READING", None)
    observation, emission = OUTPUTS["onsets"]
    model = toy(name, observation, emission=emission)

    @torch.inference_mode()
    def samples(lengths: list[int]) -> list[Tensor]:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(lengths))]
        return model.sample_batch(lengths, generators, 0.9)

    for lengths in ([4, 1, 2], [3, 3, 1], [2, 1, 1], [6, 1, 2], [1, 5, 1]):
        found, expected = samples(lengths), plainly(monkeypatch, samples, lengths)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert Tape.replays == 2 + 1


@pytest.mark.parametrize(
    ("change", "backbone"), [("in place", "lstm"), ("moved", "scan"), *(("unseen", name) for name in BACKBONES)]
)
def test_changed_weights_are_read(change: str, backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change through `data` is one that torch does not count: what is laid out for the steps is made by the graph."""
    flow = flow_of(backbone=backbone)
    before = [drawn(flow, 4) for _ in range(3)]
    with torch.no_grad():
        for weight in flow.parameters():
            if change == "in place":
                weight.mul_(0.9)
            elif change == "unseen":
                weight.data.mul_(0.9)
            else:
                weight.data = 0.9 * weight
    after = [drawn(flow, 4) for _ in range(3)]
    expected = plainly(monkeypatch, drawn, flow, 4)
    assert all(same(one, expected) for one in after)
    assert not same(before[0], expected)
    assert len(Tape.made) == (1 if change == "unseen" else 2)


class Failing(Tape):
    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        raise RuntimeError("CUDA error: operation not permitted\nand so on")


class Forgetful(Tape):
    """Replays nothing, as if no operation had been captured."""

    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        return work()


@pytest.mark.parametrize(("graph", "said"), [(Failing, "not permitted$"), (Forgetful, "values differ$")])
def test_a_graph_that_fails_or_differs_is_given_up_and_said_once(
    graph: type[Tape], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(graphs.GRAPHS, "cpu", graph)
    flow = flow_of()
    for use in range(4):
        with pytest.warns(UserWarning, match=said) if use == 1 else nullcontext():
            found = drawn(flow, 3, seed=use)
        assert same(found, plainly(monkeypatch, drawn, flow, 3, seed=use))
    drawn(flow, 7)
    drawn(flow, 7)
    assert len(Tape.made) == 1


@pytest.mark.parametrize("changes", [{"features": "af"}, {"features": "codes"}, {"transform": "mixture"}])
def test_a_loop_that_waits_is_never_captured(changes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **{"time": "af", "features": "scf", "transform": "nlsq", **changes})
    flow = randomise(build_prior(config), 0.4).eval()
    for use in range(3):
        assert same(drawn(flow, 4, seed=use), plainly(monkeypatch, drawn, flow, 4, seed=use))
    assert not Tape.made


def test_where_graphs_are_not_for() -> None:
    flow = flow_of()
    eps, positions, lengths = arguments(4)
    with torch.no_grad():
        for steps in (graphs.MOST_STEPS + 1, graphs.MOST_STEPS + 1):
            graphs.captured(lambda x, known: (x, x[..., 0]), flow, eps[:, :1].expand(-1, steps, -1), positions)
    for _ in range(3):
        z, _ = flow(eps, positions, lengths)
        assert z.requires_grad
        flow.train()
        with torch.no_grad():
            flow(eps, positions, lengths)
            flow.eval()
            with torch.autocast("cpu", torch.bfloat16):
                flow(eps, positions, lengths)
            flow.inverse(eps, positions, lengths)
            flow.solver.method = "sweeps"
            flow(eps, positions, lengths)
            flow.solver.method = "loop"
    assert not Tape.made


def test_graphs_are_few_and_go_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    flow = flow_of()
    for _ in range(3):
        for rows in (1, 2, 3):
            assert same(drawn(flow, 4, rows), plainly(monkeypatch, drawn, flow, 4, rows))
    assert (len(Tape.made), Tape.replays) == (2, 4)
    kept, flow = weakref.ref(graphs._of_module[flow]), None
    assert kept() is None


def test_modes_may_change_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of inference mode could not be written to outside of it."""
    flow, args = flow_of(), arguments(4)
    expected = plainly(monkeypatch, drawn, flow, 4)
    for mode in (torch.no_grad, torch.inference_mode, torch.no_grad, torch.inference_mode):
        with mode():
            assert same(flow(*args), expected)
    assert Tape.replays == 3


# On a GPU. ------------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
@pytest.mark.parametrize("transform", ["affine", "nlsq", "spline"])
@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_cuda_graphs_give_the_bits_of_the_loop(backbone: str, transform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = flow_of(backbone=backbone, transform=transform).cuda()
    monkeypatch.setattr(graphs, "STEPS", 64)
    replays = 0

    class Counted(graphs.GraphOnCUDA):
        def replay(self) -> None:
            nonlocal replays
            replays += 1
            super().replay()

    monkeypatch.setitem(graphs.GRAPHS, "cuda", Counted)

    def both(steps: int, seed: int) -> None:
        found = drawn(flow, steps, seed=seed, device="cuda")
        with monkeypatch.context() as patch:
            patch.setattr(graphs._Graphs, "run", lambda *_: None)
            assert same(found, drawn(flow, steps, seed=seed, device="cuda"))

    for seed, steps in enumerate([60, 64, 3, 60, 65, 100]):
        both(steps, seed)
    assert replays == 3 + 1
    with torch.no_grad():
        for weight in flow.parameters():
            weight.mul_(0.9)
    for seed in range(3):
        both(50, seed)
    assert replays == 4 + 2


@pytest.mark.cuda
def test_a_loop_that_waits_runs_plainly_on_a_gpu() -> None:
    flow = flow_of(transform="mixture").cuda()
    first = drawn(flow, 4, device="cuda")
    for _ in range(3):
        assert same(drawn(flow, 4, device="cuda"), first)
