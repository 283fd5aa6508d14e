"""`python -m exactcopy` is `exactcopy`."""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from exactcopy.cli import main


def run() -> NoReturn:
    """Run the command line, and be gone: to take a process apart object by object takes a tenth of a second."""
    # Next to nothing is garbage before the end.
    gc.set_threshold(50_000)
    try:
        main()
    except SystemExit as end:
        # What cannot be written any more ends as Python ends it.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            if isinstance(end.code, int):
                os._exit(end.code)
        raise


if __name__ == "__main__":
    run()
