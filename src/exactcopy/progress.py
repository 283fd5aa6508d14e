"""How far an audit is, on a terminal: files, bytes, rate, time left. Elsewhere nothing is shown."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from exactcopy.inventory.taking import Advance, Step


@contextmanager
def shown() -> Iterator[Step]:
    """Give a `step` that draws on stderr, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name, objects, size: _ignore
        return
    bars = _Bars(console)
    with bars.sizes, bars.counts:
        yield bars.step


class _Bars:
    """One line a step: bytes where they are known, a count where only that is, a spinner otherwise."""

    def __init__(self, console: Console) -> None:
        text = TextColumn("{task.description}", markup=False)
        self.sizes = Progress(
            SpinnerColumn(finished_text="✓"),
            text,
            BarColumn(),
            TextColumn("{task.fields[files]}", markup=False),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self.counts = Progress(
            SpinnerColumn(finished_text="✓"), text, MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._open: tuple[Progress, TaskID] | None = None

    def step(self, name: str, objects: int | None, size: int | None) -> Advance:
        """Close the line before and open one for this step."""
        if self._open:
            progress, task = self._open
            finished = progress.tasks[task].completed
            progress.update(task, total=finished or 1, completed=finished or 1)
        done = 0
        if not size:
            progress, task = self.counts, self.counts.add_task(name, total=objects)
        else:
            progress, task = self.sizes, self.sizes.add_task(name, total=size, files=f"{objects:,} files")

        def advance(count: int, read: int) -> None:
            nonlocal done
            done += count
            if size:
                progress.update(task, advance=read, files=f"{done:,} of {objects:,} files")
            else:
                progress.update(task, advance=count)

        self._open = progress, task
        return advance


def _ignore(count: int, size: int) -> None:
    """Stand in for a progress bar where nobody looks."""
