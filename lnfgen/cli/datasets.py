"""`lnfgen datasets`: list the datasets that have a name."""

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet


def command(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the named datasets: size, source, whether it is on this machine, citation and licence note."""
    from lnfgen.data.named import NAMED, is_downloaded

    available = {name: is_downloaded(named) for name, named in NAMED.items()}
    if as_json:
        keys = ("name", "kind", "description", "size", "source", "citation", "licence")
        datasets = [
            {key: getattr(named, key) for key in keys} | {"available": available[name]} for name, named in NAMED.items()
        ]
        console.result_json({"datasets": datasets})
        return
    for name, named in NAMED.items():
        rows = [
            ("holds", f"{named.description}; {named.size}"),
            ("kind", named.kind),
            ("source", named.source),
            ("here", "yes" if available[name] else f"not yet: lnfgen preprocess {name} --download"),
            ("cite", named.citation),
            ("licence", named.licence),
        ]
        console.result_table(name, rows)
        console.result("")
