"""A trained model for Python, which `lnfgen.load` and `lnfgen.train` return.

It is one file because it is one class, and half of it is what `help` shows of the methods.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import (
    AMOUNT,
    MELODY_PARTICLES,
    MUSIC_COUNT,
    NLL_SAMPLES,
    PARTICLES,
    TRIES,
    Progress,
    no_progress,
)
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import changes_in_words
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.device.preparation import prepare_machine
from lnfgen.errors import GivenPieceWarning, LnfgenError, LnfgenWarning
from lnfgen.flows.blockwise import IN_TRAINING, BlockwiseFlow
from lnfgen.inference.asked_melody import with_melody
from lnfgen.inference.best import DrawnPiece, choose_best
from lnfgen.inference.close_at_home import with_close
from lnfgen.inference.filling import added_steps, fill_pieces, vary_pieces
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import (
    GivenPiece,
    KnownPart,
    known_intro,
    known_melody,
    known_part,
    known_whole,
    little_room,
)
from lnfgen.inference.pitch_range import transposed_to_range
from lnfgen.inference.sampling import require_temperature, sample_pieces
from lnfgen.inference.scoring import Score, marginal_nll, score
from lnfgen.inference.wanted_chords import clash_remarks
from lnfgen.inference.wish_reading import Want, wishes_for
from lnfgen.inference.wishes import Wishes
from lnfgen.music.comparison import MusicComparison, compare_pieces
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.song import Song
from lnfgen.runs.checkpoint import load_model
from lnfgen.runs.evaluation_data import EvaluationData, dataset_of, open_music, scored_dataset
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import find
from lnfgen.wording import counted

Scorable = GivenPiece | Iterable[GivenPiece] | EvaluationData


class Drawing(TypedDict, total=False):
    """How pieces are drawn from a piece, in all methods that do so."""

    count: int  # how many pieces; 1 by default
    temperature: float  # below 1 safer, above 1 wilder; 1 by default
    seed: int  # decides the pieces; 0 by default
    want: Want | Wishes | None  # wishes, as `TrainedModel.sample` takes them; none by default
    # the most to steer a piece to its wishes; then the nearest is taken; `TRIES` by default
    tries: int
    # for each piece; more fit what is drawn to the known part better, and take longer; `PARTICLES`
    # by default, for `harmonize` `MELODY_PARTICLES`
    particles: int
    progress: Progress  # called with what is being done, how much is done, and of how much
    # called before `drawn` for each piece with wishes: False if it is as pieces without wishes are,
    # True if it was steered (`lnfgen.inference.wish_steering`)
    steered: Callable[[bool], None]
    drawn: Callable[[Song | str], None]  # called with each piece as soon as it is there


class TrainedModel:
    """The model of a run, ready to sample and to score, with the encoding of its pieces.

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
        machine = prepare_machine(device, settings.hidden_size, settings.emission)
        self.model = load_model(self.run, machine)
        prior = getattr(self.model, "prior", None)
        self._by_blocks = prior if isinstance(prior, BlockwiseFlow) else None
        if passes is not None:
            self._set_passes(passes)

    def _set_passes(self, passes: int) -> None:
        if self._by_blocks is None:
            name = self.run.config.model.name
            found = f"{self.run.name} is {name}, which draws in no chosen number of passes"
            fitting = [model for model, keys in NAMED_MODELS.items() if keys["time"] == "blocks"]
            raise LnfgenError(
                f"{found}; leave --passes out, or train a model by blocks: {' or '.join(fitting)}"
            )
        fewest = IN_TRAINING[0]
        if passes < fewest:
            raise LnfgenError(
                f"{passes} passes; expected at least {fewest}, the fewest in training"
            )
        self._by_blocks.passes = passes

    @property
    def passes(self) -> int | None:
        """In how many passes a model by blocks draws and scores a piece; None for other models."""
        if self._by_blocks is None:
            return None
        return self._by_blocks.passes

    # Each argument is a choice of its own, as for the command; so it is with `draw`.
    def sample(  # noqa: PLR0913
        self,
        count: int = 1,
        *,
        length: int | None = None,
        bars: int | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        best: int | None = None,
        want: Want | Wishes | None = None,
        tries: int = TRIES,
    ) -> list[PianoRoll | str]:
        """Draw pieces: `PianoRoll` of a music run, `str` of a text run.

            >>> pieces = model.sample(count=2, seed=1)
            >>> lnfgen.write("song.mid", pieces[0])

        A piece that does not end on the tonic of its home is drawn again, up to four times, unless
        the model reads no homes or `want` has an end or chords.

        Args:
            count: how many pieces. A piece does not depend on it, but for round-off if it is 1.
            length: time steps or characters of each piece; by default it is drawn, as in the
                training data.
            bars: bars of each piece of music, that of an upbeat counted, in place of `length`.
            temperature: below 1 safer, above 1 wilder; 1 stands for `model.usual_temperature` of
                the run's settings. At 0 there is no noise, and each key or character is the
                likeliest one given those before.
            seed: the same seed draws the same pieces on the same machine with as many threads.
            best: return only so many of them, the likeliest without a long copy of the train split,
                best first; fewer if too many hold one, with a warning. `draw` gives the scores too.
            want: figures of the pieces: `{"key": "G", "notes_per_bar": (8, 12)}`, or words as
                `lnfgen sample --want` takes them; `lnfgen list --figures` has all. A warning names
                a wish that does not hold.
            tries: the most to steer each piece, once none of some plain ones has what is wanted;
                then the nearest is taken. Each try takes up to twice as long as the one before.

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
            tries=tries,
        )
        return [choice.piece for choice in drawn]

    def draw(  # noqa: PLR0913
        self,
        count: int = 1,
        *,
        best: int | None = None,
        seed: int = 0,
        want: Want | Wishes | None = None,
        length: int | None = None,
        bars: int | None = None,
        temperature: float = 1.0,
        tries: int = TRIES,
        progress: Progress = no_progress,
    ) -> Iterator[DrawnPiece]:
        """Draw pieces as `sample` does, and yield each as soon as it is known.

        If `best` is given, each has its scores.

        `progress` is called with what is being done, how much is done, and of how much.
        """
        if best is not None and not 1 <= best <= count:
            raise LnfgenError(
                f"the best {best} of {counted(count, 'piece')}; expected 1 to {count}, which is all"
            )
        wishes = wishes_for(want, self.encoding)
        are_steered: list[bool] = []
        pieces = sample_pieces(
            self.model,
            self.encoding,
            count=count,
            length=length,
            bars=bars,
            temperature=self._own_temperature(temperature),
            seed=seed,
            wishes=wishes,
            tries=tries,
            progress=progress,
            steered=are_steered.append,
        )
        to_choose: list[PianoRoll | str] = []
        for index, piece in enumerate(pieces):
            progress("sampling", index + 1, count)
            _warn_of_wishes(wishes, piece, index, count, tries)
            if best is not None:
                to_choose.append(piece)
            elif wishes.steers:
                yield DrawnPiece(index, piece, is_steered=are_steered[index])
            else:
                yield DrawnPiece(index, piece)
        if best is None:
            return
        for choice in self._best(to_choose, best, seed, progress):
            if wishes.steers:
                choice = replace(choice, is_steered=are_steered[choice.index])
            yield choice

    def _own_temperature(self, temperature: float) -> float:
        """The temperature of the model, for one of which 1 is usual for the run."""
        require_temperature(temperature)
        return temperature * self.run.config.model.usual_temperature

    def _best(
        self, pieces: Sequence[PianoRoll | str], best: int, seed: int, progress: Progress
    ) -> list[DrawnPiece]:
        """The likeliest pieces without a long copy of the train split, best first."""
        train: Iterable[PianoRoll | str] | None = None
        try:
            train = dataset_of(self.run, progress=progress).pieces("train")
        except LnfgenError as error:
            reason = str(error).rpartition(";")[0] or error
            remark = f"copies of the train split were not looked for: {reason}"
            warnings.warn(remark, LnfgenWarning, stacklevel=3)
        choices = choose_best(
            self.model, self.encoding, pieces, best, train, seed=seed, progress=progress
        )
        if len(choices) < best:
            found = f"found {counted(len(choices), 'piece')} of the best {best} that were asked for"
            remark = f"{found}; all others hold long copies of the train split"
            warnings.warn(remark, LnfgenWarning, stacklevel=3)
        return choices

    def fill(
        self,
        piece: GivenPiece,
        free: str | Iterable[str] = (),
        *,
        gap: str | None = None,
        **drawing: Unpack[Drawing],
    ) -> list[Song | str]:
        """Keep a part of a piece exactly, and draw the rest: `Song` of music, `str` of a text.

            >>> songs = model.fill(lnfgen.read("song.mid")[0], "bars:5-8", count=3)
            >>> lnfgen.load("folk-abc").fill(text, "10-20")

        A song has the file of the piece, if there is one, and knows which cells were drawn; its
        `roll` is the music alone.

        A piece is first brought onto the model's grid, and moved by semitones if it is too high or
        too low for the model; the results are moved back. Warnings name the move, the notes or
        characters that the piece loses on the way, and keys of `free` that the model does not have.

        Args:
            free: the part to draw, a word or several. Of music: `bars:5-8`, `part:drums`,
                `voice:2`, `below-melody` and others, see `lnfgen.music.regions.region`. Of a text:
                characters, as `10-20,35`, or its gaps.
            gap: the character that marks a missing one in a text, `_` by default.
            drawing: `count`, `temperature`, `seed`, `want`, `tries`, `particles`, `progress`,
                `steered` and `drawn`, as in `Drawing`.

        Raises:
            LnfgenError: if nothing is free or kept, the piece is empty or of the other kind, or a
            number out of range.
        """
        words = [free] if isinstance(free, str) else list(free)
        part = known_part(self.encoding, piece, words, gap)
        return self._filled(part, words, own_wishes=[with_melody], **drawing)

    def harmonize(
        self, melody: GivenPiece, *, above: bool = False, **drawing: Unpack[Drawing]
    ) -> list[Song | str]:
        """Keep the highest line of a piece, and draw what sounds below it; otherwise as `fill`.

        With `above`, the lowest line is kept, and what sounds above it is drawn. A warning says if
        few keys are free. Chords that have no name are drawn less often than the model would; see
        `NamedChords`. Below a melody that ends in a triad on its tonic comes the tonic chord; see
        `with_close`. A model of a band keeps the part melody, or the bass, and draws all other
        parts.
        """
        part = known_melody(self.encoding, melody, above)
        remark = little_room(part, above)
        if remark:
            warnings.warn(remark, LnfgenWarning, stacklevel=2)
        drawing.setdefault("particles", MELODY_PARTICLES)
        one_part = not part.encoding.roles
        own_wishes = [with_melody, with_close]
        return self._filled(part, own_wishes=own_wishes, names_chords=one_part, **drawing)

    def extend(
        self,
        intro: GivenPiece,
        *,
        length: int | None = None,
        bars: int | None = None,
        voices: int | None = None,
        **drawing: Unpack[Drawing],
    ) -> list[Song | str]:
        """Keep a whole piece, and go on for `length` steps or characters, or `bars` bars.

        By default the length is drawn, as pieces of the training data of at least that length go
        on. At most `voices` keys sound at once, by default as many as in the last two bars of the
        intro: they are the outer voices of a fuller piece that is drawn. A band goes on in all its
        parts. All else is as in `fill`.
        """
        seed = drawing.get("seed", 0)
        added = added_steps(self.model, self.encoding, intro, length, bars, seed)
        part = known_intro(self.encoding, intro, added, voices)
        return self._filled(part, **drawing)

    def vary(
        self, piece: GivenPiece, *, amount: float = AMOUNT, **drawing: Unpack[Drawing]
    ) -> list[Song | str]:
        """Keep a piece but for a share, chosen at random, which is drawn anew; otherwise as `fill`.

            >>> model.vary(lnfgen.read("song.mid")[0], amount=0.1, count=3)

        Args:
            amount: the share of the bars of each voice, or part of a band, or of a text in spans of
                eight characters. 0 gives the piece itself, and 1 a fresh piece of its length.

        Raises:
            LnfgenError: if the piece is empty or of the other kind, or a number is out of range.
        """
        part = known_whole(self.encoding, piece)
        return self._filled(part, amount=amount, **drawing)

    # The arguments are those of `Drawing`, with what each method adds.
    def _filled(  # noqa: PLR0913
        self,
        part: KnownPart,
        words: Sequence[str] = (),
        *,
        amount: float | None = None,
        own_wishes: Iterable[Callable[[Wishes, KnownPart], Wishes]] = (),
        names_chords: bool = False,
        count: int = 1,
        temperature: float = 1.0,
        seed: int = 0,
        want: Want | Wishes | None = None,
        tries: int = TRIES,
        particles: int = PARTICLES,
        progress: Progress = no_progress,
        steered: Callable[[bool], None] = lambda is_steered: None,
        drawn: Callable[[Song | str], None] = lambda piece: None,
    ) -> list[Song | str]:
        """Move the part into the pitch range of the model, and draw pieces from it.

        Args:
            words: the names of the hidden part, of which some may be beyond the model's keys.
            amount: hide this share of the part, at places that are chosen for each piece.
            own_wishes: each adds a wish that the part asks for by itself, see `with_melody`.
            names_chords: if chords that have a name are likelier, see `NamedChords`.
        """
        part = transposed_to_range(self.model, part)
        wishes = wishes_for(want, self.encoding)
        for with_own_wish in own_wishes:
            wishes = with_own_wish(wishes, part)
        # A home that is wished for takes the place of that of the piece.
        hears_own_home = self.model.homes is not None and not wishes.homes
        for remark in part.remarks(reads_home=hears_own_home):
            warnings.warn(remark, GivenPieceWarning, stacklevel=3)
        remarks = part.remarks_on_drawing(words)
        if wishes.chart and isinstance(part, KnownMusic):
            remarks += clash_remarks(wishes.chart, part)
        for remark in remarks:
            warnings.warn(remark, LnfgenWarning, stacklevel=3)
        own_temperature = self._own_temperature(temperature)
        if amount is None:
            found = fill_pieces(
                self.model,
                part,
                count=count,
                temperature=own_temperature,
                seed=seed,
                particles=particles,
                wishes=wishes,
                tries=tries,
                progress=progress,
                steered=steered,
                names_chords=names_chords,
            )
        else:
            found = vary_pieces(
                self.model,
                part,
                amount=amount,
                count=count,
                temperature=own_temperature,
                seed=seed,
                particles=particles,
                wishes=wishes,
                tries=tries,
                progress=progress,
                steered=steered,
            )
        pieces: list[Song | str] = []
        for index, piece in enumerate(found):
            _warn_of_wishes(wishes, piece, index, count, tries)
            _warn_of_silence(piece, index, count)
            drawn(piece)
            pieces.append(piece)
        return pieces

    def nll(
        self,
        pieces: Scorable,
        *,
        samples: int = NLL_SAMPLES,
        seed: int = 0,
        precision: str = "float32",
        progress: Progress = no_progress,
    ) -> Score:
        """Score pieces, in `encoding.unit`; lower is better.

        The result has `nll`, `elbo` and its parts.

            >>> score = model.nll(lnfgen.read("song.mid"))
            >>> print(score.nll, model.encoding.unit)

        Pieces are first brought onto the model's grid and range of pitches. What they lose there is
        a warning.

        Args:
            pieces: one piece or several, each text one sequence; or a split or a file, as
                `lnfgen.runs.evaluation_data.evaluation_data_of` opens it. The score of these also
                has `marginal_nll`.
            samples: samples K of the latent for each piece.
            seed: decides those samples.
            precision: float32 or bfloat16, for the networks alone.
            progress: called with what is being done, how much is done, and of how much.

        Raises:
            LnfgenError: if there are no pieces, one is of the other kind than the model's, or a
            number is out of range.
        """
        data = self._evaluation_data(pieces)
        remark = changes_in_words(data.changes)
        if remark:
            warnings.warn(remark, LnfgenWarning, stacklevel=2)
        found = score(
            self.model,
            data.sequences,
            self.encoding.unit,
            num_samples=samples,
            seed=seed,
            precision=precision,
            progress=progress,
        )
        if data.train is None:
            return found
        marginal = marginal_nll(self.model, self.encoding, data.train, data.sequences)
        return replace(found, marginal_nll=marginal)

    def _evaluation_data(self, pieces: Scorable) -> EvaluationData:
        """The sequences of these pieces, to be scored."""
        if isinstance(pieces, EvaluationData):
            return pieces
        if isinstance(pieces, str) or not isinstance(pieces, Iterable):
            pieces = [pieces]
        sequences, changes = self.encoding.adapt(pieces)
        if not sequences:
            raise LnfgenError("nll: found no pieces, expected at least one")
        return EvaluationData("pieces", "all", sequences, changes=changes)

    # Each argument is a choice of its own, as for the command.
    def compare(  # noqa: PLR0913
        self,
        dataset: Dataset | str | Path | None = None,
        *,
        split: str = "test",
        count: int = MUSIC_COUNT,
        temperature: float = 1.0,
        seed: int = 0,
        progress: Progress = no_progress,
    ) -> MusicComparison:
        """Compare `count` samples with a split of a dataset, by default that of the run.

        The result is that of `lnfgen.compare`.

        Samples have the lengths that the model draws. Both sides are then cut into windows of equal
        length.

        Raises:
            LnfgenError: if the model makes text.
            RunError: if the dataset of the run is no longer there, or its content has changed.
        """
        encoding = self.encoding
        if not isinstance(encoding, MusicEncoding):
            raise LnfgenError(f"{self.run.name} makes text; expected a run that makes music")
        reference, train = open_music(scored_dataset(self.run, dataset, progress), split)
        others = [self._as_drawn(encoding, piece) for piece in reference.pieces]
        choices = self.draw(count, temperature=temperature, seed=seed, progress=progress)
        pieces = [choice.piece for choice in choices if isinstance(choice.piece, PianoRoll)]
        known = Repertoire(others, reference.songs)
        return compare_pieces(pieces, known, train, seed=seed, progress=progress)

    def _as_drawn(self, encoding: MusicEncoding, piece: PianoRoll) -> PianoRoll:
        """A piece of the data with the bar lines that it would have among the model's samples.

        A model without `reads_time_signature` writes all samples in the usual time signature of the
        set. Where models take an upbeat for the start of bar 1, pieces of the data have none.
        """
        time_signature = piece.time_signature
        if self.model.time_signatures is None:
            time_signature = encoding.time_signature
        upbeat = piece.upbeat if encoding.fills_upbeats else 0
        return replace(piece, time_signature=time_signature, upbeat=0).with_upbeat(upbeat)


def _warn_of_silence(piece: Song | str, index: int, count: int) -> None:
    """Warn if a model drew in a piece, but no note."""
    if isinstance(piece, str) or piece.drawn is None or not piece.drawn.any():
        return
    if piece.num_drawn == 0:
        name = f"piece {index + 1}" if count > 1 else "the piece"
        remark = f"no note was drawn in {name}: the model left silent all that is free"
        warnings.warn(f"{remark}; free more, or try another seed", LnfgenWarning, stacklevel=4)


def _warn_of_wishes(wishes: Wishes, piece: GivenPiece, index: int, count: int, tries: int) -> None:
    name = f"piece {index + 1}" if count > 1 else "the piece"
    for words, found in wishes.report(piece).items():
        if found["held"]:
            continue
        value = _in_words(found["value"])
        drawn = counted(tries, "try", "tries")
        remark = (
            f"{name} does not have {words}, but {value}: it is the nearest of {drawn}; "
            "more may find one"
        )
        warnings.warn(remark, LnfgenWarning, stacklevel=3)


def _in_words(value: Any) -> str:
    """What a piece has in place of what was wished for."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return " and ".join([f"{share:.0%} of the {name}" for name, share in value.items()])
    return str(value)
