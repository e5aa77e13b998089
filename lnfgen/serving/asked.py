"""What a client asks to be drawn: JSON that is checked key by key, and the call that draws it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lnfgen.conventions import AMOUNT, MELODY_PARTICLES, TRIES, Progress
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.inference.wishes import Wishes
from lnfgen.music.chart import parse_chart
from lnfgen.music.parts import MELODY
from lnfgen.music.song import Song
from lnfgen.serving.json_fields import AskedWronglyError, Fields, is_number, wrong

if TYPE_CHECKING:  # which loads torch
    from lnfgen.runs.trained import Drawing, TrainedModel

FILL = "fill"
HARMONIZE = "harmonize"
CONTINUE = "continue"
VARY = "vary"
SAMPLE = "sample"
ACTIONS = (FILL, HARMONIZE, CONTINUE, VARY, SAMPLE)

CHORDS = "chords"
# Wishes that are asked for otherwise, or name a file, which no client may.
NOT_BY_NAME = (CHORDS, "like")

MOST_PIECES = 32
MOST_PARTICLES = 1024
MOST_TRIES = 20
MOST_BARS = 1000
_SEEDS = 2**63
_HIGHEST_BAR = 100_000
_MOST_WISHES = 40
_MOST_CHART = 4000  # characters
_MOST_WORDS = 60  # characters of a wish that is no number


@dataclass(frozen=True)
class Asked:
    """A drawing that a client asks for.

    Attributes:
        action: one of `ACTIONS`.
        take: the id of the take to draw from; empty for a new song.
        first_bar, last_bar: which bars are drawn anew, the last one included; 0 is the upbeat, and
            None means all. Only `fill` and `harmonize` have them.
        parts: of `fill`, the roles of the parts that are drawn anew; none means all.
        bars: how many bars a take goes on for, or a new song has; None: that is drawn.
        amount: of `vary`, the share that is drawn anew.
        count: how many takes.
        temperature, seed, particles, tries: as the methods of `lnfgen.TrainedModel` take them.
        want: wishes by name: a number, a pair of numbers of which None leaves an end open, or a
            text.
        chords: a chart, as `parse_chart` reads it; empty for none.
    """

    action: str
    take: str = ""
    first_bar: int | None = None
    last_bar: int | None = None
    parts: tuple[str, ...] = ()
    bars: int | None = None
    amount: float = AMOUNT
    count: int = 1
    temperature: float = 1.0
    seed: int = 0
    particles: int = MELODY_PARTICLES
    tries: int = TRIES
    want: dict[str, Any] = field(default_factory=dict)
    chords: str = ""

    @classmethod
    def of(cls, fields: Fields, roles: Sequence[str]) -> Asked:
        """What the keys of a request ask for, of a model whose band has these roles.

        Raises:
            AskedWronglyError: if a key is unknown, does not go with the action, or has an
            impossible value.
        """
        action = fields.choice("action", ACTIONS)
        own: dict[str, Any] = {}
        if action != SAMPLE:
            own["take"] = fields.text("take")
        if action in (FILL, HARMONIZE):
            own |= _bars_of(fields)
        if action == FILL:
            own["parts"] = fields.choices("parts", roles)
        if action in (CONTINUE, SAMPLE):
            own["bars"] = fields.whole("bars", None, 1, MOST_BARS)
        if action == VARY:
            own["amount"] = fields.number("amount", AMOUNT, 0.0, 1.0)
        seed = fields.whole("seed", None, 0, _SEEDS - 1)
        asked = cls(
            action=action,
            **own,
            count=fields.whole("count", 1, 1, MOST_PIECES) or 1,
            temperature=fields.number("temperature", 1.0, 0.0, 100.0),
            seed=secrets.randbelow(2**31) if seed is None else seed,
            particles=fields.whole("particles", MELODY_PARTICLES, 1, MOST_PARTICLES) or 1,
            tries=fields.whole("tries", TRIES, 1, MOST_TRIES) or 1,
            want=_wishes_in(fields.take("want")),
            chords=_chart_in(fields),
        )
        fields.end()
        return asked

    def singly(self) -> list[Asked]:
        """The drawings that this one is done as.

        New songs are drawn one by one, each from the next seed, so that the first is there soon.
        """
        if self.action != SAMPLE:
            return [self]
        each = []
        for index in range(self.count):
            each.append(replace(self, count=1, seed=(self.seed + index) % _SEEDS))
        return each

    def settings(self) -> dict[str, Any]:
        """What was asked, for the file of a take: what is neither empty nor left to chance."""
        values = asdict(self)
        del values["take"]
        if self.action != VARY:
            del values["amount"]
        return {key: value for key, value in values.items() if value not in (None, "", (), {})}

    def words(self) -> str:
        """What is done, for the name of a take."""
        done = {
            FILL: "",
            HARMONIZE: "harmonised",
            CONTINUE: "gone on",
            VARY: "varied",
            SAMPLE: "new song",
        }
        words = [done[self.action], *self.parts]
        if self.first_bar == self.last_bar and self.first_bar is not None:
            words.append(f"bar {self.first_bar}")
        elif self.first_bar is not None:
            words.append(f"bars {self.first_bar}-{self.last_bar}")
        return " ".join(word for word in words if word) or "drawn again"

    def wishes(self, encoding: MusicEncoding) -> Wishes:
        """The wishes, or an `LnfgenError` if no piece can have what one of them asks for."""
        want = {name: _for_wish(value) for name, value in self.want.items()}
        if self.chords:
            want[CHORDS] = self.chords
        return wishes_for(want, encoding)

    def draw(
        self,
        model: TrainedModel,
        given: Song | None,
        progress: Progress,
        drawn: Callable[[Song], None],
    ) -> None:
        """Draw from a song, or from nothing if the action is `sample`.

        Args:
            drawn: called with each piece as soon as it is there.

        Raises:
            LnfgenError: if the song or a number does not fit the model.
        """
        encoding = model.encoding
        assert isinstance(encoding, MusicEncoding)
        wishes = self.wishes(encoding)

        def finished(piece: Any) -> None:
            drawn(wishes.with_chords(piece))

        if given is None:
            choices = model.draw(
                self.count,
                seed=self.seed,
                want=wishes,
                bars=self.bars,
                temperature=self.temperature,
                tries=self.tries,
                progress=progress,
            )
            for choice in choices:
                finished(choice.piece)
            return
        options: Drawing = {
            "count": self.count,
            "temperature": self.temperature,
            "seed": self.seed,
            "want": wishes,
            "tries": self.tries,
            "particles": self.particles,
            "progress": progress,
            "drawn": finished,
        }
        if self.action == CONTINUE:
            model.extend(given, bars=self.bars, **options)
        elif self.action == VARY:
            model.vary(given, amount=self.amount, **options)
        elif self.action == HARMONIZE and self.first_bar is None:
            model.harmonize(given, **options)
        else:
            model.fill(given, self._free(encoding.roles), **options)

    def _free(self, roles: Sequence[str]) -> list[str]:
        """The words for what is drawn anew, as `lnfgen.music.regions.region` reads them."""
        bars = ""
        if self.first_bar is not None:
            bars = f"bars:{self.first_bar}-{self.last_bar}"
        if self.action == HARMONIZE:
            if not roles:
                return [f"{bars},below-melody"]
            accompaniment = [role for role in roles if role != MELODY]
            return [f"{bars},part:{role}" for role in accompaniment]
        words: list[str] = []
        for role in self.parts:
            words.append(f"{bars},part:{role}" if bars else f"part:{role}")
        if not words:
            words.append(bars or "bars:1-")
        return words


def _bars_of(fields: Fields) -> dict[str, int | None]:
    """The first and the last bar to draw; one alone is both."""
    first = fields.whole("first_bar", None, 0, _HIGHEST_BAR)
    last = fields.whole("last_bar", first, 0, _HIGHEST_BAR)
    if first is None:
        first = last
    if first is not None and last is not None and last < first:
        raise AskedWronglyError(
            f"last_bar: found {last} after the bar {first}; expected none before it"
        )
    return {"first_bar": first, "last_bar": last}


def _chart_in(fields: Fields) -> str:
    """A chart. One that cannot be read is refused here, because elsewhere it may name a file."""
    text = fields.text("chords", "", _MOST_CHART).strip()
    if text:
        try:
            parse_chart(text)
        except ValueError as error:
            raise AskedWronglyError(f"chords: {error}") from None
    return text


def _wishes_in(value: Any) -> dict[str, Any]:
    """Wishes by their names, each a number, a pair of ends or a text."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > _MOST_WISHES:
        raise wrong("want", value, f"an object of at most {_MOST_WISHES} wishes")
    for name, wish in value.items():
        if name in NOT_BY_NAME:
            raise AskedWronglyError(f"want: found {name}; expected wishes of numbers or words")
        is_text = isinstance(wish, str) and len(wish) <= _MOST_WORDS
        if not (is_text or is_number(wish) or _is_range(wish)):
            raise wrong(name, wish, "a number, a pair of numbers, or a text")
    return value


def _is_range(value: Any) -> bool:
    """True of two ends, of which one may be open."""
    if not isinstance(value, list) or len(value) != 2:
        return False
    are_ends = [end is None or is_number(end) for end in value]
    return all(are_ends) and value != [None, None]


def _for_wish(value: Any) -> Any:
    """A wish as `wishes_for` takes it: a pair of ends is a tuple, and an open end is empty."""
    if not isinstance(value, list):
        return value
    return tuple("" if end is None else end for end in value)
