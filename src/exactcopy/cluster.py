"""Who does the tasks of an audit on a cluster: the workers of a Dask scheduler, on any number of computers.

`distributed` places the tasks, and has done again elsewhere what a worker had that is lost. In each of its workers a
process of `pool` does the work: what kills that one, or never ends, fails alone and leaves the worker as it was.
"""

import os
import pickle
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from logging import CRITICAL, getLogger
from multiprocessing import current_process
from pathlib import Path
from queue import Empty, SimpleQueue
from secrets import token_hex
from threading import Lock
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self
from uuid import uuid4

from exactcopy import __version__
from exactcopy.errors import WorkersUnavailable
from exactcopy.pool import Died, Pool, Result, Task

if TYPE_CHECKING:
    from distributed import Client, Future

# How long is waited for the scheduler, for a first worker, and for another one where all are gone.
_CONNECT_SECONDS = 30
_JOIN_SECONDS = 60
_PATIENCE_SECONDS = 30 * 60
# NFS shows a new file on another computer after up to a minute.
_SHOWS_SECONDS = 90
_LOOK_SECONDS = 5.0
_FETCH_SECONDS = 15
_ANSWER_SECONDS = 120
_PAUSES = (0.5, 2.0, 10.0)
# One that lost its worker so often while nothing else was done has done that.
_MOST_LOST = 2

_GOES_ON = "Then audit again: what was read is kept."
_SAME = "Install the same exactcopy[dask], with the same Python, where the scheduler and the workers run."
_SHARE = "Let every worker have the folder of the configuration at the same path, and run as the account that audits."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """One run on a cluster. Its tasks are done while the file `probe`, which holds `token`, is where all see it."""

    name: str
    probe: Path
    token: str
    versions: Mapping[str, str]
    prepare: bytes


@dataclass(frozen=True, slots=True)
class _Raised:
    """Stands for the result of a task that raised."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands for the result of a task that a worker cannot do. `why` and `remedy` end a message about it."""

    why: str
    remedy: str


@dataclass(slots=True, eq=False)
class _Job(Generic[Task]):
    """A task on its way, and how often its worker was lost. A future that nobody holds is forgotten by the cluster."""

    task: Task
    payload: bytes
    seconds: int | None
    lost: int = 0
    future: "Future[bytes] | None" = None


# --- here ---------------------------------------------------------------------------------------------------


class Cluster:
    """The workers of one scheduler, for one run."""

    elsewhere = True

    def __init__(self, address: str, shared: Path, prepare: Callable[[], object]) -> None:
        """Take the scheduler's address, a folder that every worker has at the same path, and what prepares a process.

        Nothing is asked of the cluster before this is entered.
        """
        self.address = address
        self._shared = shared
        self._known = (0.0, 0)
        self._none_since: float | None = None
        token = token_hex(16)
        self._session = _Session(
            # Of one configuration there is one run at a time: what the one before left on a worker ends with the next.
            name=f"exactcopy {os.uname().nodename}:{shared}",
            probe=shared / f"probe-{token}",
            token=token,
            versions=_versions(),
            prepare=pickle.dumps(prepare),
        )

    def __enter__(self) -> Self:
        """Reach the scheduler, and make sure that each worker that is there can do its part.

        Raises WorkersUnavailable.
        """
        self._client = _connect(self.address)
        try:
            self._session.probe.write_text(self._session.token, encoding="ascii")
            self._wait_for_workers()
            self._examine()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the workers; no process of ours works on there when this returns."""
        self._leave()

    @property
    def workers(self) -> int:
        """How many tasks the workers that are there now do at once."""
        since, count = self._known
        if monotonic() - since > 1:
            count = sum(self._asked(self._client.nthreads).values())
            self._known = monotonic(), count
        return max(count, 1)

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        seconds: int | None = None,
        at_once: int | None = None,
    ) -> Iterator[tuple[Task, Result | Died]]:
        """Yield each task with its result, as `Workers` says; without `at_once` workers that join later help, too.

        A task whose workers are lost again and again is done again by itself, while nothing else is done; one that so
        loses two more has died.
        """
        waiting = iter(tasks)
        running: dict[str, _Job[Task]] = {}
        suspects: deque[_Job[Task]] = deque()
        finished: SimpleQueue[str] = SimpleQueue()
        while True:
            if not suspects and not any(job.lost for job in running.values()):
                for task in islice(waiting, max((at_once or self.workers) - len(running), 0)):
                    self._start(_Job(task, pickle.dumps((function, task)), seconds), running, finished)
            if not running and suspects:
                self._start(suspects.popleft(), running, finished)
            if not running:
                return
            job = running.pop(self._next(finished))
            try:
                done = self._fetched(job, _FETCH_SECONDS)
            except TimeoutError:
                # The worker that had it is gone, and it is done again where there is another.
                self._look()
                self._await(job, running, finished)
            except (OSError, CancelledError):
                # The scheduler was gone for a while.
                self._start(job, running, finished)
            except _lost():
                job.lost += 1
                if job.lost > _MOST_LOST:
                    yield job.task, Died()
                else:
                    suspects.append(job)
            else:
                self._none_since = None
                yield job.task, _result(done)

    def hosts(self) -> list[str]:
        """Return the address of one worker on each computer that has any."""
        found: dict[str, str] = {}
        for address in sorted(self._asked(self._client.nthreads)):
            found.setdefault(address.rpartition(":")[0], address)
        return list(found.values())

    def on(self, worker: str, function: Callable[[Task], Result], task: Task) -> Result | Died:
        """Return what `function` gives on one worker. Raises WorkersUnavailable where it is gone."""
        job: _Job[Task] = _Job(task, pickle.dumps((function, task)), None)
        self._submit(job, [worker])
        try:
            result: Result | Died = _result(self._fetched(job, _ANSWER_SECONDS))
        except (OSError, CancelledError, _lost()):
            raise WorkersUnavailable(f"workers: {worker} does not answer. See whether it still runs.") from None
        return result

    def _start(self, job: _Job[Task], running: dict[str, _Job[Task]], finished: "SimpleQueue[str]") -> None:
        self._submit(job, None)
        self._await(job, running, finished)

    def _submit(self, job: _Job[Any], workers: Sequence[str] | None) -> None:
        self._connected()
        # The key is what a scheduler shows and logs: it tells nothing. Nor does what a worker logs of arguments.
        job.future = self._client.submit(
            _run, self._session, job.payload, job.seconds, key=f"exactcopy-{uuid4()}", pure=False, workers=workers
        )

    def _await(self, job: _Job[Task], running: dict[str, _Job[Task]], finished: "SimpleQueue[str]") -> None:
        if job.future is None:
            raise ValueError(job)
        running[str(job.future.key)] = job
        job.future.add_done_callback(lambda future: finished.put(str(future.key)))

    def _next(self, finished: "SimpleQueue[str]") -> str:
        """Return the key of the next task that is done; raise WorkersUnavailable where none can be any more."""
        while True:
            with suppress(Empty):
                return finished.get(timeout=_LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Say once that no worker is left; raise WorkersUnavailable where none comes."""
        self._connected()
        if self._asked(self._client.nthreads):
            self._none_since = None
        elif self._none_since is None:
            self._none_since = monotonic()
            sys.stderr.write(f"workers: none is left at {self.address}. Waiting for another one.\n")
        elif monotonic() - self._none_since > _PATIENCE_SECONDS:
            raise WorkersUnavailable(f"workers: none is left at {self.address}. Start some. {_GOES_ON}")

    def _fetched(self, job: _Job[Any], seconds: float) -> bytes:
        """Return what came of a task that is done, as it travelled; raise what kept it from being done."""
        if job.future is None:
            raise ValueError(job)
        try:
            # It may still be with the worker that had it, and go with that.
            return job.future.result(timeout=seconds)
        except (OSError, CancelledError, _lost()):
            raise
        except Exception as error:  # noqa: BLE001 - tasks raise nothing: this is the cluster's own, of any kind
            what = f"a task could not be given to a worker ({type(error).__name__})"
            raise WorkersUnavailable(f"workers: {what}. {_SAME}") from None

    def _connected(self) -> None:
        """Wait until the scheduler is there; raise WorkersUnavailable where it is gone for good."""
        until = monotonic() + 2 * _CONNECT_SECONDS
        while self._client.status != "running":
            if self._client.status == "closed" or monotonic() > until:
                raise self._gone()
            sleep(0.1)

    def _asked(self, question: Callable[[], Any]) -> Any:
        """Return what the scheduler answers."""
        for pause in _PAUSES:
            self._connected()
            with suppress(Exception):
                return question()
            # Until a lost connection shows.
            sleep(pause)
        raise self._gone()

    def _gone(self) -> WorkersUnavailable:
        return WorkersUnavailable(f"workers: the scheduler at {self.address} is gone. Start it. {_GOES_ON}")

    def _wait_for_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_JOIN_SECONDS)
        except TimeoutError:
            raise WorkersUnavailable(
                f"workers: none joined the scheduler at {self.address}. Start some:"
                f" `dask worker {self.address} --nthreads 1`."
            ) from None

    def _examine(self) -> None:
        """Have every worker say whether it can do its part, and see what each of them wrote."""
        try:
            self._client.run_on_scheduler(_versions)
        except ImportError:
            raise WorkersUnavailable(f"workers: exactcopy is missing where the scheduler runs. {_SAME}") from None
        answers = self._client.run(_examined, self._session, on_error="return")
        for worker, answer in answers.items():
            match answer:
                case _Refused(why, remedy):
                    raise WorkersUnavailable(f"workers: {worker} {why}. {remedy}")
                case ImportError():
                    raise WorkersUnavailable(f"workers: exactcopy is missing on {worker}. {_SAME}")
        written = {worker: answer for worker, answer in answers.items() if isinstance(answer, Path)}
        if not written:
            raise WorkersUnavailable(f"workers: none at {self.address} answers. See what their logs say.")
        until = monotonic() + _SHOWS_SECONDS
        for worker, path in written.items():
            while not _holds(path, self._session.token):
                if monotonic() > until:
                    raise WorkersUnavailable(
                        f"workers: what {worker} writes to {self._shared} does not show here. {_SHARE}"
                    )
                sleep(0.2)
            path.unlink(missing_ok=True)

    def _leave(self) -> None:
        # Without it nothing more is begun.
        self._session.probe.unlink(missing_ok=True)
        for answer in self._shared.glob(f"{self._session.probe.name}.*"):
            answer.unlink(missing_ok=True)
        # A cluster that is gone needs no goodbye.
        with suppress(Exception):
            if self._client.status == "running":
                self._client.run(_ended, self._session, on_error="ignore")
        with suppress(Exception):
            self._client.close(timeout=_CONNECT_SECONDS)


def _result(done: bytes) -> Any:
    """Return what came of a task; raise what it raised."""
    match pickle.loads(done):  # noqa: S301 - our own workers wrote it
        case _Raised(error):
            raise error
        case _Refused(why, remedy):
            raise WorkersUnavailable(f"workers: a worker {why}. {remedy}")
        case result:
            return result


def _connect(address: str) -> "Client":
    try:
        from distributed import Client, Security
    except ImportError:
        raise WorkersUnavailable(
            'workers: distributed is not installed. Install it: pip install "exactcopy[dask]"'
        ) from None
    # What they would say on stderr is said by us, once.
    for name in ("distributed", "distributed.client"):
        getLogger(name).setLevel(CRITICAL)
    security = Security()
    try:
        # Asked before: a client that cannot even begin takes a minute to end.
        unprotected = security.get_connection_args("client")["ssl_context"] is None
    except OSError:
        unprotected = True
    if unprotected and address.startswith("tls:"):
        raise WorkersUnavailable(
            f"workers: {address} asks for TLS, and Dask's own settings here name no certificate that can be read. Set"
            " distributed.comm.tls.ca-file and distributed.comm.tls.client.cert."
        )
    try:
        return Client(address, name="exactcopy", set_as_default=False, timeout=_CONNECT_SECONDS, security=security)
    except OSError:
        raise WorkersUnavailable(
            f"workers: no Dask scheduler answers at {address}. Start it, or mend the address."
        ) from None


def _lost() -> type[Exception]:
    """Return what a task ends with whose workers were lost."""
    from distributed import KilledWorker

    return KilledWorker


# --- on a worker --------------------------------------------------------------------------------------------


class _Hands:
    """What a run has in one worker: a process for each task at once, with a folder of its own that goes with it."""

    def __init__(self, session: _Session) -> None:
        """Take the run; processes are started as they are needed."""
        self.session = session
        self._idle: list[tuple[Pool, Path]] = []
        self._all: list[tuple[Pool, Path]] = []
        self._lock = Lock()
        self._over = False

    def work(self, payload: bytes, seconds: int | None, parent: str) -> bytes:
        """Do a task; `parent` is the folder that the worker itself clears up in every ending."""
        with self._lock:
            hand = self._idle.pop() if self._idle else None
        hand = hand or self._hand(parent)
        pool, folder = hand
        try:
            [(_, done)] = pool.map(_work, [(self.session.probe, payload)], seconds)
        finally:
            # One that was killed had no time to clear up.
            _empty(folder)
            with self._lock:
                self._idle.append(hand)
                over = self._over
            if over:
                # A process that is killed is started once more by its pool.
                pool.kill()
        return pickle.dumps(done) if isinstance(done, Died) else done

    def end(self) -> None:
        """End the processes, whatever they do."""
        with self._lock:
            self._over = True
            ending, self._all = self._all, []
        for pool, folder in ending:
            pool.kill()
            shutil.rmtree(folder, ignore_errors=True)

    def _hand(self, parent: str) -> tuple[Pool, Path]:
        # Dask's own nanny would forbid its worker to have processes.
        current_process().daemon = False
        folder = Path(tempfile.mkdtemp(prefix="exactcopy-", dir=parent))
        hand = Pool(1, partial(_begin, folder, self.session.prepare), folder), folder
        with self._lock:
            self._all.append(hand)
        [(_, ready)] = hand[0].map(_ready, [None])
        if isinstance(ready, Died):
            # Else everything that it is given would seem to have killed it.
            raise ChildProcessError
        return hand


def _empty(folder: Path) -> None:
    for left in folder.iterdir() if folder.exists() else ():
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


_here: dict[str, _Hands] = {}
_lock = Lock()


def _run(session: _Session, payload: bytes, seconds: int | None) -> bytes:
    """Do a task in a worker of the cluster. It raises nothing: of what is raised a worker logs the arguments."""
    from distributed import get_worker

    try:
        hands = _hands(session)
        if isinstance(hands, _Refused):
            return pickle.dumps(hands)
        return hands.work(payload, seconds, get_worker().local_directory)
    except Exception as error:  # noqa: BLE001 - see above
        what = f"cannot start or use a process of its own ({type(error).__name__})"
        return pickle.dumps(_Refused(what, "See whether it has memory and room on its disk."))


def _hands(session: _Session) -> _Hands | _Refused:
    with _lock:
        hands = _here.get(session.name)
        if hands and hands.session.token == session.token:
            return hands
        if refused := _refusal(session):
            return refused
        if hands:
            hands.end()
        _here[session.name] = _Hands(session)
        return _here[session.name]


def _examined(session: _Session) -> _Refused | Path:
    """Say why this worker cannot do its part, or return a file that it wrote for the others to see."""
    if refused := _refusal(session):
        return refused
    answer = session.probe.with_name(f"{session.probe.name}.{uuid4()}")
    try:
        answer.write_text(session.token, encoding="ascii")
    except OSError:
        return _Refused(f"may not write to {session.probe.parent}", _SHARE)
    return answer


def _ended(session: _Session) -> None:
    """End what a run has in this worker."""
    with _lock:
        hands = _here.get(session.name)
        if hands and hands.session.token == session.token:
            hands.end()
            del _here[session.name]


def _refusal(session: _Session) -> _Refused | None:
    ours = _versions()
    for name, theirs in session.versions.items():
        if ours.get(name) != theirs:
            return _Refused(f"has {name} {ours.get(name)}, and {theirs} audits", _SAME)
    until = monotonic() + 1
    while not _holds(session.probe, session.token):
        if monotonic() > until:
            return _Refused(f"does not see {session.probe.parent}", _SHARE)
        sleep(0.1)
    return None


def _holds(path: Path, token: str) -> bool:
    try:
        return path.read_text(encoding="ascii") == token
    except (OSError, ValueError):
        return False


def _versions() -> dict[str, str]:
    """Return what has to be the same everywhere: it decides what is found."""
    # It takes a while to import, and is needed only here.
    from importlib.metadata import version

    found = {name: version(name) for name in ("duckdb", "pydicom")}
    return {"exactcopy": __version__, "Python": f"{sys.version_info[0]}.{sys.version_info[1]}", **found}


# --- in a process of a worker -------------------------------------------------------------------------------


def _begin(folder: Path, prepare: bytes) -> None:
    """Prepare a process: what it makes is nobody else's, and goes into its own folder unless a task says where."""
    os.umask(0o077)
    tempfile.tempdir = str(folder)
    pickle.loads(prepare)()  # noqa: S301 - it comes from the run that this is done for


def _ready(nothing: None) -> bool:
    return True


def _work(task: tuple[Path, bytes]) -> bytes:
    """Do a task, if the run goes on; return what came of it, or what was raised."""
    probe, payload = task
    if not probe.exists():
        return pickle.dumps(_Refused("has lost sight of the run", _GOES_ON))
    try:
        function, argument = pickle.loads(payload)  # noqa: S301 - it comes from the run that this is done for
        return pickle.dumps(function(argument))
    except Exception as error:  # noqa: BLE001 - it is raised again where the audit runs
        return pickle.dumps(_Raised(error))
