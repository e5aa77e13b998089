"""A trained model for Python: what `lnfgen.load` gives."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lnfgen.compute import prepare_machine
from lnfgen.errors import LnfgenError
from lnfgen.evaluation import Score, score
from lnfgen.formats import Piece
from lnfgen.runs.folder import RunFolder
from lnfgen.sampling import sample_pieces


class TrainedModel:
    """A run's model in eval mode, with the encoding of the pieces that it knows.

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
        """Draw pieces: `PianoRoll` or `str`. Length in steps or characters, from p(T) if not given."""
        pieces = sample_pieces(
            self.model, self.encoding, count=count, length=length, temperature=temperature, seed=seed
        )
        return list(pieces)

    def nll(self, pieces: Piece | Iterable[Piece], *, samples: int = 50, seed: int = 0) -> Score:
        """The figures of given pieces, `Score.nll` among them, in `self.encoding.unit`.

        Raises:
            LnfgenError: if there are no pieces, or one does not fit the encoding.
        """
        given: Sequence[Piece] = (
            [pieces] if isinstance(pieces, str) or not isinstance(pieces, Iterable) else list(pieces)
        )
        if not given:
            raise LnfgenError("nll: found no pieces, expected at least one")
        sequences = [self.encoding.encode(piece) for piece in given]
        return score(self.model, sequences, self.encoding.unit, num_samples=samples, seed=seed)


def load(run: str | Path, device: str = "auto") -> TrainedModel:
    """Open a run folder: `lnfgen.load("runs/chorales-af-scf-001").sample()`."""
    return TrainedModel(run, device)
