"""What the safeguards of stores say under each control: five answers, of which one is a pass."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from exactcopy.assess import assess, conclude, load_controls
from exactcopy.checks import CHECKS, run_checks
from exactcopy.decisions import Decisions
from exactcopy.model import Answer, Attestation, Outcome, Problem, Role, Safeguard, Seen, Severity, Target
from exactcopy.results import (
    Assessment,
    Comparison,
    Count,
    Evidence,
    Finding,
    Losses,
    NotChecked,
    Place,
    SelfTest,
    StoreFacts,
)
from tests.clinic import Clinic, findings
from tests.servers import seaweed

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
CONTROLS = load_controls()
PASS, FAIL, NOT_SUPPORTED, NOT_PERMITTED, NOT_ASSESSED = Answer
PAIRS = [*product(Answer, repeat=2)]
OPEN = (NOT_SUPPORTED, NOT_PERMITTED, NOT_ASSESSED)
# Of each check about one safeguard: the safeguard, the control it serves, how much its finding weighs.
ASKED = {
    "not-public": (Safeguard.PUBLIC_ACCESS, "EC-AC-01", Severity.CRITICAL),
    "encrypted-at-rest": (Safeguard.ENCRYPTION, "EC-EN-01", Severity.HIGH),
    "path-is-encrypted": (Safeguard.TRANSPORT, "EC-TX-01", Severity.HIGH),
    "access-is-logged": (Safeguard.LOGGING, "EC-AU-01", Severity.HIGH),
    "nothing-deletes-by-rule": (Safeguard.LIFECYCLE, "EC-IN-01", Severity.HIGH),
    "files-are-closed-to-others": (Safeguard.FILE_RIGHTS, "EC-WS-01", Severity.LOW),
}


FOR_EVERYBODY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::images", "arn:aws:s3:::images/*"],
        }
    ],
}


def seen(**answers: Answer) -> dict[Safeguard, Seen]:
    """Give all safeguards: those named, and the others in place."""
    return {name: Seen(answer=answers.get(name.value, PASS)) for name in Safeguard}


def store(name: str, role: Role = Role.BACKUP, kind: str = "s3", **more: Any) -> StoreFacts:
    """Give a store that was examined whole and has every safeguard."""
    facts: dict[str, Any] = {
        "site": None,
        "held_by": "us",
        "offsite": True,
        "synced_to": None,
        "restored_from": None,
        "restored_on": None,
        "rpo_hours": 24.0,
        "schedule_hours": None,
        "complete": True,
        "error": None,
        "last_examined": NOW.isoformat(),
        "modalities": {},
        "problems": {},
        "safeguards": seen(),
    }
    return StoreFacts(name=name, role=role, kind=kind, **facts | more)


def evidence(*backups: StoreFacts, primaries: tuple[StoreFacts, ...] = (), covers: str = "pacs") -> Evidence:
    """Give the evidence of an audit in which nothing is amiss but what the stores themselves show."""
    primaries = primaries or (store("pacs", Role.PRIMARY),)
    nothing = dict.fromkeys(("lost_from_primary", "gone_everywhere", "no_sound_copy"), Count())
    nothing |= dict.fromkeys(("damaged_on_primary", "only_copy", "changed_on_primary", "disposed"), Count())
    return Evidence(
        started=NOW,
        first=False,
        rto_hours=72.0,
        due_days={},
        security_official="Dana Reyes",
        it="Sam Ortiz",
        stores=(*primaries, *backups),
        comparisons=tuple(comparison(covers, backup.name) for backup in backups),
        losses=Losses(compared_with=None, by_primary={each.name: nothing for each in primaries}, **nothing),
        restores=(),
        agreements=frozenset(),
        previous=None,
        left_out_stores=(),
        tolerated={},
        overdue_drives={},
        recovery=None,
        way_to_recovery=None,
        days_between_restores={},
        retention=None,
        upkeep=None,
        records_at=Place(device=None, disk=None, host=None),
        anchor_at=None,
        anchor_away=False,
        actions=(),
        self_test=SelfTest(planted=16, found=16, missed=(), sound=4, alarms=()),
        reviewed=None,
        addressable=frozenset(),
        stated=frozenset(),
        mass_change={},
    )


def comparison(primary: str, backup: str) -> Comparison:
    """Give a comparison of nothing with nothing."""
    return Comparison(
        primary=primary,
        backup=backup,
        studies=dict.fromkeys(("total", "protected", "pending", "gap", "not_checked"), 0),
        proof={},
        instances={outcome.value: 0 for outcome in Outcome},
        extra=None,
        assurance={},
        reported_by={},
        oldest_read_at=None,
        newest_copy=None,
        newest_on_primary=None,
        oldest_unprotected_hours=None,
        changed_side={},
        against_damaged=0,
        gap_studies={},
    )


def ask(check: str, found: Evidence, name: str = "cloud") -> Finding | NotChecked | None:
    """Give what a check says of one store."""
    (result,) = (
        item.result for item in run_checks(found, lambda each: each) if (item.check, item.target) == (check, name)
    )
    return result


def assessed(found: Evidence, control: str, *attested: Attestation) -> Assessment:
    """Give what is said of a control."""
    decisions = Decisions(attestations=attested)
    checked = run_checks(found, lambda each: each)
    return next(each for each in assess(checked, CONTROLS, decisions, found) if each.control.id == control)


def concluded(found: Evidence) -> tuple[str, str]:
    """Give the conclusion and the headline of an audit in which all was examined."""
    results = [item.result for item in run_checks(found, lambda each: each)]
    said = conclude((each for each in results if isinstance(each, Finding)), CONTROLS, found, complete=True)
    return said.conclusion, said.headline


def attestation(control: str, on: date, expires: date) -> Attestation:
    """Give what somebody states of a control."""
    return Attestation(
        control=control, statement="It is so.", by="Dana", title="Officer", on=on, expires=expires, entered_by="dana"
    )


# --- one store, one safeguard ----------------------------------------------------------------------------


@pytest.mark.parametrize("check", ASKED)
@pytest.mark.parametrize("answer", Answer)
def test_each_answer_is_told_apart(check: str, answer: Answer) -> None:
    safeguard, control, severity = ASKED[check]
    assert check in next(each for each in CONTROLS if each.id == control).checks
    told = ask(check, evidence(store("cloud", safeguards=seen(**{safeguard.value: answer}))))
    if answer is PASS:
        assert told is None
    elif answer is FAIL:
        assert isinstance(told, Finding)
        assert (told.severity, told.count, told.unit) == (severity, 1, "stores")
    else:
        assert isinstance(told, NotChecked)
        words = {
            NOT_SUPPORTED: "The server cannot say wh",
            NOT_PERMITTED: "The account that audits may not see wh",
            NOT_ASSESSED: "It was not assessed wh",
        }
        assert told.reason.startswith(words[answer])


def test_what_would_answer_is_named() -> None:
    def reason(kind: str, answer: Answer) -> str:
        told = ask("not-public", evidence(store("cloud", kind=kind, safeguards=seen(public_access=answer))))
        assert isinstance(told, NotChecked)
        return told.reason

    assert "Grant it s3:GetBucketPolicyStatus" in reason("s3", NOT_PERMITTED)
    assert "s3:" not in reason("rclone", NOT_PERMITTED)
    assert reason("folder", NOT_ASSESSED) == (
        "A folder has no public address to try, and does not show whether a share asks everybody for a login. If you "
        "know, attest EC-AC-01."
    )


def test_who_is_sent_to_attest_can_attest() -> None:
    named: set[str] = set()
    for answer, kind in product(OPEN, ("folder", "s3", "rclone")):
        found = evidence(store("cloud", kind=kind, safeguards=seen(**dict.fromkeys(Safeguard, answer))))
        results = (item.result for item in run_checks(found, lambda each: each))
        named |= {
            control
            for result in results
            if isinstance(result, NotChecked)
            for control in re.findall(r"[Aa]ttest (EC-[A-Z]+-\d+)", result.reason)
        }
    assert {"EC-AC-01", "EC-AU-01", "EC-BK-08", "EC-BK-10", "EC-EN-01", "EC-TX-01"} <= named
    assert named <= {control.id for control in CONTROLS if control.may_be_attested}


def test_what_was_seen_is_told() -> None:
    shown = {**seen(), Safeguard.ENCRYPTION: Seen(answer=FAIL, detail="AES256 by default", count=3)}
    told = ask("encrypted-at-rest", evidence(store("cloud", safeguards=shown)))
    assert isinstance(told, Finding)
    assert (
        told.message
        == "Images lie on cloud in the clear, as far as it tells. Counted: 3 files. Seen: AES256 by default."
    )
    assert (told.count, told.unit) == (3, "files")


def test_a_drive_that_is_carried_about_has_to_be_encrypted() -> None:
    drive = store("usb", kind="folder", volumes_configured=2, safeguards=seen(encryption=FAIL))
    told = ask("encrypted-at-rest", evidence(drive), "usb")
    assert isinstance(told, Finding)
    assert told.severity is Severity.CRITICAL


@pytest.mark.parametrize("check", [*ASKED, "separate-failure-domain", "sync-folder-is-named"])
def test_a_store_that_was_not_examined_says_nothing(check: str) -> None:
    told = ask(check, evidence(store("cloud", error="denied", complete=False, safeguards={})))
    assert isinstance(told, NotChecked)
    assert told.reason == "cloud could not be examined."


@pytest.mark.parametrize("answer", Answer)
def test_the_way_to_the_recovery_pacs_is_asked_for_where_there_is_one(answer: Answer) -> None:
    spare = Target(name="spare", role=Role.RECOVERY, kind="dimse", identity="spare", options={})
    without = evidence(store("a", safeguards=seen(transport=PASS)))
    found = replace(without, recovery=spare, way_to_recovery=Seen(answer=answer, detail="as it is"))
    for each, targets in ((without, []), (found, ["spare"])):
        told = [one for one in run_checks(each, lambda one: one) if one.check == "recovery-path-is-encrypted"]
        assert [one.target for one in told] == targets
    assert isinstance(told[0].result, Finding) is (answer is FAIL)
    status = {PASS: "no exception", FAIL: "exception"}.get(answer, "not checked")
    assert assessed(found, "EC-TX-01").status == status


# --- controls over several stores ------------------------------------------------------------------------


@pytest.mark.parametrize(("control", "check"), [(control, check) for check, (_, control, _) in ASKED.items()])
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_only_a_pass_of_every_store_leaves_no_exception(control: str, check: str, one: Answer, other: Answer) -> None:
    safeguard, _, severity = ASKED[check]
    both = [store(name, safeguards=seen(**{safeguard.value: answer})) for name, answer in (("a", one), ("b", other))]
    found = evidence(*both)
    said = assessed(found, control)
    if FAIL in (one, other):
        assert said.status == ("attention" if severity is Severity.LOW else "exception")
        assert ("Not checked on" in said.observed) == bool({one, other} & set(OPEN))
    elif (one, other) != (PASS, PASS):
        assert said.status == "not checked"
        assert said.observed.startswith("2 of 3 answered. " if PASS in (one, other) else "1 of 3 answered. ")
    else:
        # What only a person can state is not answered by what lies beside it.
        assert said.status == ("not checked" if said.control.kind == "attested" else "no exception")


@pytest.mark.parametrize(("encryption", "transport"), PAIRS)
def test_all_that_is_proposed_is_at_rest_and_in_transit(encryption: Answer, transport: Answer) -> None:
    found = evidence(store("cloud", safeguards=seen(encryption=encryption, transport=transport)))
    passed = assessed(found, "NP-05").status == "no exception"
    assert passed == (encryption is transport is PASS)


@pytest.mark.parametrize("safeguard", Safeguard)
@pytest.mark.parametrize("answer", Answer)
def test_only_public_access_is_in_the_conclusion(safeguard: Safeguard, answer: Answer) -> None:
    found = evidence(store("cloud", safeguards=seen(**{safeguard.value: answer})))
    before = concluded(evidence(store("cloud")))
    if safeguard is Safeguard.PUBLIC_ACCESS and answer is FAIL:
        assert concluded(found) == ("exceptions noted", "other_exceptions")
    else:
        assert concluded(found) == before == ("no exceptions noted", "none")


def test_what_nobody_shows_leaves_the_conclusion_and_is_not_checked() -> None:
    shown = seen(**dict.fromkeys(Safeguard, NOT_ASSESSED))
    pacs = store("pacs", Role.PRIMARY, "folder", safeguards=shown)
    found = evidence(store("nas", kind="folder", safeguards=shown), primaries=(pacs,))
    assert concluded(found) == ("no exceptions noted", "none")
    for control in ("EC-AC-01", "EC-EN-01", "EC-TX-01", "EC-AU-01", "EC-BK-08", "EC-BK-10", "EC-WS-01", "EC-IN-01"):
        assert assessed(found, control).status == "not checked", control


def test_an_attestation_stands_where_it_could_not_be_seen_and_never_over_a_finding() -> None:
    said = attestation("EC-AC-01", date(2026, 11, 1), date(2027, 11, 1))
    open_question = evidence(store("cloud", safeguards=seen(public_access=NOT_PERMITTED)))
    assert assessed(open_question, "EC-AC-01", said).status == "attested"
    public = evidence(store("cloud", safeguards=seen(public_access=FAIL)))
    assert assessed(public, "EC-AC-01", said).status == "exception"


def test_an_attestation_that_expired_is_told_beside_what_is_open() -> None:
    old = attestation("EC-AC-01", date(2025, 1, 1), date(2026, 1, 1))
    said = assessed(evidence(store("cloud", safeguards=seen(public_access=NOT_PERMITTED))), "EC-AC-01", old)
    assert said.status == "not checked"
    assert said.observed.startswith(
        "The attestation of 2025-01-01 expired on 2026-01-01. 1 of 2 answered. cloud: The account"
    )


# --- a copy that stays -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lock", "versions", "rules"), [*product(Answer, repeat=3)])
def test_a_copy_is_kept_by_a_lock_or_by_versions_that_no_rule_deletes(
    lock: Answer, versions: Answer, rules: Answer
) -> None:
    found = evidence(store("cloud", safeguards=seen(immutability=lock, versioning=versions, lifecycle=rules)))
    told = ask("copy-is-immutable", found, "pacs")
    kept = lock is PASS or (versions is PASS and rules is PASS)
    undone = lock is versions is FAIL
    assert type(told) is (type(None) if kept else Finding if undone else NotChecked)
    if isinstance(told, Finding):
        assert told.severity is Severity.HIGH
    assert assessed(found, "EC-BK-10").status == ("no exception" if kept else "exception" if undone else "not checked")


def deletable(name: str, **more: Any) -> StoreFacts:
    """Give a backup that shows that nothing is kept."""
    return store(name, safeguards=seen(immutability=FAIL, versioning=FAIL), **more)


def test_one_kept_copy_is_enough_and_one_unknown_is_no_finding() -> None:
    unknown = store("nas", kind="folder", safeguards=seen(**dict.fromkeys(Safeguard, NOT_ASSESSED)))
    away = store("away", error="denied", safeguards={})
    drives = deletable("usb", kind="folder", volumes_configured=2)
    assert ask("copy-is-immutable", evidence(deletable("a"), unknown, store("b")), "pacs") is None
    told = ask(
        "copy-is-immutable", evidence(deletable("a"), unknown, replace(unknown, name="tape"), away, drives), "pacs"
    )
    assert isinstance(told, NotChecked)
    assert told.reason == (
        "It is not known whether a copy is kept from being deleted. nas, tape: not assessed; away: could not be "
        "examined; usb: whether the drives are unplugged between backups does not show. If one is kept offline or "
        "locked, attest EC-BK-10."
    )
    assert isinstance(ask("copy-is-immutable", evidence(deletable("a"), deletable("b")), "pacs"), Finding)


def test_a_kept_copy_of_another_primary_does_not_count() -> None:
    primaries = (store("pacs", Role.PRIMARY), store("satellite", Role.PRIMARY))
    found = evidence(store("cloud"), primaries=primaries)
    found = replace(found, stores=(*found.stores, deletable("nas")))
    found = replace(found, comparisons=(*found.comparisons, comparison("satellite", "nas")))
    assert ask("copy-is-immutable", found, "pacs") is None
    assert isinstance(ask("copy-is-immutable", found, "satellite"), Finding)
    assert assessed(found, "EC-BK-10").status == "exception"


# --- apart from the primary ------------------------------------------------------------------------------


def places() -> Iterator[Any]:
    """Give where a primary and a backup lie, and what is known of it: shared, apart, or nothing (None)."""
    here, other = {"device": "8:1", "disk": "sda"}, {"device": "8:17", "disk": "sdb"}
    theirs = {"held_by": "Cloud Ltd"}
    yield pytest.param(here, here, True, id="one file system")
    yield pytest.param(here, {"device": "8:2", "disk": "sda"}, True, id="one disk")
    yield pytest.param({"host": "x"}, {"host": "x"}, True, id="one host")
    yield pytest.param({**here, "host": "x"}, {**other, "host": "x"}, True, id="two disks of one host")
    yield pytest.param(here, other, False, id="two disks")
    yield pytest.param(here, {"host": "x", **theirs}, False, id="a disk here, somebody else's host")
    yield pytest.param({"host": "x"}, {"host": "y", **theirs}, False, id="a host of ours, somebody else's")
    yield pytest.param({"host": "x", **theirs}, {"host": "x", **theirs}, True, id="one account of somebody else")
    yield pytest.param({"host": "x", **theirs}, {"host": "y", **theirs}, None, id="two names with one holder")
    yield pytest.param(here, {"device": "0:52", "host": "x"}, None, id="a host that may be this computer")
    yield pytest.param({"host": "x"}, other, None, id="a disk of what may be the host")
    yield pytest.param({"host": "x"}, {"host": "y"}, None, id="two names that may be one machine")
    yield pytest.param(here, {"device": "0:52"}, None, id="a backup that does not show")
    yield pytest.param(here, {"device": "0:52", **theirs}, None, id="a backup that only the configuration places")
    yield pytest.param({"device": "0:52"}, {"host": "x", **theirs}, None, id="a primary that does not show")
    yield pytest.param({}, {}, None, id="nothing shows")


@pytest.mark.parametrize(("primary", "backup", "shared"), [*places()])
def test_only_what_is_seen_apart_is_called_apart(
    primary: dict[str, Any], backup: dict[str, Any], shared: bool | None
) -> None:
    found = evidence(store("nas", **backup), primaries=(store("pacs", Role.PRIMARY, **primary),))
    told = ask("separate-failure-domain", found, "nas")
    assert type(told) is {True: Finding, False: type(None), None: NotChecked}[shared]
    status = {True: "exception", False: "no exception", None: "not checked"}[shared]
    assert assessed(found, "EC-BK-08").status == status


def test_a_primary_that_was_not_examined_is_not_known_to_be_apart() -> None:
    primaries = (store("pacs", Role.PRIMARY, disk="sda"), store("second", Role.PRIMARY, error="missing"))
    found = evidence(store("nas", disk="sdb"), primaries=primaries)
    found = replace(found, comparisons=(*found.comparisons, comparison("second", "nas")))
    assert isinstance(ask("separate-failure-domain", found, "nas"), NotChecked)


@pytest.mark.parametrize("how", [{"synced_by": "Dropbox"}, {"synced_to": "Dropbox"}])
def test_a_sync_clients_folder_is_neither_apart_nor_off_site(how: dict[str, Any]) -> None:
    primaries = (store("pacs", Role.PRIMARY, disk="sda"),)
    found = evidence(store("dropbox", kind="folder", disk="sdb", **how), primaries=primaries)
    told = ask("separate-failure-domain", found, "dropbox")
    assert isinstance(told, NotChecked)
    assert "sync client" in told.reason
    off_site = ask("kept-off-site", found, "audit")
    assert isinstance(off_site, Finding)
    assert off_site.message.endswith("dropbox is a local folder of Dropbox, and lies here.")
    beside = evidence(found.stores[1], store("cloud"), primaries=primaries)
    assert isinstance(ask("kept-off-site", beside, "audit"), NotChecked)


@pytest.mark.parametrize("disk", ["sda", "sdb"])
def test_where_a_backup_was_restored_to_says_nothing_of_where_it_lies(disk: str) -> None:
    restored = store("restored", kind="folder", disk=disk, restored_from="computer backup", restored_on="2026-11-02")
    found = evidence(restored, primaries=(store("pacs", Role.PRIMARY, disk="sda"),))
    told = ask("separate-failure-domain", found, "restored")
    assert isinstance(told, NotChecked)
    assert "restored by hand" in told.reason
    assert assessed(found, "EC-BK-08").status == "not checked"


def test_a_sync_clients_folder_has_to_be_configured_as_one() -> None:
    unnamed = evidence(store("dropbox", kind="folder", synced_by="Dropbox", offsite=None))
    told = ask("sync-folder-is-named", unnamed, "dropbox")
    assert isinstance(told, Finding)
    assert told.severity is Severity.MEDIUM
    assert concluded(unnamed) == ("no exceptions noted", "none")
    named = evidence(store("dropbox", kind="folder", synced_by="Dropbox", synced_to="Dropbox", offsite=None))
    assert ask("sync-folder-is-named", named, "dropbox") is None


@pytest.mark.parametrize(
    ("drive", "asked"),
    [
        ({"filesystem": "vfat", "free": 500_000_000}, ["FAT", "0.5 GB are free"]),
        ({"filesystem": "ext4", "free": 500_000_000}, ["0.5 GB are free"]),
        ({"filesystem": "exfat", "free": 80_000_000_000}, []),
        ({}, []),
    ],
)
def test_what_a_drive_may_not_take_is_asked_where_images_are_missing(drive: dict[str, Any], asked: list[str]) -> None:
    found = evidence(store("usb", kind="folder", **drive))
    (pair,) = found.comparisons
    missing = replace(pair, instances={**pair.instances, "missing": 1}, gap_studies={"missing": 1})
    told = ask("backup-is-complete", replace(found, comparisons=(missing,)), "usb")
    assert isinstance(told, Finding)
    assert len(told.to_check) == 2 + len(asked)
    assert all(words in said for words, said in zip(asked, told.to_check[2:], strict=True))


# --- files that nobody read ------------------------------------------------------------------------------


def test_files_that_were_not_read_are_told_by_their_reason() -> None:
    problems = {Problem.PLACEHOLDER: 2, Problem.ARCHIVED: 1, Problem.OVER_BUDGET: 4, Problem.AMBIGUOUS: 2}
    found = evidence(store("cloud", complete=False, unread=9, problems={str(name): n for name, n in problems.items()}))
    told = ask("store-examined", found)
    assert isinstance(told, Finding)
    assert told.message == (
        "2 files lie only in the cloud and were not opened, for that would download them; 1 file lies in cold storage "
        "and cannot be read before it is thawed; 4 files were left unread by `max_read`; 2 files share their names "
        "with others, so that either may come."
    )
    assert (told.count, told.to_check) == (9, ())
    assert 'kind = "rclone"' in told.remedy[0]
    assert not any("replace the disk" in step for step in told.remedy)
    readable = ask("copies-are-readable", found)
    assert isinstance(readable, NotChecked)
    assert readable.reason == told.message


def test_files_that_could_not_be_read_are_told_beside_them() -> None:
    found = evidence(
        store("nas", complete=False, unread=4, unlisted=1, problems={"placeholder": 1, "io_error": 2, "permission": 1})
    )
    told = ask("store-examined", found, "nas")
    assert isinstance(told, Finding)
    assert told.message == (
        "1 folder could not be listed; 1 file lies only in the cloud and was not opened, for that would download it; "
        "3 files could not be read to the end."
    )
    assert told.to_check
    assert told.remedy[-1] == "Grant read access or replace the disk."


# --- a real server, the real command line ----------------------------------------------------------------


def test_what_a_bucket_refuses_is_not_checked_and_what_it_opens_is_an_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seaweed() as server:
        clinic = Clinic(tmp_path, backups=())
        image = clinic.add(0, 0, "rtplan.dcm")
        admin = server.admin()
        admin.create_bucket(Bucket="images")
        admin.put_object(Bucket="images", Key="image", Body=image.read_bytes())
        clinic.settings = f"""
            [backup.cloud]
            kind = "s3"
            bucket = "images"
            endpoint = "{server.endpoint}"
            held_by = "us"
            offsite = true
        """
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.auditor.id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.auditor.secret)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        refused = clinic.audit(expected=0)
        admin.put_bucket_policy(Bucket="images", Policy=json.dumps(FOR_EVERYBODY))
        public = clinic.audit(expected=1)
    controls = {row["id"]: row for row in refused["controls"]}
    assert controls["EC-AC-01"]["status"] == "not checked"
    assert "Grant it s3:GetBucketPolicyStatus" in controls["EC-AC-01"]["observed"]
    assert controls["EC-TX-01"]["status"] == "not checked", "its endpoint is http, and on this computer"
    assert ("not-public", "cloud") not in findings(refused)
    assert findings(public)["not-public", "cloud"] == "critical"
    assert (public["conclusion"], public["headline"]) == ("exceptions noted", "other_exceptions")


def test_every_check_of_a_safeguard_is_asked_here() -> None:
    own = {name for name, each in CHECKS.items() if each.ask.__module__ == "exactcopy.checks.safeguards"}
    assert own == {*ASKED, "copy-is-immutable", "recovery-path-is-encrypted"}


@pytest.mark.parametrize(("kind", "named"), [("damaged_on_primary", True), ("no_sound_copy", False)])
def test_a_good_copy_is_spoken_of_only_where_there_is_one(kind: str, named: bool) -> None:
    found = evidence(store("nas"))
    lost = {**found.losses.by_primary["pacs"], kind: Count(studies=1, instances=1)}
    told = ask("primary-is-sound", replace(found, losses=replace(found.losses, by_primary={"pacs": lost})), "pacs")
    assert isinstance(told, Finding)
    assert any("good copies named on the worklist" in each for each in told.remedy) is named
    assert any(each.startswith("Where no sound copy is named") for each in told.remedy) is not named
