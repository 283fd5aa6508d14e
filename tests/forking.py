"""The command line in a process that is forked, not started: what it imports is imported once for all of them.

`python -m tests.forking` reads a command a line and forks for each. A command is JSON: the arguments, the folder to
run in, the environment, and the files that take what is printed. The answer is a line with the exit code.
"""

import atexit
import gc
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

from exactcopy.__main__ import run
from exactcopy.dicom.quiet import pydicom_quietly
from exactcopy.report.formats import _environment


def command_line(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run the command line in `folder` to its end."""
    forks = _start(environment["PYTHONPATH"])
    assert forks.stdin is not None
    assert forks.stdout is not None
    with NamedTemporaryFile("r", encoding="utf-8") as out, NamedTemporaryFile("r", encoding="utf-8") as err:
        command = [list(arguments), str(folder), dict(environment), out.name, err.name]
        forks.stdin.write(json.dumps(command).encode() + b"\n")
        forks.stdin.flush()
        ready, _, _ = select.select([forks.stdout], [], [], timeout)
        assert ready, f"{arguments} took longer than {timeout} s"
        return subprocess.CompletedProcess(list(arguments), int(forks.stdout.readline()), out.read(), err.read())


_IMPORTED = (
    *("exactcopy.audit", "exactcopy.planning", "exactcopy.explain", "exactcopy.preflight", "exactcopy.config.border"),
    *("exactcopy.alert", "exactcopy.drift", "exactcopy.progress", "exactcopy.stores.folder", "pandas"),
)
# The first of them is missing where there is no Pango.
_IMPORTED_FOR_A_PDF = ("weasyprint", "pyhanko.sign", "pyhanko.pdf_utils.incremental_writer")


@cache
def _start(python_path: str) -> subprocess.Popen[bytes]:
    """Start what forks, once for each path: what is imported depends on it. It ends with this process."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.forking"],
        env={**os.environ, "PYTHONPATH": python_path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(started.communicate)
    return started


def _serve() -> NoReturn:
    """Fork for each command, until there is none."""
    for name in _IMPORTED:
        import_module(name)
    pydicom_quietly()
    with suppress(OSError):
        for name in _IMPORTED_FOR_A_PDF:
            import_module(name)
    for name in _environment().list_templates(["html"]):
        _environment().get_template(name)
    # No child looks for garbage in what is there by now: it would copy all of it.
    gc.freeze()
    answers = os.fdopen(os.dup(1), "wb")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(*json.loads(line))
        _, status = os.waitpid(child, 0)
        answers.write(b"%d\n" % os.waitstatus_to_exitcode(status))
        answers.flush()
    # DuckDB complains at the end of a program whose memory is frozen.
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> NoReturn:
    """Become the command line."""
    for number, path in enumerate((os.devnull, out, err)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["exactcopy", *arguments]
    try:
        run()
    finally:
        os._exit(99)


if __name__ == "__main__":
    _serve()
