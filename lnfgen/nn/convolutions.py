"""Convolutions over the keys of frames, directly and by Fourier transforms."""

import torch
from torch import Tensor, nn


def over_keys(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., P, channels]` -> `[..., P, channels]`."""
    rows = x.flatten(0, -3).transpose(1, 2)  # [rows, channels, P]
    return convolution(rows).transpose(1, 2).unflatten(0, x.shape[:-2])


def over_keys_by(spectrum: Tensor, convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """`over_keys`, as a product of Fourier transforms, by the convolution's `spectrum_of`.

    Over many keys that is less arithmetic.
    """
    rows = x.flatten(0, -3).to(convolution.weight.dtype)
    places = 2 * (len(spectrum) - 1)
    product = torch.fft.rfft(rows, places, 1).transpose(0, 1) @ spectrum
    y = torch.fft.irfft(product.transpose(0, 1), places, 1)  # [rows, places, channels]
    reach = convolution.kernel_size[0] // 2
    y = y.roll(reach, 1)[:, : x.shape[-2]].unflatten(0, x.shape[:-2])
    if convolution.bias is None:
        return y
    return y + convolution.bias


def spectrum_of(convolution: nn.Conv1d, num_keys: int) -> Tensor:
    """The Fourier transforms of the weights, `[frequencies, in, out]`."""
    taps = convolution.kernel_size[0]
    # What comes round from one end must stay beyond the keys of the other. A power of 2 is fastest.
    places = 1 << (max(num_keys + taps // 2, taps) - 1).bit_length()
    return torch.fft.rfft(convolution.weight, places).conj().permute(2, 1, 0).contiguous()
