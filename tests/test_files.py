"""Files and folders are written whole, and nothing is left over."""

import errno
import fcntl
import os
import sys
import time

import pytest

from lnfgen.errors import OutputError
from lnfgen.files import (
    STALE_SECONDS,
    UNLOCKED_SECONDS,
    new_folder,
    require_parent,
    require_writable,
    try_lock,
    write_text,
)


def test_what_a_killed_process_left_of_a_folder_is_swept(tmp_path):
    left = tmp_path / ".run.abcd_123.tmp"
    held = tmp_path / ".run.abcdefgh.tmp"
    new = tmp_path / ".run.01234567.tmp"
    other = tmp_path / ".runs.abcdefgh.tmp"
    for folder in (left, held, new, other):
        folder.mkdir()
        (folder / "file").write_text("x")
        if folder != new:
            os.utime(folder, (0, time.time() - UNLOCKED_SECONDS - 10))
    with try_lock(held), new_folder(tmp_path / "run"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"run", held.name, new.name, other.name}


def test_a_folder_that_another_process_fills_meanwhile_is_one_line(tmp_path):
    path = tmp_path / "run"
    said = r"^another process has filled .*/run meanwhile; expected a new or empty folder; .*"
    with (
        pytest.raises(OutputError, match=f"{said}$"),
        new_folder(path),
        new_folder(path) as other,
    ):
        (other / "theirs").touch()
    assert [item.name for item in path.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [path]


def test_without_locks_only_an_old_folder_is_swept(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    old = tmp_path / ".run.abcd_123.tmp"
    young = tmp_path / ".run.abcdefgh.tmp"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, time.time() - STALE_SECONDS - 10))
    with new_folder(tmp_path / "run"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"run", young.name}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file has a name")
def test_a_kill_while_a_folder_is_tried_leaves_nothing(tmp_path, monkeypatch):
    for delete in ("rmdir", "unlink"):
        monkeypatch.setattr(os, delete, lambda *_, **__: None)  # a killed process deletes nothing
    require_writable(tmp_path, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_file_that_is_replaced_passes_on_its_mode(mode, tmp_path):
    path = tmp_path / "a.txt"
    path.touch()
    path.chmod(mode)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == mode


def test_new_files_and_folders_have_the_modes_that_the_umask_leaves(tmp_path, monkeypatch):
    usual = os.umask(0o027)
    try:
        # Nothing sets it for a moment, in which a file of another thread would be open to all.
        monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask is set"))
        write_text(tmp_path / "a.txt", "new")
        with new_folder(tmp_path / "run"):
            pass
    finally:
        monkeypatch.undo()
        os.umask(usual)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.txt", "run")]
    assert modes == [0o640, 0o750]


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems count the length of a name in another way"
)
@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "𝄞" * 63])
def test_the_longest_names_are_written_and_swept(name, tmp_path):
    write_text(tmp_path / name, "x")
    (tmp_path / name).unlink()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a killed process deletes nothing
        patch.setattr("os.replace", lambda *_: None)
        with new_folder(tmp_path / name):
            pass
    [left] = tmp_path.iterdir()
    assert left.name != name
    os.utime(left, (0, time.time() - UNLOCKED_SECONDS - 10))
    with new_folder(tmp_path / name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_loop_of_links_a_long_name_and_a_folder_are_one_line_each(tmp_path):
    loop = tmp_path / "loop.mid"
    loop.symlink_to("loop.mid")
    folder = tmp_path / "folder.mid"
    folder.mkdir()
    long = tmp_path / ("x" * 300 + ".mid")
    for path in (loop, long, folder):
        with pytest.raises(OutputError, match=r"^cannot write ") as error:
            require_parent(path)
        assert "\n" not in str(error.value)
    for path in (loop, long):
        with pytest.raises(OutputError, match=r"^cannot write "):
            write_text(path, "x")
        with pytest.raises(OutputError, match=r"^cannot write "), new_folder(path):
            pass
    with pytest.raises(OutputError, match="Too many levels of symbolic links"):
        require_parent(loop / "a.mid")
    assert {path.name for path in tmp_path.iterdir()} == {"loop.mid", "folder.mid"}
