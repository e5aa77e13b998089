"""Imports run down only (the shape of the house), and the doors open fast."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lnfgen

PACKAGE = Path(lnfgen.__file__).parent
MODULES = {
    ".".join(("lnfgen", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
HEAVY = ("torch", "numpy", "scipy", "music21", "mido", "matplotlib", "safetensors", "pooch", "requests")
COMMAND_FLOOR = ("lnfgen.bench", "lnfgen.plots")  # what commands measure and draw; nothing but commands needs it
MODEL_WING = ("lnfgen.transforms", "lnfgen.nn", "lnfgen.flows", "lnfgen.models")
UPSTAIRS = (
    *("lnfgen.evaluation", "lnfgen.sampling", "lnfgen.filling", "lnfgen.variation", "lnfgen.choosing"),
    *("lnfgen.filling_scores",),
    *("lnfgen.runs", "lnfgen.training"),
)
"""Where the data wing and the model wing meet, from the lowest to the highest."""


@cache
def imports(module: str, *, top_level: bool = False) -> set[str]:
    """The modules that a module names in its imports, `from a import b` as both a and a.b.

    `if TYPE_CHECKING` blocks are left out: nothing is loaded there.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
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
    return found


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def refuse(importer: str, forbidden: tuple[str, ...], *, top_level: bool = False) -> None:
    bad = sorted(name for name in imports(importer, top_level=top_level) if within(name, forbidden))
    assert not bad, f"{importer} imports {', '.join(bad)}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_down(module):
    if within(module, ("lnfgen.cli",)) or module == "lnfgen.__main__":
        if not within(module, ("lnfgen.cli.console",)):
            refuse(module, ("rich",))  # console.py alone knows Rich
        refuse(module, HEAVY, top_level=True)
        return
    refuse(module, ("typer", "rich", "lnfgen.cli", "lnfgen.verbs"))
    if not within(module, COMMAND_FLOOR):
        refuse(module, COMMAND_FLOOR)
    if within(module, MODEL_WING):
        refuse(
            module,
            (
                "lnfgen.data",
                "lnfgen.music",
                "lnfgen.formats",
                "lnfgen.text",
                "lnfgen.files",
                "lnfgen.compute",
                "pathlib",
            ),
        )
        refuse(module, UPSTAIRS)
    if within(
        module,
        (
            "lnfgen.conventions",
            "lnfgen.music",
            "lnfgen.text",
            "lnfgen.formats",
            "lnfgen.given",
            "lnfgen.data",
            "lnfgen.errors",
            "lnfgen.files",
            "lnfgen.children",
            "lnfgen.classifier",
            "lnfgen.comparison",
        ),
    ):
        refuse(module, (*MODEL_WING, *UPSTAIRS, "lnfgen.compute"))
        if module != "lnfgen.data.batches":
            refuse(module, ("torch",))
    if within(module, ("lnfgen.music",)):
        refuse(module, ("lnfgen.data", "lnfgen.formats", "lnfgen.text"))


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("lnfgen.transforms", ("lnfgen.nn", "lnfgen.flows", "lnfgen.models", "lnfgen.config")),
        ("lnfgen.nn", ("lnfgen.flows", "lnfgen.models", "lnfgen.config")),
        ("lnfgen.flows", ("lnfgen.models", "lnfgen.config")),
        ("lnfgen.errors", ("lnfgen.files", "lnfgen.config")),
        ("lnfgen.children", ("lnfgen.formats", "lnfgen.files", "lnfgen.data", "lnfgen.music")),
        ("lnfgen.conventions", ("lnfgen.errors", "lnfgen.data", "lnfgen.music", "lnfgen.models", "numpy")),
        ("lnfgen.data.storage", ("lnfgen.data.prepared", "lnfgen.data.preprocess", "lnfgen.data.named")),
        ("lnfgen.data.prepared", ("lnfgen.data.rolls", "lnfgen.data.texts", "lnfgen.data.preprocess")),
        ("lnfgen.data.rolls", ("lnfgen.data.texts", "lnfgen.data.preprocess", "lnfgen.data.named")),
        ("lnfgen.data.texts", ("lnfgen.data.rolls", "lnfgen.data.preprocess", "lnfgen.data.named")),
        ("lnfgen.data.preprocess", ("lnfgen.data.named", "lnfgen.data.resolve")),
        ("lnfgen.data.copies", ("lnfgen.data.gather", "lnfgen.data.prepared")),
        ("lnfgen.data.splits", ("lnfgen.data.gather", "lnfgen.data.storage")),
        ("lnfgen.data.download", ("lnfgen.data.named",)),
        ("lnfgen.data.named", ("lnfgen.data.resolve",)),
        ("lnfgen.data.pieces", ("lnfgen.comparison",)),
        ("lnfgen.music.scores", ("lnfgen.music.notation",)),
        ("lnfgen.music.voices", ("lnfgen.music.figures",)),
        ("lnfgen.music.figures", ("lnfgen.music.copies",)),
        ("lnfgen.classifier", ("lnfgen.music", "lnfgen.data", "lnfgen.comparison")),
        ("lnfgen.comparison", ("lnfgen.formats", "lnfgen.data.storage")),
        (
            "lnfgen.music.midi",
            (
                "lnfgen.music.page",
                "lnfgen.music.plot",
                "lnfgen.music.rolltext",
                "lnfgen.music.notation",
                "lnfgen.music.sound",
            ),
        ),
        ("lnfgen.music.separation", ("lnfgen.music.midi", "lnfgen.music.rhythm", "lnfgen.music.tonality")),
        ("lnfgen.music.rhythm", ("lnfgen.music.notation", "lnfgen.music.scores", "music21")),
        ("lnfgen.music.tonality", ("lnfgen.music.notation", "lnfgen.music.scores")),
        ("lnfgen.config_formats", ("lnfgen.config", *MODEL_WING)),
        ("lnfgen.formats", ("lnfgen.data",)),
        ("lnfgen.pretrained", ("torch", "numpy", "lnfgen.data", "lnfgen.config", "lnfgen.compute", *UPSTAIRS)),
        ("lnfgen.compute", ("lnfgen.data", *MODEL_WING, *UPSTAIRS)),
        ("lnfgen.choosing", ("lnfgen.compute", "lnfgen.sampling", "lnfgen.runs", "lnfgen.training")),
        (
            "lnfgen.evaluation",
            ("lnfgen.compute", "lnfgen.sampling", "lnfgen.choosing", "lnfgen.runs", "lnfgen.training"),
        ),
        (
            "lnfgen.sampling",
            ("lnfgen.compute", "lnfgen.evaluation", "lnfgen.filling", "lnfgen.choosing", "lnfgen.runs"),
        ),
        (
            "lnfgen.filling",
            ("lnfgen.compute", "lnfgen.evaluation", "lnfgen.choosing", "lnfgen.runs", "lnfgen.training"),
        ),
        (
            "lnfgen.variation",
            ("lnfgen.compute", "lnfgen.evaluation", "lnfgen.choosing", "lnfgen.runs", "lnfgen.training"),
        ),
        ("lnfgen.given", ("lnfgen.filling", "lnfgen.variation")),
        ("lnfgen.filling", ("lnfgen.variation",)),
        ("lnfgen.models.sequence_model", ("lnfgen.models.noise", "lnfgen.models.latent_flow", "lnfgen.models.lstm")),
        ("lnfgen.models.particles", ("lnfgen.models.sequence_model", "lnfgen.models.latent_flow")),
        ("lnfgen.runs", ("lnfgen.training",)),
        ("lnfgen.runs.naming", ("torch", "lnfgen.models", "lnfgen.runs.folder")),
        ("lnfgen.runs.facts", ("torch", "lnfgen.models", "lnfgen.runs.folder")),
        ("lnfgen.runs.overview", ("torch", "lnfgen.models", "lnfgen.runs.folder")),
        ("lnfgen.runs.records", ("torch", "lnfgen.models", "lnfgen.runs.folder", "lnfgen.runs.facts")),
        (
            "lnfgen.runs.folder",
            (
                "torch",
                "lnfgen.models",
                "lnfgen.runs.checkpoint",
                "lnfgen.runs.trained",
                "lnfgen.runs.naming",
                "lnfgen.runs.facts",
                "lnfgen.runs.dataset",
            ),
        ),
        ("lnfgen.runs.checkpoint", ("lnfgen.runs.trained", "lnfgen.runs.naming", "lnfgen.runs.dataset")),
        ("lnfgen.runs.tensors", ("lnfgen.models", "lnfgen.runs.folder", "lnfgen.runs.checkpoint")),
        ("lnfgen.runs.dataset", ("torch", "lnfgen.models", "lnfgen.runs.checkpoint", "lnfgen.runs.trained")),
        ("lnfgen.training.saved", ("lnfgen.runs", "lnfgen.training.trainer", "lnfgen.training.session")),
        ("lnfgen.training.faults", ("lnfgen.runs", "lnfgen.training.trainer", "lnfgen.training.session")),
        ("lnfgen.training.settings", ("torch", "lnfgen.models", "lnfgen.training.session")),
        ("lnfgen.training.trainer", ("lnfgen.runs", "lnfgen.training.session")),
        ("lnfgen.bench", ("lnfgen.plots",)),
        ("lnfgen.bench.timing", ("lnfgen.bench.machine", "lnfgen.bench.measure", "torch")),
        ("lnfgen.bench.rows", ("lnfgen.models", "torch")),
        ("lnfgen.bench.plan", ("lnfgen.bench.calls", "lnfgen.bench.measure")),
        ("lnfgen.bench.calls", ("lnfgen.bench.measure",)),
        ("lnfgen.plots.canvas", ("lnfgen.plots.curves", "lnfgen.plots.latents", "lnfgen.plots.speed")),
        ("lnfgen.plots.steps", ("lnfgen.plots.latents", "lnfgen.plots.conditionals")),
    ],
)
def test_each_floor_knows_only_those_below(lower, upper):
    for module in MODULES:
        if within(module, (lower,)):
            refuse(module, upper)


def test_pictures_are_drawn_without_torch():
    """Only what runs a model needs torch: a run's curves must not wait for it, nor for Matplotlib before it draws."""
    drawing = {module for module in MODULES if within(module, ("lnfgen.plots",))} - {"lnfgen.plots.conditionals"}
    assert len(drawing) >= 5
    for module in drawing:
        refuse(module, ("torch", "lnfgen.plots.conditionals", "lnfgen.runs", "lnfgen.training", *MODEL_WING))
        refuse(module, ("matplotlib",), top_level=True)
    names = ", ".join(sorted(drawing - {"lnfgen.plots"}))
    probe = f"import sys, {names}; assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_one_door_leads_to_the_faster_steps():
    users = {module for module in MODULES if any(within(name, ("lnfgen.stepping",)) for name in imports(module))}
    assert {module for module in users if not within(module, ("lnfgen.stepping",))} == {"lnfgen.nn.stepper"}


def test_no_pickle_but_in_the_reader_of_the_benchmark_sets_and_between_a_program_and_its_own_children():
    users = {module for module in MODULES if within_any_pickle(module)}
    assert users <= {"lnfgen.data.benchmarks", "lnfgen.children"}


def within_any_pickle(module: str) -> bool:
    return any(within(name, ("pickle", "cloudpickle", "dill", "joblib", "shelve")) for name in imports(module))


def test_top_level_modules_are_small():
    """Rooms few and evenly sized: over 400 lines is a smell."""
    long = {module: lines for module, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 400}
    assert not long


def test_what_many_commands_share_names_no_option():
    """A message of these modules reaches people through commands with different options, and through Python."""
    shared = ("lnfgen.files", "lnfgen.formats", "lnfgen.text", "lnfgen.music")
    for module in (name for name in MODULES if within(name, shared)):
        strings = [node.value for node in ast.walk(ast.parse(MODULES[module].read_text())) if is_text(node)]
        assert not [text for text in strings if re.search(r"--[a-z]", text)], module


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


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
heavy = [name for name in {HEAVY!r} if name in sys.modules and name != "numpy"]
assert not heavy, heavy
sys.argv = ["lnfgen", "--help"]
from lnfgen.cli import main
try:
    main()
except SystemExit as error:
    assert not error.code, error.code
heavy = [name for name in {HEAVY!r} if name in sys.modules and name != "numpy"]
assert not heavy, heavy
"""


def test_import_and_help_load_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("preprocess", "train", "eval", "sample", "convert", "info"):
        assert command in done.stdout


def test_help_alone_loads_not_even_numpy():
    probe = PROBE.replace("lnfgen.PianoRoll, dir(lnfgen)", "").replace(' and name != "numpy"', "")
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
