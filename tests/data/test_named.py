"""Named datasets: what music21 carries, and the benchmark sets by way of a mirror."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from toy_dataset import sizes

from lnfgen.data import named
from lnfgen.data.dataset import open_dataset
from lnfgen.data.download import is_fetched
from lnfgen.errors import DatasetError
from lnfgen.runs.evaluation_data import open_source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_unknown_names_are_told_the_close_ones() -> None:
    with pytest.raises(DatasetError, match="did you mean chorales"):
        open_source("choral")
    with pytest.raises(DatasetError, match=", ".join(named.NAMED)):
        open_source("qqq")


def test_benchmark_sets_say_how_to_get_them(cache: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"lnfgen preprocess nottingham --download.*Nottingham\.mat"
    ):
        open_source("nottingham")


def test_a_file_put_there_by_hand_is_found(cache: Path, shared_data) -> None:
    folder = cache / "downloads" / "jsb_chorales"
    folder.mkdir(parents=True)
    (folder / "JSB_Chorales.mat").write_bytes(
        shared_data("polyphonic/JSB_Chorales.mat").read_bytes()
    )
    dataset = open_source("jsb_chorales")
    assert sizes(dataset) == [229, 76, 77]
    (folder / "JSB_Chorales.mat").write_bytes(b"something else")
    assert not named.is_downloaded(named.NAMED["jsb_chorales"])


def test_hashes_and_sizes_are_those_of_the_files(shared_data) -> None:
    for name, place in (
        ("jsb_chorales", "polyphonic/"),
        ("musedata", "polyphonic/"),
        ("nottingham", "polyphonic/"),
        ("piano_midi", "polyphonic/"),
        ("ptb", "ptb/ptb."),
    ):
        for remote, known in named.NAMED[name].files.items():
            assert is_fetched(shared_data(place + Path(remote).name), known)


def test_download_from_a_mirror(
    lnfgen, cache: Path, tmp_path: Path, shared_data, monkeypatch
) -> None:
    mirror = tmp_path / "mirror" / "TCN" / "word_cnn" / "data" / "penn"
    mirror.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (mirror / f"{split}.txt").symlink_to(shared_data(f"ptb/ptb.{split}.txt"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("LNFGEN_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        done = lnfgen("preprocess", "ptb", "--download", "--json")
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train_sequences"] == 41740
    assert open_dataset(tmp_path / "ptb").name == "ptb"


def test_datasets_command(here) -> None:
    listed = json.loads(here("list", "--datasets", "--json").stdout)["datasets"]
    assert [entry["name"] for entry in listed] == list(named.NAMED)
    assert all(entry["citation"] and entry["licence"] and entry["size"] for entry in listed)
