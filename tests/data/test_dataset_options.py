"""Options of datasets: values out of range, and those for the other kind of files."""

from pathlib import Path

import pytest
from toy_tunes import folder_of_tunes

from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import DatasetError, LnfgenError


def test_options_for_the_other_kind_are_refused(tmp_path: Path) -> None:
    music = folder_of_tunes(tmp_path / "mine", 3)
    text = tmp_path / "lines.txt"
    text.write_text("a line\n" * 20)
    with pytest.raises(DatasetError, match=r"are music; leave --chunks out .* for text"):
        prepare([music], tmp_path / "d", Options(chunks=True))
    for name, value in {"steps_per_quarter": 8, "parts": "4", "tracks": "melody"}.items():
        option = "--" + name.replace("_", "-")
        with pytest.raises(
            DatasetError, match=rf"are text; leave {option} out .*{name}=.* for music"
        ):
            prepare([text], tmp_path / "d", Options(**{name: value}))  # type: ignore[arg-type]
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("split", [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)]),
        ("max_length", [0]),
        ("steps_per_quarter", [0]),
        ("kind", ["midi"]),
        ("seed", [-1, 2**63]),
    ],
)
def test_options_out_of_range(name: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(LnfgenError, match="expected"):
            Options(**{name: value})  # type: ignore[arg-type]
