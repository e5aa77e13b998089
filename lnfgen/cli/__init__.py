"""The `lnfgen` command.

Each subcommand has a file, which loads torch and music21 only when the command runs.
"""

import importlib
import inspect
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lnfgen import __version__
from lnfgen.cli import console
from lnfgen.errors import LnfgenError, is_out_of_memory
from lnfgen.wording import in_short

PANELS = {  # the commands as `lnfgen --help` groups them
    "Make music": ("sample", "harmonize", "fill", "continue", "vary"),
    "Train": ("preprocess", "train", "eval", "compare"),
    "See and convert": ("convert", "plot", "info", "list", "serve"),
}


def _without_types_of_flags(params: list[Any]) -> list[Any]:
    """The parameters, of which flags show no `<bool>` in --help: nobody gives them a value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class _Command(TyperCommand):
    """A subcommand."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_flags(super().get_params(ctx))


class _Group(TyperGroup):
    """Turns an exception into a line on stderr and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_flags(super().get_params(ctx))

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _short_usage_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _short_usage_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            console.note("interrupted")
            raise typer.Exit(130) from None  # as a shell reports it
        except Exception as error:
            line = _line(error)
            if line is None:
                raise  # a defect of lnfgen, which shows its traceback
            if ctx.params.get("traceback"):
                traceback.print_exc()
            console.fail(line)
            raise typer.Exit(1) from None


@contextmanager
def _short_usage_errors() -> Iterator[None]:
    """Shorten what Typer says of arguments that do not parse, which Typer prints itself."""
    try:
        yield
    except Exception as error:
        message = getattr(error, "message", None)  # all usage errors of Typer have one
        if isinstance(message, str):
            error.message = in_short(message)  # type: ignore[attr-defined]
        raise


def _line(error: Exception) -> str | None:
    """Return the line that a person sees of an error; None if it is a defect of lnfgen."""
    if is_out_of_memory(error):
        return (
            "out of memory; use a smaller model or training.batch_size, fewer --samples, or "
            "shorter pieces"
        )
    if isinstance(error, OSError):
        where = error.filename or "reading or writing failed"
        return f"{where}: {error.strerror or error}"
    if isinstance(error, LnfgenError):
        return str(error)
    return None


def _help(command: Any) -> str:
    """A command's docstring with a line for each paragraph, as Typer keeps line ends.

    `python -OO` leaves nothing.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app = typer.Typer(
    cls=_Group,
    name="lnfgen",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.result(f"lnfgen {__version__}{_commit()}")
        raise typer.Exit()


def _commit() -> str:
    """The commit of a checkout, as ` (2a90537)`; empty if there is none, or no git."""
    root = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    command = [git, "-C", str(root), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return f" ({commit})" if commit else ""


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="On an error, show where in lnfgen it arose.")
    ] = False,
) -> None:
    """Train latent normalizing flows on music and text, score them, and sample from them.

    Without further arguments, train learns the Bach chorales, and eval and sample take the newest
    run in runs/, or a model that comes with lnfgen. harmonize, fill, continue and vary keep a part
    of your own piece and draw the rest.

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 bad usage; 130,
    143 and 129 after Ctrl-C, SIGTERM or the end of the terminal.
    """


app.callback(help=_help(_root))(_root)
for _panel, _names in PANELS.items():
    for _name in _names:
        # Module names that would hide a builtin or a keyword carry a trailing underscore.
        _underscore = "_" if _name in ("eval", "continue", "list") else ""
        _command = importlib.import_module(f"lnfgen.cli.{_name}{_underscore}").command
        _add = app.command(_name, cls=_Command, help=_help(_command), rich_help_panel=_panel)
        _add(_command)


def main(args: list[str] | None = None) -> None:
    """Run the command line; ends the process with a documented exit code."""
    console.prepare_streams()
    # libgomp, which runs torch's threads, reads this when torch is loaded. A thread that waits for
    # another one spins first, and by default (300,000 turns) so long that on a busy machine it
    # holds up the thread that it waits for. With far fewer turns than these, a quiet machine gets
    # slower.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    # --traceback comes first, wherever it stands, because people add it at the end of the line.
    words = sys.argv[1:] if args is None else args
    args = sorted(words, key=lambda word: word != "--traceback")
    with console.warnings_as_lines():
        app(args, prog_name="lnfgen")
