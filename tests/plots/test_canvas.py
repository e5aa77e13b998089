"""The titles of pictures, and the files that they become."""

from pathlib import Path

import pytest

from lnfgen.errors import OutputError
from lnfgen.plots.canvas import file_bytes, new_figure, require_picture, set_title


@pytest.mark.parametrize("width", [4, 6, 12])
def test_a_title_is_as_wide_as_its_picture(width):
    figure = new_figure(width, 4)
    set_title(
        figure,
        "run-with-a-name: af-codes on $ptb$\n"
        + "contours: p(z_t | z_<t, T); MMMM of each one, " * 4,
    )
    figure.draw_without_rendering()
    title = figure.get_suptitle()
    assert "run-with-a-name: af-codes on $ptb$\n" in title
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("suffix", "start_of_file"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_equal_pictures_are_equal_bytes(suffix, start_of_file, tmp_path):
    def drawn() -> bytes:
        figure = new_figure(3, 2)
        figure.subplots().plot([1, 2])
        return file_bytes(figure, suffix)

    first = drawn()
    assert first.startswith(start_of_file)
    assert drawn() == first
    assert require_picture(tmp_path / f"B{suffix.upper()}") == suffix


def test_a_picture_of_another_kind_is_refused():
    with pytest.raises(OutputError, match=r"found suffix '\.jpeg', expected one of \.png"):
        require_picture(Path("x.jpeg"))
    with pytest.raises(OutputError, match="found suffix 'none'"):
        require_picture(Path("x"))
