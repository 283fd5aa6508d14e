"""alerts.json: what each channel was told, and what became of each message since the last record."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exactcopy.records import write_whole

FILE = "alerts.json"


def read(state: Path) -> dict[str, Any]:
    """Return the state of the alerts; one that is missing or damaged is begun anew, and all that is open told again."""
    try:
        known = json.loads((state / FILE).read_text(encoding="utf-8"))
        sound = isinstance(known["channels"], dict) and isinstance(known["sent"], list)
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    return known if sound else {"channels": {}, "sent": [], "metrics": {}}


def write(state: Path, known: Mapping[str, Any]) -> None:
    """Write the state of the alerts."""
    write_whole(state / FILE, json.dumps(known, indent=1, ensure_ascii=False))


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Wait until no other run tells anything: one that found the other under way tells that."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "alerts.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
