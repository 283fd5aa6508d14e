"""What was learned from earlier files makes the next one faster, and changes nothing that is said of it."""

import sys
from operator import length_hint
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.dicom import walk
from exactcopy.dicom.encoding import EXPLICIT
from exactcopy.dicom.runs import MOST_MISSES, Run, Runs, learn
from exactcopy.dicom.walk import RUNS, Walker
from tests.dicom.dicom_files import real
from tests.dicom.made import IMAGE
from tests.dicom.test_header import MUTATION, mutated

SERIES = ("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "reportsi.dcm", "rtplan.dcm")


def state(data: bytes, size: int) -> dict[str, Any]:
    """Walk over a file in pieces and give all that the walker knows at the end."""
    walker = Walker()
    for start in range(0, len(data), size):
        walker.feed(data[start : start + size])
    walker.finish()
    return {**vars(walker), "budget": length_hint(walker.budget)}


def without_runs(data: bytes, size: int) -> dict[str, Any]:
    """Give the same, element by element."""
    with (
        patch.object(walk, "learn", lambda *_: Run((), lambda *_: (), sys.maxsize)),
        patch.object(walk, "RUNS", fresh()),
    ):
        return state(data, size)


def fresh() -> dict[str, Runs]:
    """Nothing learned yet."""
    return {name: {} for name in RUNS}


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(SERIES),
    files=st.lists(st.lists(MUTATION, max_size=2), min_size=1, max_size=6),
    size=st.sampled_from((300, 1000, 10**6)),
    most=st.sampled_from((20, 60, 10**7)),
)
def test_earlier_files_change_nothing(name: str, files: list[Any], size: int, most: int) -> None:
    with patch.object(walk, "RUNS", fresh()), patch.object(walk, "MOST_ELEMENTS", most):
        for mutations in [[], *files, []]:
            data = mutated(real(name), mutations, within=3000)
            assert state(data, size) == without_runs(data, size)


def test_values_are_those_of_each_file_whether_they_repeat_or_not() -> None:
    one = real("CT_small.dcm")
    other = one.replace(b"\x08\x00\x60\x00CS\x02\x00CT", b"\x08\x00\x60\x00CS\x02\x00MR")
    with patch.object(walk, "RUNS", fresh()):
        for data in (one, one, other, one, other, other):
            assert state(data, 10**6) == without_runs(data, 10**6)


def test_a_run_that_keeps_missing_is_learned_again() -> None:
    runs: Runs = {}
    with patch.object(walk, "RUNS", {**fresh(), EXPLICIT.name: runs}):
        state(real("CT_small.dcm"), 10**6)
        first = dict(runs)
        other = real("CT_small.dcm").replace(b"\x08\x00\x60\x00CS\x02\x00CT", b"\x08\x00\x60\x00CS\x04\x00CTCT")
        for _ in range(MOST_MISSES + 1):
            state(other.replace(b"\x08\x00\x70\x00LO\x12", b"\x08\x00\x70\x00LO\x10"), 10**6)
    assert first
    assert any(runs[tag] is not run for tag, run in first.items())


@pytest.mark.parametrize("data", [b"", IMAGE[200:207], real("CT_small.dcm")[132:140]])
def test_where_there_is_no_run_none_fits(data: bytes) -> None:
    buf = data.ljust(8, b"\0")
    assert learn({}, EXPLICIT, buf, 0).size > len(buf)


def test_memory_is_bounded() -> None:
    runs: Runs = {}
    for tag in range(10_000):
        learn(runs, EXPLICIT, tag.to_bytes(4, "little") + b"CS\0\0", 0)
    assert len(runs) <= 4096
    large = b"\x09\0\0\0OB\0\0\0\x10\0\0" + bytes(4096)
    run = learn({}, EXPLICIT, b"\x08\0\0\0CS\0\0" * 3 + large, 0)
    assert len(run.heads) == 3
