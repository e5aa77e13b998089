"""The simplest model, which any other must beat: each symbol or key by itself, as often as in the training split."""

from collections.abc import Iterable

import numpy as np

from lnfgen.conventions import ONSET_SHIFT, SOUNDING
from lnfgen.data.encoding import Encoding

ADDED_COUNT = 0.5
"""Added to every count (Krichevsky & Trofimov, 1981). What train never shows is then unlikely, but not impossible."""


class Marginal:
    """Independent symbols. For music: independent keys, each silent or sounding, and struck or held if it sounds.

    marginal = Marginal(dataset.encoding, dataset.split("train"))
    nats = -sum(marginal.log_prob(x) for x in dataset.split("test"))
    """

    def __init__(self, encoding: Encoding, train: Iterable[np.ndarray]) -> None:
        """Count in the training sequences: `[T]` of symbols, or `[T, P]` of keys, as the encoding makes them."""
        self.music = encoding.kind == "music"
        self.has_onsets = self.music and encoding.has_onsets
        if self.music:
            frames, sounding, onset = 0, np.zeros(encoding.num_pitches), np.zeros(encoding.num_pitches)
            for x in train:
                frames += len(x)
                sounding += (x & SOUNDING).sum(0)
                onset += (x >> ONSET_SHIFT).sum(0)
            self.sounding = (sounding + ADDED_COUNT) / (frames + 2 * ADDED_COUNT)
            self.onset = (onset + ADDED_COUNT) / (sounding + 2 * ADDED_COUNT)
        else:
            counts = np.full(encoding.num_symbols, ADDED_COUNT)
            for x in train:
                counts += np.bincount(x, minlength=encoding.num_symbols)
            self.log_probs = np.log(counts / counts.sum())

    def log_prob(self, x: np.ndarray, counted: np.ndarray | None = None) -> float:
        """log p(x | T) in nats, the sum over all steps, or over the choices where `counted` is True.

        Choices are symbols, `[T]`, or bits: whether each key sounds, and then, with onsets, whether each is struck if
        it sounds, `[T, P]` or `[T, 2 P]`.
        """
        if not self.music:
            return float(self.log_probs[x if counted is None else x[counted]].sum())
        sounding = (x & SOUNDING) != 0
        terms = _log_bernoulli(sounding, self.sounding)
        if self.has_onsets:
            terms = np.concatenate([terms, sounding * _log_bernoulli(x >> ONSET_SHIFT != 0, self.onset)], 1)
        return float((terms if counted is None else terms[counted]).sum())


def _log_bernoulli(bits: np.ndarray, probability: np.ndarray) -> np.ndarray:
    return np.where(bits, np.log(probability), np.log1p(-probability))
