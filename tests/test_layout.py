"""The shape of the house: imports run down the floors, tests mirror the rooms, doors open fast."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lnfgen

PACKAGE = Path(lnfgen.__file__).parent
TESTS = Path(__file__).parent

MOST_ROOMS = 25
MOST_AT_THE_ROOT = 9
MOST_LINES = 450

FLOORS = (
    ("errors", "wording", "conventions"),
    ("files",),
    ("device", "transforms", "music", "pretrained"),
    ("nn", "formats"),
    ("flows", "data"),
    ("config",),
    ("models",),
    ("stepping", "inference"),
    ("runs",),
    ("training",),
    ("api", "plots"),
    ("serving",),
    ("cli",),
)
"""From the ground up. A room imports from rooms on the floors below and from itself, never from its
own floor."""

WINGS = (("transforms", "nn", "flows", "models"), ("music", "formats", "data"))
"""The two wings: neither imports from the other."""

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "music21",
    "mido",
    "matplotlib",
    "safetensors",
    "requests",
    "pychord",
    "starlette",
    "uvicorn",
)


def _modules() -> dict[str, Path]:
    """The files of the package by the names of their modules."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(("lnfgen", *parts))
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


# What imports what.
# -------------------------------------------------------------------------------------------------


def room(module: str) -> str:
    """The first word of a module's name in the package; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def within(module: str, *rooms: str) -> bool:
    return room(module) in rooms


@cache
def imports(module: str, *, top_level: bool = False) -> frozenset[str]:
    """The modules that a module imports, in functions and under TYPE_CHECKING too.

    `from a import b` counts as a and as a.b. With `top_level`, only those that are loaded with the
    module.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if top_level and _runs_later(node):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    return frozenset(found)


def _runs_later(node: ast.AST) -> bool:
    """True of what does not run when its module is loaded."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


@cache
def imported_modules(module: str) -> frozenset[str]:
    """The modules of this package that a module imports."""
    own = imports(module) & MODULES.keys()
    return frozenset(own - {module, "lnfgen"})


def outside(module: str, *, top_level: bool = False) -> set[str]:
    """The libraries that a module imports."""
    libraries = {name.partition(".")[0] for name in imports(module, top_level=top_level)}
    return libraries - {"lnfgen"}


# Rooms, floors and wings.
# -------------------------------------------------------------------------------------------------


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in MODULES} - {"", "__main__"}
    on_floors = [name for floor in FLOORS for name in floor]
    assert sorted(rooms) == sorted(on_floors)
    assert len(rooms) <= MOST_ROOMS


def test_few_modules_stand_at_the_root() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert len(loose) <= MOST_AT_THE_ROOT, sorted(loose)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"lnfgen", "lnfgen.__main__"}))
def test_imports_run_down(module: str) -> None:
    height: dict[str, int] = {}
    for number, floor in enumerate(FLOORS):
        height |= dict.fromkeys(floor, number)
    own = room(module)
    for other in imported_modules(module):
        is_below = height[room(other)] < height[own]
        assert room(other) == own or is_below, f"{module} imports {other}"


@pytest.mark.parametrize(("one", "other"), [WINGS, WINGS[::-1]])
def test_the_wings_do_not_know_each_other(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    for module in MODULES:
        if within(module, *one):
            for name in imported_modules(module):
                assert not within(name, *other), f"{module} imports {name}"


def test_no_modules_import_in_a_circle() -> None:
    graph = {module: imported_modules(module) for module in MODULES}
    TopologicalSorter(graph).prepare()


def test_rooms_load_only_the_libraries_that_are_theirs() -> None:
    for module in MODULES:
        libraries = outside(module)
        at_once = outside(module, top_level=True)
        if within(module, "cli", "api"):  # so that `lnfgen --help` answers at once
            assert not at_once & set(HEAVY), module
        if module != "lnfgen.cli.console":
            assert "rich" not in libraries, module  # console alone knows Rich
        if not within(module, "cli", "__main__"):
            assert "typer" not in libraries, module
        is_of_data = within(module, "data") and module != "lnfgen.data.batches"
        if within(module, "music", "formats", "plots") or is_of_data:
            assert "torch" not in libraries, module
        if within(module, *WINGS[0]):
            assert "pathlib" not in libraries, module  # a model knows no files
        if within(module, "plots"):
            assert "matplotlib" not in at_once, module


def test_pickle_is_read_in_the_benchmark_sets_and_between_a_program_and_its_children_alone() -> (
    None
):
    pickles = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
    users = {module for module in MODULES if outside(module) & pickles}
    assert users <= {"lnfgen.data.benchmarks", "lnfgen.formats.sandbox"}


def test_nothing_imports_the_faster_steps_but_the_place_where_a_model_is_loaded() -> None:
    users: set[str] = set()
    for module in MODULES:
        is_user = any(within(name, "stepping") for name in imported_modules(module))
        if is_user and not within(module, "stepping"):
            users.add(module)
    assert users <= {"lnfgen.runs.checkpoint"}


# Files.
# -------------------------------------------------------------------------------------------------


def test_a_long_file_says_why_it_is_one() -> None:
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        is_short = len(text.splitlines()) <= MOST_LINES
        assert is_short or "one file because" in text, module


def test_each_module_has_a_test_file_of_its_name() -> None:
    """`tests/formats/test_midi.py` tests `lnfgen/formats/midi.py`."""
    missing: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        if path.stem in ("__init__", "__main__"):
            continue
        folder = path.relative_to(PACKAGE).parent
        mirrored = TESTS / folder / f"test_{path.name}"
        if not mirrored.is_file():
            missing.append(str(mirrored.relative_to(TESTS.parent)))
    assert not missing, "\n".join(sorted(missing))


def test_the_folders_of_tests_are_rooms() -> None:
    others = {"contracts", "helpers"}
    for folder in TESTS.iterdir():
        if folder.is_dir() and any(folder.glob("*.py")):
            assert (PACKAGE / folder.name).is_dir() or folder.name in others, folder.name


def test_what_many_commands_share_names_no_option() -> None:
    """A message of these modules reaches people through commands with different options, and
    through Python."""
    for module, path in MODULES.items():
        if not within(module, "files", "formats", "music"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if type(node) is ast.Constant and isinstance(node.value, str):
                assert not re.search(r"--[a-z]", node.value), module


# Doors.
# -------------------------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    for name in lnfgen.__all__:
        assert getattr(lnfgen, name) is not None
    assert set(dir(lnfgen)) >= set(lnfgen.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        lnfgen.nothing  # noqa: B018


PROBE = f"""
import sys
import lnfgen
lnfgen.PianoRoll, dir(lnfgen)
sys.argv = ["lnfgen", "--help"]
from lnfgen.cli import main
try:
    main()
except SystemExit as error:
    assert not error.code, error.code
heavy = [name for name in {HEAVY!r} if name in sys.modules and name != "numpy"]
assert not heavy, heavy
"""

HELP_ALONE = PROBE.replace("lnfgen.PianoRoll, dir(lnfgen)", "").replace(' and name != "numpy"', "")


@pytest.mark.parametrize("probe", [PROBE, HELP_ALONE])
def test_import_and_help_load_nothing_heavy(probe: str) -> None:
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "preprocess" in done.stdout
