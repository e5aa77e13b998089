"""What is said of a folder of music before a training: each folder has one trouble, or none."""

import json
import random
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from command import Call, fails
from toy_music import song

from lnfgen.conventions import no_progress
from lnfgen.data.dataset_options import Options
from lnfgen.data.music_dataset import folder_facts
from lnfgen.data.preprocessing import prepare
from lnfgen.formats.messages import (
    new_track,
    tempo_event,
    time_signature_event,
    voice_events,
)
from lnfgen.formats.midi_file import file_bytes, new_file

COUNT, QUARTERS = 12, 320  # pieces and their length, 32 minutes at 120 bpm in all
TICKS = 480


def tune(number: int) -> list[float]:
    """The starts of notes in quarters: sixteenths, eighths and quarters."""
    lengths = random.Random(number).choices((0.25, 0.5, 0.5, 1.0), k=QUARTERS)
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    return [start for start in starts if start < QUARTERS]


def midi(
    starts: Iterable[float], number: int, channel: int = 0, bpm: float | None = 120, beats: int = 4
) -> bytes:
    ticks = sorted({round(start * TICKS) for start in starts})
    notes = [(tick, tick + 100, 60 + (tick // 60 + number) % 12, 64) for tick in ticks]
    head = []
    if bpm is not None:
        head = [tempo_event(0, bpm), time_signature_event(0, (beats, 4))]
    track = new_track(head + voice_events(notes, channel, 0, None), QUARTERS * TICKS)
    return file_bytes(new_file(0, TICKS, [track]))


def folder(path: Path, make: Callable[[int], bytes], count: int = COUNT) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"{number}.mid").write_bytes(make(number))
    return path


def freely(number: int) -> list[float]:
    """Beats of a person, each as long as the last one but for some hundredths, in quarters of 120
    bpm."""
    chance, beats = random.Random(number), [0.0]
    length = chance.uniform(0.7, 1.4)
    while len(beats) < QUARTERS + 2:
        length *= chance.uniform(0.95, 1.05)
        beats.append(beats[-1] + length)
    return [
        beats[int(start)] + start % 1 * (beats[int(start) + 1] - beats[int(start)])
        for start in tune(number)
    ]


def swung(number: int) -> list[float]:
    return [
        start // 1 + {0.25: 1 / 3, 0.5: 2 / 3, 0.75: 5 / 6}.get(start % 1, 0)
        for start in tune(number)
    ]


def found(path: Path, **options: Any) -> dict[str, Any]:
    return folder_facts(path, Options(**options), no_progress)


@pytest.mark.parametrize(
    ("make", "verdict", "grid"),
    [
        (lambda n: midi(tune(n), n), "suits: lnfgen train {}", {}),
        (
            lambda n: midi((abs(t + random.gauss(0, 0.03)) for t in tune(n)), n),
            "suits: lnfgen train {}",
            {},
        ),
        (
            lambda n: midi(swung(n), n),
            "suits in part: its notes need 12 steps per quarter;"
            " better: lnfgen preprocess {} --steps-per-quarter 12",
            {"finer_grid": 12},
        ),
        (
            lambda n: midi(freely(n), n, bpm=None),
            "does not suit: played freely, .*: lnfgen preprocess {} --steps-per-quarter 12",
            {"played_freely": COUNT, "freely_at_120_bpm": COUNT},
        ),
        (
            lambda n: midi(freely(n), n, bpm=97),
            "does not suit: played freely, .*",
            {"played_freely": COUNT, "freely_at_120_bpm": 0},
        ),
        (
            lambda n: midi((t + 0.1 for t in tune(n)), n),
            "suits in part: many bar lines .*",
            {"pieces_beside_it": COUNT},
        ),
        (
            lambda n: midi(tune(n), n, beats=1),
            "suits in part: many bar lines .*",
            {"bars_of_one_beat": COUNT},
        ),
    ],
    ids=[
        "good",
        "with a click",
        "swung",
        "played freely",
        "freely at 97",
        "beside the grid",
        "bars of one beat",
    ],
)
def test_the_verdict_on_a_folder(
    tmp_path: Path, make: Callable[[int], bytes], verdict: str, grid: dict[str, int]
) -> None:
    random.seed(1)
    path = folder(tmp_path / "songs", make)
    facts = found(path)
    expected = {"finer_grid": 0, "pieces_beside_it": 0, "bars_of_one_beat": 0, "played_freely": 0}
    assert {key: facts["grid"][key] for key in expected | grid} == expected | grid
    assert re.fullmatch(verdict.format(re.escape(str(path))), facts["verdict"]), facts["verdict"]
    assert (facts["files"]["read"], facts["music"]["pieces"]) == (COUNT, COUNT)


def test_advice_that_is_taken_ends(tmp_path: Path) -> None:
    path = folder(tmp_path / "swing", lambda n: midi(swung(n), n))
    assert (
        found(path, steps_per_quarter=12)["verdict"]
        == f"suits: lnfgen preprocess {path} --steps-per-quarter 12"
    )
    drums = folder(tmp_path / "drums", lambda n: midi(tune(n), n, channel=9))
    assert found(drums)["verdict"] == f"suits: lnfgen train {drums}"
    assert found(drums)["tracks"]["parts"] == {
        "drums": f"{COUNT} pieces, tracks by channel 10: {COUNT}"
    }
    bands = folder(tmp_path / "bands", lambda n: song(shift=n), count=3)
    facts = found(bands)
    assert (
        facts["tracks"]["pieces_with_several_tracks"] == "3 of 3; placed in parts 15 of 15 tracks"
    )
    assert (facts["tracks"]["median"], facts["tracks"]["pieces_with_drums"]) == (5, 3)


def test_few_files_texts_and_copies(tmp_path: Path) -> None:
    path = folder(tmp_path / "few songs", lambda n: midi(tune(0), 0), count=3)
    (path / "bad.mid").write_text("Dear diary")
    facts = found(path)
    assert facts["verdict"].startswith("too little: ")
    assert (facts["copies"], facts["files"]["refused"]) == (2, 1)
    assert "bad.mid is no MIDI file" in facts["files"]["reasons"][0]
    beside = folder(tmp_path / "a b", lambda n: midi(tune(n), n))
    (beside / "README.txt").write_text("about them\n")
    assert found(beside)["verdict"] == f"suits: lnfgen preprocess '{beside}' --as music"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("words\n")
    assert (
        found(tmp_path / "texts")["verdict"] == f"suits as text: lnfgen train {tmp_path / 'texts'}"
    )


def test_preprocess_and_info_say_the_same_and_the_dataset_does_not_hold_it(
    here: Call, tmp_path: Path
) -> None:
    folder(tmp_path / "swing", lambda n: midi(swung(n), n))
    asked = json.loads(here("info", "swing", "--json").stdout)
    done = here("preprocess", "swing", "--out", "d", "--json")
    facts = json.loads(done.stdout)
    assert facts["verdict"] == {
        key: value for key, value in asked.items() if key not in ("path", "kind", "copies")
    }
    said = here("preprocess", "swing", "--out", "e").stderr.decode().splitlines()
    assert [line for line in said if line.startswith("verdict: ")] == [
        f"verdict: {asked['verdict']}"
    ]
    manifest = (tmp_path / "d" / "dataset.json").read_text()
    assert "suits" not in manifest
    lines = here("info", "swing").stdout.decode().splitlines()
    groups = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert groups == ["path", "kind", "copies", "files", "tracks", "grid", "music", "verdict"]
    (tmp_path / "empty").mkdir()
    fails(here("info", "empty"), "holds nothing", "expected files of")


def test_the_survey_is_of_the_files_as_they_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnfgen.data import music_dataset

    calls = []
    reader = music_dataset.read
    monkeypatch.setattr(
        music_dataset, "read", lambda path, **options: calls.append(path) or reader(path, **options)
    )
    dataset = prepare([folder(tmp_path / "songs", lambda n: midi(tune(n), n))], tmp_path / "d")
    assert dataset.survey is not None
    assert dataset.survey.read == COUNT
    assert len(calls) == 2 * COUNT  # once before, to see if the songs have parts


def test_the_verdict_on_real_folders(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    for name, step, verdict in (
        ("nottingham-midi", 15, "suits: "),
        ("freedoom-midi", 5, "suits: "),
        ("pop909-midi", 30, "suits in part: many bar lines"),
    ):
        some = tmp_path / name
        some.mkdir()
        for path in sorted(shared_data(name).glob("*.mid"))[::step]:
            (some / path.name).symlink_to(path)
        facts = found(some)
        assert facts["verdict"].startswith(verdict), (name, facts)
        assert facts["grid"]["played_freely"] <= 1
