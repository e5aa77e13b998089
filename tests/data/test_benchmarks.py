"""The benchmark sets: all their forms read alike, and a hostile pickle runs nothing."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import all_sequences, sizes

from lnfgen.data import benchmarks
from lnfgen.data.benchmarks import read_benchmark
from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import UnreadableFileError

SETS = {
    ("jsb_chorales.pickle", "jsb_chorales-original.pickle", "JSB_Chorales.mat"): (229, 76, 77, 160),
    ("nottingham.pickle", "Nottingham.mat"): (694, 173, 170, 1793),
    ("piano_midi.pickle", "Piano_midi.mat"): (87, 12, 25, 3857),
}


@pytest.mark.parametrize("names", SETS)
def test_forms_of_a_set_give_the_same_shards(
    names: tuple[str, ...], tmp_path: Path, shared_data
) -> None:
    train, valid, test, longest = SETS[names]
    datasets = [
        prepare([shared_data(f"polyphonic/{name}")], tmp_path / name, Options()) for name in names
    ]
    for dataset in datasets:
        assert sizes(dataset) == [
            train,
            valid,
            test,
        ]
        assert max(map(len, all_sequences(dataset))) == longest
        assert not dataset.encoding.has_onsets
        assert dataset.fingerprint == datasets[0].fingerprint
        for shard in ("train.safetensors", "valid.safetensors", "test.safetensors"):
            assert (dataset.path / shard).read_bytes() == (datasets[0].path / shard).read_bytes()


def test_the_marginal_of_the_chorales_is_the_published_floor(tmp_path: Path, shared_data) -> None:
    pieces = read_benchmark(shared_data("polyphonic/jsb_chorales.pickle"))
    train = np.concatenate([roll.sounding[:, 0] for roll in pieces["train"]])
    test = np.concatenate([roll.sounding[:, 0] for roll in pieces["test"]])
    probability = (train.sum(0) + 0.5) / (len(train) + 1)
    nll = -np.where(test, np.log(probability), np.log1p(-probability)).sum()
    assert nll / len(test) == pytest.approx(11.06, abs=0.005)
    assert nll / (len(test) + len(pieces["test"])) == pytest.approx(10.88, abs=0.005)


def write(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(5))
def test_numpy_numbers(tmp_path: Path, protocol: int) -> None:
    piece = [(np.int64(60), np.uint8(64)), (), (np.int32(108),)]
    big_endian = np.array([21, 60], dtype=">i2")
    value = {"train": [piece], "valid": [], "test": [[tuple(big_endian), (60, 62)]]}
    pieces = read_benchmark(write(tmp_path / "set.pickle", value, protocol))
    assert pieces["train"][0].notes() == [(0, 1, 60), (0, 1, 64), (2, 1, 108)]
    assert pieces["test"][0].notes() == [(0, 1, 21), (0, 2, 60), (1, 1, 62)]


class Hostile:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


@pytest.mark.parametrize("protocol", range(5))
def test_a_pickle_that_names_another_global_runs_nothing(tmp_path: Path, protocol: int) -> None:
    for call, named in (
        (Hostile(os.system, f"touch {tmp_path / 'run'}"), r"system"),
        (Hostile(eval, f"open({str(tmp_path / 'run')!r}, 'w')"), r"eval"),
        (Hostile(np.load, "x"), r"load"),
        (Hostile(getattr, {}, "clear"), r"getattr"),
    ):
        with pytest.raises(UnreadableFileError, match=named) as caught:
            read_benchmark(write(tmp_path / "set.pickle", {"train": [call]}, protocol))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


TRICKS = {
    "object scalar": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'abcdefgh'\ntR."
    ),
    "structured dtype": b"cnumpy\ndtype\n(S'i4,i4'\ntR.",
    "array": pickle.dumps({"train": [np.zeros((2, 2), int)], "valid": [], "test": []}),
    "number longer than its bytes": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\ntRS'abc'\ntR."
    ),
    "ndarray": b"cnumpy\nndarray\n((I9\ntS'i8'\ntR.",
    "a class made from a global": b"\x80\x02cnumpy\ndtype\n)\x81.",
    "a slot of a global changed": b"\x80\x02cnumpy\ndtype\nN}U\x04codeU\x01Os\x86b.",
    "a global changed": b"cnumpy\ndtype\n}S'code'\nS'O'\nsb.",
    "codec": b"c_codecs\nencode\n(S'abc'\nS'rot13'\ntR.",
    "extension": b"\x82\x01.",
    "persistent": b"Pname\n.",
    "cut": b"\x80\x02}q\x00X\x05",
    "no pickle": b"hello, world",
    "empty": b"",
    "list": pickle.dumps([1, 2]),
    "no splits": pickle.dumps({"train": [[(60,)]]}),
    "fractions": pickle.dumps({"train": [[(60.5,)]], "valid": [], "test": []}),
    "truths": pickle.dumps({"train": [[(True,)]], "valid": [], "test": []}),
    "out of range": pickle.dumps({"train": [[(109,)]], "valid": [], "test": []}),
    "huge": pickle.dumps({"train": [[(10**30,)]], "valid": [], "test": []}),
    "frames that are numbers": pickle.dumps({"train": [[60, 61]], "valid": [], "test": []}),
    "an empty piece": pickle.dumps({"train": [[]], "valid": [], "test": []}),
}


@pytest.mark.parametrize("content", TRICKS.values(), ids=TRICKS.keys())
def test_tricks_and_damage_are_one_line(tmp_path: Path, content: bytes) -> None:
    for path in (tmp_path / "set.pickle", tmp_path / "set.mat"):
        path.write_bytes(content)
        with pytest.raises(UnreadableFileError, match=path.name) as caught:
            read_benchmark(path)
        assert "\n" not in str(caught.value)


def test_what_a_file_inflates_to_is_counted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import scipy.io

    piece = [(60,)] * 1000
    with pytest.raises(
        UnreadableFileError, match=r"set\.pickle .* holds 100000000 frames; expected at most"
    ):
        read_benchmark(
            write(tmp_path / "set.pickle", {"train": [piece] * 100_000, "valid": [], "test": []})
        )
    with pytest.raises(UnreadableFileError, match="holds 100000 notes; expected at most 88"):
        read_benchmark(
            write(tmp_path / "set.pickle", {"train": [[(60,) * 100_000]], "valid": [], "test": []})
        )
    path = tmp_path / "set.mat"
    scipy.io.savemat(path, {"traindata": np.zeros((10_000, 88), np.uint8)}, do_compression=True)
    monkeypatch.setattr(benchmarks, "_MAX_INFLATED", 500_000)
    with pytest.raises(UnreadableFileError, match=r"set\.mat .* inflates to over 500000 bytes"):
        benchmarks._parse(path.read_bytes(), path)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "i8"])
@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_in_a_mat_file(tmp_path: Path, dtype: str, compressed: bool) -> None:
    import scipy.io

    rng = np.random.default_rng(0)
    pieces = [rng.integers(0, 2, (steps, 88)) for steps in (1, 7)]
    cells = np.empty((1, 2), dtype=object)
    cells[0, :] = [piece.astype(dtype) for piece in pieces]
    value = {
        "other": "a text",
        "traindata": cells,
        "validdata": cells[:, :1],
        "testdata": cells[:, 1:],
        "x": 3.5,
    }
    scipy.io.savemat(tmp_path / "set.mat", value, do_compression=compressed)
    found = read_benchmark(tmp_path / "set.mat")
    for split, expected in (("train", pieces), ("valid", pieces[:1]), ("test", pieces[1:])):
        for roll, piece in zip(found[split], expected, strict=True):
            assert np.array_equal(roll.sounding[:, 0], piece)


@pytest.mark.parametrize(
    ("place", "byte", "reason"),
    [
        (144, 5, "class 5"),  # a sparse array in place of a cell array
        (240, 0, r"the types \[0\]"),  # numbers of no type
        (209, 8, "flags 8"),  # complex numbers without their second part
        (160, 2, "holds 1 arrays"),  # a cell array with one cell too few
        (128, 13, "something else than arrays"),
        (135, 127, "is cut off"),
        (126, 77, "little-endian"),
        (176, 85, "has no cells traindata"),
    ],
)
def test_damage_of_a_mat_file_is_named(place: int, byte: int, reason: str, tmp_path: Path) -> None:
    import scipy.io

    path = tmp_path / "set.mat"
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = np.zeros((2, 88), np.uint8)
    scipy.io.savemat(
        path, {"traindata": cells, "validdata": cells, "testdata": cells, "other": "a text"}
    )
    assert len(read_benchmark(path)["train"]) == 1
    content = path.read_bytes()
    with pytest.raises(UnreadableFileError, match=reason):
        benchmarks._parse(content[:place] + bytes([byte]) + content[place + 1 :], path)
