"""Real TOML files: what they become, and what is said of every fault."""

import json
import math
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exactcopy.config import Alert, Config, load_alert, load_config, stores, tables
from exactcopy.config.border import Table
from exactcopy.decisions import load_decisions
from exactcopy.errors import ConfigError
from exactcopy.model import Cost, ReadPolicy, RetentionRule, Role, Severity
from exactcopy.windows import Window

DOC = Path(__file__).parent.parent / "docs" / "configuration.md"
PACS = '[primary.pacs]\nkind = "folder"\npath = "pacs"\n'
NAS = '[backup.nas]\nkind = "folder"\npath = "nas"\n'
TOP = 'facility = "Riverside Imaging"\n'
SMALLEST = TOP + PACS + NAS
BUCKET = '[backup.bucket]\nkind = "s3"\nbucket = "images"\nheld_by = "us"\n'
OTHER = BUCKET.replace("backup.bucket", "backup.x")
DRIVE = '[backup.drive]\nkind = "rclone"\nremote = "gdrive:xrays"\nheld_by = "Google"\n'
S3 = TOP + PACS + BUCKET
RCLONE = TOP + PACS + DRIVE


def load(folder: Path, text: str | bytes) -> Config:
    path = folder / "exactcopy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path)


def faults(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert str(caught.value) == "\n".join(caught.value.faults)
    assert all(len(fault.splitlines()) == 1 for fault in caught.value.faults)
    return [fault.removeprefix("exactcopy.toml: ") for fault in caught.value.faults]


def test_the_smallest_file_has_every_default(tmp_path):
    config = load(tmp_path, SMALLEST)
    assert (config.facility, config.time_zone, config.paper) == ("Riverside Imaging", "UTC", "letter")
    assert (config.rpo, config.rto, config.sample) == (timedelta(hours=24), timedelta(hours=72), "standard")
    assert config.operator
    assert (config.security_official, config.it, config.restricted_group) == (None, None, None)
    assert config.due == {
        Severity.CRITICAL: 3,
        Severity.HIGH: 14,
        Severity.MEDIUM: 30,
        Severity.LOW: 90,
    }
    assert config.path == tmp_path / "exactcopy.toml"
    assert config.records == tmp_path / "records"
    assert config.state == tmp_path / ".exactcopy"
    assert config.decisions == tmp_path / "decisions.toml"
    assert config.stores == config.primaries + config.backups
    pacs, nas = config.stores
    assert (pacs.name, pacs.role, pacs.covers) == ("pacs", Role.PRIMARY, ())
    assert (nas.name, nas.role, nas.covers) == ("nas", Role.BACKUP, ("pacs",))
    for store in config.stores:
        assert (store.kind, store.held_by, store.offsite, store.site) == ("folder", "us", None, None)
        assert (store.read, store.reread, store.schedule) == (ReadPolicy.ALL, timedelta(days=92), None)
        assert (store.rpo, store.max_read, store.cost) == (timedelta(hours=24), None, None)
        assert store.options == {
            "path": os.path.realpath(tmp_path / store.name),
            "volumes": (),
            "max_absent": None,
            "drop_cache": False,
            "synced_to": None,
            "restored_from": None,
            "restored_on": None,
        }


def test_every_kind_of_store_may_be_bounded(tmp_path):
    bounds = 'window = "20:00-06:00"\nconcurrency = 2\nmax_rate = "500KB"\n'
    config = load(tmp_path, 'time_zone = "America/Chicago"\n' + TOP + PACS + bounds + NAS + bounds + BUCKET + bounds)
    assert len(config.stores) == 3
    for target in config.stores:
        assert target.window == Window(time(20), time(6), "America/Chicago")
        assert str(target.window) == "20:00-06:00 (America/Chicago)"
        assert (target.concurrency, target.max_rate) == (2, 500_000)
    [nas, *_] = load(tmp_path, 'time_zone = "UTC"\n' + SMALLEST + 'window = "18:30-24:00"').backups
    assert nas.window == Window(time(18, 30), time(0), "UTC")


def test_a_rule_of_retention_is_taken_as_the_facility_wrote_it(tmp_path):
    assert load(tmp_path, SMALLEST).retention is None
    assert load(tmp_path, RULE).retention == RetentionRule(
        rule="Images are kept seven years", years=7, set_by="Dana Reyes", on=date(2026, 1, 15), citation="Policy 12"
    )


def test_a_primary_that_purges_says_after_how_long(tmp_path):
    config = load(tmp_path, TOP + NAS + PACS + 'keeps = "90d"')
    assert [store.keeps for store in config.stores] == [timedelta(days=90), None]


def test_the_smallest_cloud_stores_have_every_default(tmp_path):
    config = load(tmp_path, TOP + PACS + BUCKET + DRIVE)
    bucket, drive = config.backups
    assert (bucket.kind, bucket.held_by) == ("s3", "us")
    assert bucket.options == {"bucket": "images", "prefix": "", "endpoint": None, "region": None, "profile": None}
    assert (drive.kind, drive.held_by) == ("rclone", "Google")
    assert drive.options == {"remote": "gdrive:xrays", "config": None}
    for store in config.backups:
        assert (store.read, store.reread) == (ReadPolicy.REPORTED, timedelta(days=92))
        assert (store.covers, store.max_read, store.cost) == (("pacs",), None, None)


def test_cloud_stores_hold_what_is_written(tmp_path):
    config = load(
        tmp_path,
        TOP
        + (BUCKET + DRIVE).replace("backup.", "primary.")
        + 'config = "rclone.conf"\nread = "all"\n'
        + BUCKET.replace("backup.bucket", "backup.b2").replace("images", "Copies_1")
        + 'prefix = "xrays/"\nendpoint = "http://nas.local:9000"\nregion = "r"\nprofile = "p"\nread = "rotation"\n'
        + 'max_read = "50GB"\ncost = { per_tb_month = 6, egress_per_gb = 0.01 }\n'
        + DRIVE.replace("backup.drive", "backup.my").replace("gdrive:xrays", "my drive:/a//./b/")
        + 'reread = "30d"\nmax_read = "500MB"\ncost = { one_time = 0 }',
    )
    assert [(store.name, store.kind) for store in config.primaries] == [("bucket", "s3"), ("drive", "rclone")]
    assert config.primaries[1].options == {"remote": "gdrive:xrays", "config": str(tmp_path / "rclone.conf")}
    assert config.primaries[1].read is ReadPolicy.ALL
    b2, drive = config.backups
    assert b2.options == {
        "bucket": "Copies_1",
        "prefix": "xrays/",
        "endpoint": "http://nas.local:9000",
        "region": "r",
        "profile": "p",
    }
    assert (b2.read, b2.max_read) == (ReadPolicy.ROTATION, 50_000_000_000)
    assert b2.cost == Cost(per_tb_month=6.0, egress_per_gb=0.01)
    assert drive.options == {"remote": "my drive:/a/b", "config": None}
    assert (drive.reread, drive.max_read, drive.cost) == (timedelta(days=30), 500_000_000, Cost(one_time=0.0))
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 workers receive targets


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ("{ monthly = 15 }", Cost(monthly=15)),
        ("{ per_study = 0.75, egress_per_gb = 0 }", Cost(per_study=0.75, egress_per_gb=0)),
        ("{ one_time = 80 }", Cost(one_time=80)),
        ("{ per_tb_month = -0.0 }", Cost(per_tb_month=0)),
    ],
)
def test_a_cost_takes_one_of_four_forms(tmp_path, cost, expected):
    found = load(tmp_path, SMALLEST + f"cost = {cost}").backups[0].cost
    assert found == expected
    assert "-" not in str(found)


def test_the_examples_of_cloud_storage_in_the_guide_load(tmp_path):
    text = re.search(r"```toml\n(\[backup\.google-drive\].*?)```", DOC.read_text(), re.DOTALL)
    assert text
    backups = load(tmp_path, TOP + PACS + text[1]).backups
    assert [(store.name, store.kind) for store in backups] == [
        ("google-drive", "rclone"),
        ("dropbox", "rclone"),
        ("backblaze", "s3"),
        ("aws", "s3"),
    ]
    assert [store.offsite for store in backups] == [True] * 4
    assert all(store.cost for store in backups)


def test_the_example_in_the_guide_loads_and_holds_every_key(tmp_path):
    text = re.search(r"```toml\n(facility.*?)```", DOC.read_text(), re.DOTALL)
    assert text
    config = load(tmp_path, text[1])
    assert [store.name for store in config.primaries] == ["pacs", "satellite"]
    assert config.primaries[1].read is ReadPolicy.ROTATION
    nas, usb, cloud, vendor = config.backups
    assert (nas.rpo, nas.schedule, nas.covers) == (
        timedelta(hours=12),
        timedelta(days=1),
        ("pacs", "satellite"),
    )
    assert nas.options["drop_cache"] is True
    assert (usb.covers, usb.offsite, usb.rpo) == (("pacs",), True, timedelta(hours=24))
    assert usb.options["volumes"] == ("1A2B-3C4D", "5E6F-7A8B")
    assert usb.options["max_absent"] == timedelta(days=35)
    assert (cloud.held_by, cloud.options["synced_to"]) == ("Google", "Google Drive")
    assert vendor.options["restored_on"] == date(2026, 11, 2)
    assert config.operator == "IT on duty"
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 workers receive targets


def test_the_guide_names_every_key_that_is_accepted():
    documented = set(re.findall(r"`([a-z_]+)`", DOC.read_text()))
    assert (
        set(KEYS)
        - {"primary", "backup", "recovery", "policy", "retention", "people", "seal", "alert", "attest"}
        - set(Severity)
        <= documented
    )


def test_covers_keeps_the_order_of_the_file(tmp_path):
    two = PACS + PACS.replace("pacs", "satellite")
    config = load(tmp_path, TOP + two + NAS + 'covers = ["satellite", "pacs"]')
    assert config.backups[0].covers == ("pacs", "satellite")


# How the lines end.
DURATION = ' is no duration. Write a number and a unit: "35d", "24h" or "30m".'
DAYS = " is no number of days. Write a whole number from 1 to 3650."
FLAG = " is neither true nor false. Write true or false, without quotes."
NAME = ' is no store name. Write 1 to 40 characters of a-z, 0-9 and "-".'
DATE = " is no date. Write it without quotes: 2026-11-24."
OWN = " Write a folder of its own: a copy must not count itself."
PLACE = " Write a place of its own: a copy must not count itself."
KINDS = ' Write "folder", "s3", "rclone", "dicomweb" or "dimse".'
NO_KIND = ": is missing." + KINDS.replace("Write ", "Write kind = ")
SIZE = ' is no size. Write a whole number and a unit: "500MB", "50GB" or "2TB".'
AMOUNT = " is no amount. Write US dollars without quotes or sign: 15 or 0.75."
SECRET = ": is a credential, and none may stand in this file. Remove it: "
CHAIN = (
    "boto3 finds credentials in the environment, in ~/.aws/credentials (profile names a section of it) or in the role"
    " of the machine."
)
RCLONE_CONFIG = "rclone keeps credentials in a configuration of its own, which rclone config writes."
ADDRESS = ' is no address of a service. Write it as in "https://s3.example.com".'
NO_REMOTE = ' is no remote. Write its name in rclone and the path: "gdrive:xrays".'
CONNECTION = " holds settings of the connection. Give them to rclone config and write the remote's name."
NO_BUCKET = " is no name of a bucket. Write the bare name, and what follows it as prefix."
RECORDS = " Write a folder outside it: a store is never written to."
TABLE = " and the settings below it."
SCHEDULER = ' is no address of a Dask scheduler. Write it as in "tcp://scheduler:8786", with its port.'
HOURS = ' is no window. Write from when to when, with a zero in front: "20:00-06:00".'
ZONE = ' is in no time zone. Write the one of the facility at the top: time_zone = "America/Chicago".'
READERS = " is no number of readers. Write a whole number from 1 to 64, without quotes."
RATE = ' is no rate. Write how much a second, a whole number and a unit: "500KB" or "20MB".'
BACKUPS = " is a setting of backups only. Remove it."
TOO_SHORT = (
    " is no longer than the rpo of a backup, so images would go before their copies are due. Write a longer time, or a"
    " shorter rpo."
)
YEARS = " is no number of years. Write a whole number from 1 to 100, without quotes."
RULE = (
    SMALLEST
    + """
[policy.retention]
rule = "Images are kept seven years"
years = 7
set_by = "Dana Reyes"
on = 2026-01-15
citation = "Policy 12"
"""
)
BOTH = " cannot be true beside synced_to: that folder proves the local copy only. Remove one of the two."
FROM = ": is missing beside restored_on. Write what the folder was restored from."
DAY = " is missing beside restored_from. Write the day of the restore: restored_on = 2026-11-24."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # what the design's pattern allows and files cannot tell apart, and proofs that no other drive has
        (
            TOP + PACS + NAS.replace("nas", "n--s"),
            'backup.n--s: holds "--", which parts two names in the names of files. Write a single "-".',
        ),
        (
            TOP + PACS + NAS + 'volumes = ["A"]\nread = "rotation"',
            "backup.nas.read: cannot be rotation beside volumes: what one drive proved says nothing of another."
            ' Write "all".',
        ),
        # what exactcopy keeps there is its own, and what is old of it is removed
        (
            TOP + PACS + NAS.replace('path = "nas"', 'path = ".exactcopy/scratch"'),
            "backup.nas.path: lies where exactcopy keeps what is its own, and removes what is old."
            " Write another folder.",
        ),
        # the whole file
        (PACS + NAS, 'facility: is missing. Write facility = "…" at the top of the file.'),
        (TOP + NAS, "primary: is missing. Name the archive to protect: [primary.NAME]."),
        (TOP + PACS, "backup: is missing. Name a copy of it: [backup.NAME]."),
        (TOP + "backup = {}\n" + PACS, "backup: names no store. Write [backup.NAME]" + TABLE),
        ("backup = 3\n" + TOP + PACS, "backup: 3 is no table. Write [backup.NAME]" + TABLE),
        (TOP + PACS + "[backup]\nnas = true", "backup.nas: true is no table. Write [backup.NAME]" + TABLE),
        ("policy = []\n" + SMALLEST, "policy: a list is no table. Write [policy]" + TABLE),
        (SMALLEST + '[people]\ndue = "soon"', 'people.due: "soon" is no table. Write [people.due]' + TABLE),
        # keys
        ("factility = 1\n" + SMALLEST, "factility: is no known key. Did you mean facility?"),
        ("zzz = 1\n" + SMALLEST, "zzz: is no known key. Remove it."),
        ('"a b" = 1\n' + SMALLEST, '"a b": is no known key. Remove it.'),
        (SMALLEST + "offsit = true", "backup.nas.offsit: is no known key. Did you mean offsite?"),
        (SMALLEST + "[policy]\nrpoo = 1", "policy.rpoo: is no known key. Did you mean rpo?"),
        (SMALLEST + "[people]\ndue = {hihg = 1}", "people.due.hihg: is no known key. Did you mean high?"),
        ('workers = "x"\n' + SMALLEST, "workers:" + SCHEDULER),
        ('workers = "tcp://me:secret@x:8786"\n' + SMALLEST, "workers:" + SCHEDULER),
        ('workers = "tls://x:99999"\n' + SMALLEST, "workers:" + SCHEDULER),
        (
            SMALLEST + '[seal]\ntimestamp = "tsa.example"',
            'seal.timestamp: "tsa.example" is no address of a service. Write it as in "https://tsa.example.com".',
        ),
        (
            SMALLEST + '[seal]\ntimestamp = "https://me:secret@tsa.example"',
            "seal.timestamp: holds a sign-in before the @. Name a service of time stamps that asks for none.",
        ),
        ('workers = "tcp://x"\n' + SMALLEST, "workers:" + SCHEDULER),
        (SMALLEST + "[alert]\nmail = 1", "alert.mail: is no known key. Remove it."),
        (
            SMALLEST + '[alert]\nnotify = "env:URL"',
            'alert.notify: is no list of references. Write them in brackets: ["env:TEAMS_URL"].',
        ),
        (
            SMALLEST + '[alert]\nnotify = ["mailto://me:secret@example.com"]',
            "alert.notify: is no reference, and no secret may stand in this file. Name the variable or the file that "
            'holds it: "env:PACS_TOKEN" or "file:/etc/exactcopy/token".',
        ),
        (
            SMALLEST + '[alert]\nping = "hc-ping.com/secret"',
            'alert.ping: is no address. Write it as in "https://hc-ping.com/…", or name where it is: "env:PING_URL".',
        ),
        (
            SMALLEST + '[alert]\nmetrics = "nas/exactcopy.prom"',
            "alert.metrics: lies inside backup.nas. Write a file outside it: a store is never written to.",
        ),
        (SMALLEST + "[recovery.x]", "recovery.x.kind" + NO_KIND),
        (RULE.replace("years = 7", "years = 0"), "policy.retention.years: 0" + YEARS),
        (RULE.replace("years = 7", 'years = "7"'), 'policy.retention.years: "7"' + YEARS),
        (RULE.replace("years = 7", "years = true"), "policy.retention.years: true" + YEARS),
        (
            RULE.replace('set_by = "Dana Reyes"', ""),
            "policy.retention.set_by: is missing. Write the name of the person who set the rule.",
        ),
        (
            RULE.replace('citation = "Policy 12"', ""),
            'policy.retention.citation: is missing. Write what the rule rests on: citation = "Policy 12, section 3".',
        ),
        (RULE + "state = 1", "policy.retention.state: is no known key. Remove it."),
        (
            SMALLEST + "[policy]\nretention = 7",
            "policy.retention: 7 is no table. Write [policy.retention] and the settings below it.",
        ),
        (SMALLEST + 'window = "8pm-6am"', 'backup.nas.window: "8pm-6am"' + HOURS),
        (SMALLEST + 'window = "20:00-6:00"', 'backup.nas.window: "20:00-6:00"' + HOURS),
        (SMALLEST + 'window = "24:00-06:00"', 'backup.nas.window: "24:00-06:00"' + HOURS),
        (SMALLEST + "window = 20", "backup.nas.window: 20" + HOURS),
        (
            'time_zone = "UTC"\n' + SMALLEST + 'window = "00:00-24:00"',
            'backup.nas.window: "00:00-24:00" ends when it begins. Write another end, or remove it for the whole day.',
        ),
        (SMALLEST + 'window = "20:00-06:00"', "backup.nas.window:" + ZONE),
        (TOP + NAS + PACS + 'window = "20:00-06:00"', "primary.pacs.window:" + ZONE),
        (SMALLEST + "concurrency = 0", "backup.nas.concurrency: 0" + READERS),
        (SMALLEST + "concurrency = 65", "backup.nas.concurrency: 65" + READERS),
        (SMALLEST + "concurrency = true", "backup.nas.concurrency: true" + READERS),
        (SMALLEST + 'concurrency = "2"', 'backup.nas.concurrency: "2"' + READERS),
        (SMALLEST + 'max_rate = "20"', 'backup.nas.max_rate: "20"' + RATE),
        (SMALLEST + 'max_rate = "20MB/s"', 'backup.nas.max_rate: "20MB/s"' + RATE),
        (SMALLEST + "max_rate = 20", "backup.nas.max_rate: 20" + RATE),
        (TOP + NAS + PACS + 'keeps = "24h"', "primary.pacs.keeps:" + TOO_SHORT),
        (TOP + NAS + 'rpo = "30d"\n' + PACS + 'keeps = "30d"', "primary.pacs.keeps:" + TOO_SHORT),
        (TOP + NAS + PACS + "keeps = 30", "primary.pacs.keeps: 30" + DURATION),
        (SMALLEST + 'keeps = "30d"', "backup.nas.keeps: is a setting of primaries only. Remove it."),
        (TOP + NAS + PACS + 'covers = ["pacs"]', "primary.pacs.covers:" + BACKUPS),
        (TOP + NAS + PACS + 'rpo = "1d"', "primary.pacs.rpo:" + BACKUPS),
        (TOP + NAS + PACS + 'schedule = "1d"', "primary.pacs.schedule:" + BACKUPS),
        (TOP + NAS + PACS + 'max_read = "1GB"', "primary.pacs.max_read:" + BACKUPS),
        (TOP + NAS + PACS + "cost = {monthly = 1}", "primary.pacs.cost:" + BACKUPS),
        (TOP + PACS + "[backup.nas]\npath = 'nas'", "backup.nas.kind" + NO_KIND),
        (TOP + PACS + "[backup.x]", "backup.x.kind" + NO_KIND),
        (TOP + PACS + "[backup.x]\nremote = 'a:b'\nconfig = 'c'", "backup.x.kind" + NO_KIND),
        (
            TOP + PACS + "[backup.nas]\nkind = 'folder'",
            "backup.nas.path: is missing. Write the folder that holds the images.",
        ),
        # texts
        ("facility = 3\n" + PACS + NAS, "facility: 3 is no text. Write it in quotes."),
        ('facility = " "\n' + PACS + NAS, "facility: is empty. Write a value or remove it."),
        (f'facility = "{"x" * 201}"\n' + PACS + NAS, "facility: has 201 characters. Write at most 200."),
        ('facility = "a\\u001bb"\n' + PACS + NAS, "facility: holds the control character U+001B. Remove it."),
        ('facility = "a\\u202Eb"\n' + PACS + NAS, "facility: holds the control character U+202E. Remove it."),
        ('operator = "a\\nb"\n' + SMALLEST, "operator: holds the control character U+000A. Remove it."),
        ("restricted_group = 1.5\n" + SMALLEST, "restricted_group: 1.5 is no text. Write it in quotes."),
        (SMALLEST + "held_by = ['us']", "backup.nas.held_by: a list is no text. Write it in quotes."),
        (SMALLEST + "[people]\nit = {}", "people.it: a table is no text. Write it in quotes."),
        # choices
        (
            'time_zone = "America/Chikago"\n' + SMALLEST,
            'time_zone: "America/Chikago" is no time zone. Write one such as "America/Chicago".',
        ),
        ('time_zone = "America"\n' + SMALLEST, None),
        ('time_zone = "../etc"\n' + SMALLEST, None),
        ('paper = "a5"\n' + SMALLEST, 'paper: "a5" is not known here. Write "letter" or "a4".'),
        ("paper = 4\n" + SMALLEST, 'paper: 4 is not known here. Write "letter" or "a4".'),
        (
            SMALLEST + '[policy]\nsample = "huge"',
            'policy.sample: "huge" is not known here. Write "quick", "standard", "strong" or "full".',
        ),
        (
            SMALLEST + 'read = "reported"',
            'backup.nas.read: cannot be "reported": a folder reports no checksums. Write "all" or "rotation".',
        ),
        (SMALLEST + 'read = "some"', 'backup.nas.read: "some" is not known here. Write "all" or "rotation".'),
        (S3 + "read = []", 'backup.bucket.read: a list is not known here. Write "all", "reported" or "rotation".'),
        (SMALLEST + "offsite = 'yes'", 'backup.nas.offsite: "yes"' + FLAG),
        (SMALLEST + "drop_cache = 1", "backup.nas.drop_cache: 1" + FLAG),
        # durations and days
        (
            SMALLEST + 'volumes = ["A"]\nmax_absent = "35 days"',
            'backup.nas.max_absent: "35 days"' + DURATION,
        ),
        (SMALLEST + "reread = 92", "backup.nas.reread: 92" + DURATION),
        (SMALLEST + '[policy]\nrpo = "0h"', 'policy.rpo: "0h"' + DURATION),
        (SMALLEST + '[policy]\nrto = "٣d"', 'policy.rto: "٣d"' + DURATION),
        (SMALLEST + 'schedule = "999999d"', 'backup.nas.schedule: "999999d"' + DURATION),
        (SMALLEST + "[people]\ndue = {high = 0}", "people.due.high: 0" + DAYS),
        (SMALLEST + "[people]\ndue = {low = true}", "people.due.low: true" + DAYS),
        (SMALLEST + "[people]\ndue = {low = 0x" + "f" * 5000 + "}", "people.due.low: that number" + DAYS),
        # stores
        (TOP + PACS + NAS.replace("backup.nas", "backup.NAS_1"), "backup.NAS_1:" + NAME),
        (TOP + PACS + NAS.replace("backup.nas", f"backup.{'n' * 41}"), f"backup.{'n' * 41}:" + NAME),
        (
            TOP + PACS + NAS.replace("backup.nas", "backup.pacs"),
            "backup.pacs: is the name of a primary, too. Give one of them another name.",
        ),
        (
            TOP + PACS + NAS.replace('"folder"', '"foldr"'),
            'backup.nas.kind: "foldr" is no kind of store.' + KINDS,
        ),
        (TOP + PACS + "[backup.x]\nkind = []\nremote = 'a:b'", "backup.x.kind: a list is no text. Write it in quotes."),
        (SMALLEST + 'covers = ["pcas"]', 'backup.nas.covers: "pcas" is no primary. Did you mean "pacs"?'),
        (SMALLEST + 'covers = ["x"]', 'backup.nas.covers: "x" is no primary. Write the names of primaries.'),
        (SMALLEST + "covers = []", "backup.nas.covers: is empty. Name at least one, or remove it."),
        (SMALLEST + 'covers = "pacs"', 'backup.nas.covers: "pacs" is no list. Write ["pacs"].'),
        (SMALLEST + "volumes = []", "backup.nas.volumes: is empty. Name at least one, or remove it."),
        (SMALLEST + 'volumes = ["1A", "1a"]', 'backup.nas.volumes: names "1a" twice. Write it once.'),
        (SMALLEST + "volumes = [1]", "backup.nas.volumes: 1 is no text. Write it in quotes."),
        (
            SMALLEST + "volumes = []\nmax_absent = '1d'",
            "backup.nas.volumes: is empty. Name at least one, or remove it.",
        ),
        (
            SMALLEST + 'max_absent = "1d"',
            "backup.nas.max_absent: needs volumes. List the drives in volumes, or remove it.",
        ),
        (TOP + NAS + PACS + 'volumes = ["A"]\nmax_absent = "1d"', "primary.pacs.max_absent:" + BACKUPS),
        (
            SMALLEST + "synced_to = 'Drive'\noffsite = true",
            "backup.nas.offsite:" + BOTH,
        ),
        (
            SMALLEST + "restored_from = 'tape'",
            "backup.nas.restored_on:" + DAY,
        ),
        (
            SMALLEST + "restored_on = 2026-11-02",
            "backup.nas.restored_from" + FROM,
        ),
        (
            SMALLEST + "restored_from = 'tape'\nrestored_on = '2026-11-02'",
            'backup.nas.restored_on: "2026-11-02"' + DATE,
        ),
        (
            SMALLEST + "restored_from = 'tape'\nrestored_on = 2026-11-02T10:00:00",
            "backup.nas.restored_on: 2026-11-02 10:00:00" + DATE,
        ),
        # sizes and costs
        (SMALLEST + 'max_read = "50GiB"', 'backup.nas.max_read: "50GiB"' + SIZE),
        (SMALLEST + 'max_read = "0GB"', 'backup.nas.max_read: "0GB"' + SIZE),
        (SMALLEST + 'max_read = "1.5TB"', 'backup.nas.max_read: "1.5TB"' + SIZE),
        (SMALLEST + "max_read = 50000000", "backup.nas.max_read: 50000000" + SIZE),
        (
            SMALLEST + "cost = 15",
            "backup.nas.cost: 15 is no table. Write what it is paid for: cost = { monthly = 15 }.",
        ),
        (SMALLEST + 'cost = { monthly = "15" }', 'backup.nas.cost.monthly: "15"' + AMOUNT),
        (SMALLEST + "cost = { one_time = true }", "backup.nas.cost.one_time: true" + AMOUNT),
        (SMALLEST + "cost = { per_study = -0.01 }", "backup.nas.cost.per_study: -0.01" + AMOUNT),
        (SMALLEST + "cost = { per_tb_month = inf }", "backup.nas.cost.per_tb_month: inf" + AMOUNT),
        (SMALLEST + "cost = { monthly = 1, egress_per_gb = nan }", "backup.nas.cost.egress_per_gb: nan" + AMOUNT),
        (SMALLEST + "cost = { monthly = 0x" + "f" * 5000 + " }", "backup.nas.cost.monthly: that number" + AMOUNT),
        (SMALLEST + "cost = { montly = 15 }", "backup.nas.cost.montly: is no known key. Did you mean monthly?"),
        (
            SMALLEST + "cost = { egress_per_gb = 0.01 }",
            "backup.nas.cost: names no price. Write one of monthly, per_study, one_time and per_tb_month.",
        ),
        (
            SMALLEST + "cost = { monthly = 15, one_time = 80 }",
            "backup.nas.cost: names monthly and one_time. Write one of them: a backup is paid for in one way.",
        ),
        # s3
        (
            TOP + PACS + "[backup.x]\nkind = 's3'\nheld_by = 'us'",
            "backup.x.bucket: is missing. Write the name of the bucket that holds the images.",
        ),
        (
            TOP + PACS + "[backup.x]\nkind = 's3'\nbucket = 'b'",
            'backup.x.held_by: is missing. Write who holds the data: held_by = "Backblaze".',
        ),
        (S3.replace('"images"', '"s3://images/x"'), 'backup.bucket.bucket: "s3://images/x"' + NO_BUCKET),
        (S3.replace('"images"', '""'), "backup.bucket.bucket: is empty. Write a value or remove it."),
        (S3 + "buckt = 'x'", "backup.bucket.buckt: is no known key. Did you mean bucket?"),
        (S3 + "zzz = 'x'", "backup.bucket.zzz: is no known key. Remove it."),
        (S3 + "prefix = 3", "backup.bucket.prefix: 3 is no text. Write it in quotes."),
        (S3 + f"prefix = '{'x' * 1001}'", "backup.bucket.prefix: has 1001 characters. Write at most 1000."),
        (S3 + "region = true", "backup.bucket.region: true is no text. Write it in quotes."),
        (S3 + "profile = ''", "backup.bucket.profile: is empty. Write a value or remove it."),
        (S3 + "endpoint = 's3.example.com'", 'backup.bucket.endpoint: "s3.example.com"' + ADDRESS),
        (S3 + "endpoint = 'ftp://s3.example.com'", 'backup.bucket.endpoint: "ftp://s3.example.com"' + ADDRESS),
        (S3 + "endpoint = 'https://'", 'backup.bucket.endpoint: "https://"' + ADDRESS),
        (S3 + "endpoint = 'https://a b'", 'backup.bucket.endpoint: "https://a b"' + ADDRESS),
        (S3 + "endpoint = 'https://a?b=c'", 'backup.bucket.endpoint: "https://a?b=c"' + ADDRESS),
        (S3 + "endpoint = 'https://[a'", 'backup.bucket.endpoint: "https://[a"' + ADDRESS),
        (S3 + "endpoint = 'https://a:99999'", 'backup.bucket.endpoint: "https://a:99999"' + ADDRESS),
        (
            S3 + "endpoint = 'https://me:pw@a'",
            "backup.bucket.endpoint: holds a sign-in before the @. Remove it: " + CHAIN,
        ),
        (
            S3 + "drop_cache = true",
            'backup.bucket.drop_cache: is a setting of kind = "folder", which this store is not. Remove it.',
        ),
        (
            S3 + "remote = 'a:b'",
            'backup.bucket.remote: is a setting of kind = "rclone", which this store is not. Remove it.',
        ),
        (S3 + "secret_access_key = 'pw'", "backup.bucket.secret_access_key" + SECRET + CHAIN),
        (S3 + "aws_access_key_id = 'pw'", "backup.bucket.aws_access_key_id" + SECRET + CHAIN),
        (S3 + "applicationKey = 'pw'", "backup.bucket.applicationKey" + SECRET + CHAIN),
        (S3 + "session-token = 'pw'", "backup.bucket.session-token" + SECRET + CHAIN),
        (
            S3 + "cost = { egress_per_gb = 1 }",
            "backup.bucket.cost: names no price. Write one of monthly, per_study, one_time and per_tb_month.",
        ),
        # rclone
        (
            TOP + PACS + "[backup.x]\nkind = 'rclone'\nheld_by = 'Google'",
            'backup.x.remote: is missing. Write the name in rclone and the path: remote = "gdrive:xrays".',
        ),
        (
            TOP + PACS + "[backup.x]\nkind = 'rclone'\nremote = 'a:b'",
            'backup.x.held_by: is missing. Write who holds the data: held_by = "Google".',
        ),
        (RCLONE.replace("gdrive:xrays", "gdrive"), 'backup.drive.remote: "gdrive"' + NO_REMOTE),
        (RCLONE.replace("gdrive:xrays", "/srv/x"), 'backup.drive.remote: "/srv/x"' + NO_REMOTE),
        (RCLONE.replace("gdrive:xrays", "./a:b"), 'backup.drive.remote: "./a:b"' + NO_REMOTE),
        (RCLONE.replace("gdrive:xrays", "-a:b"), 'backup.drive.remote: "-a:b"' + NO_REMOTE),
        (
            RCLONE.replace("gdrive:xrays", "a:b/../c"),
            'backup.drive.remote: "a:b/../c" holds "..". Write the path without it.',
        ),
        (RCLONE.replace("gdrive:xrays", ":s3,secret_access_key=pw:b"), "backup.drive.remote:" + CONNECTION),
        (RCLONE.replace("gdrive:xrays", "gdrive,token=pw:b"), "backup.drive.remote:" + CONNECTION),
        (RCLONE.replace("gdrive:xrays", "https://me:pw@a/b"), "backup.drive.remote:" + CONNECTION),
        (RCLONE + "remot = 'x'", "backup.drive.remot: is no known key. Did you mean remote?"),
        (
            RCLONE + "config = '~/rclone.conf'",
            'backup.drive.config: "~/rclone.conf" depends on who runs the audit. Write the whole path.',
        ),
        (
            RCLONE + "region = 'x'",
            'backup.drive.region: is a setting of kind = "s3", which this store is not. Remove it.',
        ),
        (RCLONE + "password = 'pw'", "backup.drive.password" + SECRET + RCLONE_CONFIG),
        (RCLONE + "pass = 'pw'", "backup.drive.pass" + SECRET + RCLONE_CONFIG),
        (
            SMALLEST + "password = 'pw'",
            "backup.nas.password" + SECRET + "the operating system mounts the folder before the audit.",
        ),
        (
            SMALLEST + "bucket = 'x'",
            'backup.nas.bucket: is a setting of kind = "s3", which this store is not. Remove it.',
        ),
        # places
        (
            TOP + PACS + NAS.replace('"nas"', '"~/nas"'),
            'backup.nas.path: "~/nas" depends on who runs the audit. Write the whole path.',
        ),
        (
            TOP + PACS + NAS.replace('"nas"', '"x/../pacs"'),
            "backup.nas.path: is the same folder as primary.pacs." + OWN,
        ),
        (TOP + PACS + NAS.replace('"nas"', '"pacs/nas"'), "backup.nas.path: lies inside primary.pacs." + OWN),
        (TOP + PACS.replace('"pacs"', '"nas/pacs"') + NAS, "backup.nas.path: holds primary.pacs." + OWN),
        (S3 + OTHER, "backup.x.bucket: is the same place as backup.bucket." + PLACE),
        (
            S3 + "prefix = 'a/'\n" + OTHER + "prefix = 'a/b/'",
            "backup.x.prefix: lies inside backup.bucket." + PLACE,
        ),
        (
            S3 + "prefix = 'a/'\n" + OTHER,
            "backup.x.bucket: holds backup.bucket." + PLACE,
        ),
        (
            S3 + "endpoint = 'https://S3.us-east-1.amazonaws.com'\n" + OTHER,
            "backup.x.bucket: is the same place as backup.bucket." + PLACE,
        ),
        (
            S3 + "endpoint = 'https://s3.example:443/'\n" + OTHER + "endpoint = 'http://s3.example'",
            "backup.x.bucket: is the same place as backup.bucket." + PLACE,
        ),
        # a prefix that is not known might be of its own
        (S3 + "prefix = 3\n" + OTHER, "backup.bucket.prefix: 3 is no text. Write it in quotes."),
        (
            TOP + DRIVE.replace("backup", "primary") + DRIVE.replace("backup.drive", "backup.x"),
            "backup.x.remote: is the same place as primary.drive." + PLACE,
        ),
        (
            RCLONE + DRIVE.replace("backup.drive", "backup.x").replace("xrays", "/XRAYS/2024/"),
            "backup.x.remote: lies inside backup.drive." + PLACE,
        ),
        (
            RCLONE + DRIVE.replace("backup.drive", "backup.x").replace("xrays", "") + "config = 'rclone.conf'",
            "backup.x.remote: holds backup.drive." + PLACE,
        ),
        ("records = 'nas/records'\n" + SMALLEST, "records: lies inside backup.nas." + RECORDS),
        ("records = 'pacs'\n" + SMALLEST, "records: lies inside primary.pacs." + RECORDS),
    ],
)
def test_a_fault_is_told_in_one_line(tmp_path, text, expected):
    found = faults(tmp_path, text)
    if expected is None:
        assert len(found) == 1
    else:
        assert found == [expected]


def test_many_faults_are_told_at_once(tmp_path):
    text = """
time_zone = "Mars"
paper = "a5"
[policy]
rpo = 24
retention = {}
[people]
due = { critical = -1, hgh = 2 }
[primary.PACS]
kind = "folder"
path = "pacs"
covers = ["x"]
[primary.web]
kind = "dicomweb"
url = "pacs.example/dicom-web"
username = "exactcopy"
token = "x"
path = "pacs"
max_read = "1GB"
[backup.nas]
kind = "folder"
path = "pacs"
covers = ["pasc"]
synced_to = "Drive"
offsite = true
sight = "x"
[backup.usb]
kind = "folder"
path = 3
max_absent = "35d"
[backup.bucket]
kind = "s3"
bucket = "a/b"
endpoint = "s3.example.com"
token = "x"
volumes = ["A"]
max_read = 5
cost = { monthly = "x", yearly = 3 }
[backup.drive]
kind = "S3"
remote = "gdrive"
region = "x"
[backup.box]
kind = "rclone"
[backup.modality]
kind = "dimse"
host = "https://pacs.example"
port = "104"
retrieve = "move"
url = "https://pacs.example"
read = "reported"
"""
    assert sorted(fault.partition(": ")[0] for fault in faults(tmp_path, text)) == [
        "backup.box.held_by",
        "backup.box.remote",
        "backup.bucket.bucket",
        "backup.bucket.cost.monthly",
        "backup.bucket.cost.yearly",
        "backup.bucket.endpoint",
        "backup.bucket.held_by",
        "backup.bucket.max_read",
        "backup.bucket.token",
        "backup.bucket.volumes",
        "backup.drive.kind",
        "backup.drive.remote",
        "backup.modality.ae_title",
        "backup.modality.held_by",
        "backup.modality.host",
        "backup.modality.move_port",
        "backup.modality.port",
        "backup.modality.read",
        "backup.modality.url",
        "backup.nas.covers",
        "backup.nas.offsite",
        "backup.nas.path",
        "backup.nas.sight",
        "backup.usb.max_absent",
        "backup.usb.path",
        "facility",
        "paper",
        "people.due.critical",
        "people.due.hgh",
        "policy.retention.citation",
        "policy.retention.on",
        "policy.retention.rule",
        "policy.retention.set_by",
        "policy.retention.years",
        "policy.rpo",
        "primary.PACS",
        "primary.PACS.covers",
        "primary.web.held_by",
        "primary.web.max_read",
        "primary.web.password",
        "primary.web.path",
        "primary.web.token",
        "primary.web.url",
        "time_zone",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"facility = \n", "line 1, column 12: Invalid value (TOML syntax). Correct it there."),
        (b'facility = "x', "end of document: Unterminated string (TOML syntax). Correct it there."),
        (b"\n\nfacility = '\xff'", "line 3: is not UTF-8. Save the file as UTF-8."),
        (b"x = " + b"[" * 50_000, "is nested too deeply. Remove the nested lists."),
        (b"x = " + b"9" * 5_000, None),
        (b".".join([b"x"] * 3_000) + b" = 1", None),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path, content, expected):
    found = faults(tmp_path, content)
    assert expected is None or found == [expected]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml: is not there\. Name the configuration"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)\. Make it readable\.$"):
        load_config(tmp_path)


def test_a_secret_is_not_told_with_its_fault(tmp_path):
    text = """
[backup.x]
kind = "s3"
bucket = "b"
held_by = "us"
endpoint = "https://me:S3CRET@s3.example.com"
secret_access_key = "S3CRET"
[backup.y]
kind = "rclone"
remote = ":sftp,host=a,pass=S3CRET:b"
held_by = "us"
pass = "S3CRET"
[backup.z]
kind = "rclone"
remote = "https://me:S3CRET@dav.example.com/xrays"
held_by = "us"
"""
    found = faults(tmp_path, TOP + PACS + text)
    assert len(found) == 5
    assert "S3CRET" not in "".join(found)


@pytest.mark.parametrize(
    "more",
    [
        OTHER.replace("images", "others"),
        OTHER + "endpoint = 'https://s3.example.com'",
        OTHER.replace("held_by", "endpoint = 'http://127.0.0.1:9000'\nheld_by")
        + OTHER.replace("backup.x", "backup.y")
        + "endpoint = 'http://127.0.0.1:9001'",
        DRIVE + DRIVE.replace("backup.drive", "backup.x").replace("xrays", "xrays-old"),
        DRIVE + DRIVE.replace("backup.drive", "backup.x").replace("gdrive", "dropbox"),
    ],
)
def test_stores_beside_one_another_are_no_fault(tmp_path, more):
    assert load(tmp_path, S3 + more).backups


def test_a_prefix_may_be_shared_to_its_slash(tmp_path):
    text = S3 + "prefix = 'xrays/'\n" + OTHER + "prefix = 'xrays-old/'"
    assert load(tmp_path, text).backups
    # S3 knows no folders: the keys below xrays-old/ begin with xrays, too.
    assert faults(tmp_path, text.replace("xrays/", "xrays"))


def test_a_byte_order_mark_does_no_harm(tmp_path):
    assert load(tmp_path, b"\xef\xbb\xbf" + SMALLEST.encode()).facility == "Riverside Imaging"


def test_a_link_to_the_primary_is_no_backup(tmp_path):
    (tmp_path / "pacs").mkdir()
    (tmp_path / "nas").symlink_to("pacs")
    assert faults(tmp_path, SMALLEST)[0].startswith("backup.nas.path: is the same folder as primary.pacs.")


def test_a_folder_under_another_name_is_no_backup(tmp_path, monkeypatch):
    # A bind mount, as far as a test can make one: only the inode tells.
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    (tmp_path / "pacs" / "deep").mkdir(parents=True)
    (tmp_path / "nas").symlink_to("pacs")
    assert "is the same folder as primary.pacs." in faults(tmp_path, SMALLEST)[0]
    assert "lies inside primary.pacs." in faults(tmp_path, SMALLEST.replace('"nas"', '"nas/deep"'))[0]


def test_a_circle_of_links_is_no_fault_of_the_configuration(tmp_path):
    (tmp_path / "pacs").symlink_to("nas")
    (tmp_path / "nas").symlink_to("pacs")
    # That it cannot be examined is the audit's to say.
    assert load(tmp_path, SMALLEST).facility


def test_a_folder_beside_one_of_a_longer_name_is_not_inside_it(tmp_path):
    assert load(tmp_path, SMALLEST.replace('"nas"', '"pacs-copy"')).facility


def test_nothing_is_written_into_a_store(tmp_path):
    assert faults(tmp_path, SMALLEST.replace('"pacs"', '"."').replace('"nas"', '"/nas"')) == [
        "records: lies inside primary.pacs. Write a folder outside it: a store is never written to.",
        "primary.pacs.path: holds the configuration, which exactcopy writes beside. Move that file out.",
    ]


def test_the_anchor_is_no_part_of_a_store_and_not_among_the_records(tmp_path):
    for anchor, fault in (
        ("nas/heads.txt", "lies inside backup.nas. Write a file outside it: a store is never written to."),
        ("records/heads.txt", "lies among the records, with which it would be lost. Write a file on another disk."),
    ):
        assert faults(tmp_path, f'{SMALLEST}\n[seal]\nanchor = "{anchor}"') == [f"seal.anchor: {fault}"]
    assert load(tmp_path, f'{SMALLEST}\n[seal]\nanchor = "usb/heads.txt"').anchor == tmp_path / "usb" / "heads.txt"
    assert load(tmp_path, SMALLEST).anchor is None


def test_whom_to_tell_is_known_even_where_the_rest_is_faulty(tmp_path):
    text = (
        f'{SMALLEST}\n[alert]\nnotify = ["env:TEAMS", "file:mail"]\nping = "https://hc-ping.com/1/"\n'
        'metrics = "m/exactcopy.prom"\nremind = "3d"'
    )
    alert = load(tmp_path, text).alert
    assert alert.notify == ("env:TEAMS", f"file:{tmp_path}/mail")
    assert (alert.ping, alert.remind) == ("https://hc-ping.com/1", timedelta(days=3))
    assert alert.metrics == tmp_path / "m" / "exactcopy.prom"
    assert faults(tmp_path, text.replace('kind = "folder"', 'kind = "tape"') + "\nmistake = 1")
    assert load_alert(tmp_path / "exactcopy.toml") == ("Riverside Imaging", alert)
    faults(tmp_path, "facility = ")
    assert load_alert(tmp_path / "exactcopy.toml") == load_alert(tmp_path / "none.toml") == ("", Alert())


def test_a_fault_cannot_steer_the_terminal(tmp_path):
    (fault,) = faults(tmp_path, 'paper = "\\u001b[2J\\u009b"\n' + SMALLEST)
    assert fault.isprintable()
    assert fault.startswith('paper: "\\u001b[2J\\u009b" is not known here.')


def test_relative_paths_begin_at_the_file(tmp_path, monkeypatch):
    (tmp_path / "exactcopy.toml").write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    config = load_config(Path("exactcopy.toml"))
    assert config.path == tmp_path / "exactcopy.toml"
    assert config.backups[0].options["path"] == os.path.realpath(tmp_path / "nas")


@pytest.mark.parametrize("account", ["a\x1bb", "x" * 201])
def test_an_account_that_may_not_stand_in_a_report_is_not_shown(tmp_path, monkeypatch, account):
    monkeypatch.setenv("LOGNAME", account)
    assert load(tmp_path, SMALLEST).operator == "unknown account"


def test_the_digest_follows_the_settings_and_not_their_form(tmp_path):
    digest = load(tmp_path, SMALLEST).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    same = [
        "# a comment\n" + SMALLEST,
        TOP + NAS + PACS,
        'operator = "x"\n' + SMALLEST,
        'paper = "letter"\n' + SMALLEST,
        # Who does the work changes nothing of what is found.
        'workers = "tls://dask.example.org:8786"\n' + SMALLEST,
    ]
    assert {load(tmp_path, text).digest for text in same} == {digest}
    other = ['paper = "a4"\n' + SMALLEST, SMALLEST + "offsite = true", SMALLEST.replace('"nas"', '"./nas"')]
    assert len({digest, *(load(tmp_path, text).digest for text in other)}) == 4
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert load(elsewhere, SMALLEST).digest == digest


def test_the_identity_follows_the_place_only(tmp_path):
    def identity(text: str) -> str:
        return load(tmp_path, text).backups[0].identity

    first = identity(SMALLEST)
    assert identity(SMALLEST + "offsite = true") == first
    assert identity(SMALLEST.replace('"nas"', '"./nas"')) == first
    assert identity(SMALLEST.replace('"nas"', '"nas2"')) != first
    drives = identity(SMALLEST + 'volumes = ["A", "B"]')
    assert drives != first
    assert identity(SMALLEST + 'volumes = ["B", "A"]') == drives


def test_the_identity_of_a_cloud_store_follows_the_place_only(tmp_path):
    def identity(text: str) -> str:
        return load(tmp_path, text).backups[0].identity

    bucket, drive = identity(S3), identity(RCLONE)
    settings = ["region = 'x'", "profile = 'x'", "read = 'all'", "max_read = '1GB'", "cost = { monthly = 1 }"]
    same = [*settings, "endpoint = 'https://s3.eu-west-1.amazonaws.com/'"]
    assert {identity(S3 + more) for more in same} == {bucket}
    assert {identity(RCLONE + more) for more in ["config = 'x'", *settings[2:]]} == {drive}
    assert identity(RCLONE.replace("xrays", "xrays/")) == drive
    other = [S3 + "prefix = 'x'", S3 + "endpoint = 'https://s3.example.com'", S3.replace('"images"', '"others"')]
    other += [RCLONE.replace("xrays", "Xrays"), RCLONE.replace("gdrive", "dropbox")]
    assert len({bucket, drive, *map(identity, other)}) == 7


def test_the_digest_follows_every_setting_of_every_kind(tmp_path):
    more = ["", "prefix = 'x'", "endpoint = 'http://x'", "region = 'x'", "profile = 'x'", "read = 'all'"]
    more += ["max_read = '1GB'", "cost = { monthly = 1 }", "cost = { monthly = 1, egress_per_gb = 1 }"]
    digests = [load(tmp_path, S3 + key).digest for key in more]
    digests += [load(tmp_path, RCLONE + key).digest for key in ("", "config = 'x'")]
    assert len(set(digests)) == len(digests)


def test_importing_it_costs_no_pydantic():
    code = "import sys, exactcopy.config, exactcopy.decisions; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- any TOML ---------------------------------------------------------------------------------------------


def toml(value: object) -> str:
    """Write a value as TOML, every table inline."""
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case float():
            return repr(value) if math.isfinite(value) else "nan"
        case date():
            return value.isoformat()
        case _:
            return str(value).lower()


def document(file: dict[str, Any]) -> str:
    """Write a whole file."""
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in file.items())


TABLES: tuple[type[Table], ...] = (
    tables.ConfigFile,
    tables.Policy,
    tables.Retention,
    tables.People,
    tables.Due,
    *stores.KINDS.values(),
    stores.Price,
    tables.Attest,
)
KEYS = [key for table in TABLES for key in table.model_fields]
WORDS = [*KEYS, "seal", *stores.KINDS, "35d", "letter", "UTC", "all", "reported", "pacs"]
WORDS += [".", "EC-SO-01", "5GB", "gdrive:x", "https://x", "env:X", "file:x", "get", "move"]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PLACES = st.sampled_from(
    [
        {"kind": "folder", "path": "x"},
        {"kind": "s3", "bucket": "x", "held_by": "x"},
        {"kind": "rclone", "remote": "x:y", "held_by": "x"},
        {"kind": "dicomweb", "url": "https://x", "held_by": "x"},
        {"kind": "dimse", "host": "x", "port": 104, "ae_title": "x", "held_by": "x"},
        {},
    ]
)
STORES = st.builds(lambda place, more: place | more, PLACES, st.dictionaries(TEXTS, VALUES, max_size=3))
FILES = st.dictionaries(TEXTS, VALUES, max_size=5) | st.fixed_dictionaries(
    {"facility": TEXTS, "primary": st.dictionaries(TEXTS, STORES), "backup": st.dictionaries(TEXTS, STORES)},
    optional={"policy": VALUES, "people": VALUES, "records": VALUES},
)


ATTESTS = st.dictionaries(st.sampled_from([*tables.Attest.model_fields, "x"]), VALUES) | VALUES
DECISIONS = st.fixed_dictionaries({"attest": st.lists(ATTESTS, max_size=3) | VALUES}) | FILES
many = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_faults(load: Callable[[], object], file: str) -> None:
    found: tuple[str, ...] | None = None
    try:
        load()
    except ConfigError as error:
        found = error.faults
    assert found is None or found
    for fault in found or ():
        assert fault.startswith(f"{file}: ")
        assert fault.isprintable()
        assert "TOML syntax" not in fault


@many
@given(file=FILES)
def test_no_configuration_raises_anything_but_config_error(tmp_path, file: dict[str, Any]):
    check_faults(lambda: load(tmp_path, document(file)), "exactcopy.toml")


@many
@given(file=DECISIONS)
def test_no_decisions_raise_anything_but_config_error(tmp_path, file: dict[str, Any]):
    path = tmp_path / "decisions.toml"
    path.write_text(document(file))
    check_faults(lambda: load_decisions(path, ["EC-SO-01"], date(2026, 11, 24)), "decisions.toml")


CLOUD = """
facility = "Riverside"
[primary.pacs]
kind = "s3"
bucket = "archive"
held_by = "Amazon"
{read}
[backup.nas]
kind = "folder"
path = "nas"
"""


def test_a_primary_is_read_whatever_its_provider_reports(tmp_path):
    assert load(tmp_path, CLOUD.format(read="")).primaries[0].read is ReadPolicy.ALL
    assert load(tmp_path, CLOUD.format(read='read = "rotation"')).primaries[0].read is ReadPolicy.ROTATION
    assert faults(tmp_path, CLOUD.format(read='read = "reported"')) == [
        'primary.pacs.read: cannot be "reported": a primary is the reference, and is read. Write "all".'
    ]
