"""The shape of the house: imports run down the floors, and the doors open fast."""

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
MODULES = {
    ".".join(("lnfgen", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in PACKAGE.rglob("*.py")
}

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
    ("cli",),
)
"""From the ground up. A room imports from rooms on the floors below and from itself, never from its
own floor."""

WINGS = (("transforms", "nn", "flows", "models"), ("music", "formats", "data"))
"""The two wings: neither imports from the other."""

HEAVY = ("torch", "numpy", "scipy", "music21", "mido", "matplotlib", "safetensors", "requests")


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def imports(module: str, *, top_level: bool = False) -> frozenset[str]:
    """The modules that a module imports, in functions and under TYPE_CHECKING too, `from a import
    b` as a and a.b.

    With `top_level`, only those that are loaded with the module.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if top_level and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
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


@cache
def imported_modules(module: str) -> frozenset[str]:
    """The modules of this package that a module imports."""
    return frozenset(
        name for name in imports(module) if name in MODULES and name not in (module, "lnfgen")
    )


def within(module: str, *rooms: str) -> bool:
    return room(module) in rooms


def test_every_room_has_a_floor():
    rooms = {room(module) for module in MODULES} - {"", "__main__"}
    assert rooms == {name for floor in FLOORS for name in floor}


def test_few_modules_stand_at_the_root():
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert len(loose) <= 8, sorted(loose)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"lnfgen", "lnfgen.__main__"}))
def test_imports_run_down(module):
    height = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    for other in imported_modules(module):
        assert room(other) == room(module) or height[room(other)] < height[room(module)], (
            f"{module} imports {other}"
        )


@pytest.mark.parametrize(("one", "other"), [WINGS, WINGS[::-1]])
def test_the_wings_do_not_know_each_other(one, other):
    for module in MODULES:
        if within(module, *one):
            assert not [name for name in imported_modules(module) if within(name, *other)], module


def test_no_modules_import_in_a_circle():
    TopologicalSorter({module: imported_modules(module) for module in MODULES}).prepare()


def outside(module: str, *, top_level: bool = False) -> set[str]:
    """The libraries that a module imports."""
    return {name.partition(".")[0] for name in imports(module, top_level=top_level)} - {"lnfgen"}


def test_rooms_load_only_the_libraries_that_are_theirs():
    for module in MODULES:
        if within(module, "cli", "api"):  # so that `lnfgen --help` answers at once
            assert not outside(module, top_level=True) & set(HEAVY), module
        if module != "lnfgen.cli.console":
            assert "rich" not in outside(module), module  # console alone knows Rich
        if not within(module, "cli", "__main__"):
            assert "typer" not in outside(module), module
        if within(module, "music", "formats") or (
            within(module, "data") and module != "lnfgen.data.batches"
        ):
            assert "torch" not in outside(module), module
        if within(module, *WINGS[0]):
            assert "pathlib" not in outside(module), module  # a model knows no files
        if within(module, "plots"):
            assert "torch" not in outside(module), module
            assert "matplotlib" not in outside(module, top_level=True), module


def test_no_pickle_but_in_the_reader_of_the_benchmark_sets_and_between_a_program_and_its_own_children():
    pickles = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
    users = {module for module in MODULES if outside(module) & pickles}
    assert users <= {"lnfgen.data.benchmarks", "lnfgen.formats.sandbox"}


def test_nothing_imports_the_faster_steps_but_the_place_where_a_model_is_loaded():
    users = {
        module
        for module in MODULES
        if any(within(name, "stepping") for name in imported_modules(module))
    }
    assert {module for module in users if not within(module, "stepping")} <= {
        "lnfgen.runs.checkpoint"
    }


def test_a_file_of_over_450_lines_says_why():
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 450 or "one file because" in text, module


def test_what_many_commands_share_names_no_option():
    """A message of these modules reaches people through commands with different options, and
    through Python."""
    for module in (name for name in MODULES if within(name, "files", "formats", "music")):
        constants = [
            node.value
            for node in ast.walk(ast.parse(MODULES[module].read_text()))
            if type(node) is ast.Constant
        ]
        assert not [
            text for text in constants if isinstance(text, str) and re.search(r"--[a-z]", text)
        ], module


def test_every_public_name_is_there():
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
def test_import_and_help_load_nothing_heavy(probe):
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "preprocess" in done.stdout
