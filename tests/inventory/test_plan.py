"""What is read again, and when: rotation covers everything in time, a share at each audit, and limits keep an order."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy.inventory.budget import Demand, Limit, kept_for_restores, limit_of, share_of_first
from exactcopy.inventory.database import database, parquet, rows, save_rows
from exactcopy.inventory.matching import match
from exactcopy.inventory.plan import Plan, foresee, foresee_unlisted, plan_reads
from exactcopy.inventory.schema import INVENTORY, LISTING
from exactcopy.model import FOREVER, Cost, Problem, ReadPolicy, Role, Target
from tests.reconcile.made import of_before

DAY = 24 * 3600 * 10**9
REREAD = 92


class Simulated:
    """A store that is audited again and again, by the plan and the match of a real audit, as if its bytes were read."""

    def __init__(self, root: Path, read: ReadPolicy = ReadPolicy.ROTATION, reread: timedelta | None = None) -> None:
        """Begin with no file and no record."""
        self.root = root
        self.target = Target(
            name="nas",
            role=Role.BACKUP,
            kind="folder",
            identity="",
            options={},
            read=read,
            reread=reread or timedelta(days=REREAD),
        )
        # The size of each file, and when it was changed last.
        self.files: dict[int, tuple[int, int]] = {}
        self.now, self.turn = 20_000 * DAY, 0
        self.previous: Path | None = None
        # When the bytes of each file were read, as the last inventory and the one before know; what else it says of it.
        self.proofs: dict[int, int] = {}
        self.before: dict[int, int] = {}
        self.problems: dict[int, str] = {}
        self.db = database(root / "spill")

    def put(self, file: int, size: int) -> None:
        """Add a file, or change it."""
        self.files[file] = (size, self.now + self.turn)

    def listed(self) -> Path:
        """List it for the next audit."""
        folder = self.root / f"work {self.turn}"
        listing = [
            (b"%04d" % file, size, modified, file, None, None, None, None, None, None, None)
            for file, (size, modified) in self.files.items()
        ]
        save_rows(self.db, LISTING, listing, folder / "listing-00000.parquet")
        return folder

    def audit(self, days: float, limit: Limit | None = None, reads: int = 10**9) -> Plan:
        """Audit so many days after the last time; no more than `reads` files are read before time is over."""
        self.now += int(days * DAY)
        self.turn += 1
        folder, into = self.listed(), self.root / f"inventory {self.turn}"
        plan = plan_reads(self.db, self.target, folder, self.previous, self.now, limit=limit)
        columns = "key, size, modified, inode, version"
        todo = rows(self.db, f"select {columns} from {parquet(folder, 'todo.parquet')} order by turn, place, key")
        part = [
            dict(zip(INVENTORY, row, strict=False))
            | (
                {"sha256": row[0], "digest_source": "read", "read_at": self.now}
                if number < reads
                else {"problem": "over_time"}
            )
            for number, row in enumerate(todo)
        ]
        save_rows(
            self.db,
            INVENTORY,
            [[row.get(name) for name in INVENTORY] for row in part],
            folder / "part-0000000.parquet",
        )
        match(self.db, folder, into, self.previous, ())
        found = rows(self.db, f"select key, read_at, problem, sha256 is not null from {parquet(into)}")
        assert sorted(int(key) for key, *_ in found) == sorted(self.files)
        self.before, self.previous = self.proofs, into
        self.proofs = {int(key): read_at for key, read_at, _, proven in found if proven}
        self.problems = {int(key): problem for key, _, problem, _ in found if problem}
        return plan

    @property
    def read(self) -> set[int]:
        """The files that the last audit read."""
        return {file for file, read_at in self.proofs.items() if read_at == self.now}

    def share(self) -> float:
        """Give which part of the bytes the last audit read."""
        return sum(self.files[file][0] for file in self.read) / sum(size for size, _ in self.files.values())


@pytest.fixture
def store(tmp_path: Path) -> Simulated:
    """A store that is read by rotation."""
    return Simulated(tmp_path)


months = st.lists(st.floats(min_value=0.01, max_value=35), min_size=5, max_size=7)


@settings(max_examples=5, deadline=None)
@given(intervals=months, seed=st.integers(0, 2**32))
def test_rotation_covers_everything_in_time_whatever_is_added_changed_and_removed(
    intervals: list[float], seed: int
) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as root:
        store = Simulated(Path(root))
        for file in range(chance.randint(1, 40)):
            store.put(file, chance.choice((0, 1, 1000, 10**6)))
        for days in intervals:
            store.audit(days)
            assert store.proofs.keys() == store.files.keys(), "nothing is left unread where nothing limits it"
            ages = {file: (store.now - read_at) / DAY for file, read_at in store.proofs.items()}
            assert max(ages.values()) <= REREAD, "no proof that counts is older than that"
            # What was read longest ago is what is read again: nothing that is carried on is older than it.
            again = [store.before[file] for file in store.read & store.before.keys() if file not in changed(store)]
            carried = [store.proofs[file] for file in store.files if file not in store.read]
            assert not again or not carried or max(again) <= min(carried)
            for file in list(store.files):
                if len(store.files) > 1 and chance.random() < 0.1:
                    del store.files[file]
                elif chance.random() < 0.1:
                    store.put(file, chance.choice((0, 1, 1000, 10**6)))
            store.put(1000 + store.turn, 1000)


@settings(max_examples=4, deadline=None)
@given(intervals=months, seed=st.integers(0, 2**32), read=st.sampled_from((ReadPolicy.ROTATION, ReadPolicy.ALL)))
def test_what_a_limit_leaves_is_never_known_by_what_is_too_old_and_comes_in_its_turn(
    intervals: list[float], seed: int, read: ReadPolicy
) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as root:
        store = Simulated(Path(root), read)
        for file in range(chance.randint(1, 30)):
            store.put(file, chance.choice((1, 1000, 10**6)))
        for days in intervals:
            limit = Limit(chance.choice((0, 1500, 3 * 10**6)), Problem.OVER_TOTAL)
            store.audit(days, limit)
            assert sum(store.files[file][0] for file in store.read) <= limit.size
            # Each is known by a proof that is young enough, or said to be left.
            assert store.proofs.keys() | store.problems.keys() == store.files.keys()
            assert not store.proofs.keys() & store.problems.keys()
            assert set(store.problems.values()) <= {"over_total"}
            assert all(store.now - read_at <= REREAD * DAY for read_at in store.proofs.values())
            never = store.problems.keys() - store.before.keys()
            again = (store.read & store.before.keys()) - changed(store)
            assert not never or not again, "what was never read comes first"
            store.put(1000 + store.turn, 1000)
        # Without a limit the rest is read, whatever was left.
        store.audit(1)
        assert not store.problems


def changed(store: Simulated) -> set[int]:
    """Give what had to be read whatever its age: it was changed since the audit before."""
    return {file for file, (_, modified) in store.files.items() if modified > store.before.get(file, modified)}


def a_year(intervals: Iterator[float] | list[float], store: Simulated) -> list[float]:
    """Fill a store, audit it after each interval; give which part of it each audit read."""
    for file in range(200):
        store.put(file, 1000 + file)
    shares = []
    for days in intervals:
        store.audit(days)
        shares.append(store.share())
    return shares


def test_a_monthly_audit_reads_a_third_each_time(store: Simulated) -> None:
    # From July on, as long as the months are, and a little late each time.
    shares = a_year([0, *(days + 0.01 for days in (31, 31, 30, 31, 30, 31, 31, 28))], store)
    assert shares[0] == 1
    assert all(0.30 < share < 0.40 for share in shares[1:]), shares


def test_a_weekly_audit_reads_a_tenth_each_time(store: Simulated) -> None:
    shares = a_year([0, *([7] * 14)], store)
    assert all(0.08 < share < 0.13 for share in shares[1:]), shares


def test_a_second_audit_on_the_same_day_reads_almost_nothing(store: Simulated) -> None:
    assert a_year([0, 0.1], store)[1] < 0.01


def test_a_late_audit_reads_all_that_grew_too_old(store: Simulated) -> None:
    assert a_year([0, 30, 80], store)[2] > 0.65
    assert min(store.proofs.values()) >= store.now - REREAD * DAY


def test_a_drift_check_reads_nothing_because_of_its_age(tmp_path: Path) -> None:
    assert a_year([0, 30, 300], Simulated(tmp_path, reread=FOREVER))[1:] == [0, 0]


def test_a_short_reread_reads_all_each_time(tmp_path: Path) -> None:
    assert a_year([0, 5, 30], Simulated(tmp_path, reread=timedelta(days=20)))[1:] == [1, 1]


def test_what_a_limit_leaves_is_said_and_comes_first_next_time(store: Simulated) -> None:
    for file in range(10):
        store.put(file, 100)
    limit = Limit(400, Problem.OVER_TOTAL)
    plan = store.audit(0, limit)
    assert (plan.left, plan.left_bytes, plan.left_as) == (6, 600, "over_total")
    assert set(store.problems.values()) == {"over_total"}
    assert store.read == {0, 1, 2, 3}
    store.audit(30, limit)
    assert store.read == {4, 5, 6, 7}
    assert store.proofs.keys() == set(range(8)), "a proof that is not too old stands where a limit leaves no room"
    store.audit(30, limit)
    assert {8, 9} < store.read
    assert not store.problems


@pytest.mark.parametrize("problem", [Problem.OVER_BUDGET, Problem.OVER_TOTAL, Problem.OVER_COST])
def test_what_is_all_read_is_gone_on_with_where_a_limit_left_some(tmp_path: Path, problem: Problem) -> None:
    store = Simulated(tmp_path, ReadPolicy.ALL)
    for file in range(10):
        store.put(file, 100)
    limit = Limit(400, problem)
    read = []
    for _ in range(4):
        store.audit(1, limit)
        read.append(store.read)
    assert read == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}, {0, 1, 2, 3}], "after the whole it is all read anew"
    assert set(store.problems) == {4, 5, 6, 7, 8, 9}, "what is all to be read is not known by an earlier audit"


def test_where_time_is_over_the_oldest_were_read_first_and_proofs_that_hold_stand(tmp_path: Path) -> None:
    store = Simulated(tmp_path)
    for file in range(10):
        store.put(file, 100)
    store.audit(0)
    store.audit(30)
    store.put(77, 100)
    store.audit(31, reads=2)
    assert 77 in store.read or store.problems == {77: "over_time"}
    assert store.proofs.keys() | store.problems.keys() == set(store.files)
    store.audit(35, reads=0)
    expired = {file for file, read_at in store.before.items() if store.now - read_at > REREAD * DAY}
    assert {file for file, problem in store.problems.items() if problem == "over_time"} >= expired
    store.audit(1)
    assert not store.problems


sizes = st.integers(0, 1000)
ages = st.lists(st.tuples(st.none() | st.integers(1, 5), sizes), max_size=5, unique_by=lambda pair: pair[0])
demands = st.lists(st.builds(Demand, ages.map(tuple), st.none() | sizes), min_size=1, max_size=5)


@given(left=sizes, wanted=demands)
def test_shares_never_exceed_the_budget_and_leave_the_others_what_comes_first(left: int, wanted: list[Demand]) -> None:
    read, rest = [], left
    for turn, demand in enumerate(wanted):
        share = share_of_first(rest, wanted[turn:])
        total = sum(size for _, size in demand.by_age)
        taken = min(share, total, total if demand.most is None else demand.most)
        read.append(taken)
        rest -= taken
    assert 0 <= sum(read) <= left

    # Whoever demands what was never read has it before anybody has what was read before.
    def first(demand: Demand) -> int:
        new = sum(size for at, size in demand.by_age if at is None)
        return new if demand.most is None else min(new, demand.most)

    unserved = sum(max(first(demand) - taken, 0) for demand, taken in zip(wanted, read, strict=True))
    assert unserved == max(sum(map(first, wanted)) - left, 0)


def test_what_is_never_read_is_foreseen_before_what_is_old(store: Simulated) -> None:
    for file in range(10):
        store.put(file, 100)
    store.audit(0)
    store.put(10, 7)
    store.now += 30 * DAY
    store.turn += 1
    found = foresee(store.db, store.target, store.listed(), store.previous, store.now, (), ())
    first = store.now - 30 * DAY
    assert dict(found) == {None: 7, first: 300}
    assert store.previous
    assert foresee_unlisted(store.db, store.target, store.previous, store.now) == ((first, 333),)


def test_the_smallest_limit_counts_and_room_is_kept_for_test_restores(store: Simulated) -> None:
    cloud = Target(
        name="cloud",
        role=Role.BACKUP,
        kind="s3",
        identity="",
        options={},
        max_read=200 * 10**9,
        max_egress_cost=9.0,
        cost=Cost(monthly=5, egress_per_gb=0.09),
    )
    assert limit_of(cloud, None) == Limit(90 * 10**9, Problem.OVER_COST)
    assert limit_of(cloud, 20 * 10**9) == Limit(70 * 10**9, Problem.OVER_COST)
    assert limit_of(cloud, 200 * 10**9) == Limit(50 * 10**9, Problem.OVER_COST)
    assert limit_of(cloud, None, 10**9) == Limit(10**9, Problem.OVER_TOTAL)
    assert limit_of(store.target, None) is None
    assert kept_for_restores(10, 0) == 0


def test_a_record_of_before_a_column_was_added_proves_what_it_did(store: Simulated) -> None:
    for file in range(5):
        store.put(file, 1000)
    store.audit(0)
    assert store.previous
    of_before(store.db, store.previous / "inventory.parquet")
    store.audit(1)
    assert not store.read
    assert store.proofs.keys() == store.files.keys()


def test_a_disk_with_a_head_is_read_in_the_order_of_inodes(store: Simulated) -> None:
    for file, inode in ((1, 30), (2, 10), (3, 20)):
        store.files[file] = (100, inode)
    folder = store.root / "listed"
    listing = [
        (b"%d" % file, 100, 1, inode, None, None, None, None, None, None, None)
        for file, (_, inode) in store.files.items()
    ]
    save_rows(store.db, LISTING, listing, folder / "listing-00000.parquet")
    plan_reads(store.db, store.target, folder, None, store.now, in_order=True)
    todo = rows(store.db, f"select key from {parquet(folder, 'todo.parquet')} order by turn, place, key")
    assert [key for (key,) in todo] == [b"2", b"3", b"1"]
