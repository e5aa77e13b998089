"""What memory particles need, which is asked before they are drawn.

A few particles are drawn through a few steps, and the memory of their tensors is measured. Each
particle needs as much as any other, and what it keeps grows with the steps.
"""

import torch

from lnfgen.device.memory import peak_bytes, shortage
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import MAX_ROW_STEPS, MAX_ROWS, known_bits, outline_in
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.observation import Known
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.positions import Outline
from lnfgen.wording import gigabytes

# The sizes of the trials. With fewer particles, what all of them share would hide what each needs.
FEW_ROWS = 256
MORE_ROWS = 512
FEW_STEPS = 8
MORE_STEPS = 24

# A process takes so many times as much as its tensors: it keeps what was freed in pieces.
OVERHEAD = 2.0


def require_memory(model: SequenceModel, part: KnownPart, particles: int) -> None:
    """Refuse so many particles of a piece if memory is too small for them.

    As many as are drawn together by themselves are not measured.

    Raises:
        LnfgenError: if they do not fit; it has the number that does.
    """
    if particles <= MAX_ROWS and particles * part.num_steps <= MAX_ROW_STEPS:
        return
    missing = shortage(_bytes_of_particle(model, part), particles, model.device)
    if missing is None:
        return
    raise LnfgenError(
        f"{particles:,} particles of {part.num_steps:,} steps need about "
        f"{gigabytes(missing.needed)} of memory, and {gigabytes(missing.available)} are free; "
        f"expected at most {missing.fitting:,} particles"
    )


def _bytes_of_particle(model: SequenceModel, part: KnownPart) -> float:
    """The memory that a particle of all steps takes."""
    known = known_bits(model, part)
    outline = outline_in(model, part.encoding, [part.time_signature], [part.home_number])

    def of_row(num_steps: int) -> float:
        """The memory that a particle of the first steps takes."""
        beginning = Known(known.values[:num_steps], known.mask[:num_steps])
        few = _bytes_of_rows(model, beginning, outline, FEW_ROWS)
        more = _bytes_of_rows(model, beginning, outline, MORE_ROWS)
        return (more - few) / (MORE_ROWS - FEW_ROWS)

    more_steps = min(MORE_STEPS, part.num_steps)
    few_steps = min(FEW_STEPS, part.num_steps - 1)
    of_more = of_row(more_steps)
    if few_steps < 1:
        return OVERHEAD * of_more
    of_step = max(0.0, of_more - of_row(few_steps)) / (more_steps - few_steps)
    return OVERHEAD * (of_more + of_step * (part.num_steps - more_steps))


def _bytes_of_rows(model: SequenceModel, beginning: Known, outline: Outline, num_rows: int) -> int:
    """The memory that so many particles take, which all go through the first steps."""
    # Only the last step is known, so that no particle is spared before.
    mask = torch.zeros_like(beginning.mask)
    mask[-1] = True
    known = Known(beginning.values[None], mask[None])
    generator = torch.Generator().manual_seed(0)
    return peak_bytes(lambda: draw_hidden(model, known, num_rows, [generator], outline=outline))
