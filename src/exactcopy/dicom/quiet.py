"""pydicom and the decoders, kept from saying what they saw: their warnings and logs quote patient data."""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

_lock = threading.Lock()
_silent = 0
_stderr = -1


def pydicom_quietly() -> ModuleType:
    """Import pydicom and silence it; the filters stay, so that no thread can lift them from another."""
    with _without_requests():
        import pydicom

    for module in ("pydicom", "PIL", "numpy", "pylibjpeg", "openjpeg", "rle", "jpeg_ls"):
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
    for logger in ("pydicom", "PIL", "pylibjpeg", "openjpeg", "rle"):
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    return pydicom


@contextmanager
def _without_requests() -> Iterator[None]:
    """Let pydicom think that `requests` is not installed: a tenth of its time goes into what fetches its test files."""
    if not sys.modules.keys().isdisjoint({"pydicom", "requests"}):
        yield
        return
    sys.modules["requests"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["requests"]


@contextmanager
def no_stderr() -> Iterator[None]:
    """Send what C libraries print to nowhere: GDCM and OpenJPEG write to file descriptor 2."""
    global _silent, _stderr
    with _lock:
        _silent += 1
        if _silent == 1:
            with suppress(OSError):
                _stderr = os.dup(2)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if _silent == 0 and _stderr >= 0:
                os.dup2(_stderr, 2)
                os.close(_stderr)
                _stderr = -1
