"""`lnfgen preprocess`: make a dataset folder from files, folders or a named dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet

if TYPE_CHECKING:
    from lnfgen.data.prepared import Prepared

_SHOWN = 10  # skipped files that the summary lists; dataset.json lists all


def command(
    source: Annotated[
        list[str], typer.Argument(help="Files, folders, or one dataset's name; `lnfgen datasets` lists the names.")
    ],
    out: Annotated[Path | None, typer.Option(help="Dataset folder to write.", show_default="./NAME of source")] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="music|text", help="What the files hold.", show_default="by suffix")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Cut music at bar lines to this many steps; drop lines of text over this many characters.",
            show_default="256 steps, 288 characters",
        ),
    ] = None,
    chunks: Annotated[bool, typer.Option("--chunks", help="Text in contiguous chunks instead of by line.")] = False,
    split: Annotated[
        str, typer.Option(help="Shares of train, valid and test, unless the names of the files say the splits.")
    ] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed of --split.")] = 0,
    steps_per_quarter: Annotated[
        int, typer.Option(min=1, max=960, help="Grid that MIDI files and scores are rounded to.")
    ] = 4,
    drums: Annotated[bool, typer.Option("--drums", help="Keep MIDI's drum channel, as pitches.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on the first unreadable file.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Download the files of a named dataset.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a dataset folder from music, text, benchmark files or a named dataset, and print its path.

    Files that are named train, valid and test, or are in folders with these names, become these splits. Otherwise whole
    pieces are split at random.
    """
    from lnfgen.data import named
    from lnfgen.data.options import Options
    from lnfgen.data.preprocess import prepare
    from lnfgen.errors import DatasetError, LnfgenError
    from lnfgen.files import require_free_folder

    if as_ not in (None, "music", "text"):
        raise typer.BadParameter(f"{as_!r} is neither music nor text", param_hint="--as")
    paths = [Path(item) for item in source]
    by_name = len(source) == 1 and not paths[0].exists()
    if by_name:
        named.find(source[0])
    elif missing := [item for item, path in zip(source, paths, strict=True) if not path.exists()]:
        hint = "; a named dataset stands alone" if missing[0] in named.NAMED else "; expected files or folders"
        raise DatasetError(f"{missing[0]} does not exist{hint}")
    if download and not by_name:
        raise LnfgenError(f"--download goes with a dataset's name; found the path {source[0]}")
    out = out if out is not None else _default_out(source[0], paths, by_name)
    require_free_folder(out)
    options = Options(
        kind=as_,  # type: ignore[arg-type]
        max_length=max_length,
        chunks=chunks,
        split=_shares(split),
        seed=seed,
        steps_per_quarter=steps_per_quarter,
        drums=drums,
        strict=strict,
    )
    if by_name and options != Options():
        console.warn(f"{source[0]} is a fixed dataset: options that shape one have no effect on it")
    if download and not named.is_downloaded(named.find(source[0])):
        console.note(f"downloading {source[0]} from {named.mirror()}")
    with console.jobs() as progress:
        prepared = named.build(source[0], progress, download=download) if by_name else prepare(paths, options, progress)
    prepared.write(out)
    if as_json:
        console.result_json(_flat(prepared, out))
    else:
        _summarise(prepared)
        console.result(str(out))


def _default_out(source: str, paths: list[Path], by_name: bool) -> Path:
    from lnfgen.data.preprocess import source_name

    if by_name:
        return Path(source)
    name = source_name(paths[0])
    # A source folder in the current folder has that name already.
    return Path(f"{name}-dataset" if Path(name).resolve() in [path.resolve() for path in paths] else name)


def _shares(split: str) -> tuple[float, float, float]:
    try:
        train, valid, test = (float(share) for share in split.split(","))
    except ValueError:
        raise typer.BadParameter(f"{split!r}; expected three shares, as 0.8,0.1,0.1", param_hint="--split") from None
    return train, valid, test


def _flat(prepared: "Prepared", out: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"path": str(out), "name": prepared.name, "kind": prepared.encoding.kind}
    for split, sequences in prepared.splits.items():
        result[f"{split}_sequences"] = len(sequences)
        result[f"{split}_steps"] = sum(map(len, sequences))
        result[f"{split}_dropped"] = prepared.dropped.get(split, 0)
    if prepared.encoding.kind == "text":
        result["characters"] = prepared.encoding.num_symbols - 1
    else:
        result["steps_per_quarter"] = prepared.encoding.steps_per_quarter
        result["out_of_range"] = prepared.out_of_range
    return result | {"sources": len(prepared.sources), "skipped": len(prepared.skipped)}


def _summarise(prepared: "Prepared") -> None:
    encoding = prepared.encoding
    unit = "steps" if encoding.kind == "music" else "characters"
    for split, sequences in prepared.splits.items():
        dropped = f", {prepared.dropped[split]:,} dropped for their length" if prepared.dropped.get(split) else ""
        console.note(f"{split}: {len(sequences):,} sequences, {sum(map(len, sequences)):,} {unit}{dropped}")
    if encoding.kind == "text":
        console.note(f"vocabulary: {encoding.num_symbols - 1} characters in train, and an unknown symbol")
    for remark in prepared.remarks:
        console.warn(remark)
    if prepared.skipped:
        console.warn(f"skipped {len(prepared.skipped):,} files or pieces; dataset.json lists them:")
        for skip in prepared.skipped[:_SHOWN]:
            reason = skip["reason"]
            console.note(f"  {reason if skip['path'] in reason else skip['path'] + ': ' + reason}")
        if len(prepared.skipped) > _SHOWN:
            console.note(f"  and {len(prepared.skipped) - _SHOWN:,} more")
