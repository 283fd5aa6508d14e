"""What is wrong in the made-up clinic: each fault is put into one place and written down."""

import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, ImplicitVRLittleEndian, RLELossless

from sample_data.clinic import BACKUPS, Clinic
from sample_data.studies import Instance, encode, former_study, instances

# How long a backup may take to hold a new study: `rpo` in clinic.toml.
RPO = {"nas": timedelta(hours=24), "usb-drives": timedelta(days=7), "second-drive": timedelta(days=35)}


def plant(clinic: Clinic) -> None:
    """Put every fault into `clinic` and note what an audit has to find."""
    _on_nas(clinic)
    _on_usb_drives(clinic)
    _on_second_drive(clinic)
    _on_pacs(clinic)
    _not_copied_yet(clinic)


def expected(clinic: Clinic) -> dict[str, dict[str, dict[str, int]]]:
    """Return how many instances and studies of each primary an audit finds in which state on each backup."""
    planted = {
        (fault["backup"], uid): fault["outcome"]
        for fault in clinic.planted
        if fault["outcome"] is not None
        for uid in fault["sop_instance_uids"]
    }
    result = {}
    for backup, (covers, _) in BACKUPS.items():
        for site in covers:
            outcomes: dict[str, int] = {}
            studies: dict[str, list[str]] = {}
            for item in clinic.held[site]:
                outcome = planted.get((backup, item.sop_instance_uid), "identical")
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                studies.setdefault(item.study.study_instance_uid, []).append(outcome)
            states = [_state(found) for found in studies.values()]
            counts = {state: states.count(state) for state in ("protected", "pending", "gap", "not_checked")}
            result[f"{site}--{backup}"] = {
                "instances": dict(sorted(outcomes.items())),
                "studies": {"total": len(states), **counts},
            }
    return result


def _state(outcomes: Sequence[str]) -> str:
    if any(outcome in ("altered", "different", "missing", "unreadable") for outcome in outcomes):
        return "gap"
    return "pending" if "pending" in outcomes else "protected"


def _on_nas(clinic: Clinic) -> None:
    repacked = clinic.study(10)
    for item in repacked:
        ds = _parsed(item)
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        _replace(clinic, "nas", item, _written(ds, implicit=True))
    _note(clinic, "nas-repacked", "nas", repacked, "equivalent", "written anew with implicit VR")

    altered = clinic.study(14)
    for item in altered:
        ds = _parsed(item)
        ds.StudyDescription = "HAND LEFT"
        _replace(clinic, "nas", item, encode(ds))
    what = "the study description was edited"
    _note(clinic, "nas-altered", "nas", altered, "altered", what, elements=["StudyDescription"])

    lost = clinic.instance(104, 2)
    path = _remove(clinic, "nas", lost)
    _note(clinic, "nas-lost-instance", "nas", [lost], "missing", "one image was deleted", paths=[path])

    swapped, other = clinic.instance(8, 2), clinic.instance(8, 3)
    _replace(clinic, "nas", swapped, other.data)
    what = "the file has the right name and holds another image of the study"
    _note(clinic, "nas-swapped", "nas", [swapped], "missing", what, duplicates=1)

    original = clinic.instance(5, 1)
    ds = _parsed(original)
    ds.BodyPartExamined = "LEG"
    left_over = f"{clinic.key('nas', original)[:-4]} (1).dcm"
    clinic.put("nas", left_over, encode(ds), original.received)
    what = "an older version with the same UID lies beside the exact copy"
    _note(clinic, "nas-conflict", "nas", [original], None, what, paths=[f"nas/{left_over}"], conflicts=1)


def _on_usb_drives(clinic: Clinic) -> None:
    packed = clinic.instance(19, 1)
    ds = _parsed(packed)
    ds.compress(RLELossless, generate_instance_uid=False)
    _replace(clinic, "usb-drives", packed, encode(ds))
    _note(clinic, "usb-compressed", "usb-drives", [packed], "equivalent", "compressed without loss (RLE)")

    flipped = clinic.instance(22, 1)
    data = bytearray(flipped.data)
    data[-len(data) // 3] ^= 0x10
    _replace(clinic, "usb-drives", flipped, bytes(data))
    _note(clinic, "usb-bit-rot", "usb-drives", [flipped], "different", "one bit of the picture has flipped")

    lost = clinic.study(12)
    paths = [_remove(clinic, "usb-drives", item) for item in lost]
    _note(clinic, "usb-lost-study", "usb-drives", lost, "missing", "a whole study was deleted", paths=paths)

    short = clinic.instance(3, 4)
    _replace(clinic, "usb-drives", short, short.data[: len(short.data) * 6 // 10])
    _note(clinic, "usb-truncated", "usb-drives", [short], "unreadable", "the copy ends in mid-picture")


def _on_second_drive(clinic: Clinic) -> None:
    lossy = clinic.instance(7, 2)
    ds = _parsed(lossy)
    ds.compress(JPEG2000, j2k_cr=[20], generate_instance_uid=False)
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionRatio = 20
    ds.LossyImageCompressionMethod = "ISO_15444_1"
    _replace(clinic, "second-drive", lossy, encode(ds))
    what = "the copy was compressed with loss (JPEG 2000)"
    _note(clinic, "second-lossy", "second-drive", [lossy], "different", what)

    empty = clinic.instance(2, 1)
    _replace(clinic, "second-drive", empty, b"")
    _note(clinic, "second-empty", "second-drive", [empty], "missing", "the file is there and has no bytes")

    former = former_study(clinic.now)
    extra = list(instances(former))
    paths = []
    for item in extra:
        key = f"XRAY BACKUP/{former.taken:%Y}/{former.accession}/S{item.series}I{item.number}"
        clinic.put("second-drive", key, item.data, item.received)
        paths.append(f"second-drive/{key}")
    what = "the study lies on this backup and on no primary"
    counts = {"extra_studies": 1, "extra_instances": len(extra)}
    _note(clinic, "second-extra", "second-drive", extra, None, what, paths=paths, **counts)


def _on_pacs(clinic: Clinic) -> None:
    resent = clinic.instance(13, 1)
    key = "incoming/resent-1.dcm"
    clinic.put("pacs", key, resent.data, clinic.now - timedelta(hours=6))
    what = "the image was sent twice and lies in two places"
    _note(clinic, "pacs-duplicate", "pacs", [resent], None, what, paths=[f"pacs/{key}"], duplicates=1)

    damaged = clinic.instance(27, 2)
    _replace(clinic, "pacs", damaged, damaged.data[: len(damaged.data) // 2])
    what = "the primary's own file ends in mid-picture; the NAS holds it whole"
    note = {"backup": "nas", "changed_side": "primary", "damaged": 1}
    _note(clinic, "pacs-damaged", "pacs", [damaged], "different", what, **note)


def _not_copied_yet(clinic: Clinic) -> None:
    """Note what each backup need not hold yet."""
    for backup, (covers, _) in BACKUPS.items():
        for site in covers:
            absent = [item for item in clinic.held[site] if (backup, item.sop_instance_uid) not in clinic.keys]
            young = [item for item in absent if clinic.now - item.received < RPO[backup]]
            what = f"came to {site} after the last copy, within the time that the backup is given"
            _note(clinic, f"{backup}-{site}-pending", backup, young, "pending", what, paths=[])


def _note(
    clinic: Clinic,
    name: str,
    store: str,
    items: Sequence[Instance],
    outcome: str | None,
    what: str,
    **more: Any,
) -> None:
    paths = [] if "paths" in more else [f"{store}/{clinic.key(store, item)}" for item in items]
    clinic.planted.append(
        {
            "id": name,
            "store": store,
            "primary": items[0].study.site,
            "backup": store if store in BACKUPS else None,
            "outcome": outcome,
            "what": what,
            "study_instance_uids": sorted({item.study.study_instance_uid for item in items}),
            "sop_instance_uids": [item.sop_instance_uid for item in items],
            "paths": paths,
            **more,
        }
    )


def _replace(clinic: Clinic, store: str, item: Instance, data: bytes) -> None:
    clinic.put(store, clinic.key(store, item), data, item.received)


def _remove(clinic: Clinic, store: str, item: Instance) -> str:
    """Delete the copy of an instance and return where it was; its key stays known."""
    key = clinic.key(store, item)
    del clinic.trees[store][key]
    return f"{store}/{key}"


def _parsed(item: Instance) -> Dataset:
    return dcmread(io.BytesIO(item.data))


def _written(ds: Dataset, *, implicit: bool) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
