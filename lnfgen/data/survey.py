"""What a folder of music is worth to this program: facts of all that its files hold, and a verdict
in one line."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import NEAR, STEPS_PER_QUARTER, Losses, PianoRoll
from lnfgen.music.tonality import find_key
from lnfgen.music.tracks import ALL, DRUMS, said_of
from lnfgen.wording import frequencies

NO_MUSIC = "is text; expected music"  # the end of the reason to refuse a text
_FAR = 0.1  # a piece is on the grid if at most this share of its notes starts far off it
_AGREE = 0.6  # else its grid begins elsewhere if its notes agree so much on where,
_FREE = 0.4  # and it is played freely if they agree less than this on any grid
# a finer grid is advised if more notes are far off the grid, and few of these off that one
_WORTH, _HELD = 0.05, 0.25
# tracks cover one another if this share of their notes does, or if there are so many tracks
_COVERED, _BAND = 0.15, 5
_PIECES, _MINUTES = 10, 30  # with less, a model learns the music by heart
# what may be wrong with bars
_BARS = ("pieces_beside_it", "bars_of_one_beat", "played_freely", "freely_at_120_bpm")


@dataclass
class Survey:
    """What the reader finds in files of music, with these options."""

    steps_per_quarter: int = STEPS_PER_QUARTER
    tracks: str = ALL
    roles: Sequence[str] = ()  # of the parts of a band
    read: int = 0
    refused: list[str] = field(default_factory=list)  # the reasons
    losses: Losses = field(default_factory=Losses)
    in_time: Losses = field(default_factory=Losses)  # those of the pieces whose bars are right
    # how many pieces have bars that are wrong, by `_BARS`
    bars: Counter[str] = field(default_factory=Counter)
    # facts of the pieces
    each: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def take(self, result: list[PianoRoll] | LnfgenError) -> list[PianoRoll] | LnfgenError:
        """The piano-rolls of the next file, or the error that the reader has for it, after it was
        counted."""
        if isinstance(result, LnfgenError):
            self.refused.append(str(result))
            return result
        self.read += 1
        for roll in result:
            self.losses += roll.losses
            self.each["tracks"].append(roll.tracks)
            self.each["minutes"].append(roll.seconds / 60)
            self.each["bars"].append(roll.num_bars)
            sounding = roll.merged.sounding
            self.each["at a time"].append(
                float(sounding.sum() / max(sounding.any(axis=1).sum(), 1))
            )
            self.each["metre"].append("{}/{}".format(*roll.time_signature))
            self.each["key"].append(str(find_key(roll.merged) or "none"))
            self.bars.update(wrong := _bars(roll))
            self.in_time += Losses() if wrong else roll.losses
        return result

    def merged(self) -> str:
        """How many pieces have several tracks, and which of these are merged; empty if none has."""
        several = [tracks for tracks in self.each["tracks"] if len(tracks) > 1]
        return (
            f"{len(several):,} of {len(self.each['tracks']):,}; {said_of(several)}"
            if several
            else ""
        )

    def facts(self, *sources: object) -> dict[str, Any]:
        """All that was found, as plain values in groups, and a verdict, whose commands name the
        `sources`."""
        each, lost, notes = self.each, self.losses, max(self.losses["notes"], 1)
        drums = sum(any(track.instrument == DRUMS for track in tracks) for tracks in each["tracks"])
        far, worth = self.in_time["far_1"], _WORTH * self.in_time["notes"]
        finer = [
            times
            for times in NEAR[1:]
            if self.in_time[f"far_{times}"] <= _HELD * far and far > worth
        ]
        files = {"read": self.read, "refused": len(self.refused), "reasons": self.refused[:3]}
        tracks = {"pieces_with_several_tracks": self.merged(), "pieces_with_drums": drums}
        tracks |= {"median": median(map(len, each["tracks"] or [()]))}
        tracks |= {"parts": self._parts()} if self.roles else {}
        tracks |= {"covered_notes": round((lost["merged"] + lost["overlapping"]) / notes, 4)}
        grid = {
            "steps_per_quarter": self.steps_per_quarter,
            "over_a_quarter_step_off": round(lost["far_1"] / notes, 4),
        }
        grid |= {"finer_grid": finer[0] * self.steps_per_quarter if finer else 0}
        grid |= {kind: self.bars[kind] for kind in _BARS}
        music: dict[str, Any] = {
            "pieces": len(each["bars"]),
            "minutes": round(sum(each["minutes"]), 1),
        }
        music |= {"median_bars": median(each["bars"] or [0]), "notes": lost["notes"]}
        music |= {"notes_at_a_time": round(fmean(each["at a time"] or [0]), 2)}
        music |= {"time_signatures": frequencies(sorted(each["metre"]))}
        music |= {"commonest_keys": frequencies(sorted(each["key"]), 6)}
        verdict = self._verdict(tracks, grid, music, shlex.join(map(str, sources)))
        return {"files": files, "tracks": tracks, "grid": grid, "music": music, "verdict": verdict}

    def _parts(self) -> dict[str, str]:
        """How many pieces have each part, and what their tracks were found by."""
        words = {}
        for role in self.roles:
            own = [
                [track.why for track in tracks if track.role == role]
                for tracks in self.each["tracks"]
            ]
            found = frequencies(sorted(why for each in own for why in each))
            words[role] = (
                f"{sum(map(bool, own)):,} pieces, tracks by {found}" if any(own) else "none"
            )
        return words

    def _verdict(
        self, tracks: dict[str, Any], grid: dict[str, Any], music: dict[str, Any], sources: str
    ) -> str:
        is_band = self.tracks == ALL and not self.roles and tracks["median"] > 1
        is_band &= tracks["covered_notes"] > _COVERED or tracks["median"] >= _BAND
        texts = sum(reason.endswith(NO_MUSIC) for reason in self.refused)

        def run(steps: int = grid["finer_grid"] or self.steps_per_quarter) -> str:
            options = ["--as music"] * bool(texts)
            options += [f"--steps-per-quarter {steps}"] * (steps != STEPS_PER_QUARTER)
            options += ["--parts 4"] * is_band + [f"--tracks {shlex.quote(self.tracks)}"] * (
                self.tracks != ALL
            )
            return " ".join(["lnfgen", "preprocess" if options else "train", sources, *options])

        if not self.read and texts == len(self.refused):
            return f"suits as text: lnfgen train {sources}"
        if not self.read:
            return f"does not suit: {self.refused[0]}"
        if 2 * grid["played_freely"] > music["pieces"]:
            mend = "have a sequencer find the beats and write them as tempos, or train without bars, on a fine grid"
            finer = run(max(self.steps_per_quarter, 3 * STEPS_PER_QUARTER))
            return f"does not suit: played freely, so that bar lines mean nothing; {mend}: {finer}"
        if music["pieces"] < _PIECES or music["minutes"] < _MINUTES:
            need = (
                f"a model learns it by heart; add more, to {_PIECES} pieces and {_MINUTES} minutes"
            )
            return f"too little: {need}, or have one varied: lnfgen vary FILE --out songs.html"
        why = [f"its notes need {grid['finer_grid']} steps per quarter"] * bool(grid["finer_grid"])
        if why := why + ["its tracks cover one another in one piano-roll"] * is_band:
            return f"suits in part: {', and '.join(why)}; better: {run()}"
        if 3 * max(grid[kind] for kind in _BARS) > music["pieces"]:
            mend = "set the first beat and the time signature in a sequencer, or do without bars"
            return f"suits in part: many bar lines are not where the bars of the music are; {mend}: {run()}"
        return f"suits: {run()}"


def _bars(roll: PianoRoll) -> list[str]:
    """What is wrong with the bars of a piece, in words of `_BARS`."""
    share = Counter(
        {name: count / max(roll.losses["notes"], 1) for name, count in roll.losses.items()}
    )
    found = ["bars_of_one_beat"] * (roll.time_signature[0] == 1)
    if share["far_1"] >= 0.5 and share["agree_1"] >= _AGREE:
        return [*found, "pieces_beside_it"]
    if share["far_1"] <= _FAR or max(share[f"agree_{times}"] for times in NEAR) >= _FREE:
        return found
    is_unset = roll.tempo_bpm == 120 and not roll.losses["tempo_changes"]
    return [*found, "played_freely", *["freely_at_120_bpm"] * is_unset]
