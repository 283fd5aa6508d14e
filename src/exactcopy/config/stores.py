"""The tables of stores: one class for each kind, with the keys of its own and where they place the data."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainValidator

from exactcopy.config.access import (
    BOTO3,
    AeTitle,
    Bucket,
    Endpoint,
    Headers,
    Host,
    Port,
    Prefix,
    Remote,
    Secret,
    Url,
    User,
    absolute,
    named,
    reference,
    resolved,
    service,
    web_service,
)
from exactcopy.config.border import (
    Amount,
    Connections,
    Day,
    Dollars,
    Duration,
    Flag,
    Hours,
    Location,
    Names,
    Rate,
    Size,
    Table,
    Text,
    choice,
    either,
    shown,
    text,
)
from exactcopy.model import ReadPolicy

# A primary has no use for these, and a setting without effect would be a lie.
BACKUPS_ONLY = ("covers", "rpo", "schedule", "max_absent", "max_read", "max_egress_cost", "cost")
# A backup from which images are purged is none.
PRIMARIES_ONLY = ("keeps",)
# What receives test restores is neither compared nor read by a policy.
STORES_ONLY = ("offsite", "read", "reread", "window", "concurrency", "max_rate")
# The prices of which a cost names one.
PRICES = ("monthly", "per_study", "one_time", "per_tb_month")

SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|access_?key|key_?id|(account|app|application|api|private)_?key"
    r"|^(auth|key|pass)$"
)

# --- values -----------------------------------------------------------------------------------------------


def store_kind(value: object) -> str:
    """Take a kind of store."""
    kind = text(value)
    if kind in KINDS:
        return kind
    raise ValueError(f"{shown(kind)} is no kind of store. Write {either(KINDS)}.")


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


# --- kinds ------------------------------------------------------------------------------------------------


class Store(Table):
    """[primary.NAME] and [backup.NAME]: the keys that every kind has."""

    # Where credentials belong, since they do not belong here.
    credentials: ClassVar[str] = ""
    kind: Annotated[str, PlainValidator(store_kind)] = ""
    site: Text | None = None
    held_by: Text = ""
    offsite: Flag | None = None
    covers: Names = ()
    rpo: Duration | None = None
    keeps: Duration | None = None
    read: Annotated[ReadPolicy, choice(ReadPolicy)] = ReadPolicy.REPORTED
    reread: Duration = timedelta(days=92)
    schedule: Duration | None = None
    window: Hours | None = None
    concurrency: Connections | None = None
    max_rate: Rate | None = None
    max_read: Size | None = None
    max_egress_cost: Dollars | None = None
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
    credentials: ClassVar[str] = BOTO3
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
        return {"remote": self.remote, "config": absolute(base, self.config)}

    def place(self, base: Path) -> dict[str, Any]:
        """Return the remote; where its settings are kept does not tell where the data is."""
        return {"remote": self.remote}


class Retrieve(StrEnum):
    """How a DIMSE PACS is asked for images."""

    GET = "get"
    MOVE = "move"


NO_CHECKSUMS = {"reported": "over DIMSE a PACS reports no checksums"}


class Dicomweb(Store):
    """A PACS that is asked by QIDO-RS and WADO-RS."""

    required: ClassVar[Mapping[str, str]] = {
        "url": 'Write the address of the server: url = "https://pacs.example.org/dicom-web".',
        "held_by": 'Write who holds the data: held_by = "us" for a server of your own.',
    }
    credentials: ClassVar[str] = "username and password, token and headers say how to sign in."
    # An Orthanc reports them beside its DICOMweb.
    read: Annotated[ReadPolicy, choice(ReadPolicy)] = ReadPolicy.ROTATION
    url: Url = ""
    username: User | None = None
    password: Secret | None = None
    token: Secret | None = None
    ca: Location | None = None
    client_cert: Location | None = None
    headers: Headers = Field(default_factory=dict)
    # Of [recovery.NAME] only.
    cleanup: Flag = False

    def options(self, base: Path) -> dict[str, Any]:
        """Return the settings; what is secret in them stays a reference, and the path of each file is whole."""
        return {
            "url": self.url,
            "username": self.username,
            "password": reference(base, self.password),
            "token": reference(base, self.token),
            "ca": absolute(base, self.ca),
            "client_cert": absolute(base, self.client_cert),
            "headers": {name: reference(base, value) for name, value in self.headers.items()},
        }

    def place(self, base: Path) -> dict[str, Any]:
        """Return the address; how to sign in there does not tell where the data is."""
        return {"url": web_service(self.url)}


class Dimse(Store):
    """A PACS that is asked by C-FIND and C-GET or C-MOVE."""

    required: ClassVar[Mapping[str, str]] = {
        "host": 'Write the name or IP address of the PACS: host = "pacs.example.org".',
        "port": "Write the port on which the PACS takes DICOM associations: port = 104.",
        "ae_title": 'Write the AE title of the PACS: ae_title = "PACS".',
        "held_by": 'Write who holds the data: held_by = "us" for a PACS of your own.',
    }
    credentials: ClassVar[str] = "a PACS knows who asks by calling_ae_title, or by client_cert."
    read: Annotated[ReadPolicy, choice(ReadPolicy, but=NO_CHECKSUMS)] = ReadPolicy.ROTATION
    host: Host = ""
    port: Port = 0
    ae_title: AeTitle = ""
    calling_ae_title: AeTitle = "EXACTCOPY"
    retrieve: Annotated[Retrieve, choice(Retrieve)] | None = None
    move_port: Port | None = None
    tls: Flag = False
    ca: Location | None = None
    client_cert: Location | None = None
    cleanup: Flag = False

    def options(self, base: Path) -> dict[str, Any]:
        """Return the settings, the path of each file whole."""
        return {
            "host": self.host,
            "port": self.port,
            "ae_title": self.ae_title,
            "calling_ae_title": self.calling_ae_title,
            # As text: workers, who receive it, need not import this module.
            "retrieve": self.retrieve.value if self.retrieve else None,
            "move_port": self.move_port,
            "tls": self.tls,
            "ca": absolute(base, self.ca),
            "client_cert": absolute(base, self.client_cert),
        }

    def place(self, base: Path) -> dict[str, Any]:
        """Return the computer, the port and the PACS that is called there."""
        return {"host": named(self.host), "port": self.port, "ae_title": self.ae_title}


KINDS: Mapping[str, type[Store]] = {
    "folder": Folder,
    "s3": S3,
    "rclone": Rclone,
    "dicomweb": Dicomweb,
    "dimse": Dimse,
}


def store(value: object) -> Store:
    """Make the table of the kind that is named, or else of the one that has most likely been meant."""
    if not isinstance(value, dict):
        return Folder.model_validate(value)
    kind = value.get("kind")
    meant = next((table for table in KINDS.values() if not table.own().isdisjoint(value)), Folder)
    return (KINDS.get(kind, meant) if isinstance(kind, str) else meant).model_validate(value)
