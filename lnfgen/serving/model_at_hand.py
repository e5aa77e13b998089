"""The model of a run, which is loaded once, while other things are done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.runs.folder import RunFolder

if TYPE_CHECKING:  # which loads torch
    from lnfgen.runs.trained import TrainedModel


class ModelAtHand:
    """Loads the model of a run the first time that it is asked for."""

    def __init__(self, run: RunFolder, device: str = "auto") -> None:
        self.run = run
        self.device = device
        self._model: TrainedModel | None = None
        self._guard = threading.Lock()

    def get(self) -> TrainedModel:
        """The model; who asks while it is being loaded waits.

        Raises:
            LnfgenError: if it is damaged, or the device is not on this machine.
        """
        with self._guard:
            if self._model is None:
                from lnfgen.runs.trained import TrainedModel

                self._model = TrainedModel(self.run.path, self.device)
            return self._model

    def load(self) -> None:
        """Have the model ready, with what its first drawing needs beside it.

        An error is for the first drawing, which meets it again.
        """
        try:
            trained = self.get()
        except LnfgenError:
            return
        encoding = trained.encoding
        if isinstance(encoding, MusicEncoding) and not encoding.parts:
            from lnfgen.inference.pitch_range import range_samples

            range_samples(trained.model, encoding)
