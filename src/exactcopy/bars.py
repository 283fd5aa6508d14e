"""The bars that a terminal shows: a line a step."""

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from exactcopy.inventory.taking import Advance

_WIDTH = 24


def live() -> Live:
    """Return what draws on stderr."""
    return Live(console=Console(stderr=True), refresh_per_second=8)


class Steps:
    """One line a step, in the order in which they began."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lines: list[Progress] = []

    def step(self, name: str, objects: int | None, size: int | None) -> Advance:
        """Close the line before and open one for this step."""
        self.finish()
        line = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn(f"{{task.description:<{_WIDTH}}}", markup=False),
            *_columns(objects, size),
        )
        task = line.add_task(name, total=size or objects, files="")
        self._lines.append(line)
        self._live.update(Group(*self._lines))
        done = 0

        def advance(count: int, read: int) -> None:
            nonlocal done
            done += count
            line.update(task, advance=read if size else count, files=f"{done:,} of {objects or 0:,} files")

        return advance

    def finish(self) -> None:
        """Close the last line: its step is over, whatever it expected."""
        if self._lines:
            line = self._lines[-1]
            for task in line.tasks:
                reached = task.completed or 1
                line.update(task.id, total=reached, completed=reached)


def _columns(objects: int | None, size: int | None) -> list[ProgressColumn]:
    """Return what a step can show: bytes where they are known, else a count, else how long it has taken."""
    if size:
        files = TextColumn("{task.fields[files]}", markup=False)
        return [BarColumn(bar_width=20), files, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    if objects:
        return [BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn()]
    return [TimeElapsedColumn()]
