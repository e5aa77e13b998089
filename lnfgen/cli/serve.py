"""`lnfgen serve`."""

import threading
import webbrowser
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli import console, options


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    song: Annotated[
        Path | None,
        typer.Argument(
            help="A MIDI file or a score to begin with.",
            show_default="the takes in --out, or a new song",
        ),
    ] = None,
    run: options.RunOption = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the takes; one that is there already goes on.")
    ] = Path("lnfgen-takes"),
    host: Annotated[
        str, typer.Option(help="Address to listen to. Others reach any but that of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to listen to, 0 for any.",
            show_default="8493 if it is free",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open no browser.")
    ] = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Open a page in the browser, to mark bars of a song, draw them again, listen, and keep.

    It is served by this program until Ctrl-C, and printed is its address, whose token lets nobody
    else in. Each result is a take, in a folder that is named at the start. Scripts can use the same
    API: see examples/serve.md.
    """
    from lnfgen.cli.sources import resolve_run
    from lnfgen.formats.text import bytes_of
    from lnfgen.serving.opened_files import opened
    from lnfgen.serving.security import LOOPBACK
    from lnfgen.serving.server import Server, listening_socket
    from lnfgen.serving.studio import Studio, music_encoding_of
    from lnfgen.serving.takes import Takes

    folder = resolve_run(run)
    encoding = music_encoding_of(folder)
    if song is not None:
        content = bytes_of(song, "a MIDI file or a score")
        found = opened(encoding, content, str(song))
    if host not in LOOPBACK:
        console.warn(
            f"others may reach {host}; who has the address with its token can do all that you can, "
            "and what is sent can be read on the way"
        )
    with listening_socket(host, port) as listening, closing(Takes(out)) as takes:
        studio = Studio(folder, takes, device)
        if song is not None:
            studio.begin_with(found, str(song), content)
        for problem in takes.problems:
            console.warn(problem)
        token = takes.token()
        shown_host = f"[{host}]" if ":" in host else host
        address = f"http://{shown_host}:{listening.getsockname()[1]}/?token={token}"

        def ready() -> None:
            console.note(f"takes are in {out}; Ctrl-C ends the server")
            console.result(address)
            if not no_browser:
                # A browser in the terminal would not come back before it ends.
                threading.Thread(target=_open, args=(address,), daemon=True).start()

        Server(studio, listening, host, token, ready).serve_until_it_ends()


def _open(address: str) -> None:
    """Open the page in the browser, or say that there is none."""
    if not webbrowser.open(address):
        console.note("found no browser to open; open the address by hand")
