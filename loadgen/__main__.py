"""The program `loadgen`, also as `python -m loadgen`."""

import sys

import loadgen.no_pandas  # noqa: F401
from loadgen.cli import main

if __name__ == "__main__":  # worker processes import this module again under another name
    sys.exit(main())
