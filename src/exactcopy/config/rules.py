"""The rules that look at more than one key of exactcopy.toml. It imports pydantic: import it inside a function."""

import os
import re
from collections.abc import Iterator, Mapping, Set
from itertools import combinations
from pathlib import Path
from unicodedata import normalize

from exactcopy.config.access import resolved, service
from exactcopy.config.border import Fault, Where, dotted, nearest, shown
from exactcopy.config.stores import (
    BACKUPS_ONLY,
    PRICES,
    PRIMARIES_ONLY,
    S3,
    STORES_ONLY,
    Dicomweb,
    Dimse,
    Folder,
    Price,
    Rclone,
    Retrieve,
    Store,
)
from exactcopy.config.tables import ConfigFile
from exactcopy.model import ReadPolicy


def rules(file: ConfigFile, base: Path, state: str, faulted: Set[Where]) -> Iterator[Fault]:
    """Yield what is wrong between keys; `faulted` are the places where a fault has already been told."""
    stores: dict[Where, Store] = {}
    for role, tables in (("primary", file.primary), ("backup", file.backup), ("recovery", file.recovery)):
        if role in file.model_fields_set and not tables:
            yield (role,), f"names no store. Write [{role}.NAME] and the settings below it."
        stores |= {(role, name): store for name, store in tables.items()}
    for where, store in stores.items():
        if not re.fullmatch(r"[a-z0-9-]{1,40}", str(where[1])):
            yield where, 'is no store name. Write 1 to 40 characters of a-z, 0-9 and "-".'
        if "--" in str(where[1]):
            yield where, 'holds "--", which parts two names in the names of files. Write a single "-".'
        for key in _out_of_place(str(where[0])):
            if key in store.model_fields_set:
                yield (*where, key), _OUT_OF_PLACE[key]
        if where[0] == "primary" and "read" in store.model_fields_set and store.read is ReadPolicy.REPORTED:
            yield (*where, "read"), 'cannot be "reported": a primary is the reference, and is read. Write "all".'
        if store.window and "time_zone" not in file.model_fields_set and ("time_zone",) not in faulted:
            what = 'is in no time zone. Write the one of the facility at the top: time_zone = "America/Chicago".'
            yield (*where, "window"), what
        for key, beside, what in _together(store):
            if not any(place[:3] == (*where, beside) for place in faulted):
                yield (*where, key), what
        if file.workers and isinstance(store, Dimse) and store.move_port:
            what = "receives on one computer, and the workers of a cluster are on several. Remove it, or workers."
            yield (*where, "move_port"), what
    yield from _names(file)
    yield from _keeps(file)
    yield from _recovery(file)
    yield from _places(stores, base, faulted)
    folders = {
        where: resolved(base, store.path) for where, store in stores.items() if isinstance(store, Folder) and store.path
    }
    yield from _ours(folders, str(base), resolved(base, file.records), resolved(base, state))
    if file.alert.metrics:
        yield from _outside(folders, ("alert", "metrics"), resolved(base, file.alert.metrics))
    if file.seal.anchor:
        yield from _anchor(folders, resolved(base, file.seal.anchor), resolved(base, file.records))


_OUT_OF_PLACE: Mapping[str, str] = {
    **dict.fromkeys(BACKUPS_ONLY, "is a setting of backups only. Remove it."),
    **dict.fromkeys(PRIMARIES_ONLY, "is a setting of primaries only. Remove it."),
    **dict.fromkeys(STORES_ONLY, "is a setting of primaries and backups only. Remove it."),
    "cleanup": "is a setting of [recovery.NAME] only: nothing is ever removed from a primary or a backup. Remove it.",
}


def _out_of_place(role: str) -> tuple[str, ...]:
    match role:
        case "primary":
            return (*BACKUPS_ONLY, "cleanup")
        case "backup":
            return (*PRIMARIES_ONLY, "cleanup")
        case _:
            return (*BACKUPS_ONLY, *PRIMARIES_ONLY, *STORES_ONLY)


def _recovery(file: ConfigFile) -> Iterator[Fault]:
    first, *others = [*file.recovery, ""]
    for name in filter(None, others):
        yield ("recovery", name), f"is a second one beside {first}. Name one PACS that receives test restores."
    for name, store in file.recovery.items():
        if store.kind and not isinstance(store, Dicomweb | Dimse):
            what = "receives no test restores: they go to a scratch folder or a PACS"
            yield ("recovery", name, "kind"), f'"{store.kind}" {what}. Write "dicomweb" or "dimse".'


def _names(file: ConfigFile) -> Iterator[Fault]:
    for name in file.recovery:
        if name in file.primary or name in file.backup:
            yield ("recovery", name), "is the name of a store, too. Give one of them another name."
    for name, backup in file.backup.items():
        if name in file.primary:
            yield ("backup", name), "is the name of a primary, too. Give one of them another name."
        for covered in backup.covers:
            if covered not in file.primary:
                meant = nearest(covered, file.primary)
                remedy = f"Did you mean {shown(meant)}?" if meant else "Write the names of primaries."
                yield ("backup", name, "covers"), f"{shown(covered)} is no primary. {remedy}"


def _keeps(file: ConfigFile) -> Iterator[Fault]:
    for name, primary in file.primary.items():
        covering = (backup for backup in file.backup.values() if not backup.covers or name in backup.covers)
        longest = max((backup.rpo or file.policy.rpo for backup in covering), default=file.policy.rpo)
        if primary.keeps is not None and primary.keeps <= longest:
            what = (
                "is no longer than the rpo of a backup, so images would go before their copies are due. Write a longer"
            )
            yield ("primary", name, "keeps"), f"{what} time, or a shorter rpo."


def _together(store: Store) -> Iterator[tuple[str, str, str]]:
    """Yield a key, the one that it must agree with, and what is wrong."""
    match store:
        case Folder():
            yield from _in_folder(store)
        case Dicomweb():
            yield from _in_dicomweb(store)
        case Dimse():
            yield from _in_dimse(store)
    if store.cost and (what := _priced(store.cost)):
        yield "cost", "cost", what
    if store.max_egress_cost is not None and (what := _egress(store)):
        yield "max_egress_cost", "cost", what


def _in_folder(store: Folder) -> Iterator[tuple[str, str, str]]:
    if store.synced_to and store.offsite:
        what = "cannot be true beside synced_to: that folder proves the local copy only. Remove one of the two."
        yield "offsite", "synced_to", what
    if store.restored_from and not store.restored_on:
        what = "is missing beside restored_from. Write the day of the restore: restored_on = 2026-11-24."
        yield "restored_on", "restored_on", what
    if store.restored_on and not store.restored_from:
        what = "is missing beside restored_on. Write what the folder was restored from."
        yield "restored_from", "restored_from", what
    if store.volumes and store.read == "rotation":
        what = 'cannot be rotation beside volumes: what one drive proved says nothing of another. Write "all".'
        yield "read", "volumes", what
    if store.max_absent and not store.volumes:
        yield "max_absent", "volumes", "needs volumes. List the drives in volumes, or remove it."


def _in_dicomweb(store: Dicomweb) -> Iterator[tuple[str, str, str]]:
    if store.username and not store.password:
        what = 'is missing beside username. Name what holds it: password = "env:PACS_PASSWORD".'
        yield "password", "password", what
    if store.password and not store.username:
        yield "username", "username", "is missing beside password. Write the name of the account."
    one_way = [key for key in ("username", "password", "token") if getattr(store, key)]
    if store.token and len(one_way) > 1:
        yield "token", one_way[0], f"cannot stand beside {one_way[0]}. Write one way to sign in."
    if one_way and any(name.casefold() == "authorization" for name in store.headers):
        yield "headers", one_way[0], f"cannot hold Authorization beside {one_way[0]}. Write one way to sign in."
    for key in ("ca", "client_cert"):
        if getattr(store, key) and store.url and not store.url.lower().startswith("https:"):
            yield key, "url", 'has no use without TLS. Write the url with "https://", or remove it.'


def _in_dimse(store: Dimse) -> Iterator[tuple[str, str, str]]:
    if store.retrieve is Retrieve.MOVE and not store.move_port:
        what = 'is missing beside retrieve = "move". Write the port where exactcopy receives: move_port = 11112.'
        yield "move_port", "move_port", what
    if store.retrieve is Retrieve.GET and store.move_port:
        yield "move_port", "retrieve", 'has no use beside retrieve = "get". Remove one of the two.'
    if store.retrieve is Retrieve.MOVE and store.tls and not store.client_cert:
        what = "is missing: the PACS connects to exactcopy by TLS, too. Name a PEM file with a certificate and its key."
        yield "client_cert", "client_cert", what
    for key in ("ca", "client_cert"):
        if getattr(store, key) and not store.tls:
            yield key, "tls", "has no use without TLS. Write tls = true, or remove it."
    if store.cleanup:
        what = 'cannot be true: DIMSE has no service that deletes. Write kind = "dicomweb", or empty the PACS by hand.'
        yield "cleanup", "cleanup", what


def _priced(cost: Price) -> str | None:
    named = [key for key in PRICES if getattr(cost, key) is not None]
    # A key that is not known may have been meant as a price, and is told by itself.
    if not named and not cost.model_extra:
        *first, last = PRICES
        return f"names no price. Write one of {', '.join(first)} and {last}."
    if len(named) > 1:
        return f"names {' and '.join(named)}. Write one of them: a backup is paid for in one way."
    return None


def _egress(store: Store) -> str | None:
    if isinstance(store, Dicomweb | Dimse):
        return "cannot be kept: a PACS does not tell how large its images are. Write max_read, or remove it."
    price = store.cost.egress_per_gb if store.cost else None
    if price is None:
        return "is in dollars, and no price is known here. Write it: cost = { …, egress_per_gb = 0.09 }."
    return None if price else "limits nothing: egress_per_gb is 0, so reading costs nothing. Remove one of the two."


# --- places -----------------------------------------------------------------------------------------------


def _places(stores: Mapping[Where, Store], base: Path, faulted: Set[Where]) -> Iterator[Fault]:
    # Without one of these, a store would seem to be elsewhere.
    known = [
        (where, store)
        for where, store in stores.items()
        if faulted.isdisjoint((*where, key) for key in ("prefix", "endpoint", "url", "host", "port", "ae_title"))
    ]
    for (where, store), (other, other_store) in combinations(known, 2):
        inner, outer = _overlap(store, other_store, base)
        if other[0] == "recovery" and _one_listener(store, other_store, base):
            inner = outer = True
        if inner or outer:
            place = "folder" if isinstance(store, Folder) else "place"
            what = f"is the same {place} as" if inner and outer else "lies inside" if outer else "holds"
            why = "a test must never write to a store" if other[0] == "recovery" else "a copy must not count itself"
            remedy = f"Write a {place} of its own: {why}."
            yield (*other, _location(other_store)), f"{what} {dotted(where)}. {remedy}"


def _location(store: Store) -> str:
    match store:
        case S3():
            return "prefix" if store.prefix else "bucket"
        case Rclone():
            return "remote"
        case Dicomweb():
            return "url"
        case Dimse():
            return "host"
        case _:
            return "path"


def _overlap(one: Store, other: Store, base: Path) -> tuple[bool, bool]:
    """Tell whether the first lies inside the second, and the second inside the first."""
    match one, other:
        case Folder(path=str(path)), Folder(path=str(other_path)) if path and other_path:
            path, other_path = resolved(base, path), resolved(base, other_path)
            return _inside(path, other_path), _inside(other_path, path)
        case S3(), S3() if (
            one.bucket and one.bucket == other.bucket and service(one.endpoint) == service(other.endpoint)
        ):
            return one.prefix.startswith(other.prefix), other.prefix.startswith(one.prefix)
        case Rclone(), Rclone() if one.remote and other.remote:
            parts, other_parts = _parts(one.remote), _parts(other.remote)
            return parts[: len(other_parts)] == other_parts, other_parts[: len(parts)] == parts
        case (Dicomweb(), Dicomweb()) | (Dimse(), Dimse()):
            same = one.place(base) == other.place(base)
            return same, same
        case _:
            return False, False


def _one_listener(one: Store, other: Store, base: Path) -> bool:
    """Tell whether one program answers for both: most PACS take any AE title, and keep all in one archive."""
    if not (isinstance(one, Dimse) and isinstance(other, Dimse)):
        return False
    place, other_place = one.place(base), other.place(base)
    return all(place[key] == other_place[key] for key in ("host", "port"))


def _parts(remote: str) -> list[str]:
    # Dropbox and OneDrive take both cases for one, and nobody keeps two stores that differ in case alone.
    name, _, path = remote.partition(":")
    return [name, *(normalize("NFC", part).casefold() for part in path.split("/") if part)]


def _ours(places: Mapping[Where, str], base: str, records: str, state: str) -> Iterator[Fault]:
    for where, path in places.items():
        if _inside(records, path):
            yield ("records",), f"lies inside {dotted(where)}. Write a folder outside it: a store is never written to."
        if _inside(base, path) or _inside(state, path):
            yield (*where, "path"), "holds the configuration, which exactcopy writes beside. Move that file out."
        elif _inside(path, state) or (_inside(path, records) and not _inside(records, path)):
            what = "lies where exactcopy keeps what is its own, and removes what is old. Write another folder."
            yield (*where, "path"), what


def _anchor(places: Mapping[Where, str], anchor: str, records: str) -> Iterator[Fault]:
    yield from _outside(places, ("seal", "anchor"), anchor)
    if _inside(anchor, records):
        yield ("seal", "anchor"), "lies among the records, with which it would be lost. Write a file on another disk."


def _outside(places: Mapping[Where, str], key: Where, file: str) -> Iterator[Fault]:
    for where, path in places.items():
        if _inside(file, path):
            yield key, f"lies inside {dotted(where)}. Write a file outside it: a store is never written to."


def _inside(path: str, folder: str) -> bool:
    """Tell whether `path` is `folder` or below it, also by another name (bind mount, case)."""
    return not _sames(folder).isdisjoint(
        same for part in (path, *map(str, Path(path).parents)) for same in _sames(part)
    )


def _sames(path: str) -> set[object]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return {path}
    return {path, (status.st_dev, status.st_ino)}
