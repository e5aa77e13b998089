"""The page is made of its own files and of those that other pages share."""

import re

from lnfgen.serving.page_files import INDEX, page_files


def test_all_that_the_page_asks_for_is_there() -> None:
    files = page_files()
    html = files[INDEX].content.decode()
    asked = re.findall(r'(?:src|href)="/page/([^"]+)"', html)
    assert asked
    for name, file in files.items():
        if name.endswith(".js"):
            asked += re.findall(r'from "\./([^"]+)"', file.content.decode())
    assert set(asked) <= set(files)


def test_names_are_no_paths_and_types_are_known() -> None:
    files = page_files()
    assert not [name for name in files if "/" in name or name.endswith(".py")]
    assert files["style.css"].media_type == "text/css; charset=utf-8"
    assert files["sound.js"].media_type == "text/javascript; charset=utf-8"


def test_nothing_is_asked_of_another_server() -> None:
    for name, file in page_files().items():
        text = file.content.decode()
        addresses = re.findall(r"https?://[^\s\"'`<>)]+", text)
        others = [one for one in addresses if not one.startswith("http://www.w3.org/")]
        assert others == [], name
