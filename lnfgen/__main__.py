"""`python -m lnfgen`: the same as the `lnfgen` command."""

from lnfgen.cli import main

if __name__ == "__main__":
    main()
