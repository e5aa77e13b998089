"""A trained model for Python: what `lnfgen.load` and `lnfgen.train` give."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lnfgen.compute import prepare_machine
from lnfgen.errors import LnfgenError
from lnfgen.evaluation import Score, score
from lnfgen.formats import Piece
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.folder import RunFolder
from lnfgen.sampling import sample_pieces


class TrainedModel:
    """The model of a run, ready to sample and to score, with the encoding of the pieces that it knows.

    Attributes:
        run: the run folder: its settings, its dataset's manifest, its metrics.
        encoding: how pieces become sequences; `encoding.unit` is the unit of scores.
        model: the torch module, in eval mode.

    Raises:
        RunError: if the folder is no run, or its model is missing or damaged.
    """

    def __init__(self, run: str | Path, device: str = "auto") -> None:
        self.run = RunFolder(Path(run))
        self.encoding = self.run.encoding
        self.model = self.run.load_model(prepare_machine(device))

    def sample(
        self, count: int = 1, *, length: int | None = None, temperature: float = 1.0, seed: int = 0
    ) -> list[Piece]:
        """Draw pieces: `PianoRoll` of a music run, `str` of a text run.

            >>> pieces = model.sample(count=2, seed=1)
            >>> lnfgen.write("song.mid", pieces[0])

        With `count` above 1 they are drawn in blocks of 16, and a piece does not depend on how many are drawn. A piece
        drawn alone is the same but for round-off, which can rarely decide a step the other way.

        Args:
            count: how many.
            length: time steps or characters of each; drawn from the lengths of the training data if not given.
            temperature: below 1 safer, above 1 wilder; 0 is the likeliest piece.
            seed: the same seed draws the same pieces on the same machine.
        """
        pieces = sample_pieces(
            self.model, self.encoding, count=count, length=length, temperature=temperature, seed=seed
        )
        return list(pieces)

    def nll(self, pieces: Piece | Iterable[Piece], *, samples: int = 50, seed: int = 0) -> Score:
        """The figures of given pieces, `Score.nll` among them, in `encoding.unit`; lower is better.

            >>> score = model.nll(lnfgen.read("song.mid"))
            >>> print(score.nll, model.encoding.unit)

        A piano-roll on another grid is first laid on the model's, as `PianoRoll.on_grid` does: without loss if all its
        notes start and end on the model's steps, else each time is rounded to the nearest step. The score is that of
        the piece on the model's grid, over its steps there.

        Args:
            pieces: a piece or several.
            samples: samples K of the latent for each piece.
            seed: decides those samples.

        Raises:
            LnfgenError: if there are no pieces, or one is of another kind or range of pitches than the model's.
        """
        given: Sequence[Piece] = (
            [pieces] if isinstance(pieces, str) or not isinstance(pieces, Iterable) else list(pieces)
        )
        if not given:
            raise LnfgenError("nll: found no pieces, expected at least one")
        sequences = [self._encoded(piece) for piece in given]
        return score(self.model, sequences, self.encoding.unit, num_samples=samples, seed=seed)

    def _encoded(self, piece: Piece) -> np.ndarray:
        if self.encoding.kind == "music" and isinstance(piece, PianoRoll):
            piece = piece.on_grid(self.encoding.steps_per_quarter)
        return self.encoding.encode(piece)


def load(run: str | Path, device: str = "auto") -> TrainedModel:
    """Open a run folder.

        >>> model = lnfgen.load("runs/chorales-af-scf-001")
        >>> pieces = model.sample(count=2, seed=1)

    Args:
        run: the folder that `lnfgen train` printed.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        RunError: if the folder is no run, or its model is missing or damaged.
    """
    return TrainedModel(run, device)
