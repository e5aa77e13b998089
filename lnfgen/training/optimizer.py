"""AdamW without torch's guards for an optimizer that is compiled.

The first call of a guarded method loads torch's compiler, which takes as long as loading all of torch before. Here an
optimizer is never compiled, so the guards do nothing.
"""

from inspect import unwrap

import torch


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, to the bit."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
