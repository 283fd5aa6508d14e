"""How long an audit has been under way, over all runs that it took: what a kill ended counts as well."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from exactcopy.inventory.taking import Advance, Step
from exactcopy.records import write_whole

# So much of an audit that is killed is not counted.
_EVERY_SECONDS = 5.0


class Hours:
    """The hours of one audit, which an audit that takes it up goes on counting in the file `place`."""

    def __init__(self, place: Path) -> None:
        """Go on from what `place` says."""
        self._place = place
        self._begun = self._noted = monotonic()
        self._before = 0.0
        with suppress(OSError, ValueError):
            self._before = float(place.read_text(encoding="ascii"))

    def until(self, hours: float) -> datetime:
        """Return the moment at which so many hours in all are over: it may have passed."""
        return datetime.now(UTC) + timedelta(hours=hours) - timedelta(seconds=self._so_far())

    def counting(self, step: Step) -> Step:
        """Return `step` with the hours written down as the audit goes on."""

        def begin(name: str, objects: int | None, size: int | None) -> Advance:
            self._note()
            return self._counting(step(name, objects, size))

        return begin

    def _counting(self, advance: Advance) -> Callable[[int, int], None]:
        def go_on(objects: int, size: int) -> None:
            advance(objects, size)
            if monotonic() - self._noted > _EVERY_SECONDS:
                self._note()

        return go_on

    def _so_far(self) -> float:
        return self._before + monotonic() - self._begun

    def _note(self) -> None:
        self._noted = monotonic()
        write_whole(self._place, f"{self._so_far():.1f}")
