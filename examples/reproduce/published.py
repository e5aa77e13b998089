"""Figures that others have published, with what they are divided by and how they were estimated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A system's costs on the test splits.

    They are in nats per time step of music and bits per character of text.

    Attributes:
        output: how the keys of a frame depend on each other, as in `OUTPUTS` of `table.py`; a text
            has one symbol.
        divisor: `T`, or `T + 1` with log p(T).
        costs: as printed, by dataset.
    """

    system: str
    output: str
    divisor: str
    estimate: str
    source: str
    costs: dict[str, str]


def _of(
    jsb: str, nottingham: str = "", piano: str = "", muse: str = "", ptb: str = ""
) -> dict[str, str]:
    """The costs by dataset, without those that are not known."""
    costs = {
        "jsb_chorales": jsb,
        "nottingham": nottingham,
        "piano_midi": piano,
        "musedata": muse,
        "ptb": ptb,
    }
    return {dataset: cost for dataset, cost in costs.items() if cost}


PAPER = "arXiv 1901.10548"
KRISHNAN = "arXiv 1609.09869"

PUBLISHED = [
    Published(
        "LSTM, the paper",
        "bernoulli",
        divisor="T + 1",
        estimate="exact",
        source=PAPER,
        costs=_of("8.17", "3.43", "7.77", "7.23", "1.41"),
    ),
    Published(
        "AF/AF, the paper",
        "bernoulli",
        divisor="T + 1",
        estimate="importance-sampled",
        source=PAPER,
        costs=_of("6.53", "2.39", "8.19", "6.92", "1.42"),
    ),
    Published(
        "AF/SCF, the paper",
        "bernoulli",
        divisor="T + 1",
        estimate="importance-sampled",
        source=PAPER,
        costs=_of("6.64", "2.56", "8.26", "6.94", "1.46"),
    ),
    Published(
        "IAF/SCF, the paper",
        "bernoulli",
        divisor="T + 1",
        estimate="importance-sampled",
        source=PAPER,
        costs=_of("6.59", "2.54", "8.25", "7.06", "1.63"),
    ),
    Published(
        "DMM-Aug",
        "bernoulli",
        divisor="T",
        estimate="importance-sampled",
        source=KRISHNAN,
        costs=_of("6.29", "2.68", "7.59", "6.36"),
    ),
    Published(
        "RNN-NADE",
        "nade",
        divisor="T",
        estimate="exact",
        source="quoted from arXiv 1206.6392",
        costs=_of("5.56", "2.31", "7.05", "5.60"),
    ),
    Published(
        "RNN-NADE, in later papers",
        "nade",
        divisor="T",
        estimate="exact",
        source=f"quoted from {KRISHNAN}",
        costs=_of("5.19"),
    ),
    Published(
        "DMM-Aug-NADE",
        "nade",
        divisor="T",
        estimate="importance-sampled",
        source=KRISHNAN,
        costs=_of("5.118", "2.305", "7.048", "6.049"),
    ),
    Published(
        "SRNN, an outlier",
        "bernoulli",
        divisor="T",
        estimate="ELBO",
        source="arXiv 1605.07571",
        costs=_of("4.74"),
    ),
    Published(
        "NASMC, an outlier",
        "bernoulli",
        divisor="T",
        estimate="sequential Monte Carlo",
        source="arXiv 1506.03338",
        costs=_of("3.99"),
    ),
]
"""The paper's code divides by T + 1 and counts log p(T). No later model comes near the two outliers
on the chorales.

RNN-NADE has two figures on the chorales: one in its own paper, a lower one where later papers
compare with it.
"""
