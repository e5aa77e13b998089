"""`lnfgen datasets`: list the datasets that have a name."""

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet


def command(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the named datasets: size, source, citation and licence note."""
    from lnfgen.data.named import NAMED, is_downloaded

    states = {
        name: "nothing to download" if not named.files else "downloaded" if is_downloaded(named) else "--download"
        for name, named in NAMED.items()
    }
    if as_json:
        keys = ("name", "kind", "description", "size", "source", "citation", "licence")
        datasets = [
            {key: getattr(named, key) for key in keys} | {"available": states[name] != "--download"}
            for name, named in NAMED.items()
        ]
        console.result_json({"datasets": datasets})
        return
    for name, named in NAMED.items():
        rows = [
            ("holds", f"{named.description}; {named.size}"),
            ("kind", named.kind),
            ("source", f"{named.source} ({states[name]})"),
            ("cite", named.citation),
            ("licence", named.licence),
        ]
        console.result_table(name, rows)
        console.result("")
