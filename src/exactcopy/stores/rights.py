"""Files that every account of this computer may read or change, by their mode (inode(7))."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from exactcopy.model import Answer, Seen


def everybody_reaches(folder: bytes) -> bool:
    """Whether every account may enter all folders above `folder`."""
    above = os.path.realpath(folder)
    while above != (above := os.path.dirname(above)):
        with suppress(OSError):
            if not os.stat(above).st_mode & stat.S_IXOTH:
                return False
    return True


def in_folder(mode: int, *, reached: bool) -> tuple[int, int]:
    """Return, for a folder of this `mode`, which rights of its files count for everybody, and which it gives itself."""
    if not reached or not mode & stat.S_IXOTH:
        return 0, 0
    # Who may change a folder may replace what is in it, unless it is sticky.
    return stat.S_IROTH | stat.S_IWOTH, 0 if mode & stat.S_ISVTX else mode & stat.S_IWOTH


def file_rights(counts: Sequence[int], *, whole: bool) -> Seen | None:
    """Say how many files are open to everybody; that there is none shows only in a whole listing.

    `counts` are of files by what everybody may do: nothing, change, read, both.
    """
    nothing, change, read, both = counts
    if opened := change + read + both:
        what = "read or change" if change + both else "read"
        return Seen(answer=Answer.FAIL, detail=f"everybody on this computer may {what} them", count=opened)
    return Seen(answer=Answer.PASS, count=0) if nothing and whole else None
