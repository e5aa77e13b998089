"""Convolutions over the keys of frames, directly and by Fourier transforms."""

import torch
from torch import Tensor, nn


def over_keys(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., P, channels]` -> the same."""
    return convolution(x.flatten(0, -3).transpose(1, 2)).transpose(1, 2).unflatten(0, x.shape[:-2])


def over_keys_by(spectrum: Tensor, convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """The same by the convolution's spectrum, a product of Fourier transforms: over many keys it is
    less arithmetic."""
    rows, num_keys = x.flatten(0, -3).to(convolution.weight.dtype), x.shape[-2]
    places, reach = 2 * (len(spectrum) - 1), convolution.kernel_size[0] // 2
    product = torch.fft.rfft(rows, places, 1).transpose(0, 1) @ spectrum
    y = (
        torch.fft.irfft(product.transpose(0, 1), places, 1)
        .roll(reach, 1)[:, :num_keys]
        .unflatten(0, x.shape[:-2])
    )
    return y if convolution.bias is None else y + convolution.bias


def spectrum_of(convolution: nn.Conv1d, num_keys: int) -> Tensor:
    """The Fourier transforms of the weights, `[frequencies, in, out]`."""
    taps = convolution.kernel_size[0]
    # What comes round from one end must stay beyond the keys of the other. A power of 2 is fastest.
    places = 1 << (max(num_keys + taps // 2, taps) - 1).bit_length()
    return torch.fft.rfft(convolution.weight, places).conj().permute(2, 1, 0).contiguous()
