"""The sample clinic is the same every time, and every fault that it claims to hold is there.

Nothing here uses exactcopy: what the demo shows must not be proven by what it demonstrates.
"""

import hashlib
import io
import json
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEG2000, BasicTextSRStorage, ImplicitVRLittleEndian, RLELossless

from sample_data.generate import make_clinic
from sample_data.studies import instances, schedule

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
STORES = ("pacs", "satellite", "nas", "usb-drives", "second-drive")
CHECKED = [
    "nas-repacked",
    "nas-altered",
    "nas-lost-instance",
    "nas-swapped",
    "nas-conflict",
    "usb-compressed",
    "usb-bit-rot",
    "usb-lost-study",
    "usb-truncated",
    "second-lossy",
    "second-empty",
    "second-extra",
    "pacs-duplicate",
    "pacs-damaged",
    "nas-pacs-pending",
    "nas-satellite-pending",
    "usb-drives-pacs-pending",
    "usb-drives-satellite-pending",
    "second-drive-pacs-pending",
]


class Made:
    """A clinic that was generated, and its instances by UID, found by reading all of its files."""

    def __init__(self, folder):
        self.folder = folder
        self.notes = json.loads((folder / "planted.json").read_text())
        self.planted = {fault["id"]: fault for fault in self.notes["planted"]}
        self.paths = {store: by_uid(folder / store) for store in STORES}

    def fault(self, name):
        fault = self.planted[name]
        return fault, fault["sop_instance_uids"]

    def original(self, uid):
        """Return the bytes of the primary's instance."""
        return next(self.paths[site][uid][0] for site in ("pacs", "satellite") if uid in self.paths[site]).read_bytes()

    def copy(self, store, uid):
        (path,) = self.paths[store][uid]
        return path.read_bytes()


def by_uid(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        try:
            uid = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID")
        except InvalidDicomError:
            continue
        if uid:
            found.setdefault(str(uid), []).append(path)
    return found


def tree_hash(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            modified = path.stat().st_mtime_ns if path.relative_to(folder).parts[0] in STORES else 0
            line = f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()} {modified}\n"
            digest.update(line.encode())
    return digest.hexdigest()


def elements_that_differ(one, other):
    a, b = (dcmread(io.BytesIO(data)) for data in (one, other))
    return sorted(element.keyword for element in b if element.keyword not in a or a[element.tag] != element)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "clinic"
    make_clinic(folder, NOW)
    return Made(folder)


def test_two_runs_give_the_same_bytes_and_times(made, tmp_path):
    make_clinic(tmp_path / "again", NOW)
    assert tree_hash(tmp_path / "again") == tree_hash(made.folder)


def test_a_second_run_replaces_the_clinic_and_nothing_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="Name another folder"):
        make_clinic(tmp_path, NOW)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_primaries_hold_the_studies_that_are_claimed(made):
    for site, studies in (("pacs", 31), ("satellite", 10)):
        first = [dcmread(paths[0], stop_before_pixels=True) for paths in made.paths[site].values()]
        assert len({ds.StudyInstanceUID for ds in first}) == studies
        claimed = made.notes["primaries"][site]
        assert claimed == {"studies": studies, "instances": len(first)}
    kinds = Counter(dcmread(paths[0], stop_before_pixels=True).Modality for paths in made.paths["pacs"].values())
    assert set(kinds) == {"CR", "DX", "MG", "US", "SR"}


def test_the_primaries_hold_the_odd_kinds_of_objects(made):
    every = [dcmread(paths[0]) for paths in made.paths["pacs"].values()]
    assert any(int(ds.get("NumberOfFrames") or 1) > 1 for ds in every)
    assert any(ds.SOPClassUID == BasicTextSRStorage and "PixelData" not in ds for ds in every)
    assert len({ds.file_meta.TransferSyntaxUID for ds in every}) >= 4
    assert (made.folder / "pacs/import/CD 1/DICOMDIR").is_file()
    assert (made.folder / "pacs/archive/Thumbs.db").is_file()
    assert any(not paths[0].suffix for paths in made.paths["satellite"].values())


def test_every_sound_picture_of_the_primaries_decodes(made):
    _, damaged = made.fault("pacs-damaged")
    for site in ("pacs", "satellite"):
        for uid, paths in made.paths[site].items():
            ds = dcmread(paths[0])
            if "PixelData" in ds and uid not in damaged:
                assert ds.pixel_array.max() > ds.pixel_array.min()


def test_nobody_real_is_in_it(made):
    for store in STORES:
        for paths in made.paths[store].values():
            ds = dcmread(paths[0], stop_before_pixels=True)
            assert str(ds.PatientName).startswith("Sample^Patient ")
            assert ds.PatientID.startswith("SAMPLE-")
            assert str(ds.StudyInstanceUID).startswith("2.25.")


def test_times_lie_between_three_years_and_some_hours_ago(made):
    for site in ("pacs", "satellite"):
        ages = []
        for paths in made.paths[site].values():
            ds = dcmread(paths[0], stop_before_pixels=True)
            age = NOW - datetime.fromtimestamp(paths[0].stat().st_mtime, UTC)
            written = datetime.strptime(ds.StudyDate, "%Y%m%d").replace(tzinfo=UTC)
            assert abs((NOW - age) - written) < timedelta(days=1, hours=8)
            ages.append(age)
        assert timedelta(hours=2) < min(ages) < timedelta(hours=5)
        assert timedelta(days=900) < max(ages) < timedelta(days=1096)


def test_every_planted_fault_has_a_test_and_every_outcome_is_shown(made):
    assert sorted(made.planted) == sorted(CHECKED)
    outcomes = {outcome for pair in made.notes["expected"].values() for outcome in pair["instances"]}
    assert outcomes == {"identical", "equivalent", "altered", "different", "missing", "pending", "unreadable"}


def test_what_is_not_planted_is_identical(made):
    """Compare every instance on every backup, and count what is left over."""
    covers = {"nas": ("pacs", "satellite"), "usb-drives": ("pacs", "satellite"), "second-drive": ("pacs",)}
    planted = {
        (fault["backup"], uid)
        for fault in made.planted.values()
        if fault["outcome"]
        for uid in fault["sop_instance_uids"]
    }
    for backup, sites in covers.items():
        for site in sites:
            identical = 0
            for uid, originals in made.paths[site].items():
                copies = {path.read_bytes() for path in made.paths[backup].get(uid, [])}
                same = originals[0].read_bytes() in copies
                assert same != ((backup, uid) in planted), (backup, uid)
                identical += same
            expected = made.notes["expected"][f"{site}--{backup}"]["instances"]
            assert identical == expected["identical"]
            assert sum(expected.values()) == len(made.paths[site])


def test_repacked_copies_have_equal_elements(made):
    _, uids = made.fault("nas-repacked")
    assert len(uids) == 2
    for uid in uids:
        copy = made.copy("nas", uid)
        assert dcmread(io.BytesIO(copy)).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        assert elements_that_differ(made.original(uid), copy) == []


def test_altered_copies_differ_in_one_element(made):
    fault, uids = made.fault("nas-altered")
    assert len(uids) == 3
    for uid in uids:
        assert elements_that_differ(made.original(uid), made.copy("nas", uid)) == fault["elements"]


def test_lost_instances_are_not_on_the_backup(made):
    for name, store, count in (("nas-lost-instance", "nas", 1), ("usb-lost-study", "usb-drives", 2)):
        fault, uids = made.fault(name)
        assert len(uids) == count
        assert not any((made.folder / path).exists() for path in fault["paths"])
        assert not any(uid in made.paths[store] for uid in uids)


def test_the_whole_study_is_lost(made):
    fault, _ = made.fault("usb-lost-study")
    (study,) = fault["study_instance_uids"]
    kept = {dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID for paths in made.paths["usb-drives"].values()}
    assert study not in kept


def test_the_swapped_file_holds_another_image(made):
    fault, (uid,) = made.fault("nas-swapped")
    (path,) = fault["paths"]
    inside = str(dcmread(made.folder / path).SOPInstanceUID)
    assert inside != uid
    assert uid not in made.paths["nas"]
    assert len(made.paths["nas"][inside]) == 2


def test_a_uid_has_two_contents_on_the_nas(made):
    _, (uid,) = made.fault("nas-conflict")
    contents = {path.read_bytes() for path in made.paths["nas"][uid]}
    assert len(contents) == 2
    assert made.original(uid) in contents
    conflicts = [uid for uid, paths in made.paths["nas"].items() if len({p.read_bytes() for p in paths}) > 1]
    assert conflicts == [uid]


def test_the_compressed_copy_decodes_to_the_same_picture(made):
    _, (uid,) = made.fault("usb-compressed")
    original, copy = (dcmread(io.BytesIO(data)) for data in (made.original(uid), made.copy("usb-drives", uid)))
    assert copy.file_meta.TransferSyntaxUID == RLELossless
    assert np.array_equal(original.pixel_array, copy.pixel_array)


def test_bit_rot_is_one_bit_of_the_picture(made):
    _, (uid,) = made.fault("usb-bit-rot")
    original, copy = made.original(uid), made.copy("usb-drives", uid)
    assert len(original) == len(copy)
    flipped = [a ^ b for a, b in zip(original, copy, strict=True) if a != b]
    assert [value.bit_count() for value in flipped] == [1]
    assert elements_that_differ(original, copy) == ["PixelData"]


def test_truncated_files_begin_like_the_whole_ones(made):
    _, (uid,) = made.fault("usb-truncated")
    whole, short = made.original(uid), made.copy("usb-drives", uid)
    assert 132 < len(short) < len(whole)
    assert whole.startswith(short)
    _, (uid,) = made.fault("pacs-damaged")
    whole, short = made.copy("nas", uid), made.original(uid)
    assert 132 < len(short) < len(whole)
    assert whole.startswith(short)
    assert dcmread(io.BytesIO(whole)).pixel_array.any()


def test_the_lossy_copy_is_another_picture(made):
    _, (uid,) = made.fault("second-lossy")
    original, copy = (dcmread(io.BytesIO(data)) for data in (made.original(uid), made.copy("second-drive", uid)))
    assert copy.file_meta.TransferSyntaxUID == JPEG2000
    assert copy.LossyImageCompression == "01"
    distance = np.abs(original.pixel_array.astype(int) - copy.pixel_array)
    assert 1 < distance.max() < 1024


def test_the_empty_file_is_there(made):
    fault, (uid,) = made.fault("second-empty")
    (path,) = fault["paths"]
    assert (made.folder / path).stat().st_size == 0
    assert uid not in made.paths["second-drive"]


def test_the_extra_study_is_on_no_primary(made):
    fault, uids = made.fault("second-extra")
    assert len(uids) == fault["extra_instances"] == 3
    assert all(uid in made.paths["second-drive"] for uid in uids)
    assert not any(uid in made.paths[site] for site in ("pacs", "satellite") for uid in uids)
    extra = set(made.paths["second-drive"]) - set(made.paths["pacs"])
    assert extra == set(uids)


def test_the_duplicate_is_equal(made):
    _, (uid,) = made.fault("pacs-duplicate")
    one, other = made.paths["pacs"][uid]
    assert one.read_bytes() == other.read_bytes()
    assert sum(len(paths) - 1 for paths in made.paths["pacs"].values()) == 1


def test_what_is_pending_is_young_and_nowhere_on_the_backup(made):
    config = tomllib.loads((made.folder / "exactcopy.toml").read_text())
    hours = {"h": 1, "d": 24}
    for fault in made.planted.values():
        if fault["outcome"] != "pending":
            continue
        rpo = config["backup"][fault["backup"]].get("rpo", config["policy"]["rpo"])
        limit = timedelta(hours=int(rpo[:-1]) * hours[rpo[-1]])
        assert fault["sop_instance_uids"]
        for uid in fault["sop_instance_uids"]:
            assert uid not in made.paths[fault["backup"]]
            (path,) = made.paths[fault["primary"]][uid]
            assert NOW - datetime.fromtimestamp(path.stat().st_mtime, UTC) < limit


def test_the_connected_drive_is_one_of_those_configured(made):
    config = tomllib.loads((made.folder / "exactcopy.toml").read_text())
    drive = config["backup"]["usb-drives"]
    assert (made.folder / drive["path"] / ".exactcopy-volume").read_text().strip() in drive["volumes"]


def test_decisions_were_made_before_the_clinic_is_audited(made):
    decisions = tomllib.loads((made.folder / "decisions.toml").read_text())
    assert {decision["control"] for decision in decisions["attest"]} == {"EC-SO-01", "EC-CP-01", "EC-DR-06"}
    assert all(timedelta(0) <= NOW.date() - decision["on"] < timedelta(days=90) for decision in decisions["attest"])


def test_a_clinic_of_another_day_has_the_same_faults(tmp_path):
    make_clinic(tmp_path / "later", NOW + timedelta(days=123, hours=7))
    later = json.loads((tmp_path / "later/planted.json").read_text())
    assert [fault["id"] for fault in later["planted"]] == CHECKED


def test_real_size_makes_full_radiographs():
    first = schedule(NOW, real_size=True)[0]
    ds = dcmread(io.BytesIO(next(instances(first)).data))
    assert (ds.Modality, ds.pixel_array.shape) == ("DX", (2800, 2300))


def test_the_repository_holds_no_generated_clinic():
    ignored = Path(__file__).parents[1].joinpath(".gitignore").read_text().splitlines()
    assert "/sample_data/clinic/" in ignored
