"""The start of a piece as a recall: at once, and step by step."""

import torch

from lnfgen.nn.opening import NOT_YET, Opening, OpeningRecall


def values() -> torch.Tensor:
    """Three sequences `[3, 8, 4]`: one begins at once, one after two steps, one never."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 8, 4, generator=generator) < 0.5).double()
    x[0, 0] = torch.tensor([1.0, 0, 0, 1])
    x[1, :2] = 0
    x[1, 2] = torch.tensor([0.0, 1, 0, 0])
    x[2] = 0
    return x


def test_each_step_recalls_the_first_frame_that_sounds():
    x = values()
    recalled = OpeningRecall()(x)[:, :, 0]
    assert Opening.of(x).step.tolist() == [0, 2, NOT_YET]
    for row, start in enumerate([0, 2]):
        assert (recalled[row, : start + 1, -1] == 1).all()
        assert (recalled[row, start + 1 :, -1] == 0).all()
        assert torch.equal(recalled[row, start + 1 :, :-1], x[row, start].expand(7 - start, -1))
    assert (recalled[2, :, -1] == 1).all()
    assert OpeningRecall().since(x)[1].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]


def test_step_by_step_is_at_once_also_after_rows_were_chosen():
    x = values()
    recall = OpeningRecall()
    memory = recall.memory(torch.zeros(3, 4, dtype=torch.float64))
    rows = torch.tensor([1, 1, 0])
    for step in range(8):
        if step == 5:
            memory.reindex(rows)
            x = x[rows]
        assert torch.equal(memory.recalled(), recall(x)[:, step])
        since = memory.since(torch.tensor([step]))
        assert torch.equal(since[:, 0], recall.since(x)[:, step])
        memory.append(x[:, step])
