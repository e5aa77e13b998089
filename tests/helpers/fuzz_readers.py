"""Damage valid files in many ways and read them: each is a result or one line, in limited time.

    python tests/helpers/fuzz_readers.py --files 20000 [--seed 0] [--reader mid]

It prints a line for each reader. Files are read as the program reads them, many of them in its
child processes. A file may take 5 seconds and 1,000 MB of memory, unless `$LNFGEN_READ_SECONDS` and
`$LNFGEN_READ_MB` are set. Pytest does not collect this file; `test_fuzz.py` runs a little of it.
"""

from __future__ import annotations

import argparse
import io
import os
import pickle
import random
import re
import signal
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from lnfgen.data.benchmarks import read_benchmark
from lnfgen.data.dataset import open_dataset
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import read, to_bytes, write
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, parse_chord
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

LIMITS = {"LNFGEN_READ_SECONDS": "5", "LNFGEN_READ_MB": "1000"}
EXTREMES = (
    "0",
    "-1",
    "1",
    "3",
    "255",
    "256",
    "65535",
    "99999",
    "99999999",
    str(2**31),
    str(2**63),
    "1e308",
    "0.0001",
)
BINARY = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\1\0\0",
    b"\0\0\0\x40",
)

ABC = """X:1
T:Two endings and ties
M:3/4
L:1/8
Q:1/4=90
K:D
|: "D"F2-F2 A2 "Bm7(b5)/A" | [DF]4 z2 |1 (3ABc d2 e2 :|2 {g}f4 A2 |]
V:2
D,6- | D,6 |]
"""
ABC_MINOR = """X:2
M:C|
L:1/4
K:Gm
%%MIDI program 1
!trill!C D E>F | G4 ||
"""
KRN = """**kern\t**kern
*clefF4\t*clefG2
*k[f#]\t*k[f#]
*M3/4\t*M3/4
*MM100\t*MM100
=1\t=1
4C\t[2e
4G\t.
4G\t4e]
=2:|!\t=2:|!
*^\t*
2.C\t4E\t4c
.\t2F\t8.c
.\t.\t16d
.\t.\t4r
*v\t*v\t*
==\t==
*-\t*-
"""
KRN_CHORDS = """**kern\t**mxhm
*M4/4\t*
=1-\t=1-
4.c\tC major
8d\t.
2e\tB- dominant/D
=:|!\t=:|!
*^\t*
1c\t2e\tA minor
.\t2f\tnone
*v\t*v\t*
==\t==
*-\t*-
"""


CHORDS = (
    ChordChange(Fraction(0), parse_chord("C7b5b9")),
    ChordChange(Fraction(5, 2), parse_chord("Bbm7(addb13)/D")),
    ChordChange(Fraction(4), NO_CHORD),
    ChordChange(Fraction(9), parse_chord("F#sus4")),
)

SLOWEST = 60  # seconds of the processor in which a reader in this process must end


@dataclass
class Report:
    """How many files of a reader had each outcome, and those that break a rule."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def read_all(
    label: str, count: int, damage: Callable[[random.Random], object], read: Callable[[], object]
) -> Report:
    """Damage and read files 0 to `count` - 1.

    A file must be read, or refused in one line. Its reader must neither crash nor go on for ever.

    Args:
        label: names the failures, and with its number gives each file random numbers of its own.
        damage: puts a damaged file in its place.
        read: reads it.
    """
    report = Report()
    before = signal.signal(signal.SIGPROF, _end)
    for number in range(count):
        damage(random.Random(f"{label} {number}"))
        signal.setitimer(signal.ITIMER_PROF, SLOWEST)
        outcome, failure = _outcome(read)
        signal.setitimer(signal.ITIMER_PROF, 0)
        report.outcomes[outcome] += 1
        if failure:
            report.failures.append(f"{label} {number}: {failure}")
    signal.signal(signal.SIGPROF, before)
    return report


def _outcome(read: Callable[[], object]) -> tuple[str, str]:
    """What becomes of a file, and the rule that it breaks, or an empty string."""
    try:
        if read():
            return "read", ""
        return "nothing", "an empty result"
    except LnfgenError as error:
        message = str(error)
        limit = re.search(r"takes over [\d.]+ (seconds|MB)", message)
        outcome = limit[1] if limit else "refused"
        if "\n" in message or not message or "ends the process" in message:
            return outcome, f"a message of several lines, or a crash: {message!r}"
        return outcome, ""
    except Exception:
        return "traceback", traceback.format_exc()


def _end(*_: object) -> None:
    raise TimeoutError(f"the reader works for over {SLOWEST} seconds")


def rolls() -> list[PianoRoll]:
    rng = np.random.default_rng(0)
    notes: list[Note] = []
    for _ in range(40):
        start = int(rng.integers(0, 60))
        length = int(rng.integers(1, 9))
        pitch = int(rng.integers(30, 90))
        notes.append((start, length, pitch))
    return [
        PianoRoll.from_notes(notes, tempo_bpm=97.0, time_signature=(6, 8)),
        PianoRoll.from_notes(notes[:9], steps_per_quarter=2, time_signature=(3, 4)),
    ]


def a_band() -> PianoRoll:
    return PianoRoll.of_parts(rolls()[:2], [Part("drums"), Part("bass", 33, (90, 70))])


def midis() -> list[bytes]:
    """The rolls as lnfgen writes them, and as the tracks of a file of format 1 and of format 2."""
    contents = [to_bytes(Song(roll, Origin(chords=CHORDS)), ".mid") for roll in rolls()]
    tracks = b"".join(content[14:] for content in contents)
    division = contents[0][12:14]
    for kind in (1, 2):
        head = b"MThd\0\0\0\6\0" + bytes([kind]) + b"\0\2" + division
        contents.append(head + tracks)
    return contents


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def scores() -> list[bytes]:
    plain = [to_bytes(roll, ".musicxml") for roll in rolls()]
    repeat = (
        b'<barline location="right"><repeat direction="backward" times="3"/></barline></measure>'
    )
    with_chords = to_bytes(Song(rolls()[0], Origin(chords=CHORDS)), ".musicxml")
    return [*plain, plain[1].replace(b"</measure>", repeat, 1), with_chords]


def compressed_scores() -> list[bytes]:
    container = b'<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
    return [zipped({"META-INF/container.xml": container, "a.xml": score}) for score in scores()]


def pickles() -> list[bytes]:
    """The rolls as benchmark sets have them: the pitches of each step, of numpy or plain."""
    of_numpy: list[list[tuple[int, ...]]] = []
    plain: list[list[tuple[int, ...]]] = []
    for roll in rolls():
        frames = [tuple(np.flatnonzero(step) + 21) for step in roll.sounding[:, 0]]
        of_numpy.append(frames)
        plain.append([tuple(map(int, frame)) for frame in frames])
    contents: list[bytes] = []
    for pieces in (of_numpy, plain):
        value = {"train": pieces, "valid": pieces[:1], "test": []}
        contents.extend(pickle.dumps(value, protocol) for protocol in (0, 2, 4))
    return contents


def mats() -> list[bytes]:
    import scipy.io

    contents = []
    for compressed in (False, True):
        cells = np.empty((1, 2), dtype=object)
        cells[0, :] = [roll.sounding[:, 0].astype(float) for roll in rolls()]
        buffer = io.BytesIO()
        value = {"traindata": cells, "validdata": cells[:, :1], "testdata": cells[:, 1:]}
        scipy.io.savemat(buffer, value, do_compression=compressed)
        contents.append(buffer.getvalue())
    return contents


@dataclass(frozen=True)
class Reader:
    """How valid files are made, and how one is read.

    `archive`: some damage goes inside the archive.
    """

    suffix: str
    valid: Callable[[], list[bytes]]
    read: Callable[[Path], object] = read
    archive: bool = False


def written(suffix: str) -> list[bytes]:
    return [to_bytes(roll, suffix) for roll in [*rolls(), a_band()]]


READERS = {
    "mid": Reader(".mid", midis),
    "txt": Reader(".txt", lambda: written(".txt")),
    "npz": Reader(".npz", lambda: written(".npz"), archive=True),
    "pickle": Reader(".pickle", pickles, read_benchmark),
    "mat": Reader(".mat", mats, read_benchmark),
    "musicxml": Reader(".musicxml", scores),
    "mxl": Reader(".mxl", compressed_scores, archive=True),
    "abc": Reader(".abc", lambda: [ABC.encode(), ABC_MINOR.encode()]),
    "krn": Reader(".krn", lambda: [KRN.encode(), KRN_CHORDS.encode()]),
}


KINDS = ("flip", "byte", "binary", "number", "number", "number", "repeat", "splice", "cut")


def damaged(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """The content after one to four changes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice((1, 2, 8, 64, len(content))))
        kind = rng.choice(KINDS)
        if kind == "number":
            content = with_another_number(content, rng)
        elif kind == "binary":
            extreme = rng.choice(BINARY)[: rng.choice((1, 2, 4))]
            content = content[:start] + extreme + content[start + len(extreme) :]
        elif kind == "cut":
            content = content[:start] if rng.random() < 0.5 else content[start:]
        else:
            part = damaged_part(kind, content[start:end], others, rng)
            content = content[:start] + part + content[end:]
    return content


def with_another_number(content: bytes, rng: random.Random) -> bytes:
    """The content with one of its decimal numbers replaced."""
    numbers = list(re.finditer(rb"\d+", content))
    if not numbers:
        return content
    match = rng.choice(numbers)
    extreme = rng.choice(EXTREMES).encode()
    return content[: match.start()] + extreme + content[match.end() :]


def damaged_part(kind: str, part: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """What stands in place of a part of the content."""
    if kind == "splice":
        other = rng.choice(others)
        place = rng.randrange(len(other))
        size = rng.choice((4, 64, len(other)))
        return other[place : place + size]
    if kind == "repeat":
        # The limit of time is for each tune of an ABC book, so a thousand copies of a tune may take
        # long. A parser needs seconds for a thousand copies of a note; one such file in hundreds
        # leaves time for many others.
        many = 2
        if len(part) < 100 and b"X:" not in part:
            many = rng.choice((10,) * 19 + (1000,))
        return part * rng.choice((0, 2, 3, many))
    if not part:
        return part
    first = rng.randrange(256) if kind == "byte" else part[0] ^ (1 << rng.randrange(8))
    return bytes([first]) + part[1:]


def mutant(reader: Reader, valid: list[bytes], rng: random.Random) -> bytes:
    content = rng.choice(valid)
    if not reader.archive or rng.random() < 0.4:
        return damaged(content, valid, rng)
    members = unzipped(content)
    name = rng.choice(sorted(members))
    members[name] = damaged(members[name], list(members.values()), rng)
    return zipped(members)


def fuzz(name: str, count: int, seed: int) -> Report:
    """Read `count` damaged files of one of `READERS`, or as many damaged dataset folders."""
    if name == "dataset":
        return fuzz_dataset(count, seed)
    reader = READERS[name]
    valid = reader.valid()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{reader.suffix}"
        return read_all(
            f"{name} {seed}",
            count,
            lambda rng: path.write_bytes(mutant(reader, valid, rng)),
            lambda: reader.read(path),
        )


def fuzz_dataset(count: int, seed: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tunes"
        source.mkdir()
        for number in range(4):
            write(source / f"{number}.mid", rolls()[number % 2])
        dataset = Path(folder) / "dataset"
        prepare([source], dataset)
        whole = {path: path.read_bytes() for path in sorted(dataset.iterdir())}

        def damage(rng: random.Random) -> None:
            chosen = rng.choice(list(whole))
            for path, content in whole.items():
                path.write_bytes(content)
            chosen.write_bytes(damaged(whole[chosen], list(whole.values()), rng))

        def read_it() -> object:
            return open_dataset(dataset).split("train")[0].any()

        return read_all(f"dataset {seed}", count, damage, read_it)


def main() -> int:
    import resource

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000, help="damaged files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reader", choices=[*READERS, "dataset"], action="append", help="all by default"
    )
    options = parser.parse_args()
    os.environ |= LIMITS | os.environ
    failures = 0
    for name in options.reader or [*READERS, "dataset"]:
        report = fuzz(name, options.files, options.seed)
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        unit = 1 if sys.platform == "darwin" else 1024
        peak = max(own, of_children) * unit / 1e6
        if peak > float(os.environ["LNFGEN_READ_MB"]):
            report.failures.append(f"{name}: {peak:.0f} MB of memory")
        print(
            f"{name}: {dict(report.outcomes)}; peak {peak:.0f} MB",
            *report.failures[:5],
            sep="\n  ",
            flush=True,
        )
        failures += len(report.failures)
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main())
