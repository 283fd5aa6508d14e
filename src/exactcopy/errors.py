"""What can go wrong in a way that a person has to hear about.

Every message reads: where: what. What to do.
"""

import errno
import os
from collections.abc import Sequence

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# What a run ends with. FAULT is sysexits.h's EX_SOFTWARE: a fault of the program is none of the results of an audit.
EXCEPTIONS, USAGE, INCOMPLETE, LOCKED, FAULT = 1, 2, 3, 4, 70


class ExactCopyError(Exception):
    """Anything that ends the command; its text is for the user's eyes."""


class ConfigError(ExactCopyError):
    """The configuration or the decisions cannot be used; every fault is listed at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        """Take `faults`, each with its own path in the file and what to write instead."""
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class StoreUnavailable(ExactCopyError):
    """A store could not be examined. `code` may travel in a report, the text may not."""

    def __init__(self, code: str, where: str, what: str, remedy: str) -> None:
        """Take the code that the record keeps and the three parts of the message."""
        super().__init__(code, where, what, remedy)
        self.code = code

    def __str__(self) -> str:
        """Return the message: where: what. What to do."""
        _, where, what, remedy = self.args
        return f"{where}: {what}. {remedy}"


class WindowClosed(StoreUnavailable):
    """A store may be examined at certain hours only, or for so many, and it is later than that."""


class WorkersUnavailable(ExactCopyError):
    """The workers of a cluster cannot do an audit, or are gone."""


class ObjectChanged(ExactCopyError):
    """An object changed while it was being read."""


class RunLocked(ExactCopyError):
    """Another audit of the same configuration is running."""


class RecordError(ExactCopyError):
    """A record is missing, damaged or of a schema that this version cannot read."""


def exit_code(error: BaseException) -> int:
    """Return the code that a run ends with after `error`."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAULT
    if isinstance(error, RunLocked):
        return LOCKED
    return USAGE if isinstance(error, ExactCopyError) or (isinstance(error, Exception) and no_room(error)) else FAULT


def no_room(error: Exception) -> bool:
    """Say whether an error means that the disk is full; DuckDB has no code for it, only the system's words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NO_ROOM
    return any(os.strerror(code) in str(error) for code in _NO_ROOM)
