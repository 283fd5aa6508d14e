"""How far an audit is, on a terminal: files, bytes, rate, time left. Elsewhere nothing is shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from exactcopy.inventory.taking import Step


@contextmanager
def shown() -> Iterator[Step]:
    """Give a `step` that draws on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda name, objects, size: _ignore
        return
    # Imported late: it takes a while, and a scheduler has no terminal.
    from exactcopy.bars import Steps, live

    with live() as drawn:
        steps = Steps(drawn)
        yield steps.step
        steps.finish()


def _ignore(count: int, size: int) -> None:
    """Stand in for a progress bar where nobody looks."""
