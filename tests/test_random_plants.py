"""Random damage, found without exception: no changed byte is ever identical, no absent image ever present."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exactcopy.inventory.database import parquet
from tests.clinic import Clinic, audit_at, outcomes, sop_instance_uid

STUDIES, INSTANCES = 4, 3
NOW = datetime.now(UTC).replace(microsecond=0)
ABSENT = {"missing", "pending", "unknown"}


@pytest.fixture(scope="module")
def pristine() -> Iterator[Path]:
    """A small archive of small real images of several kinds."""
    folder = Path(tempfile.mkdtemp(prefix="exactcopy-test-"))
    clinic = Clinic(folder, backups=("nas",))
    for study, name in enumerate(("MR_small_RLE.dcm", "rtplan.dcm", "CT_small.dcm", "SC_rgb_small_odd.dcm")):
        for instance in range(INSTANCES):
            clinic.add(study, instance, name)
    yield folder
    shutil.rmtree(folder)


plants = st.lists(
    st.tuples(
        st.integers(0, STUDIES - 1),
        st.integers(0, INSTANCES - 1),
        st.sampled_from(["flip", "cut", "delete", "empty", "swap", "overwrite"]),
        st.floats(0, 0.999),
        st.integers(1, 255),
    ),
    max_size=8,
)


@pytest.mark.usefixtures("lean", "ready_worker")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(planted=plants, few=st.sampled_from([0, 100_000]))
def test_random_damage_never_passes(pristine: Path, planted: list[tuple[int, int, str, float, int]], few: int) -> None:
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patched:
        # What a store holds is a view where it is much, a table where it is little.
        patched.setattr("exactcopy.reconcile.case._FEW_ROWS", few)
        clinic = Clinic(Path(temporary), backups=("nas",))
        shutil.copytree(pristine / "pacs", clinic.pacs, dirs_exist_ok=True)
        clinic.mirror()
        for study, instance, kind, place, mask in planted:
            damage(clinic, study, instance, kind, place, mask)
        audit = audit_at(clinic, NOW)
        originals = {
            sop_instance_uid(study, instance): clinic.path("pacs", study, instance).read_bytes()
            for study in range(STUDIES)
            for instance in range(INSTANCES)
        }
        held = [path.read_bytes() for path in (clinic.root / "nas").rglob("*.dcm")]
        exact = {uid for uid, data in originals.items() if data in held}
        folder = clinic.root / "records" / audit["audit"]["id"] / "restricted" / "comparison"
        table = parquet(folder, "pacs--nas.parquet")
        judged = dict(duckdb.connect().execute(f"select sop, outcome from {table}").fetchall())
        assert originals.keys() - judged.keys() == exact, "identical is what is equal byte for byte, and only that"
        assert outcomes(audit, "nas").get("identical", 0) == len(exact)
        there = {uid for uid in originals if any(uid.encode() in data for data in held)}
        for uid, outcome in judged.items():
            if uid not in there:
                assert outcome in ABSENT, (uid, outcome)
        assert audit["conclusion"] == ("no exceptions noted" if harmless(judged) else "exceptions noted")


def harmless(judged: dict[str, str]) -> bool:
    """Whether nothing but packaging differs."""
    return set(judged.values()) <= {"equivalent"}


def damage(clinic: Clinic, study: int, instance: int, kind: str, place: float, mask: int) -> None:
    """Plant one fault on the backup."""
    path = clinic.path("nas", study, instance)
    if not path.exists():
        return
    data = bytearray(path.read_bytes())
    position = int(place * len(data))
    if kind == "delete":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "swap":
        other = clinic.path("nas", study, (instance + 1) % INSTANCES)
        if other.exists():
            path.write_bytes(other.read_bytes())
    elif data:
        if kind == "flip":
            data[position] ^= mask
        elif kind == "cut":
            del data[position:]
        else:
            data[position : position + 64] = bytes([mask]) * len(data[position : position + 64])
        path.write_bytes(data)
    if path.exists():
        clinic.set_age(path, timedelta(days=300))
