"""What an audit would need: each thing ✓, or what to do."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from exactcopy.alert import channels
from exactcopy.checks.common import so_many
from exactcopy.cluster import Cluster
from exactcopy.config import Config
from exactcopy.decisions import AGREEMENT, Decisions, attestation
from exactcopy.errors import ExactCopyError, StoreUnavailable, WorkersUnavailable
from exactcopy.model import Copy, Gap, Problem, Target
from exactcopy.pool import Died
from exactcopy.report import pdf_possible
from exactcopy.seal import key_is_there, open_key, refuses
from exactcopy.stores import PACS, Store, fault, import_kinds, open_destination, open_store, served
from exactcopy.stores.bounded import closed

_SCRATCH_BYTES = 2 << 30
# What to do where nothing is stored; of any other kind it is a PACS.
_PLACES = {
    "folder": "Connect the drive, or mend `path`.",
    "s3": "Mend `prefix` or `bucket`.",
    "rclone": "Mend `remote`.",
}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that an audit needs. `text` says how it stands or what to do."""

    good: bool
    text: str


def needs(config: Config, decisions: Decisions, today: date, *, test_alerts: bool = False) -> Iterator[Need]:
    """Yield everything that an audit of `config` needs; nothing is written but empty folders of our own.

    `test_alerts`: each channel is sent a message that says it is a test.
    """
    yield Need(
        True,
        f"{config.path.name} is complete: {so_many(len(config.primaries), 'primary', 'primaries')},"
        f" {so_many(len(config.backups), 'backup', 'backups')}.",
    )
    with served(config.stores) as stores:
        for target in stores:
            yield _reach(target)
    for target in config.backups:
        restored = target.options.get("restored_on")
        if restored and restored > today:
            yield Need(False, f"{target.name}: `restored_on` lies in the future. Write the day of the restore.")
    if config.recovery:
        yield _receives(config.recovery)
    for target in (*config.stores, *filter(None, [config.recovery])):
        if target.held_by != "us" and not attestation(decisions, AGREEMENT, today, target.held_by):
            yield Need(
                False,
                f"{target.name}: no current agreement with {target.held_by} is on record. Record it:"
                f' `exactcopy attest EC-BA-01 "…" --party "{target.held_by}"`.',
            )
    yield from _open_secrets(config)
    for usable, said in channels(config, test=test_alerts):
        yield Need(usable, said)
    for name, folder in (("records", config.records), (".exactcopy", config.state)):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            yield Need(False, f"{name}: the folder cannot be made. Choose another place for it.")
            continue
        writable = os.access(folder, os.W_OK | os.X_OK)
        yield Need(
            writable,
            f"{name} can be written." if writable else f"{name}: not writable. Grant the account that.",
        )
    if config.workers and config.state.is_dir():
        yield from _workers(config, config.workers)
    if config.state.is_dir():
        free = shutil.disk_usage(config.state).free
        enough = free >= _SCRATCH_BYTES
        size = f"{free / 1e9:,.1f} GB"
        yield Need(
            enough,
            f"{size} are free for test restores."
            if enough
            else f"scratch: only {size} are free. A test restore needs the size of your largest study: make room.",
        )
    try:
        pdf_possible()
    except ExactCopyError as error:
        yield Need(False, str(error))
        return
    yield Need(True, "The PDF can be made.")
    yield _seals(config)
    if config.seal_timestamp is not None:
        reason = refuses(config.seal_timestamp)
        yield Need(
            reason is None,
            "The service of time stamps answers."
            if reason is None
            else f"seal.timestamp: the service gave no time stamp ({reason}). See whether its address is right and"
            " can be reached from here.",
        )


def _workers(config: Config, address: str) -> Iterator[Need]:
    """Reach the cluster, and from each of its computers every store that may be examined now."""
    kinds = {store.kind for store in config.stores}
    try:
        with Cluster(address, config.state, partial(import_kinds, kinds)) as cluster:
            count, hosts = cluster.workers, cluster.hosts()
            yield Need(
                True,
                f"{address}: {so_many(len(hosts), 'computer does', 'computers do')} {so_many(count, 'task', 'tasks')}"
                f" at once, with this version, and {config.state.name} is shared.",
            )
            for worker in hosts:
                for target in config.stores:
                    # To sign in outside of its window is work for it, too.
                    reason = None if closed(target) else cluster.on(worker, fault, target)
                    if reason is not None:
                        said = "its worker died" if isinstance(reason, Died) else reason
                        yield Need(False, f"workers: {worker} does not reach a store. {said}")
    except WorkersUnavailable as error:
        yield Need(False, str(error))


def _seals(config: Config) -> Need:
    """Open the key that seals reports; one that the first audit makes is not made here."""
    if not key_is_there(config):
        made = "The first audit makes a key that seals the report"
        if config.seal_passphrase is not None:
            return Need(True, f"{made}, under your passphrase.")
        return Need(True, f"{made}; no passphrase will protect it. `exactcopy keys` makes one with a passphrase.")
    try:
        key = open_key(config)
    except ExactCopyError as error:
        return Need(False, str(error))
    return Need(True, f"The key that seals the report opens{'' if key.protected else '; no passphrase protects it'}.")


def _open_secrets(config: Config) -> Iterator[Need]:
    """Name whose secrets lie in files that other accounts of this computer may read."""
    held: dict[str, Iterable[object]] = {
        "seal": [config.seal_passphrase],
        "alert": [*config.alert.notify, config.alert.ping],
    }
    for target in (*config.stores, *filter(None, [config.recovery])):
        # Headers stand in a table of their own.
        held[target.name] = [*target.options.values(), *target.options.get("headers", {}).values()]
    for where, values in held.items():
        files = [Path(value[5:]) for value in values if isinstance(value, str) and value.startswith("file:")]
        if any(_open_to_others(path) for path in files):
            yield Need(
                False,
                f"{where}: other accounts of this computer may read the file of a secret. Let the account that audits"
                " alone read it: chmod 600.",
            )
    for target in config.stores:
        for path in _logins(target):
            if _open_to_others(path) and not _locked(path):
                yield Need(
                    False,
                    f"{target.name}: other accounts of this computer may read {path.name}, by which it is signed in to."
                    " Let the account that audits alone read it: chmod 600.",
                )


def _logins(target: Target) -> Iterator[Path]:
    """Yield the file in which the tool that reaches a cloud keeps its logins."""
    home = Path.home()
    if target.kind == "rclone":
        named = target.options.get("config") or os.environ.get("RCLONE_CONFIG")
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        yield Path(named) if named else folder / "rclone" / "rclone.conf"
    elif target.kind == "s3":
        yield Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")


def _locked(path: Path) -> bool:
    """Say whether rclone has encrypted its configuration: whoever reads it needs a password, too."""
    with suppress(OSError), path.open("rb") as file:
        return b"RCLONE_ENCRYPT_V0:" in file.read(4096)
    return False


def _open_to_others(path: Path) -> bool:
    try:
        return os.name == "posix" and bool(path.stat().st_mode & 0o077)
    except OSError:
        # One that is not there is told of where it is needed.
        return False


def _receives(target: Target) -> Need:
    """Reach the recovery PACS; whether it takes what is sent shows only when something is."""
    try:
        with open_destination(target):
            pass
    except StoreUnavailable as error:
        return Need(False, str(error))
    return Need(True, f"{target.name} can be reached; test restores go there.")


def _reach(target: Target) -> Need:
    hours = f" It is examined within its window only: {target.window}." if target.window else ""
    if closed(target):
        return _call(target, f"{hours} That is closed now: start the audit when it opens.")
    try:
        with open_store(target) as store:
            first = next((item for partition in store.partitions() for item in store.listing(partition)), None)
            readable = not isinstance(first, Copy) or target.kind in PACS or _may_read(store, first)
    except StoreUnavailable as error:
        return Need(False, str(error))
    if isinstance(first, Gap):
        return Need(False, f"{target.name}: it cannot be listed. Grant the account that audits the right to.")
    if first is None:
        place = _PLACES.get(target.kind, "Mend its address, or ask why it shows none.")
        return Need(False, f"{target.name}: nothing is stored there. {place}")
    if not readable:
        return Need(
            False,
            f"{target.name}: it can be listed and not read. Grant the account that audits the right to read, too.",
        )
    return Need(True, f"{target.name} can be reached.{hours}")


def _may_read(store: Store, copy: Copy) -> bool:
    """Say whether the account may read; of an image that cannot be read for another reason it is not known."""
    return all(stream is not Problem.PERMISSION for _, stream in store.read([copy], first_bytes=1))


def _call(target: Target, hours: str) -> Need:
    """Sign in and do no more: to list a store is work for it."""
    try:
        with open_store(replace(target, window=None)):
            return Need(True, f"{target.name} can be reached; it was not listed.{hours}")
    except StoreUnavailable as error:
        return Need(False, str(error))
