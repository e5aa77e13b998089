"""How sequences are cut into blocks and put together again."""

import pytest
import torch

from lnfgen.flows.blocks import Blocks

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("passes", [1, 2, 3, 5, 8, 13])
def test_what_is_folded_unfolds_and_places_count_from_the_start_of_each_block(passes):
    lengths = torch.tensor([8, 1, 5])
    sizes = torch.randint(1, passes + 1, (3, 8), generator=torch.Generator().manual_seed(passes))
    blocks = Blocks.chained(lambda row, start, before: int(sizes[row, start]), lengths, 8, passes)
    x = torch.arange(1.0, 49).view(3, 8, 2)
    folded = blocks.folded(x)
    is_real = torch.arange(8) < lengths[:, None]
    assert torch.equal(blocks.unfolded(folded), torch.where(is_real[..., None], x, 0))
    assert (folded[~blocks.is_real] == 0).all()
    for row, length in enumerate(lengths.tolist()):
        start = 0
        for block in range(int(blocks.counts[row])):
            size = length - start
            if size > passes:  # it is not the last one
                size = int(sizes[row, start])
            assert torch.equal(folded[row, block, :size], x[row, start : start + size])
            assert blocks.places[row, start : start + size].tolist() == list(range(size))
            start += size
        assert start == length
        assert (blocks.places[row, length:] == passes).all()
