"""Who does the tasks: processes of this computer, if nobody else. A task that kills its worker fails alone."""

import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Died:
    """Stands for the result of a task whose worker was killed or crashed, alone, twice."""


class Workers(Protocol):
    """Who does the tasks of an audit. Those `elsewhere` write what is large themselves, and have disks of their own."""

    @property
    def workers(self) -> int:
        """How many tasks are worked on at once."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether they may be on other computers than this one."""
        ...

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        seconds: int | None = None,
        at_once: int | None = None,
    ) -> Iterator[tuple[Task, Result | Died]]:
        """Yield each task with its result, in order of completion; few tasks are held at a time.

        A task that takes longer than `seconds` dies, even inside a decoder that no exception reaches. No more than
        `at_once` are worked on at a time.
        """
        ...


class Pool:
    """Worker processes of this computer that end with their parent, however that ends."""

    elsewhere = False

    def __init__(
        self,
        workers: int | None = None,
        prepare: Callable[[], object] | None = None,
        scratch: Path | None = None,
    ) -> None:
        """Start `workers` processes (default: one per core that is ours) at once, while this one has a single thread.

        `prepare` imports what all of them need: once, before they are forked; where they cannot be, in each. `scratch`
        is a folder that goes with this process where it cannot remove that itself.
        """
        self.workers = workers or cores()
        self._prepare = prepare
        self._scratch = scratch
        self._executor = self._start()

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers; what has not begun is dropped. After an error none is alive when this returns."""
        if error is not None:
            self.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def kill(self) -> None:
        """End the workers now, whatever they do."""
        # Asked before the executor shuts down: it forgets its processes then.
        for process in list((self._executor._processes or {}).values()):
            process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        seconds: int | None = None,
        at_once: int | None = None,
    ) -> Iterator[tuple[Task, Result | Died]]:
        """Yield each task with its result, as `Workers` says."""
        held = 2 * self.workers if at_once is None or at_once >= self.workers else at_once
        work = partial(_within, function, seconds) if seconds else function
        waiting = iter(tasks)
        running: dict[Future[Result], Task] = {}
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        while True:
            broken: deque[Task] = deque()
            for task in islice(waiting, held - len(running)):
                try:
                    future = self._executor.submit(work, task)
                except BrokenProcessPool:
                    broken.append(task)
                    break
                running[future] = task
                future.add_done_callback(finished.put)
            if not running and not broken:
                return
            if running:
                future = finished.get()
                if future in running:
                    task = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        broken.append(task)
                    else:
                        yield task, result
            if broken:
                # One of the tasks in flight killed a worker: find out which, one at a time.
                broken.extend(running.values())
                running.clear()
                for task in broken:
                    yield task, self._alone(work, task)

    def _alone(self, function: Callable[[Task], Result], task: Task) -> Result | Died:
        for _ in range(2):
            try:
                return self._executor.submit(function, task).result()
            except BrokenProcessPool:
                self._executor.shutdown(wait=False, cancel_futures=True)
                self._executor = self._start()
        return Died()

    def _start(self) -> ProcessPoolExecutor:
        # Forking is quick, and safe only while this process has a single thread.
        forks = sys.platform == "linux" and threading.active_count() == 1
        if forks and self._prepare:
            self._prepare()
        executor = ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("fork" if forks else "spawn"),
            initializer=_begin,
            initargs=(os.getpid(), None if forks else self._prepare, self._scratch),
        )
        executor.submit(os.getpid)
        return executor


def cores() -> int:
    """Return how many cores this process may use: a container or a scheduler may grant fewer than there are."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _within(function: Callable[[Task], Result], seconds: int, task: Task) -> Result:
    """Run a task in a worker that the kernel kills when the time is over: SIGALRM has no handler there."""
    signal.alarm(seconds)
    try:
        return function(task)
    finally:
        signal.alarm(0)


def _begin(parent: int, prepare: Callable[[], object] | None, scratch: Path | None) -> None:
    _end_with_parent(parent, scratch)
    if prepare:
        prepare()


def _end_with_parent(parent: int, scratch: Path | None) -> None:
    """Ignore Ctrl-C, which the parent handles, and leave when the parent is gone, even by SIGKILL.

    `parent` is its number: it may be gone before this process first looks. Then `scratch` goes, too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
