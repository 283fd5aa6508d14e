"""The tables of stores: one class for each kind, with the keys of its own and where they place the data."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainValidator

from exactcopy.config.border import (
    Amount,
    Day,
    Duration,
    Flag,
    Location,
    Names,
    Size,
    Table,
    Text,
    choice,
    either,
    limited,
    shown,
    text,
)
from exactcopy.model import ReadPolicy

LATER_KINDS = frozenset({"dicomweb", "dimse"})
# A primary has no use for these, and a setting without effect would be a lie.
BACKUPS_ONLY = ("covers", "rpo", "schedule", "max_absent", "max_read", "cost")
# The prices of which a cost names one.
PRICES = ("monthly", "per_study", "one_time", "per_tb_month")

SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|access_?key|key_?id|(account|app|application|api|private)_?key"
    r"|^(auth|key|pass)$"
)

# --- values -----------------------------------------------------------------------------------------------


def store_kind(value: object) -> str:
    """Take a kind of store, also one of a later version: `Store.judged` needs to know."""
    kind = text(value)
    if kind in KINDS or kind in LATER_KINDS:
        return kind
    raise ValueError(f"{shown(kind)} is no kind of store. Write {either(KINDS)}.")


def bucket(value: object) -> str:
    """Take the name of a bucket."""
    name = text(value)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return name
    raise ValueError(f"{shown(name)} is no name of a bucket. Write the bare name, and what follows it as prefix.")


def prefix(value: object) -> str:
    """Take the beginning of keys as written; S3 knows no folders, so nothing in it has a meaning."""
    return limited(value, 1000)


def endpoint(value: object) -> str:
    """Take the address of an S3 service."""
    address = text(value)
    if "@" in address:
        # Not shown: it may be a password.
        raise ValueError(f"holds a sign-in before the @. Remove it: {S3.credentials}")
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if sound and not re.search(r"[\s?#]", address):
        return address
    raise ValueError(f'{shown(address)} is no address of a service. Write it as in "https://s3.example.com".')


def remote(value: object) -> str:
    """Take rclone's name of a remote and a path in it, which may be empty; slashes without meaning are dropped."""
    written = limited(value, 1000)
    name, colon, path = written.partition(":")
    if colon and (not name or "," in name or path.startswith("//")):
        # Not shown: it may be a password.
        raise ValueError("holds settings of the connection. Give them to rclone config and write the remote's name.")
    if not colon or not re.fullmatch(r"[\w.+@](?:[\w.+@ -]*[\w.+@-])?", name):
        raise ValueError(f'{shown(written)} is no remote. Write its name in rclone and the path: "gdrive:xrays".')
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f'{shown(written)} holds "..". Write the path without it.')
    return f"{name}:{'/' if path.startswith('/') else ''}{'/'.join(parts)}"


class Price(Table):
    """cost: what a backup costs, in US dollars."""

    monthly: Amount | None = None
    per_study: Amount | None = None
    one_time: Amount | None = None
    per_tb_month: Amount | None = None
    egress_per_gb: Amount | None = None


def priced(value: object) -> object:
    """Take the table of what a backup costs."""
    if isinstance(value, dict):
        return value
    raise ValueError(f"{shown(value)} is no table. Write what it is paid for: cost = {{ monthly = 15 }}.")


Bucket = Annotated[str, PlainValidator(bucket)]
Prefix = Annotated[str, PlainValidator(prefix)]
Endpoint = Annotated[str, PlainValidator(endpoint)]
Remote = Annotated[str, PlainValidator(remote)]

# --- kinds ------------------------------------------------------------------------------------------------


class Store(Table):
    """[primary.NAME] and [backup.NAME]: the keys that every kind has."""

    # Where credentials belong, since they do not belong here.
    credentials: ClassVar[str] = ""
    later: ClassVar[frozenset[str]] = frozenset({"keeps", "window", "concurrency"})
    kind: Annotated[str, PlainValidator(store_kind)] = ""
    site: Text | None = None
    held_by: Text = ""
    offsite: Flag | None = None
    covers: Names = ()
    rpo: Duration | None = None
    read: Annotated[ReadPolicy, choice(ReadPolicy)] = ReadPolicy.REPORTED
    reread: Duration = timedelta(days=92)
    schedule: Duration | None = None
    max_read: Size | None = None
    cost: Annotated[Price, BeforeValidator(priced)] | None = None

    @classmethod
    def own(cls) -> frozenset[str]:
        """Return the keys that only this kind has."""
        return frozenset(cls.model_fields) - frozenset(Store.model_fields)

    def stray(self, key: str) -> str:
        """Say what is wrong with a key that this kind does not know."""
        if SECRET.search(key.casefold().replace("-", "_")):
            return f"is a credential, and none may stand in this file. Remove it: {self.credentials}"
        for kind, table in KINDS.items():
            if key in table.own():
                return f'is a setting of kind = "{kind}", which this store is not. Remove it.'
        return super().stray(key)

    def needed(self) -> Mapping[str, str]:
        """Return what the kind needs; of a store whose kind is not known nothing else is known to be missing."""
        return self.required if self.kind else {"kind": f"Write kind = {either(KINDS)}."}

    def options(self, base: Path) -> dict[str, Any]:
        """Return the settings that the store itself receives; `base` is the folder of the file."""
        raise NotImplementedError

    def place(self, base: Path) -> dict[str, Any]:
        """Return the settings that say where the data is, each place written in one way only."""
        raise NotImplementedError


class Later(Store):
    """A store of a kind that this version cannot examine."""

    def judged(self) -> bool:
        """Tell that nobody can say yet which keys it may have."""
        return False


class Folder(Store):
    """A folder that this machine can read."""

    required: ClassVar[Mapping[str, str]] = {"path": "Write the folder that holds the images."}
    credentials: ClassVar[str] = "the operating system mounts the folder before the audit."
    held_by: Text = "us"
    read: Annotated[ReadPolicy, choice(ReadPolicy, but={"reported": "a folder reports no checksums"})] = ReadPolicy.ALL
    path: Location = ""
    volumes: Names = ()
    max_absent: Duration | None = None
    drop_cache: Flag = False
    synced_to: Text | None = None
    restored_from: Text | None = None
    restored_on: Day | None = None

    def options(self, base: Path) -> dict[str, Any]:
        """Return the settings of a folder, its path resolved."""
        own = {key: getattr(self, key) for key in type(self).model_fields if key in self.own()}
        return own | {"path": resolved(base, self.path)}

    def place(self, base: Path) -> dict[str, Any]:
        """Return the folder and the drives that may be mounted there."""
        return {"path": resolved(base, self.path), "volumes": sorted(self.volumes)}


class S3(Store):
    """A bucket of AWS or of any service that speaks S3, or the keys in it that begin alike."""

    required: ClassVar[Mapping[str, str]] = {
        "bucket": "Write the name of the bucket that holds the images.",
        "held_by": 'Write who holds the data: held_by = "Backblaze".',
    }
    credentials: ClassVar[str] = (
        "boto3 finds credentials in the environment, in ~/.aws/credentials (profile names a section of it) or in the"
        " role of the machine."
    )
    bucket: Bucket = ""
    prefix: Prefix = ""
    endpoint: Endpoint | None = None
    region: Text | None = None
    profile: Text | None = None

    def options(self, base: Path) -> dict[str, Any]:
        """Return the settings of S3 as they are written."""
        return {key: getattr(self, key) for key in type(self).model_fields if key in self.own()}

    def place(self, base: Path) -> dict[str, Any]:
        """Return the service, the bucket and the beginning of the keys."""
        return {"endpoint": service(self.endpoint), "bucket": self.bucket, "prefix": self.prefix}


class Rclone(Store):
    """A remote of rclone, or a folder in it."""

    required: ClassVar[Mapping[str, str]] = {
        "remote": 'Write the name in rclone and the path: remote = "gdrive:xrays".',
        "held_by": 'Write who holds the data: held_by = "Google".',
    }
    credentials: ClassVar[str] = "rclone keeps credentials in a configuration of its own, which rclone config writes."
    remote: Remote = ""
    config: Location | None = None

    def options(self, base: Path) -> dict[str, Any]:
        """Return the remote, and rclone's configuration as an absolute path."""
        return {"remote": self.remote, "config": os.path.abspath(base / self.config) if self.config else None}

    def place(self, base: Path) -> dict[str, Any]:
        """Return the remote; where its settings are kept does not tell where the data is."""
        return {"remote": self.remote}


KINDS: Mapping[str, type[Store]] = {"folder": Folder, "s3": S3, "rclone": Rclone}


def store(value: object) -> Store:
    """Make the table of the kind that is named, or else of the one that has most likely been meant."""
    if not isinstance(value, dict):
        return Folder.model_validate(value)
    kind = value.get("kind")
    if isinstance(kind, str) and kind in LATER_KINDS:
        return Later.model_validate(value)
    meant = next((table for table in KINDS.values() if not table.own().isdisjoint(value)), Folder)
    return (KINDS.get(kind, meant) if isinstance(kind, str) else meant).model_validate(value)


# --- places -----------------------------------------------------------------------------------------------


def resolved(base: Path, path: str) -> str:
    """Return the whole path without links."""
    # Not Path.resolve: it raises on a circle of links.
    return os.path.realpath(base / path)


def service(endpoint: str | None) -> str:
    """Return one name for all addresses of a service: AWS has many, and each of them reaches every bucket."""
    parts = urlsplit((endpoint or "https://amazonaws.com").lower())
    host = (parts.hostname or "").rstrip(".")
    if f".{host}".endswith(".amazonaws.com"):
        return "amazonaws.com"
    port = "" if parts.port in {None, 80, 443} else f":{parts.port}"
    return f"{host}{port}{parts.path.rstrip('/')}"
