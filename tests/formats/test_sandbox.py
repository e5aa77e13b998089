"""Foreign parsers that crash, hang or fill the memory cost one file a reason; no child stays."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

import lnfgen
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats import sandbox as children
from lnfgen.formats.read_write import write
from lnfgen.formats.sandbox import Children, in_child, in_parallel
from lnfgen.music.pianoroll import PianoRoll

HANGS = "**kern\n*M4/4\n" + "=\n1c\n" * 50_000 + "*-\n"  # music21 takes minutes
TUNE = "X:1\nM:4/4\nL:1/4\nK:G\nCDEF|\n"


def die(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def work(seconds: float) -> float:
    """So many seconds of the processor."""
    children.restart_clock()
    while time.process_time() < seconds:
        pass
    return seconds


def wait(seconds: float) -> float:
    children.restart_clock()
    time.sleep(seconds)
    return seconds


def in_parts(count: int) -> int:
    for _ in range(count):
        work(time.process_time() + 0.4)
    return count


def fill(megabytes: int) -> int:
    return int(np.ones(megabytes * 1_000_000, dtype=np.uint8).sum())


def who(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def fail() -> None:
    raise KeyError("a defect")


@pytest.mark.parametrize("threads", [1, 2])
def test_each_thread_keeps_a_child_and_none_is_left(threads: int) -> None:
    with closing(Children()) as some, ThreadPoolExecutor(threads) as pool:
        pids = set(pool.map(lambda number: some.call(who, number, name="x"), range(6)))
    assert len(pids - {os.getpid()}) == threads
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_crash_is_the_reason_of_its_file_alone() -> None:
    with pytest.raises(
        UnreadableFileError,
        match=r"^a\.mat ends the process that reads it \(signal 11\).*LNFGEN_READ_MB",
    ):
        in_child(die, signal.SIGSEGV, name="a.mat")
    assert in_child(abs, -1, name="b.mat") == 1


def test_time_counts_from_the_last_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "1")
    assert in_child(in_parts, 4, name="book.abc") == 4
    with pytest.raises(
        UnreadableFileError, match=r"^a\.abc takes over 1 seconds; .* LNFGEN_READ_SECONDS$"
    ):
        in_child(work, 1000.0, name="a.abc")


def test_time_is_that_of_the_processor_so_a_busy_machine_reads_the_same_but_nothing_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "0.02")
    # Fifty times as long: the machine may be that busy.
    assert in_child(wait, 1.0, name="a.abc") == 1.0
    with pytest.raises(UnreadableFileError, match=r"takes over 2 seconds by the clock; it is"):
        in_child(wait, 60.0, name="a.abc")


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have no limit on the memory of a process"
)
def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_READ_MB", "300")
    assert in_child(fill, 10, name="a.npz") == 10_000_000
    with pytest.raises(
        UnreadableFileError,
        match=r"^a\.npz takes over 300 MB of memory; .* allow more with LNFGEN_READ_MB",
    ):
        in_child(fill, 400, name="a.npz")


def test_a_defect_shows_where_it_arose() -> None:
    with pytest.raises(RuntimeError, match=r"a defect(?s:.)*in fail|in fail(?s:.)*a defect"):
        in_child(fail, name="a.mid")


@pytest.mark.parametrize("value", ["soon", "0", "-3", "nan", "inf"])
def test_a_limit_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", value)
    with pytest.raises(LnfgenError, match=r"LNFGEN_READ_SECONDS is .*; expected a number above 0"):
        in_child(abs, -1, name="x")


def die_at_20(number: int) -> int:
    if number == 20:
        os._exit(1)
    return number


def test_a_process_that_dies_costs_one_result() -> None:
    assert list(in_parallel(abs, list(range(-40, 0)), "reading")) == list(range(40, 0, -1))
    results = list(in_parallel(die_at_20, range(40), "reading", jobs=2))
    assert "20 ends the process that reads it (exit code 1)" in str(results.pop(20))
    assert results == [number for number in range(40) if number != 20]


def test_a_script_without_a_main_guard_reads_once(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", PianoRoll.from_notes([(0, 4, 60)]))
    (tmp_path / "script.py").write_text("import lnfgen\nprint(len(lnfgen.read('a.npz')))\n")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_many_tracks_with_one_long_note_each_are_read_at_once() -> None:
    """One step of the roll is filled once, however many notes sound there: this took a minute."""
    roll = PianoRoll.from_notes([(start, 900_000, 60) for start in range(10_000)])
    assert roll.sounding[:, 0, 39].all()
    assert (roll.num_steps, roll.struck().sum()) == (909_999, 10_000)


def running(folder: Path) -> int:
    """How many processes have this working folder."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_here = os.readlink(entry / "cwd") == str(folder)
            if is_here and (entry / "cmdline").read_bytes():
                count += 1
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "how", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_ends_all_processes_in_the_middle_of_a_file_that_hangs(
    how: int, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.krn").write_text(HANGS)
    command = [sys.executable, "-m", "lnfgen", "preprocess", "mine", "--as", "music", "--out", "d"]
    # a job in the background of a shell ignores it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        program = subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while running(tmp_path) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(tmp_path) >= 2
    time.sleep(1)
    if how == signal.SIGINT:
        os.killpg(program.pid, how)  # as a terminal does
    else:
        program.send_signal(how)
    _, error = program.communicate(timeout=30)
    assert program.returncode == (130 if how == signal.SIGINT else -how), error
    assert error == ("interrupted\n" if how == signal.SIGINT else "")
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(tmp_path) == 0
    assert not (tmp_path / "d").exists()


def test_a_file_that_hangs_costs_a_folder_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "2")
    (tmp_path / "mine").mkdir()
    for number in (0, 2):
        (tmp_path / "mine" / f"{number}.abc").write_text(TUNE.replace("C", "CDE"[number]))
    (tmp_path / "mine" / "1.krn").write_text(HANGS)
    dataset = lnfgen.preprocess(tmp_path / "mine", tmp_path / "d", kind="music")
    [skip] = dataset.manifest["skipped"]
    assert skip["path"] == "1.krn"
    assert "over 2 seconds" in skip["reason"]
    assert len(dataset.manifest["sources"]) == 2
