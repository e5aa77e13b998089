"""`lnfgen models`: list the models in the box."""

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet


def command(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the models that come with lnfgen: what they make, how they score, and how to use them.

    Where a command takes a run, it takes the name of such a model too.
    """
    from lnfgen.conventions import UNIT_WORDS
    from lnfgen.pretrained import BOXED, boxed_folder, read_card

    cards = {name: read_card(name) for name in BOXED}
    if as_json:
        console.result_json({"models": [card | {"path": str(boxed_folder(name))} for name, card in cards.items()]})
        return
    for name, card in cards.items():
        nll = card["scores"]["test"]["nll"]
        choices = (card["model"], card["backbone"], card["transform"], card["emission"])
        rows = [
            ("makes", card["makes"]),
            ("dataset", card["dataset"]),
            ("model", ", ".join(dict.fromkeys(choice for choice in choices if choice))),
            ("size", f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:.1f} MB"),
            ("test NLL", f"{nll:.2f} {UNIT_WORDS[card['unit']]}"),
            ("use", card["use"]),
            ("card", f"{boxed_folder(name)}/card.md"),
        ]
        console.result_table(name, rows)
        console.result("")
