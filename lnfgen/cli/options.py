"""Options that several commands share, so that each has one name and one help text."""

import secrets
from typing import Annotated

import typer

from lnfgen.cli import console


def _set_quiet(quiet: bool) -> bool:
    console.set_quiet(quiet)
    return quiet


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_set_quiet, help="Print results and errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Random seed; drawn, and said, if not given.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


def drawn_seed(seed: int | None) -> int:
    """The seed given, or a fresh one, said on stderr so that a run can be repeated."""
    if seed is None:
        seed = secrets.randbelow(2**31)
        console.note(f"seed {seed}")
    return seed
