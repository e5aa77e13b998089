"""What a folder of music is worth to this program: facts of all its files, and a verdict."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.music.conversion import NEAR, ConversionReport
from lnfgen.music.pianoroll import STEPS_PER_QUARTER
from lnfgen.music.song import Song
from lnfgen.music.tonality import find_key
from lnfgen.music.tracks import ALL, DRUMS, Track, is_lead_sheet, said_of
from lnfgen.wording import frequencies

NO_MUSIC = "is text; expected music"  # the end of the reason to refuse a text
_FAR = 0.1  # a piece is on the grid if at most this share of its notes starts far off it
_AGREE = 0.6  # else its grid begins elsewhere if its notes agree so much on where,
_FREE = 0.4  # and it is played freely if they agree less than this on any grid
# a finer grid is advised if more notes than this share are far off the grid,
_WORTH = 0.05
_HELD = 0.25  # and at most this share of them is far off that one too
# tracks cover one another if this share of their notes does,
_COVERED = 0.15
_BAND = 5  # or if there are so many tracks
_PIECES = 10  # with fewer pieces, a model learns the music by heart,
_MINUTES = 30  # and with fewer minutes
# what may be wrong with bars
_BARS = ("pieces_beside_it", "bars_of_one_beat", "played_freely", "freely_at_120_bpm")


@dataclass(frozen=True)
class _Piece:
    """What the survey keeps of a piece."""

    tracks: Sequence[Track]
    symbols: int  # of chords
    minutes: float
    bars: int
    notes_at_a_time: float  # the mean over the steps at which something sounds
    time_signature: str
    key: str

    @classmethod
    def of(cls, song: Song) -> "_Piece":
        roll = song.roll
        whole = roll.merged
        num_sounding = whole.sounding.any(axis=(1, 2)).sum()
        return cls(
            tracks=song.origin.tracks,
            symbols=len(song.origin.chords),
            minutes=roll.seconds / 60,
            bars=roll.num_bars,
            notes_at_a_time=float(whole.sounding.sum() / max(num_sounding, 1)),
            time_signature="{}/{}".format(*roll.time_signature),
            key=str(find_key(whole) or "none"),
        )


@dataclass
class Survey:
    """What the reader finds in files of music, with these options."""

    steps_per_quarter: int = STEPS_PER_QUARTER
    tracks: str = ALL
    roles: Sequence[str] = ()  # of the parts of a band
    read: int = 0  # files
    refused: list[str] = field(default_factory=list)  # the reasons
    report: ConversionReport = field(default_factory=ConversionReport)  # the sums over all pieces,
    # and over those whose bars are right
    in_time: ConversionReport = field(default_factory=ConversionReport)
    # how many pieces have bars that are wrong, by `_BARS`
    bars: Counter[str] = field(default_factory=Counter)
    pieces: list[_Piece] = field(default_factory=list)

    def take(self, result: list[Song] | LnfgenError) -> list[Song] | LnfgenError:
        """Count and return what the reader has for the next file: its songs, or an error."""
        if isinstance(result, LnfgenError):
            self.refused.append(str(result))
            return result
        self.read += 1
        for song in result:
            self.report += song.origin.report
            self.pieces.append(_Piece.of(song))
            wrong = _wrong_bars(song)
            self.bars.update(wrong)
            if not wrong:
                self.in_time += song.origin.report
        return result

    def merged(self) -> str:
        """How many pieces have several tracks, and which of these are merged; empty if none has.

        A lead sheet that is played as a band has several.
        """
        several = [piece.tracks for piece in self.pieces if len(piece.tracks) > 1]
        if not several:
            return ""
        return f"{len(several):,} of {len(self.pieces):,}; {said_of(several)}"

    def facts(self, *sources: object) -> dict[str, Any]:
        """All that was found, as plain values in groups, and a verdict.

        The commands in the verdict name the `sources`.
        """
        files = {"read": self.read, "refused": len(self.refused), "reasons": self.refused[:3]}
        tracks = self._facts_of_tracks()
        grid = self._facts_of_grid()
        music = self._facts_of_music()
        verdict = self._verdict(tracks, grid, music, shlex.join(map(str, sources)))
        return {"files": files, "tracks": tracks, "grid": grid, "music": music, "verdict": verdict}

    def _facts_of_tracks(self) -> dict[str, Any]:
        with_drums = 0
        for piece in self.pieces:
            with_drums += any(track.instrument == DRUMS for track in piece.tracks)
        counts = [len(piece.tracks) for piece in self.pieces]
        facts: dict[str, Any] = {
            "pieces_with_several_tracks": self.merged(),
            "pieces_with_drums": with_drums,
            "median": median(counts or [0]),
        }
        if self.roles:
            facts["parts"] = {role: self._found_as(role) for role in self.roles}
        covered = self.report["merged"] + self.report["overlapping"]
        facts["covered_notes"] = round(covered / max(self.report["notes"], 1), 4)
        return facts

    def _found_as(self, role: str) -> str:
        """How many pieces have a part, and what its tracks were found by."""
        num_pieces = 0
        reasons: list[str] = []
        for piece in self.pieces:
            own = [track.why for track in piece.tracks if track.role == role]
            num_pieces += bool(own)
            reasons += own
        if not num_pieces:
            return "none"
        return f"{num_pieces:,} pieces, tracks by {frequencies(sorted(reasons))}"

    def _facts_of_grid(self) -> dict[str, Any]:
        far_off = self.report["far_1"] / max(self.report["notes"], 1)
        facts = {
            "steps_per_quarter": self.steps_per_quarter,
            "over_a_quarter_step_off": round(far_off, 4),
            "finer_grid": self._finer_grid(),
        }
        for kind in _BARS:
            facts[kind] = self.bars[kind]
        return facts

    def _finer_grid(self) -> int:
        """The steps of a quarter of a finer grid that many notes need; 0 if they need none."""
        far = self.in_time["far_1"]
        if far <= _WORTH * self.in_time["notes"]:
            return 0
        for times in NEAR[1:]:
            if self.in_time[f"far_{times}"] <= _HELD * far:
                return times * self.steps_per_quarter
        return 0

    def _facts_of_music(self) -> dict[str, Any]:
        pieces = self.pieces
        at_a_time = [piece.notes_at_a_time for piece in pieces]
        return {
            "pieces": len(pieces),
            "minutes": round(sum(piece.minutes for piece in pieces), 1),
            "median_bars": median([piece.bars for piece in pieces] or [0]),
            "notes": self.report["notes"],
            "notes_at_a_time": round(fmean(at_a_time or [0]), 2),
            "chord_symbols": sum(piece.symbols for piece in pieces),
            "lead_sheets": sum(is_lead_sheet(piece.tracks) for piece in pieces),
            "time_signatures": frequencies(sorted(piece.time_signature for piece in pieces)),
            "commonest_keys": frequencies(sorted(piece.key for piece in pieces), 6),
        }

    def _verdict(
        self, tracks: dict[str, Any], grid: dict[str, Any], music: dict[str, Any], sources: str
    ) -> str:
        """Whether the music suits, what is wrong with it, and the command to go on with."""
        if not self.read:
            return self._verdict_on_no_music(sources)
        is_band = self._is_better_in_parts(tracks)
        if 2 * grid["played_freely"] > music["pieces"]:
            mend = (
                "have a sequencer find the beats and write them as tempos, or train without bars,"
                " on a fine grid"
            )
            fine = max(self.steps_per_quarter, 3 * STEPS_PER_QUARTER)
            command = self._command(sources, fine, is_band)
            return (
                f"does not suit: played freely, so that bar lines mean nothing; {mend}: {command}"
            )
        if music["pieces"] < _PIECES or music["minutes"] < _MINUTES:
            return (
                "too little: a model learns it by heart; add more, to"
                f" {_PIECES} pieces and {_MINUTES} minutes, or have one varied:"
                " lnfgen vary FILE --out songs.html"
            )
        command = self._command(sources, grid["finer_grid"] or self.steps_per_quarter, is_band)
        why: list[str] = []
        if grid["finer_grid"]:
            why.append(f"its notes need {grid['finer_grid']} steps per quarter")
        if is_band:
            why.append("its tracks cover one another in one piano-roll")
        if why:
            return f"suits in part: {', and '.join(why)}; better: {command}"
        if 3 * max(grid[kind] for kind in _BARS) > music["pieces"]:
            what = "many bar lines are not where the bars of the music are"
            mend = "set the first beat and the time signature in a sequencer, or do without bars"
            return f"suits in part: {what}; {mend}: {command}"
        return f"suits: {command}"

    def _verdict_on_no_music(self, sources: str) -> str:
        if self._num_texts() == len(self.refused):
            return f"suits as text: lnfgen train {sources}"
        return f"does not suit: {self.refused[0]}"

    def _num_texts(self) -> int:
        """How many of the refused files are texts."""
        return sum(reason.endswith(NO_MUSIC) for reason in self.refused)

    def _command(self, sources: str, steps_per_quarter: int, is_band: bool) -> str:
        """The command that makes the best of the sources."""
        options: list[str] = []
        if self._num_texts():
            options.append("--as music")
        if steps_per_quarter != STEPS_PER_QUARTER:
            options.append(f"--steps-per-quarter {steps_per_quarter}")
        if is_band:
            options.append("--parts 4")
        if self.tracks != ALL:
            options.append(f"--tracks {shlex.quote(self.tracks)}")
        name = "preprocess" if options else "train"
        return " ".join(["lnfgen", name, sources, *options])

    def _is_better_in_parts(self, tracks: dict[str, Any]) -> bool:
        """True if all tracks were merged into one roll, and cover one another there."""
        if self.tracks != ALL or self.roles or tracks["median"] <= 1:
            return False
        return tracks["covered_notes"] > _COVERED or tracks["median"] >= _BAND


def _wrong_bars(song: Song) -> list[str]:
    """What is wrong with the bars of a piece, in words of `_BARS`."""
    report = song.origin.report

    def share(name: str) -> float:
        return report[name] / max(report["notes"], 1)

    found: list[str] = []
    if song.roll.time_signature[0] == 1:
        found.append("bars_of_one_beat")
    if share("far_1") >= 0.5 and share("agree_1") >= _AGREE:
        found.append("pieces_beside_it")
        return found
    most_agree = max(share(f"agree_{times}") for times in NEAR)
    if share("far_1") <= _FAR or most_agree >= _FREE:
        return found
    found.append("played_freely")
    if song.roll.tempo_bpm == 120 and not report["tempo_changes"]:
        found.append("freely_at_120_bpm")
    return found
