"""Figures that others have published, with what they are divided by and how they were estimated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A system's costs on the test splits.

    They are in nats per time step of music and bits per character of text.

    Attributes:
        output: how the keys of a frame depend on each other, as in `OUTPUTS` of `rows.py`; a text
            has one symbol.
        divisor: `T`, or `T + 1` with log p(T).
        estimate: how the cost was found, and what else tells its protocol from ours.
        costs: as printed, by dataset.
    """

    system: str
    output: str
    divisor: str
    estimate: str
    source: str
    costs: dict[str, str]


@dataclass(frozen=True)
class OnText8:
    """A system's bits per character on the test split of text8.

    Attributes:
        drawn: how many passes a sample takes, or in which order it is drawn.
        bits: as printed, without a spread; where the paper prints the sign of a bound, with it.
        protocol: what the figure is, and of which pieces of the text.
        source: the paper in which the figure was read.
    """

    system: str
    drawn: str
    bits: str
    protocol: str
    source: str


def _of(
    jsb: str = "", nottingham: str = "", piano: str = "", muse: str = "", ptb: str = ""
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
BAI = "arXiv 1803.01271"
HOOGEBOOM = "arXiv 2102.05379"
AUSTIN = "arXiv 2107.03006"
ORDER_AGNOSTIC = "arXiv 2110.02037"
LOU = "arXiv 2310.16834"
SHI = "arXiv 2406.04329"
ZHANG = "arXiv 2507.00425"

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
        "TCN",
        "bernoulli",
        divisor="T",
        estimate="exact, without the first frame of each piece",
        source=BAI,
        costs=_of("8.10", "3.07"),
    ),
    Published(
        "TCN",
        "bernoulli",
        divisor="T",
        estimate="exact, the whole text as one sequence",
        source=BAI,
        costs=_of(ptb="1.31"),
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
compare with it. What TCN scores was read in its code: a piece without its first frame, over T - 1,
and a text as one sequence, without its lines.
"""

OF_256 = "chunks of 256"
BOUND_OF_256 = f"a bound, {OF_256}"
BOUND_OF_250 = "a bound, chunks of 250"
OF_LIMIT = f"a bound for infinitely many passes, {OF_256}"
OF_PIECES = "a bound, pieces of a length that is not named"
UNNAMED = f"bound or estimate: not named, {OF_256}"
THEIR_CODE = f"trained by others with the code of Ziegler & Rush, {OF_256}"

TEXT8 = [
    OnText8("Transformer", "in order", "1.23", f"exact, {OF_256}", AUSTIN),
    OnText8("Transformer", "in order", "1.35", "exact, chunks of 250", ORDER_AGNOSTIC),
    OnText8("TCN", "in order", "1.45", "exact, the whole text as one sequence", BAI),
    OnText8("TarFlowLM, Mix-d", "in order", "≤ 1.30", OF_PIECES, ZHANG),
    OnText8("TarFlowLM, Mix-1", "in order", "≤ 1.37", OF_PIECES, ZHANG),
    OnText8("TarFlowLM, affine", "in order", "≤ 1.54", OF_PIECES, ZHANG),
    OnText8("Argmax flow, autoregressive", "in order", "1.39", UNNAMED, HOOGEBOOM),
    OnText8("AF/AF", "in order", "1.62", THEIR_CODE, HOOGEBOOM),
    OnText8("Argmax flow, coupling", "one pass", "1.82", UNNAMED, HOOGEBOOM),
    OnText8("IAF/SCF", "one pass", "1.88", THEIR_CODE, HOOGEBOOM),
    OnText8("GenMD4", "1,000 passes", "≤ 1.34", OF_LIMIT, SHI),
    OnText8("MD4", "1,000 passes", "≤ 1.37", OF_LIMIT, SHI),
    OnText8("SEDD, absorbing", "passes, not named", "≤ 1.39", OF_PIECES, LOU),
    OnText8("SEDD, uniform", "passes, not named", "≤ 1.47", OF_PIECES, LOU),
    OnText8("OA-ARDM", "250 passes", "1.43", BOUND_OF_250, ORDER_AGNOSTIC),
    OnText8("OA-ARDM, parallel", "20 passes", "1.51", BOUND_OF_250, ORDER_AGNOSTIC),
    OnText8("D3PM, absorbing", "1,000 passes", "≤ 1.45", BOUND_OF_256, AUSTIN),
    OnText8("D3PM, absorbing", "256 passes", "≤ 1.47", BOUND_OF_256, AUSTIN),
    OnText8("D3PM, absorbing", "20 passes", "≤ 1.56", BOUND_OF_256, AUSTIN),
    OnText8("D3PM, uniform", "1,000 passes", "≤ 1.61", BOUND_OF_256, AUSTIN),
    OnText8("Multinomial diffusion", "1,000 passes", "1.72", BOUND_OF_256, HOOGEBOOM),
]
"""Each was read in the paper that it names. One figure of the coupling flow is 1.80 in that paper,
and the others are 1.82; of the autoregressive one some are 1.38."""
