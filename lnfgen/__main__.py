"""`python -m lnfgen`, and the `lnfgen` command."""

import sys


def main() -> None:
    """Run the command line; ends the process with a documented exit code."""
    try:
        # This import takes a moment, in which a Ctrl-C is no traceback either.
        from lnfgen.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
