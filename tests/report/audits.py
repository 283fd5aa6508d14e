"""Made audits for the report's tests, as audit.json holds them. No real facility, person or image."""

import hashlib
import tomllib
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any

Audit = dict[str, Any]
Rows = list[dict[str, Any]]

OUTCOMES = (
    "identical",
    "equivalent",
    "altered",
    "different",
    "missing",
    "pending",
    "unreadable",
    "unverified",
    "unknown",
)
CFR = "45 CFR "


def digest(text: str) -> str:
    """Give a SHA-256 that looks like any other."""
    return hashlib.sha256(text.encode()).hexdigest()


def store(name: str, role: str = "backup", kind: str = "folder", **changes: Any) -> Audit:
    """Give one store that was examined whole."""
    base: Audit = {
        "name": name,
        "role": role,
        "kind": kind,
        "site": "Main Street",
        "held_by": "us",
        "offsite": False,
        "synced_to": None,
        "restored_from": None,
        "restored_on": None,
        "complete": True,
        "error": None,
        "last_examined": "2026-11-24T06:04:00+00:00",
        "studies": 40,
        "series": 61,
        "instances": 412,
        "objects": 415,
        "bytes": 3_812_004_113,
        "not_dicom": 2,
        "damaged": 0,
        "duplicates": 1,
        "conflicts": 0,
        "not_opened": 0,
        "unread": 0,
        "unlisted": 0,
        "oldest_year": 2019,
        "newest_year": 2026,
        "encrypted": None,
        "volumes_configured": 0,
        "volume": None,
        "rpo_hours": 24,
        "modalities": {"CR": 12, "CT": 9, "MG": 6, "US": 13},
        "problems": {"not_dicom": 2},
        "host": None,
        "filesystem": "ext4" if kind == "folder" else None,
        "synced_by": None,
        "reads": "medium" if kind == "folder" else None,
        "free": None,
        "yearly_cost": None,
        "paid_once": None,
        "read_back_cost": None,
        "read_bytes": 3_812_004_113 if kind == "folder" else 0,
        "read_rate": 96_400_000.0 if kind == "folder" else None,
        "egress_cost": None,
    }
    known = {"encryption": "pass" if changes["encrypted"] else "fail"} if changes.get("encrypted") is not None else {}
    return base | {"safeguards": safeguards(**known)} | changes


SAFEGUARDS = (
    "encryption",
    "public_access",
    "transport",
    "versioning",
    "immutability",
    "lifecycle",
    "logging",
    "replication",
    "file_rights",
)


def safeguards(**seen: str | tuple[str, str] | tuple[str, str, int]) -> Audit:
    """Give all safeguards: the answers in `seen`, with details and counts, and the others not assessed."""
    answers = {name: seen.get(name, "not_assessed") for name in SAFEGUARDS}
    parts = {name: (each,) if isinstance(each, str) else each for name, each in answers.items()}
    return {
        name: {"answer": answer, "detail": rest[0] if rest else "", "count": rest[1] if len(rest) > 1 else None}
        for name, (answer, *rest) in parts.items()
    }


def comparison(
    primary: str,
    backup: str,
    studies: tuple[int, int, int, int],
    proof: tuple[int, int, int],
    instances: Audit,
    **changes: Any,
) -> Audit:
    """Give one comparison: protected, pending, gap, not checked; proven this run, earlier, reported."""
    protected, pending, gap, not_checked = studies
    counts = {name: instances.get(name, 0) for name in OUTCOMES}
    present = sum(counts[name] for name in OUTCOMES if name not in {"missing", "pending", "unknown"})
    restored = counts["identical"]
    base: Audit = {
        "primary": primary,
        "backup": backup,
        "studies": {
            "total": sum(studies),
            "protected": protected,
            "pending": pending,
            "gap": gap,
            "not_checked": not_checked,
        },
        "proof": dict(zip(("this_run", "earlier", "reported"), proof, strict=True)),
        "instances": counts,
        "extra": {
            "not_known_on_primary": {"studies": 0, "instances": 0},
            "lost_from_primary": {"studies": 0, "instances": 0},
        },
        "assurance": {"listed": 0, "reported": 0, "read": present - restored, "restored": restored},
        "oldest_read_at": "2026-11-24T06:01:00+00:00" if present else None,
        "newest_copy": "2026-11-24T01:12:00+00:00" if present else None,
        "oldest_unprotected_hours": None,
        "changed_side": {"primary": 0, "backup": 0, "unknown": 0},
        "last_known": None,
    }
    return base | changes


def restore_test(backup: str, planned: int, frame: int, **changes: Any) -> Audit:
    """Give one backup's restore test without a failure."""
    sample: Audit = {
        "method": "all" if planned == frame else "random",
        "confidence": 0.95,
        "tolerable": 0.05,
        "seed": digest(f"seed {backup}"),
        "frame_sha256": digest(f"frame {backup}"),
        "frame": frame,
        "left_out": 0,
        "upper_limit": None if planned == frame else 59,
    }
    base: Audit = {
        "backup": backup,
        "planned": planned,
        "restored": planned,
        "failed": 0,
        "not_decodable": 0,
        "not_tested": 0,
        "bytes": 2_914_338_201,
        "seconds": 212.4,
        "certainty": {"planned": 3, "restored": 3, "failed": 0, "not_decodable": 0, "not_tested": 0},
        "sample": sample | changes.pop("sample", {}),
        "left_out_why": {"gap": 0, "pending": 0, "not_checked": 0, "damaged": 0} | changes.pop("left_out_why", {}),
        "copy_back_hours": 0.1,
        "destination": "scratch folder",
        "reason": None,
    }
    return base | changes


def finding(check: str, target: str, severity: str, count: int, title: str, **changes: Any) -> Audit:
    """Give one open finding that decides."""
    base: Audit = {
        "id": "F-" + digest(f"{check} {target}")[:8],
        "check": check,
        "target": target,
        "severity": severity,
        "count": count,
        "unit": "studies",
        "title": title,
        "message": f"{title}. The listing was complete.",
        "why": "If the primary fails today, these studies cannot be brought back whole from this backup.",
        "to_check": [
            "Whether the copy job ended with an error",
            "Whether the studies arrived after the job had marked them done",
        ],
        "remedy": ["Send the studies of the worklist to this backup again.", "Run the audit again."],
        "worklist": f"worklist-{target}.csv",
        "decides": True,
        "state": "open",
        "owner": "Sam Ortiz",
        "due": "2026-12-01",
        "first_seen": "2026-11-24T06:00:00+00:00",
        "times_seen": 1,
        "citations": [CFR + "164.308(a)(7)(ii)(A)"],
    }
    return base | changes


INCIDENT = [
    "Keep a copy of the damaged file before anything is overwritten.",
    "Decide whether this is a security incident and record the decision (164.308(a)(6)(ii)).",
]

STATUSES = {
    "no exception": "EC-RA-02 EC-RM-01 EC-BK-04 EC-BK-05 EC-BK-07 EC-BK-08 EC-DR-01 EC-DR-02 "
    "EC-DR-03 EC-DR-04 EC-TR-01 "
    "EC-IN-02 EC-IN-03 EC-IN-04 EC-TX-02 EC-RT-02 NP-01 NP-02 NP-03",
    "exception": "EC-BK-01 EC-BK-02 EC-BK-03 EC-BK-06 EC-BK-09",
    "attention": "EC-BK-11",
    "attested": "EC-SO-01 EC-CP-01 EC-DR-06",
    "alternative documented": "EC-TR-02",
    "not applicable": "EC-BA-01",
}
OBSERVED = {
    "no exception": "Examined on nas, usb-drives.",
    "attention": "2 studies on nas are not known on a primary.",
    "exception": "3 studies are missing or incomplete on nas.",
    "attested": "The plan of May 2026 names every image store.",
    "alternative documented": "A documented alternative is on record.",
    "not applicable": "No store is held by anybody else.",
}
STATEMENT = {
    "by": "Dana Reyes",
    "title": "Security official",
    "on": "2026-10-02",
    "expires": "2027-10-02",
    "statement": "The plan of May 2026 names every image store.",
    "document": "contingency-plan-2026.pdf",
    "party": None,
}


def controls(findings: Iterable[Audit], **statuses: str) -> list[Audit]:
    """Give the product's own catalogue with statuses; a keyword such as EC_BK_01 sets one."""
    ids = [each["id"] for each in findings]
    given = {name: status for status, names in STATUSES.items() for name in names.split()}
    text = resources.files("exactcopy").joinpath("controls.toml").read_text(encoding="utf-8")
    out = []
    for control in tomllib.loads(text)["control"]:
        name = control["id"]
        status = statuses.get(name.replace("-", "_"), given.get(name, "not checked"))
        attested = dict(STATEMENT) if status in {"attested", "alternative documented"} else None
        row = {key: control[key] for key in ("id", "citation", "title", "text", "specification", "kind")}
        row |= {"decides": control.get("decides", False), "status": status, "checks": control.get("checks", [])}
        row |= {"attested_by": attested, "attestations": [attested] if attested else []}
        row["observed"] = OBSERVED.get(status, control.get("answered_by", ""))
        row["findings"] = ids[:2] if status == "exception" else []
        out.append(row)
    return out


def gap_row(number: int, each: Audit, outcome: str = "missing", instances: int = 12, bad: int = 3) -> Audit:
    """Give one row of gaps.csv for `finding`."""
    counts = dict.fromkeys(OUTCOMES, 0) | {"identical": instances - bad, outcome: bad}
    return {
        "finding": each["id"],
        "check": each["check"],
        "severity": each["severity"],
        "target": each["target"],
        "label": f"E-{number:04d}",
        "modality": ("CT", "MG", "CR", "US", "DX", "other")[number % 6],
        "study_year": 2019 + number % 8,
        "instances": instances,
        **counts,
        "changed_side": "backup" if outcome in {"altered", "different", "unreadable"} else "",
        "elements": "StudyDescription PatientName" if outcome == "altered" else "",
    }


def mass_change(known: int, **changes: Any) -> Audit:
    """Give what changed in a store that knew so many images: nothing, unless `changes` say so."""
    counts = dict.fromkeys(("changed", "gone", "studies", "lost_magic", "renamed", "notes", "high_entropy"), 0)
    return {"compared_with": "2026-10-27T060000Z", "known": known, **counts, **changes}


def audit(stores: list[Audit], comparisons: list[Audit], **changes: Any) -> Audit:
    """Give an audit of `stores` in which nothing was found unless `changes` say so."""
    findings = changes.pop("findings", [])
    primaries = [each["name"] for each in stores if each["role"] == "primary"]
    nothing = {"studies": 0, "instances": 0}
    base: Audit = {
        "schema": 1,
        "facility": "Riverside Imaging",
        "time_zone": "America/Chicago",
        "paper": "letter",
        "conclusion": "no exceptions noted",
        "complete": True,
        "headline": "none",
        "not_examined": [],
        "audit": {
            "id": "2026-11-24T060000Z",
            "started": "2026-11-24T06:00:00+00:00",
            "finished": "2026-11-24T06:41:12+00:00",
            "version": "0.1.0",
            "config_sha256": digest("config"),
            "operator": "svc-exactcopy",
            "libraries": {"pydicom": "3.0.2", "pylibjpeg": "2.1.0"},
            "first": False,
        },
        "previous": {"id": "2026-10-27T060000Z", "manifest_sha256": digest("previous")},
        "history": [],
        "policy": {
            "rpo_hours": 24,
            "rto_hours": 72,
            "sample": "standard",
            "read": {each["name"]: "rotation" if each["kind"] == "dicomweb" else "all" for each in stores},
            "reread_days": {each["name"]: 92 for each in stores},
        },
        "people": {"security_official": "Dana Reyes", "it": "Sam Ortiz"},
        "losses": {
            "compared_with": "2026-10-27T060000Z",
            **{
                name: dict(nothing)
                for name in (
                    "lost_from_primary",
                    "gone_everywhere",
                    "no_sound_copy",
                    "damaged_on_primary",
                    "only_copy",
                    "changed_on_primary",
                )
            },
        },
        "stores": stores,
        "comparisons": comparisons,
        "restore_tests": [],
        "findings": findings,
        "controls": controls(findings, **changes.pop("statuses", {})),
        "checks": [
            {"check": "copies-are-exact", "target": each["backup"], "status": "no_exception", "reason": None}
            for each in comparisons
        ],
        "evidence": {
            "restricted_manifest_sha256": digest("restricted"),
            "gaps_rows": 0,
            "self_test": {"planted": 16, "found": 16, "missed": [], "sound": 4, "alarms": []},
        },
        "mass_change": {each["name"]: mass_change(each["instances"]) for each in stores if each["error"] is None},
        "upkeep": {
            "faults": 0,
            "last_whole": True,
            "last_readable": True,
            "unfinished": 0,
            "away": 0,
            "months": 14,
            "missing": ["2026-02"],
            "recently_missing": 1,
        },
        "scope": {
            "covers": "DICOM images in: " + ", ".join(primaries),
            "not": "PACS database, reports, other records",
        },
    }
    return base | changes


SOUND = {f"EC_BK_{number:02d}": "no exception" for number in (1, 2, 3, 6, 9, 11)}


def first() -> tuple[Audit, Rows]:
    """A first audit of forty studies with planted gaps on three backups."""
    stores = [
        store("pacs", "primary", studies=34, instances=331, series=48),
        store("satellite", "primary", studies=6, instances=81, series=13, site="Lake View", bytes=310_000_000),
        store("nas", studies=37, instances=396, damaged=1, not_dicom=3, duplicates=4),
        store(
            "usb-drives",
            site="Owner's home",
            offsite=True,
            studies=36,
            instances=402,
            encrypted=True,
            volumes_configured=2,
            volume="RIVERSIDE-A",
            rpo_hours=168,
        ),
        store("second-drive", studies=21, instances=188, complete=False, error="parts_unreadable", unlisted=1),
    ]
    found = [
        finding(
            "copies-are-exact",
            "nas",
            "critical",
            2,
            "2 studies on nas differ from the original",
            why="A copy that differs silently is not exact; the change may also be a security incident.",
            remedy=[*INCIDENT, "Send the studies of the worklist to nas again.", "Run the audit again."],
            citations=[CFR + "164.308(a)(7)(ii)(A)", CFR + "164.312(c)(2)"],
        ),
        finding(
            "every-instance-has-a-copy",
            "satellite",
            "critical",
            1,
            "1 study of satellite is on no backup",
            worklist="worklist-satellite.csv",
            unit="study",
        ),
        finding("backup-is-complete", "nas", "high", 3, "3 studies are missing or incomplete on nas"),
        finding("backup-is-complete", "usb-drives", "high", 1, "1 study is incomplete on usb-drives", unit="study"),
        finding(
            "copies-are-readable",
            "nas",
            "high",
            1,
            "1 study on nas cannot be read whole",
            owner=None,
            due=None,
        ),
        finding(
            "store-examined",
            "second-drive",
            "high",
            1,
            "A folder of second-drive could not be listed",
            unit="folder",
            worklist=None,
            remedy=["Let the audit's account read the folder.", "Audit again."],
        ),
        finding(
            "nothing-left-unopened",
            "pacs",
            "low",
            2,
            "2 links in pacs were not followed",
            unit="objects",
            worklist=None,
            decides=False,
        ),
    ]
    rows = [
        gap_row(3, found[0], "different", 8, 1),
        gap_row(11, found[0], "altered", 24, 24),
        gap_row(38, found[1], "missing", 6, 6),
        gap_row(5, found[2], "missing", 30, 2),
        gap_row(17, found[2], "missing", 12, 12),
        gap_row(38, found[2], "missing", 6, 6),
        gap_row(38, found[3], "missing", 6, 6),
        gap_row(22, found[4], "unreadable", 4, 1),
    ]
    rows[0]["changed_side"] = "unknown"
    comparisons = [
        comparison(
            "pacs",
            "nas",
            (27, 2, 5, 0),
            (27, 0, 0),
            {
                "identical": 280,
                "equivalent": 4,
                "altered": 24,
                "different": 1,
                "missing": 14,
                "pending": 7,
                "unreadable": 1,
            },
            changed_side={"primary": 0, "backup": 25, "unknown": 1},
            oldest_unprotected_hours=212.0,
        ),
        comparison(
            "satellite",
            "nas",
            (5, 0, 1, 0),
            (5, 0, 0),
            {"identical": 75, "missing": 6},
            oldest_unprotected_hours=60.5,
        ),
        comparison("pacs", "usb-drives", (34, 0, 0, 0), (34, 0, 0), {"identical": 331}),
        comparison(
            "satellite",
            "usb-drives",
            (5, 0, 1, 0),
            (5, 0, 0),
            {"identical": 75, "missing": 6},
            oldest_unprotected_hours=60.5,
        ),
        comparison("pacs", "second-drive", (20, 0, 0, 14), (20, 0, 0), {"identical": 182, "unknown": 149}, extra=None),
        comparison("satellite", "second-drive", (0, 0, 0, 6), (0, 0, 0), {"unknown": 81}, extra=None),
    ]
    for each in comparisons:
        if each["backup"] == "nas":
            each["extra"]["not_known_on_primary"] = {"studies": 2, "instances": 9}
    out = audit(
        stores,
        comparisons,
        findings=found,
        conclusion="exceptions noted",
        headline="incomplete_copies",
        complete=False,
        not_examined=[
            {
                "target": "second-drive",
                "reason": "parts_unreadable",
                "text": "second-drive: 1 folder could not be listed",
            }
        ],
        restore_tests=[
            restore_test("nas", 32, 32, sample={"left_out": 8}, left_out_why={"gap": 6, "pending": 2}),
            restore_test("usb-drives", 39, 39, sample={"left_out": 1}, left_out_why={"gap": 1}),
            restore_test(
                "second-drive",
                20,
                20,
                restored=18,
                not_decodable=1,
                not_tested=1,
                sample={"left_out": 20},
                left_out_why={"not_checked": 20},
            ),
        ],
        previous=None,
    )
    out["audit"]["first"] = True
    out["losses"]["compared_with"] = None
    out["losses"]["only_copy"] = {"studies": 1, "instances": 6}
    out["evidence"]["gaps_rows"] = len(rows)
    out["checks"] += [
        {
            "check": each["check"],
            "target": each["target"],
            "status": "exception",
            "reason": None,
        }
        for each in found
        if (each["check"], each["target"]) not in {("copies-are-exact", "nas")}
    ]
    out["checks"][0]["status"] = out["checks"][1]["status"] = "exception"
    out["checks"].append(
        {
            "check": "encrypted-at-rest",
            "target": "nas",
            "status": "not_checked",
            "reason": "The store cannot say whether it is encrypted.",
        }
    )
    unique = {(each["check"], each["target"]): each for each in out["checks"]}
    out["checks"] = list(unique.values())
    return out, rows


def loss() -> tuple[Audit, Rows]:
    """A second audit that finds images gone from the primary and from every backup."""
    stores = [store("pacs", "primary", studies=38, instances=399), store("nas", studies=38, instances=400)]
    found = [
        finding(
            "no-unexplained-loss",
            "pacs",
            "critical",
            2,
            "2 studies that the last audit saw are gone from pacs",
            why="Images that an earlier audit saw can no longer be found.",
            remedy=[
                *INCIDENT,
                "Bring the studies back from the backup that still holds them.",
                "Audit again.",
            ],
            citations=[CFR + "164.312(c)(1)"],
        ),
        finding(
            "primary-is-sound",
            "pacs",
            "critical",
            1,
            "1 study of pacs has no sound copy left",
            unit="study",
            remedy=[*INCIDENT, "Look for a sound copy outside the stores of this audit."],
        ),
    ]
    rows = [
        gap_row(9, found[0], "missing", 12, 12),
        gap_row(14, found[0], "missing", 4, 4),
        gap_row(30, found[1], "unreadable", 10, 1),
    ]
    out = audit(
        stores,
        [comparison("pacs", "nas", (37, 0, 1, 0), (30, 7, 0), {"identical": 398, "unreadable": 1})],
        findings=found,
        conclusion="exceptions noted",
        headline="lost",
        restore_tests=[restore_test("nas", 37, 37, sample={"left_out": 1}, left_out_why={"damaged": 1})],
    )
    out["losses"] |= {
        "lost_from_primary": {"studies": 2, "instances": 16},
        "gone_everywhere": {"studies": 1, "instances": 4},
        "no_sound_copy": {"studies": 1, "instances": 1},
    }
    out["evidence"]["gaps_rows"] = len(rows)
    return out, rows


def incomplete() -> tuple[Audit, Rows]:
    """An audit that could not examine one of two backups and found nothing wrong on the other."""
    nothing: Audit = dict.fromkeys(("studies", "series", "instances", "objects", "bytes"), 0)
    stores = [
        store("pacs", "primary"),
        store("nas"),
        store(
            "cloud",
            kind="rclone",
            held_by="Google",
            offsite=True,
            complete=False,
            error="missing",
            last_examined="2026-10-27T06:04:00+00:00",
            oldest_year=None,
            newest_year=None,
            **nothing,
        ),
    ]
    found = [
        finding(
            "store-examined",
            "cloud",
            "high",
            1,
            "cloud could not be examined",
            unit="store",
            worklist=None,
            decides=False,
            remedy=["Sign in to the account again.", "Run the audit again."],
        )
    ]
    out = audit(
        stores,
        [
            comparison("pacs", "nas", (40, 0, 0, 0), (40, 0, 0), {"identical": 412}),
            comparison("pacs", "cloud", (0, 0, 0, 40), (0, 0, 0), {"unknown": 412}, extra=None),
        ],
        findings=found,
        conclusion="incomplete",
        headline="not_enough",
        complete=False,
        not_examined=[{"target": "cloud", "reason": "missing", "text": "cloud: the store could not be reached"}],
        restore_tests=[
            restore_test("nas", 40, 40),
            restore_test(
                "cloud",
                0,
                0,
                restored=0,
                bytes=0,
                seconds=0.0,
                copy_back_hours=None,
                certainty={"planned": 0, "restored": 0, "failed": 0},
                sample={"method": "none", "seed": None, "frame_sha256": None},
                reason="cloud could not be examined",
            ),
        ],
        statuses=SOUND | {"EC_BK_02": "not checked", "EC_DR_01": "not checked"},
    )
    return out, []


def rotated() -> tuple[Audit, Rows]:
    """An audit with one rotated drive away within its limit; its last figures stand beside."""
    out, rows = incomplete()
    drive = out["stores"][2] | {
        "name": "usb-drives",
        "kind": "folder",
        "held_by": "us",
        "error": "drive_absent",
    }
    out["stores"][2] = drive
    row = out["comparisons"][1]
    row["backup"] = "usb-drives"
    row["last_known"] = {
        "id": "2026-10-27T060000Z",
        "finished": "2026-10-27T06:38:00+00:00",
        "studies": {"total": 38, "protected": 38, "pending": 0, "gap": 0, "not_checked": 0},
    }
    out["not_examined"] = [
        {
            "target": "usb-drives",
            "reason": "drive_absent",
            "text": "usb-drives: none of its configured drives was connected",
        }
    ]
    out["restore_tests"] = out["restore_tests"][:1]
    out["findings"] = []
    return out | {"conclusion": "no exceptions noted", "complete": True, "headline": "none"}, rows


def sound() -> tuple[Audit, Rows]:
    """An audit in which nothing was found."""
    stores = [
        store("pacs", "primary"),
        store("nas", encrypted=True),
        store("cloud", kind="s3", held_by="Backblaze", offsite=True, encrypted=True),
    ]
    rows = [
        comparison(
            "pacs",
            "nas",
            (38, 2, 0, 0),
            (30, 8, 0),
            {"identical": 405, "pending": 7},
            oldest_unprotected_hours=4.25,
            oldest_read_at="2026-10-02T06:00:00+00:00",
        ),
        comparison(
            "pacs",
            "cloud",
            (38, 2, 0, 0),
            (3, 0, 35),
            {"identical": 405, "pending": 7},
            oldest_unprotected_hours=4.25,
            assurance={"listed": 0, "reported": 381, "read": 0, "restored": 24},
        ),
    ]
    tests = [restore_test("nas", 38, 38), restore_test("cloud", 38, 38)]
    return audit(stores, rows, restore_tests=tests, statuses=SOUND | {"EC_BA_01": "attested"}, paper="a4"), []


def clouds() -> tuple[Audit, Rows]:
    """An audit of three clouds: each tells of itself in another way, two hold archives, one deleted images."""
    whole: Audit = {"studies": 1_240, "series": 3_900, "instances": 41_569, "objects": 41_600, "bytes": 912_004_113_000}
    stores = [
        store("pacs", "primary", **whole | {"problems": {"archive": 1}}),
        store(
            "backblaze",
            kind="s3",
            site="US West",
            held_by="Backblaze",
            offsite=True,
            encrypted=True,
            yearly_cost=65.66,
            read_back_cost=9.12,
            read_bytes=41_000_000,
            read_rate=1_530_000.0,
            egress_cost=0.01,
            problems={"archive": 2, "deleted": 14},
            safeguards=safeguards(
                encryption=("pass", "AES256"),
                public_access="pass",
                transport=("pass", "HTTPS; other ways not refused by a policy"),
                versioning="pass",
                immutability=("pass", "COMPLIANCE, 365 days"),
                lifecycle=("fail", "objects are deleted after 730 days"),
                logging="not_supported",
                replication="fail",
            ),
            **whole,
        ),
        store(
            "google-drive",
            kind="rclone",
            site=None,
            held_by="Google",
            offsite=True,
            yearly_cost=180.0,
            rpo_hours=48,
            safeguards=safeguards(
                public_access=("fail", "public link", 3), transport="pass", versioning="not_permitted"
            ),
            **whole,
        ),
        store(
            "dropbox",
            site=None,
            offsite=None,
            held_by="Dropbox",
            synced_by="Dropbox",
            reads="cache",
            yearly_cost=None,
            paid_once=930.0,
            safeguards=safeguards(
                encryption=("pass", "LUKS"),
                file_rights=("fail", "everybody on this computer may read them", 41_600),
            ),
            **whole | {"problems": {"archive": 1}},
        ),
    ]
    missing = finding("backup-is-complete", "backblaze", "high", 4, "4 studies are missing or incomplete on backblaze")
    found = [missing, finding("not-public", "google-drive", "critical", 3, "3 objects on google-drive are public")]
    comparisons = [
        comparison(
            "pacs",
            "backblaze",
            (1_236, 0, 4, 0),
            (59, 0, 1_177),
            {"identical": 41_555, "missing": 14},
            recoverable=12,
            assurance={"listed": 0, "reported": 41_200, "read": 310, "restored": 45},
            reported_by={"sha256": 41_000, "crc64nvme": 200},
            oldest_unprotected_hours=93.0,
        ),
        comparison(
            "pacs",
            "google-drive",
            (1_203, 0, 0, 37),
            (59, 0, 1_144),
            {"identical": 40_000, "unverified": 1_569},
            assurance={"listed": 1_569, "reported": 39_941, "read": 0, "restored": 59},
            reported_by={"sha256": 39_941},
            oldest_read_at="2026-09-01T06:00:00+00:00",
        ),
        comparison("pacs", "dropbox", (1_240, 0, 0, 0), (400, 840, 0), {"identical": 41_569}),
    ]
    tests = [
        restore_test("backblaze", 59, 1_236, egress_cost=0.03, seconds=1_930.0, copy_back_hours=167.8),
        restore_test("google-drive", 59, 1_203, restored=58, failed=1, seconds=4_100.0, copy_back_hours=356.0),
        restore_test("dropbox", 59, 1_240, seconds=40.0, copy_back_hours=3.5),
    ]
    tests[1]["sample"]["upper_limit"] = 94
    rows = [gap_row(number, missing) for number in (3, 8, 11, 12)]
    out = audit(
        stores,
        comparisons,
        findings=found,
        restore_tests=tests,
        conclusion="exceptions noted",
        headline="incomplete_copies",
    )
    out["policy"]["rto_hours"] = 336
    out["evidence"]["gaps_rows"] = len(rows)
    return out, rows


def month(back: int, conclusion: str = "exceptions noted", **backups: tuple[int, int, int, int] | None) -> Audit:
    """Give the summary of an audit so many months ago: protected, pending, gap, not checked; None: not examined."""
    year, zero_based = divmod(2026 * 12 + 10 - back, 12)
    said: Audit = {}
    for name, counts in backups.items():
        protected, pending, gap, not_checked = counts or (0, 0, 0, 40)
        total = protected + pending + gap + not_checked
        restored = min(protected, 59)
        said[name.replace("_", "-")] = {
            "total": total,
            "protected": protected,
            "gap": gap,
            "pending": pending,
            "not_checked": not_checked,
            "planned": restored,
            "restored": restored,
            "failed": 0,
            "examined": not_checked < total,
        }
    return {
        "id": f"{year}-{zero_based + 1:02}-24T060000Z",
        "started": f"{year}-{zero_based + 1:02}-24T06:00:00+00:00",
        "conclusion": conclusion,
        "complete": None not in backups.values(),
        "headline": "none" if conclusion == "no exceptions noted" else "incomplete_copies",
        "findings": {"critical": 0, "high": 2, "medium": 0, "low": 1},
        "backups": said,
    }


def year() -> tuple[Audit, Rows]:
    """The audit of three clouds after eleven months: a backup that began late, one not examined, a month left out."""
    out, rows = clouds()
    whole = (1_240, 0, 0, 0)
    out["history"] = [
        month(11, backblaze=(1_100, 0, 95, 0), dropbox=(1_180, 15, 0, 0)),
        month(10, backblaze=(1_150, 0, 50, 0), dropbox=(1_190, 10, 0, 0)),
        month(9, backblaze=(1_204, 0, 1, 0), dropbox=(1_205, 0, 0, 0)),
        month(8, backblaze=(1_210, 0, 0, 0), dropbox=None),
        month(6, backblaze=(1_216, 0, 0, 0), dropbox=(1_216, 0, 0, 0), google_drive=(600, 616, 0, 0)),
        month(5, backblaze=(1_220, 0, 0, 0), dropbox=(1_219, 0, 1, 0), google_drive=(1_220, 0, 0, 0)),
        month(4, backblaze=(1_225, 0, 0, 0), dropbox=(1_225, 0, 0, 0), google_drive=(1_225, 0, 0, 0)),
        month(3, backblaze=None, dropbox=None, google_drive=None),
        month(2, backblaze=(1_236, 0, 0, 0), dropbox=(1_236, 0, 0, 0), google_drive=(1_136, 0, 0, 100)),
        month(1, "no exceptions noted", backblaze=whole, dropbox=whole, google_drive=whole),
    ]
    out["drift"] = {
        "runs": 28,
        "first": "2026-10-25T11:00:00+00:00",
        "last": "2026-11-23T11:00:00+00:00",
        "changed_runs": 3,
        "days_without": 2,
        "head_sha256": digest("drift"),
        "faults": 0,
        "cut_off": False,
    }
    out["alerts"] = [
        alert("notify 1"),
        alert("notify 1"),
        alert("notify 2", "not_delivered"),
        alert("ping", "answered_404"),
    ]
    return out, rows


def alert(channel: str, reason: str | None = None) -> Audit:
    """Give what became of one message."""
    told = {"new": 2, "worse": 1, "open_again": 0, "resolved": 1, "no_longer_asked": 0, "still_open": 4}
    sent = {
        "at": "2026-11-23T11:00:00+00:00",
        "run": "drift",
        "channel": channel,
        "ok": reason is None,
        "reason": reason,
    }
    return sent | ({} if channel == "ping" else {"told": told})


def decision(reason: str, **changes: Any) -> Audit:
    """Give what a person decided about a finding, as a finding bears it."""
    base: Audit = {
        "by": "Dana Reyes",
        "title": "Security official",
        "on": "2026-11-20",
        "entered_by": "dreyes",
        "reason": reason,
        "expires": None,
        "alternative": None,
        "incident": None,
    }
    return base | changes


def listed(kind: str, about: str, text: str, **changes: Any) -> Audit:
    """Give a decision that is new in a record."""
    signed = {key: decision("")[key] for key in ("by", "title", "on", "entered_by", "expires")}
    return {"kind": kind, "about": about, "text": text, **signed, "sha256": digest(about + text)} | changes


def action(each: Audit, **changes: Any) -> Audit:
    """Give what has to be done about a finding."""
    keys = ("id", "check", "target", "title", "severity", "owner", "due", "first_seen", "times_seen", "state")
    return {**{key: each[key] for key in keys}, "cause": each.get("cause")} | changes


def decided() -> tuple[Audit, Rows]:
    """The first audit's gaps a month later: one is accepted in part, one judged, one assigned; others are carried."""
    out, rows = first()
    out |= {"previous": {"id": "2026-10-27T060000Z", "manifest_sha256": digest("previous")}}
    out["audit"]["first"] = False
    out["history"] = [month(1, nas=(30, 0, 8, 2), usb_drives=(40, 0, 0, 0))]
    differ, *_, unread, _, unopened = out["findings"]
    until = "2027-05-20"
    differ |= {
        "incident": decision("The altered header came from the migration of 3 November.", incident=False),
        "accepted_count": 1,
        "decision": decision("The description was corrected at the modality.", expires=until),
    }
    unread |= {
        "cause": "The disk of the nas had 14 reallocated sectors.",
        "assigned": decision("", by="Sam Ortiz", title="IT"),
        "owner": "Sam Ortiz",
        "due": "2026-12-04",
        "times_seen": 2,
        "raised": True,
        "base_severity": "medium",
    }
    unopened |= {"state": "accepted", "decision": decision("The links lead to a cache.", expires=until)}
    out["decisions"] = [
        listed("accept", f"{differ['id']}, E-0003", "The description was corrected at the modality.", expires=until),
        listed("incident", f"{differ['id']}, E-0003, E-0011", "No security incident. It came from the migration."),
        listed("assign", unread["id"], "Owner: Sam Ortiz. Due: 2026-12-04. Cause: The disk of the nas."),
        listed("review", "2026-10-27T060000Z", "The report was reviewed and signed."),
    ]
    carried = finding(
        "restore-succeeded", "cloud", "high", 2, "2 studies did not come back whole from cloud", times_seen=3
    )
    gone = finding("no-uid-conflict", "pacs", "medium", 1, "1 image of pacs has several versions", times_seen=2)
    earlier = {"first_seen": "2026-09-24T06:00:00+00:00"}
    out["corrective_actions"] = [
        *(action(each) for each in out["findings"]),
        action(carried, state="not checked again", due="2026-10-31", **earlier),
    ]
    out["resolved"] = [action(gone, **earlier)]
    return out, rows


def accepted() -> tuple[Audit, Rows]:
    """An audit whose every finding was accepted, with more new decisions than page one lists."""
    out, rows = clouds()
    for each in out["findings"]:
        each |= {
            "state": "accepted",
            "accepted_count": each["count"],
            "decision": decision(
                "The studies are research copies that nobody treats by.",
                expires="2027-05-20",
                alternative="A second copy lies in the vault of the university.",
            ),
        }
    out["decisions"] = [
        *(listed("accept", each["id"], "Research copies.", expires="2027-05-20") for each in out["findings"]),
        *(listed("attest", f"EC-SO-0{number}", "The policy of May 2026 says so.") for number in range(1, 5)),
    ]
    out["corrective_actions"] = [action(each) for each in out["findings"]]
    out["resolved"] = []
    return out, rows


NEWER = {
    "problems",
    "host",
    "filesystem",
    "synced_by",
    "reads",
    "free",
    "yearly_cost",
    "paid_once",
    "read_back_cost",
    "read_bytes",
    "read_rate",
    "egress_cost",
    "safeguards",
}


def old() -> tuple[Audit, Rows]:
    """The audit of three clouds as a version wrote it that knew nothing of safeguards, archives and costs."""
    out, rows = clouds()
    del out["history"], out["mass_change"], out["upkeep"]
    out["evidence"]["self_test"] = None
    out["stores"] = [{key: value for key, value in each.items() if key not in NEWER} for each in out["stores"]]
    for each in out["comparisons"]:
        each.pop("recoverable", None)
        each.pop("reported_by", None)
    for each in out["restore_tests"]:
        each.pop("egress_cost", None)
    return out, rows


def six() -> tuple[Audit, Rows]:
    """The hospital's six backups: each holds archives and tells of every safeguard at length."""
    out, rows = large(findings=12)
    for number, each in enumerate(out["stores"]):
        each["problems"] = {"archive": number + 1}
        each["safeguards"] = safeguards(
            encryption=("pass", "aws:kms"),
            public_access=("not_permitted", "policy status and access list were refused"),
            transport=("fail", "not encrypted"),
            immutability=("pass", "GOVERNANCE, 30 days"),
        )
    return out, rows


def tiny() -> tuple[Audit, Rows]:
    """A clinic of three studies and one backup."""
    few: Audit = {
        "studies": 3,
        "series": 3,
        "instances": 5,
        "objects": 5,
        "bytes": 41_000_000,
        "not_dicom": 0,
    }
    stores = [store("pacs", "primary", **few), store("drive", **few)]
    rows = [comparison("pacs", "drive", (3, 0, 0, 0), (3, 0, 0), {"identical": 5})]
    out = audit(stores, rows, restore_tests=[restore_test("drive", 3, 3)], statuses=SOUND, facility="Elm Chiropractic")
    out["people"] = {"security_official": None, "it": None}
    return out, []


def large(studies: int = 48_217, gap: int = 412, findings: int = 40, backups: int = 6) -> tuple[Audit, Rows]:
    """A hospital with many studies, backups and findings."""
    size: Audit = {
        "studies": studies,
        "series": studies * 3,
        "instances": studies * 65,
        "objects": studies * 65,
        "bytes": studies * 41_000_000,
    }
    names = [
        "on-site-nas",
        "cloud-archive-us-west",
        "offline-tape-set-b",
        "nas-lake-view",
        "usb-drives",
        "partner-hospital",
    ][:backups]
    stores = [store("pacs", "primary", "dicomweb", **size)]
    rows, tests, found = [], [], []
    for number, name in enumerate(names):
        bad = max(gap // (number + 1), 1)
        unchecked = 3_778 if number == 2 else 0
        away = name == "cloud-archive-us-west"
        stores.append(
            store(
                name,
                kind="s3" if away else "folder",
                held_by="Amazon" if away else "us",
                offsite=number > 0,
                **size,
            )
        )
        good = studies - bad - unchecked - 40
        rows.append(
            comparison(
                "pacs",
                name,
                (good, 40, bad, unchecked),
                (good // 3, good // 3, good - 2 * (good // 3)),
                {"identical": studies * 64, "missing": studies - 300, "pending": 300},
                oldest_unprotected_hours=220.0,
                oldest_read_at="2026-09-01T06:00:00+00:00",
            )
        )
        tests.append(restore_test(name, 59, 1_240 + number * 9_000))
    tests[1] |= {"restored": 58, "failed": 1}
    tests[1]["sample"]["upper_limit"] = 781
    for number in range(findings):
        name = names[number % backups]
        check = f"copies-are-readable-{number}"
        severity = ("critical", "high", "high", "medium", "low")[min(number // 4, 4)]
        found.append(
            finding(
                check,
                name,
                severity,
                gap - number,
                f"{gap - number} studies on {name} have a gap",
                owner=None if number % 3 else "Sam Ortiz",
                due=None if number % 3 else "2026-12-01",
                times_seen=number % 5 + 1,
            )
        )
    gaps = [gap_row(number + 1, found[number % min(4, len(found))]) for number in range(gap)]
    out = audit(
        stores,
        rows,
        findings=found,
        restore_tests=tests,
        conclusion="exceptions noted",
        headline="incomplete_copies",
        facility="Riverside Regional Medical Center and Clinics",
    )
    out["evidence"]["gaps_rows"] = gap
    return out, gaps


def long_names() -> tuple[Audit, Rows]:
    """The first audit with names as long as the configuration takes them."""
    out, rows = first()
    out["facility"] = (
        "Saint Bartholomew and Saint Scholastica Regional Diagnostic Imaging and Radiotherapy Partners, PLLC"
    )
    long = {"nas": "network-attached-storage-in-server-rm-02", "usb-drives": "u" * 40}
    for each in [*out["stores"], *out["comparisons"], *out["restore_tests"], *out["findings"], *rows]:
        for key in ("name", "backup", "target"):
            if key in each:
                each[key] = long.get(each[key], each[key])
        for key in ("title", "message", "worklist"):
            for short, full in long.items():
                each[key] = each[key].replace(short, full) if isinstance(each.get(key), str) else each.get(key)
        each["owner"] = "Maximiliane Featherstonehaugh-Wolfeschlegelstein, backup operator" if "owner" in each else None
    return out, [
        {key: value for key, value in row.items() if key not in {"title", "message", "worklist", "owner"}}
        for row in rows
    ]


HOSTILE = "<b>&{{7*7}}=cmd|' /C calc'!A0"


def hostile() -> tuple[Audit, Rows]:
    """The first audit with every string of the configuration turned against the reader."""
    out, rows = first()
    out["facility"] = HOSTILE
    out["people"] = {"security_official": HOSTILE, "it": "\x1b[31mred\x07\u202egnp.exe"}
    out["audit"]["operator"] = "<script>alert(1)</script>\x1b[2J"
    for each in out["stores"]:
        each |= {"site": "</style><img src=http://x.example/>", "held_by": "'\"><a href=javascript:1>"}
    for each in out["findings"]:
        each["owner"] = "<script src=//x>url(http://x.example)"
    for each in out["controls"]:
        for said in each["attestations"]:
            said["statement"] = "{% include '/etc/passwd' %}" + HOSTILE
    return out, rows


ALL: dict[str, Callable[[], tuple[Audit, Rows]]] = {
    "first": first,
    "loss": loss,
    "incomplete": incomplete,
    "rotated": rotated,
    "sound": sound,
    "clouds": clouds,
    "year": year,
    "decided": decided,
    "accepted": accepted,
    "old": old,
    "six": six,
    "tiny": tiny,
    "large": large,
    "long_names": long_names,
    "hostile": hostile,
}
