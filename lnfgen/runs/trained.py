"""A trained model for Python, which `lnfgen.load` and `lnfgen.train` return."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import (
    AMOUNT,
    MELODY_PARTICLES,
    MUSIC_COUNT,
    NLL_SAMPLES,
    SECONDS,
    Progress,
    no_progress,
)
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import changes_in_words
from lnfgen.device import prepare_machine
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.flows.blockwise import IN_TRAINING, BlockwiseFlow
from lnfgen.formats.read_write import Piece
from lnfgen.inference.best import Choice, choose_best
from lnfgen.inference.filling import added_steps, at_home, fill_pieces, vary_pieces
from lnfgen.inference.known import (
    KnownPart,
    known_intro,
    known_melody,
    known_part,
    known_whole,
    little_room,
)
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.scoring import Score, marginal_nll, score
from lnfgen.inference.wishes import Want, Wishes, wishes_for
from lnfgen.music.comparison import MusicComparison, compare_pieces
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import beyond
from lnfgen.runs.checkpoint import load_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.material import Material, dataset_of, open_music, scored_dataset
from lnfgen.runs.naming import find
from lnfgen.wording import counted


class Drawing(TypedDict, total=False):
    """How pieces are drawn from a piece, in all methods that do so."""

    count: int  # how many pieces; 1 by default
    temperature: float  # below 1 safer, above 1 wilder; 1 by default
    seed: int  # decides the pieces; 0 by default
    want: Want | Wishes | None  # wishes, as `TrainedModel.sample` takes them
    seconds: float  # for all pieces, until wishes hold; then the nearest are taken
    # for each piece; with more, what is drawn fits the known part better, for more time
    particles: int
    progress: Progress  # called with what is being done, how much is done, and of how much


class TrainedModel:
    """The model of a run, ready to sample and to score, with the encoding of the pieces that it
    knows.

    Attributes:
        run: the run folder: its settings, its dataset's manifest, its metrics.
        encoding: how pieces become sequences; `encoding.unit` is the unit of scores.
        model: the torch module, in eval mode.

    Raises:
        RunError: if the folder is not a run, or its model is missing or damaged.
    """

    def __init__(self, run: str | Path, device: str = "auto", passes: int | None = None) -> None:
        self.run = RunFolder(find(run, "run").path)
        self.encoding = self.run.encoding
        settings = self.run.config.model
        self.model = load_model(
            self.run, prepare_machine(device, settings.hidden_size, settings.emission)
        )
        prior = getattr(self.model, "prior", None)
        self._by_blocks = prior if isinstance(prior, BlockwiseFlow) else None
        if passes is None:
            return
        if self._by_blocks is None:
            found = f"{self.run.name} is {settings.name}, which draws in no chosen number of passes"
            by_blocks = " or ".join(
                name for name, keys in NAMED_MODELS.items() if keys["time"] == "blocks"
            )
            raise LnfgenError(
                f"{found}; leave --passes out, or train a model by blocks: {by_blocks}"
            )
        if passes < IN_TRAINING[0]:
            raise LnfgenError(
                f"{passes} passes; expected at least {IN_TRAINING[0]}, the fewest in training"
            )
        self._by_blocks.passes = passes

    @property
    def passes(self) -> int | None:
        """In how many passes a model by blocks draws and scores a piece; None for other models."""
        return None if self._by_blocks is None else self._by_blocks.passes

    def sample(
        self,
        count: int = 1,
        *,
        length: int | None = None,
        bars: int | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        best: int | None = None,
        want: Want | Wishes | None = None,
        seconds: float = SECONDS,
    ) -> list[Piece]:
        """Draw pieces: `PianoRoll` of a music run, `str` of a text run.

            >>> pieces = model.sample(count=2, seed=1)
            >>> lnfgen.write("song.mid", pieces[0])

        Args:
            count: how many pieces. A piece does not depend on it, but for round-off if it is 1.
            length: time steps or characters of each piece; by default it is drawn, as in the
                training data.
            bars: bars of each piece of music, that of an upbeat counted, in place of `length`.
            temperature: below 1 safer, above 1 wilder; at 0 there is no noise, and each key or
                character is the likeliest one given those before.
            seed: the same seed draws the same pieces on the same machine.
            best: return only so many of them, the likeliest without a long copy of the train split,
                best first; fewer if too many hold one, with a warning. `draw` gives the scores too.
            want: figures of the pieces: `{"key": "G", "notes_per_bar": (8, 12)}`, or words as
                `lnfgen sample --want` takes them; `lnfgen list --figures` has all. A warning names
                a wish that does not hold.
            seconds: the time for all pieces, until the wishes hold; then the nearest pieces are
                taken.

        Raises:
            LnfgenError: if the count, seed, length, temperature or `best` is out of range, bars are
                asked for beside a length, or of text, no piece can have what is wanted, or each
                piece holds a long copy.
        """
        drawn = self.draw(
            count,
            best=best,
            seed=seed,
            want=want,
            length=length,
            bars=bars,
            temperature=temperature,
            seconds=seconds,
        )
        return [choice.piece for choice in drawn]

    def draw(
        self,
        count: int = 1,
        *,
        best: int | None = None,
        seed: int = 0,
        want: Want | Wishes | None = None,
        progress: Progress = no_progress,
        **asked: Any,
    ) -> Iterator[Choice]:
        """Draw pieces as `sample` does, and yield each as soon as it is known, with its scores if
        `best` is given.

        `asked` are `length`, `bars`, `temperature` and `seconds`, as `sample` takes them.
        """
        if best is not None and not 1 <= best <= count:
            raise LnfgenError(
                f"the best {best} of {counted(count, 'piece')}; expected 1 to {count}, which is all"
            )
        wishes = wishes_for(want, self.encoding)
        to_choose: list[Piece] = []
        drawing = partial(sample_pieces, count=count, seed=seed, wishes=wishes, progress=progress)
        for index, piece in enumerate(drawing(self.model, self.encoding, **asked)):
            progress("sampling", index + 1, count)
            _warn_of_wishes(wishes, piece, index, count)
            if best is None:
                yield Choice(index, piece)
            else:
                to_choose.append(piece)
        if best is None:
            return
        train: Iterable[Piece] | None = None
        try:
            train = dataset_of(self.run, progress=progress).pieces("train")
        except LnfgenError as error:
            reason = str(error).rpartition(";")[0] or error
            warnings.warn(
                f"copies of the train split were not looked for: {reason}",
                LnfgenWarning,
                stacklevel=2,
            )
        choices = choose_best(
            self.model, self.encoding, to_choose, best, train, seed=seed, progress=progress
        )
        if len(choices) < best:
            found = f"found {counted(len(choices), 'piece')} of the best {best} that were asked for"
            warnings.warn(
                f"{found}; all others hold long copies of the train split",
                LnfgenWarning,
                stacklevel=2,
            )
        yield from choices

    def fill(
        self,
        piece: Piece,
        free: str | Iterable[str] = (),
        *,
        gap: str | None = None,
        **drawing: Unpack[Drawing],
    ) -> list[Piece]:
        """Keep a part of a piece exactly, and draw the rest.

            >>> model.fill(lnfgen.read("song.mid")[0], "bars:5-8", count=3)
            >>> lnfgen.load("folk-abc").fill(text, "10-20")

        A piece is first brought onto the model's grid, and moved by semitones if it is too high or
        too low for the model; the results are moved back. Warnings name the move, the notes or
        characters that the piece loses on the way, and keys of `free` that the model does not have.

        Args:
            free: the part to draw, a word or several. Of music: `bars:5-8`, `part:drums`,
                `voice:2`, `below-melody` and others, see `lnfgen.music.regions.region`. Of a text:
                characters, as `10-20,35`, or its gaps.
            gap: the character that marks a missing one in a text, `_` by default.
            drawing: `count`, `temperature`, `seed`, `particles` and `progress`, as in `Drawing`.

        Raises:
            LnfgenError: if nothing is free or kept, the piece is empty or of the other kind, or a
            number out of range.
        """
        words = [free] if isinstance(free, str) else list(free)
        part = known_part(self.encoding, piece, words, gap)
        return self._filled(part, drawing, words=words if self.encoding.kind == "music" else ())

    def harmonize(
        self, melody: PianoRoll, *, above: bool = False, **drawing: Unpack[Drawing]
    ) -> list[Piece]:
        """Keep the highest line of a piece of music, and draw what sounds below it; otherwise as
        `fill`.

        With `above`, the lowest line is kept, and what sounds above it is drawn. A warning says if
        few keys are free. A model of a band keeps the part melody, or the bass, and draws all other
        parts.
        """
        usual: Drawing = {"particles": MELODY_PARTICLES}
        part = known_melody(self.encoding, melody, above)
        if remark := little_room(part, above):
            warnings.warn(remark, LnfgenWarning, stacklevel=2)
        return self._filled(part, usual | drawing)

    def extend(
        self,
        intro: Piece,
        *,
        length: int | None = None,
        bars: int | None = None,
        voices: int | None = None,
        **drawing: Unpack[Drawing],
    ) -> list[Piece]:
        """Keep a whole piece, and go on for `length` steps or characters, or `bars` bars; otherwise
        as `fill`.

        By default the length is drawn, as pieces of the training data of at least that length go
        on. At most `voices`
        keys sound at once, by default as many as in the last two bars of the intro: they are the
        outer voices of a fuller piece that is drawn. A band goes on in all its parts.
        """
        added = added_steps(self.model, self.encoding, intro, length, bars, drawing.get("seed", 0))
        return self._filled(known_intro(self.encoding, intro, added, voices), drawing)

    def vary(
        self, piece: Piece, *, amount: float = AMOUNT, **drawing: Unpack[Drawing]
    ) -> list[Piece]:
        """Keep a piece but for a share, chosen at random, which is drawn anew; otherwise as `fill`.

            >>> model.vary(lnfgen.read("song.mid")[0], amount=0.1, count=3)

        Args:
            amount: the share of the bars of each voice, or part of a band, or of a text in spans of
                eight characters. 0 gives the piece itself, and 1 a fresh piece of its length.

        Raises:
            LnfgenError: if the piece is empty or of the other kind, or a number is out of range.
        """
        return self._filled(
            known_whole(self.encoding, piece), drawing, partial(vary_pieces, amount=amount)
        )

    def _filled(
        self,
        part: KnownPart,
        drawing: Drawing,
        draw: Callable[..., Iterable[Piece]] = fill_pieces,
        words: Sequence[str] = (),
    ) -> list[Piece]:
        """Bring the part to where the model is at home, and draw pieces from it. `words` name what
        is hidden."""
        part = at_home(self.model, self.encoding, part)
        moved = (
            f"moved {part.shift:+} semitones to where the model is at home, and back"
            if part.shift
            else ""
        )
        changes = changes_in_words(part.changes)
        if changes and isinstance(part.piece, PianoRoll) and part.piece.song is not None:
            changes += "; only the model hears the piece so, the file itself stays as it is"
        for remark in filter(None, (changes, moved, beyond(words, part.keys[0], part.keys[-1]))):
            warnings.warn(remark, LnfgenWarning, stacklevel=3)
        wishes = wishes_for(drawing.get("want"), self.encoding)
        others = {name: value for name, value in drawing.items() if name != "want"}
        pieces = list(draw(self.model, self.encoding, part, wishes=wishes, **others))
        for index, piece in enumerate(pieces):
            _warn_of_wishes(wishes, piece, index, len(pieces))
        return pieces

    def nll(
        self,
        pieces: Piece | Iterable[Piece] | Material,
        *,
        samples: int = NLL_SAMPLES,
        seed: int = 0,
        precision: str = "float32",
        progress: Progress = no_progress,
    ) -> Score:
        """Score pieces, in `encoding.unit`; lower is better. The result has `nll`, `elbo` and its
        parts.

            >>> score = model.nll(lnfgen.read("song.mid"))
            >>> print(score.nll, model.encoding.unit)

        Pieces are first brought onto the model's grid and range of pitches. What they lose there is
        a warning.

        Args:
            pieces: one piece or several, each text one sequence; or a split or a file, as
                `lnfgen.runs.material.material_of` opens it. The score of these also has
                `marginal_nll`.
            samples: samples K of the latent for each piece.
            seed: decides those samples.
            precision: float32 or bfloat16, for the networks alone.
            progress: called with what is being done, how much is done, and of how much.

        Raises:
            LnfgenError: if there are no pieces, one is of the other kind than the model's, or a
            number is out of range.
        """
        if isinstance(pieces, Material):
            material = pieces
        else:
            several = (
                [pieces] if isinstance(pieces, str) or not isinstance(pieces, Iterable) else pieces
            )
            sequences, changes = self.encoding.adapt(several)
            if not sequences:
                raise LnfgenError("nll: found no pieces, expected at least one")
            material = Material("pieces", "all", sequences, changes=changes)
        if remark := changes_in_words(material.changes):
            warnings.warn(remark, LnfgenWarning, stacklevel=2)
        unit = self.encoding.unit
        found = score(
            self.model,
            material.sequences,
            unit,
            num_samples=samples,
            seed=seed,
            precision=precision,
            progress=progress,
        )
        if material.train is None:
            return found
        return replace(
            found,
            marginal_nll=marginal_nll(
                self.model, self.encoding, material.train, material.sequences
            ),
        )

    def compare(
        self,
        dataset: Dataset | str | Path | None = None,
        *,
        split: str = "test",
        count: int = MUSIC_COUNT,
        temperature: float = 1.0,
        seed: int = 0,
        progress: Progress = no_progress,
    ) -> MusicComparison:
        """Compare `count` samples with a split of a dataset, by default that of the run, as
        `lnfgen.compare` does.

        Samples have the lengths that the model draws. Both sides are then cut into windows of equal
        length.

        Raises:
            LnfgenError: if the model makes text.
            RunError: if the dataset of the run is no longer there, or its content has changed.
        """
        if self.encoding.kind != "music":
            raise LnfgenError(f"{self.run.name} makes text; expected a run that makes music")
        reference, train = open_music(scored_dataset(self.run, dataset, progress), split)
        # A model without `in_metre` writes all samples in the usual time signature of the set, and
        # so must be the pieces that they are compared with. Where models take an upbeat for the
        # start of bar 1, this holds for both.
        usual = None if self.model.time_signatures is not None else self.encoding.time_signature
        others = []
        for piece in reference:
            upbeat = piece.upbeat if self.encoding.fills_upbeats else 0
            others.append(
                replace(piece, time_signature=usual or piece.time_signature, upbeat=0).with_upbeat(
                    upbeat
                )
            )
        choices = self.draw(count, temperature=temperature, seed=seed, progress=progress)
        pieces = [choice.piece for choice in choices if isinstance(choice.piece, PianoRoll)]
        return compare_pieces(pieces, others, train, seed=seed, progress=progress)


def _warn_of_wishes(wishes: Wishes, piece: Piece, index: int, count: int) -> None:
    name = f"piece {index + 1}" if count > 1 else "the piece"
    for words, found in wishes.report(piece).items():
        if not found["held"]:
            value = (
                f"{found['value']:.3g}"
                if isinstance(found["value"], float)
                else found["value"] or "none"
            )
            remark = f"{name} does not have {words}, but {value}: it is the nearest that was drawn in time"
            warnings.warn(remark, LnfgenWarning, stacklevel=3)
