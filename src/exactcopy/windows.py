"""Hours of the day in which a store may be examined."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """From one time of the day to another in a time zone, past midnight where the second is the earlier one."""

    begin: time
    end: time
    zone: str

    def __str__(self) -> str:
        """Return it as the configuration has it, with the time zone."""
        return f"{self.begin:%H:%M}-{self.end:%H:%M} ({self.zone})"

    def left(self, moment: datetime) -> timedelta:
        """Return for how long after `moment` it stays open: nothing where it is closed."""
        local = moment.astimezone(ZoneInfo(self.zone))
        now = local.time()
        past_midnight = self.begin > self.end
        inside = now >= self.begin or now < self.end if past_midnight else self.begin <= now < self.end
        if not inside:
            return timedelta()
        day = local.date() + (_DAY if past_midnight and now >= self.begin else timedelta())
        # By the clock on the wall: a night in which it is put forward is an hour shorter.
        end = datetime.combine(day, self.end, local.tzinfo)
        return end.astimezone(UTC) - moment

    def length(self) -> timedelta:
        """Return how long it is on most days."""
        begin, end = (timedelta(hours=at.hour, minutes=at.minute, seconds=at.second) for at in (self.begin, self.end))
        return (end - begin) % _DAY
