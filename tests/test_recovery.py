"""Test restores into a real PACS: put, found, retrieved, equal, shown, removed again; and what stands in the way."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from exactcopy.config import load_config
from exactcopy.model import Target
from exactcopy.proof import opens
from exactcopy.recovery import Returned, _memory, _remember, recover
from exactcopy.restore import _returned
from exactcopy.stores import Sent, open_destination
from tests.clinic import Clinic, audit_at, findings, source, with_uids
from tests.dimse_servers import Behaviour, dcmqrscp, dimse_target, misbehaving
from tests.pacs import PASSWORD, Orthanc, orthanc
from tests.servers import Answer
from tests.servers import scripted as answering
from tests.test_pacs_audit import dicomweb, dimse, fill

CT = "1.2.840.10008.5.1.4.1.1.2"
WHOLE = ("instances", "accepted", "found", "retrieved", "equal", "decoded")


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the password be where the configuration says."""
    monkeypatch.setenv("PACS_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def spare() -> Iterator[Orthanc]:
    """An Orthanc that every test leaves, or finds, empty."""
    with orthanc() as server:
        yield server


@pytest.fixture
def empty(spare: Orthanc) -> Orthanc:
    """The same, emptied."""
    for name in json.loads(spare.request("GET", "/patients")):
        spare.request("DELETE", f"/patients/{name}")
    return spare


def instances_in(server: Orthanc) -> int:
    """Count what an Orthanc holds."""
    return int(json.loads(server.request("GET", "/statistics"))["CountInstances"])


def recovering(root: Path, settings: str, studies: int = 4, backups: tuple[str, ...] = ("nas",)) -> Clinic:
    """Give a clinic of folders whose restores go to a PACS."""
    clinic = Clinic(root, backups=backups, settings=f"[recovery.spare]\n{settings}")
    clinic.fill(studies, 2)
    return clinic


def scripted(port: int) -> str:
    """Give the settings of a PACS of `misbehaving`."""
    return f'kind = "dimse"\nhost = "127.0.0.1"\nport = {port}\nae_title = "SCRIPT"\nheld_by = "us"'


def recovery(audit: dict[str, Any], backup: str = "nas") -> dict[str, Any]:
    """Give what became of the studies of one backup in the recovery PACS."""
    found: dict[str, Any] = next(test["recovery"] for test in audit["restore_tests"] if test["backup"] == backup)
    return found


def test_from_a_pacs_by_a_pacs_into_a_pacs(empty: Orthanc, tmp_path: Path) -> None:
    with orthanc() as primary, orthanc() as backup:
        clinic = Clinic(tmp_path, backups=(), pdf=True)
        clinic.fill(3, 2)
        clinic.add(3, 0, "JPEG2000.dcm")
        fill(primary, clinic)
        fill(backup, clinic)
        text = (
            f'facility = "Test Clinic"\n[primary.main]\n{dicomweb(primary)}\n'
            f"[backup.cloud]\noffsite = true\n{dicomweb(backup)}\n"
            f"[recovery.spare]\n{dicomweb(empty)}\ncleanup = true\n"
        )
        (tmp_path / "exactcopy.toml").write_text(text)
        check = clinic.run("check")
        assert "✓ spare can be reached" in check.stdout, check.stdout
        done = clinic.run("audit", "--format", "json")
        pdf = clinic.record() / "report.pdf"
        clinic.pdf = False
        again = clinic.run("audit", "--format", "json")
    pages = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    # A gap that is found a second time weighs one step more.
    for each, code, severity in ((done, 0, "low"), (again, 1, "medium")):
        assert each.returncode == code, each.stderr
        audit = json.loads(each.stdout)
        put = recovery(audit, "cloud")
        assert put["studies"] == {"recovered": 4, "failed": 0, "held": 0, "not_tested": 0}
        assert {put["instances"][step] for step in WHOLE} == {7}
        # This Orthanc has no decoder for JPEG 2000: said, and no failure of the backup.
        assert put["rendered"] == {"asked": 4, "done": 3}
        assert findings(audit)["recovery-pacs-shows-studies", "cloud"] == severity
        assert put["removed"] == {"asked": 4, "done": 4}
        assert put["put_seconds"] > 0 < put["back_seconds"]
        assert audit["restore_tests"][0]["destination"] == "spare"
    assert instances_in(empty) == 0
    for line in ("In the recovery PACS: spare", "Images that it took", "Found by query", "Full recovery (estimate)"):
        assert line in pages, line
    assert "Put into spare: 4 of 4 found, retrieved and equal" in " ".join(pages.split())
    assert not list((tmp_path / ".exactcopy").rglob("*.json"))


def test_a_study_that_is_there_already_proves_nothing(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, dicomweb(empty))
    empty.upload(clinic.path("pacs", 3, 0).read_bytes())
    audit = clinic.audit(1)
    assert recovery(audit)["studies"] == {"recovered": 3, "failed": 0, "held": 1, "not_tested": 0}
    assert recovery(audit)["removed"] is None
    assert recovery(audit)["instances"]["instances"] == 6
    assert findings(audit)["recovery-pacs-is-empty", "nas"] == "medium"
    worklist = (clinic.record() / "restricted" / "worklist-nas.csv").read_text(encoding="utf-8")
    assert worklist.count("recovery_held") == 1
    gaps = (clinic.record() / "gaps.csv").read_text(encoding="utf-8")
    assert gaps.count("recovery-pacs-is-empty") == 1
    # The backup itself was tested all the same.
    assert audit["restore_tests"][0]["restored"] == 4
    assert instances_in(empty) == 7


def test_a_pacs_that_holds_all_of_a_store_may_be_that_store_and_gets_nothing(empty: Orthanc, tmp_path: Path) -> None:
    """What a test without cleanup left looks just like it."""
    clinic = recovering(tmp_path, dicomweb(empty))
    clinic.audit(0)
    assert instances_in(empty) == 8
    audit = clinic.audit(3)
    assert recovery(audit)["studies"] == {"recovered": 0, "failed": 0, "held": 0, "not_tested": 4}
    assert findings(audit)["recovery-pacs-is-empty", "nas"] == "high"
    assert audit["restore_tests"][0]["restored"] == 4
    assert instances_in(empty) == 8


@pytest.mark.parametrize("cleanup", ["false", "true"])
def test_a_backup_is_never_written_to_under_another_address(cleanup: str, tmp_path: Path) -> None:
    with orthanc() as cloud:
        clinic = Clinic(tmp_path, backups=("usb",))
        clinic.fill(3, 2)
        fill(cloud, clinic)
        for number in range(2):
            gone = cloud.upload(clinic.path("pacs", 2, number).read_bytes())
            cloud.request("DELETE", f"/instances/{gone}")
        alias = dicomweb(cloud).replace("127.0.0.1", "localhost")
        clinic.settings = f"[backup.cloud]\n{dimse(cloud)}\n[recovery.spare]\n{alias}\ncleanup = {cleanup}"
        clinic.configure()
        done = clinic.run("audit", "--format", "json")
        assert instances_in(cloud) == 4
    assert done.returncode == 3, done.stderr
    assert "spare: it holds 2 of 2 studies that were asked for of cloud, and may be the same" in done.stderr
    assert recovery(json.loads(done.stdout), "usb")["studies"]["not_tested"] == 3


def test_cleaning_up_touches_only_what_was_put(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, f"{dicomweb(empty)}\ncleanup = true", backups=("nas", "usb"))
    # Somebody else's study, in which an image bears the UID of one of ours.
    other = dcmread(BytesIO(clinic.path("pacs", 0, 0).read_bytes()))
    other.StudyInstanceUID, other.PatientID = "2.25.77", "OTHER"
    into = BytesIO()
    other.save_as(into)
    empty.upload(into.getvalue())
    # And a study that was there before, whole.
    held = clinic.path("pacs", 1, 0).read_bytes()
    empty.upload(held)
    audit = clinic.audit(1)
    for backup in ("nas", "usb"):
        assert recovery(audit, backup)["studies"] == {"recovered": 3, "failed": 0, "held": 1, "not_tested": 0}
        assert recovery(audit, backup)["removed"] == {"asked": 3, "done": 3}
    assert instances_in(empty) == 2


def test_without_cleanup_each_backup_puts_its_share(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, dimse(empty), backups=("nas", "usb"))
    audit = clinic.audit(0)
    for backup in ("nas", "usb"):
        put = recovery(audit, backup)
        assert put["studies"] == {"recovered": 2, "failed": 0, "held": 0, "not_tested": 0}
        assert {put["instances"][step] for step in WHOLE} == {4}
        assert put["rendered"]["asked"] == 0
    assert instances_in(empty) == 8


def test_what_a_killed_test_left_is_removed_by_the_next(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, f"{dicomweb(empty)}\ncleanup = true", studies=1)
    target = load_config(clinic.configure()).recovery
    assert target is not None
    study = [returned(clinic.path("pacs", 0, number)) for number in range(2)]
    state, place = tmp_path / "state", tmp_path / "scratch" / "place"
    place.mkdir(parents=True)
    # Killed after the first image was put.
    _remember(_memory(state, target, study[0].sent.study_instance_uid), [each.sent for each in study])
    with open_destination(target) as destination:
        destination.put([study[0].sent])
    assert instances_in(empty) == 1
    done = recover(target, state, study, place)
    assert (done.outcome, done.accepted, done.removed) == ("recovered", 2, True)
    assert instances_in(empty) == 0
    assert not any(state.rglob("*.json"))


def killed(root: Path, settings: str, put: int) -> tuple[Target, Path, list[Returned]]:
    """Leave in a PACS what a test leaves that is killed after it put so many images of a study of two."""
    study = []
    for number in range(2):
        path = root / f"image-{number}"
        path.write_bytes(with_uids(source("CT_small.dcm"), 9, number))
        study.append(returned(path))
    target, state = receiving(root, settings)
    _remember(_memory(state, target, study[0].sent.study_instance_uid), [each.sent for each in study])
    with open_destination(target) as destination:
        destination.put([each.sent for each in study[:put]])
    return target, state, study


def test_what_a_killed_test_left_is_removed_though_it_is_not_drawn_again(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, f"{dicomweb(empty)}\ncleanup = true", studies=1)
    target = load_config(clinic.configure()).recovery
    assert target is not None
    study = []
    for number in range(2):
        path = tmp_path / f"image-{number}"
        path.write_bytes(with_uids(source("CT_small.dcm"), 9, number))
        study.append(returned(path).sent)
    _remember(_memory(tmp_path / ".exactcopy", target, study[0].study_instance_uid), study)
    with open_destination(target) as destination:
        destination.put(study)
    assert instances_in(empty) == 2
    clinic.audit(0)
    assert instances_in(empty) == 0
    assert not list((tmp_path / ".exactcopy").rglob("*.json"))


def test_what_came_from_elsewhere_is_not_taken_for_what_a_killed_test_left(empty: Orthanc, tmp_path: Path) -> None:
    target, state, study = killed(tmp_path, f"{dicomweb(empty)}\ncleanup = true", put=1)
    empty.upload(with_uids(source("CT_small.dcm"), 9, 7))
    done = recover(target, state, study, place_in(tmp_path))
    assert (done.outcome, instances_in(empty)) == ("held", 2)


def test_without_cleanup_not_even_what_a_killed_test_left_is_removed(empty: Orthanc, tmp_path: Path) -> None:
    _, state, study = killed(tmp_path, f"{dicomweb(empty)}\ncleanup = true", put=1)
    target, _ = receiving(tmp_path, dicomweb(empty))
    done = recover(target, state, study, place_in(tmp_path))
    assert (done.outcome, instances_in(empty)) == ("held", 1)


def test_what_a_killed_test_put_is_forgotten_once_it_is_gone(empty: Orthanc, tmp_path: Path) -> None:
    _, state, study = killed(tmp_path, f"{dicomweb(empty)}\ncleanup = true", put=0)
    keeping, _ = receiving(tmp_path, dicomweb(empty))
    assert recover(keeping, state, study, place_in(tmp_path)).outcome == "recovered"
    # From here on the study is kept there.
    target, _ = receiving(tmp_path, f"{dicomweb(empty)}\ncleanup = true")
    done = recover(target, state, study, place_in(tmp_path))
    assert (done.outcome, instances_in(empty)) == ("held", 2)


def test_an_image_that_was_refused_need_not_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(with_uids(source("CT_small.dcm"), 9, 0))
    refusing = Answer(status=409, body=b'{"00081198": {}}')

    def answer(path: str, headers: Message) -> Answer:
        match headers["X-Method"]:
            case "POST":
                return refusing
            case "DELETE":
                return Answer(status=404)
        return Answer(body=b"[]") if "/dicom-web/" in path else Answer(status=404)

    with answering(answer) as url:
        settings = f'kind = "dicomweb"\nurl = "{url}/dicom-web"\nheld_by = "us"\ncleanup = true'
        target, state = receiving(tmp_path, settings)
        done = recover(target, state, [returned(path)], place_in(tmp_path))
    assert (done.outcome, done.removed) == ("failed", True)
    assert not any(state.rglob("*.json"))


def test_a_pacs_that_goes_away_with_what_was_put_is_not_said_to_be_empty(tmp_path: Path) -> None:
    gone: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        if headers["X-Method"] == "POST" or gone:
            gone.append(path)
            return Answer(length=1000, body=b"{")
        return Answer(body=b"[]")

    with answering(answer) as url:
        settings = f'kind = "dicomweb"\nurl = "{url}"\nheld_by = "us"\ncleanup = true'
        target, state = receiving(tmp_path, settings)
        path = tmp_path / "instance"
        path.write_bytes(with_uids(source("CT_small.dcm"), 9, 0))
        done = recover(target, state, [returned(path)], place_in(tmp_path))
    assert (done.outcome, done.problems, done.removed) == ("not_tested", ("no_answer",), False)
    # The next audit knows of it.
    assert len(list(state.rglob("*.json"))) == 1


def test_studies_that_were_there_do_not_hide_those_that_were_left_there(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, f"{dicomweb(empty)}\ncleanup = true")
    empty.upload(clinic.path("pacs", 1, 0).read_bytes())
    # Orthanc finds no image whose UID holds an asterisk, and so cannot remove it.
    plain = with_uids(source("CT_small.dcm"), 6, 0)
    uid = dcmread(BytesIO(plain)).SOPInstanceUID.encode()
    (clinic.root / "pacs" / "starred.dcm").write_bytes(plain.replace(uid, uid[:-1] + b"*"))
    clinic.mirror()
    audit = clinic.audit(1)
    assert (recovery(audit)["studies"]["held"], recovery(audit)["removed"]) == (1, {"asked": 4, "done": 3})
    told = next(each["message"] for each in audit["findings"] if each["check"] == "recovery-pacs-is-empty")
    assert "1 study that the test put there could not be removed again." in told


def test_a_pacs_that_changes_what_it_stores_brings_nothing_back(tmp_path: Path) -> None:
    def correct(stored: Dataset) -> Dataset:
        if stored.SOPInstanceUID.endswith("0.1"):
            stored.PatientName = "Corrected^By^Server"
        return stored

    with misbehaving([], Behaviour(keeps=correct), receives=[CT]) as port:
        clinic = recovering(tmp_path, scripted(port))
        audit = clinic.audit(1)
    put = recovery(audit)
    assert put["studies"] == {"recovered": 3, "failed": 1, "held": 0, "not_tested": 0}
    assert (put["instances"]["retrieved"], put["instances"]["equal"]) == (8, 7)
    assert put["problems"] == {"not_equal": 1}
    assert findings(audit)["recovery-pacs-shows-studies", "nas"] == "high"
    assert audit["headline"] == "restore_failed"
    assert audit["restore_tests"][0]["restored"] == 4
    explained = clinic.run("explain", next(each["id"] for each in audit["findings"] if each["target"] == "nas"))
    assert "could not be brought back in spare" in explained.stdout, explained.stdout + explained.stderr
    worklist = (clinic.record() / "restricted" / "worklist-nas.csv").read_text(encoding="utf-8")
    assert worklist.count("recovery_failed") == 1


@pytest.mark.usefixtures("lean")
def test_a_study_with_which_a_pacs_never_ends_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()

    def never(stored: Dataset) -> Dataset:
        over.wait(60)
        return stored

    monkeypatch.setattr("exactcopy.restore._LONGEST", 5)
    with misbehaving([], Behaviour(keeps=never), receives=[CT]) as port:
        audit = audit_at(recovering(tmp_path, scripted(port), studies=1), datetime.now(UTC).replace(microsecond=0))
        over.set()
    assert not audit["complete"]
    assert recovery(audit)["studies"] == {"recovered": 0, "failed": 0, "held": 0, "not_tested": 1}


def test_a_pacs_that_falls_silent_twice_is_not_waited_for_at_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = Event()
    arrived = []

    def never(stored: Dataset) -> Dataset:
        arrived.append(str(stored.SOPInstanceUID))
        if len(arrived) > 1:
            over.wait(60)
        return stored

    for module in ("peer", "destination"):
        monkeypatch.setattr(f"exactcopy.stores.dimse.{module}.SILENCE", 0.5)
    sent = []
    for number in range(6):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(with_uids(source("CT_small.dcm"), 0, number))
        uids = dcmread(path)
        sent.append(
            Sent(
                path=path,
                size=path.stat().st_size,
                study_instance_uid=uids.StudyInstanceUID,
                series_instance_uid=uids.SeriesInstanceUID,
                sop_instance_uid=uids.SOPInstanceUID,
                sop_class_uid=CT,
                transfer_syntax_uid=uids.file_meta.TransferSyntaxUID,
            )
        )
    with misbehaving([], Behaviour(keeps=never), receives=[CT]) as port:
        with open_destination(dimse_target(port, "SCRIPT")) as destination:
            taken = destination.put(sent)
        over.set()
    assert taken == {sent[0].sop_instance_uid}
    assert arrived == [each.sop_instance_uid for each in sent[:3]]


def test_what_a_pacs_refuses_or_loses_is_counted(tmp_path: Path) -> None:
    def lossy(stored: Dataset) -> Dataset | None:
        return None if stored.SOPInstanceUID.endswith("1.2") else stored

    def forgetful(_: Dataset, found: list[Dataset]) -> list[Dataset]:
        return [each for each in found if not each.SOPInstanceUID.endswith("2.1")]

    with misbehaving([], Behaviour(keeps=lossy, sends=forgetful), receives=[CT]) as port:
        audit = recovering(tmp_path, scripted(port)).audit(1)
    put = recovery(audit)
    assert put["studies"] == {"recovered": 2, "failed": 2, "held": 0, "not_tested": 0}
    assert put["problems"] == {"not_accepted": 1, "not_retrieved": 1}
    steps = put["instances"]
    assert [steps[step] for step in WHOLE] == [8, 7, 7, 6, 6, 6]


def test_a_limited_pacs_takes_no_compressed_images(tmp_path: Path) -> None:
    with dcmqrscp() as port:
        settings = f'kind = "dimse"\nhost = "127.0.0.1"\nport = {port}\nae_title = "ARCHIVE"\nheld_by = "us"'
        clinic = recovering(tmp_path, settings, studies=2)
        clinic.add(5, 0, "JPEG2000.dcm")
        clinic.add(6, 0, "MR_small_bigendian.dcm")
        clinic.mirror()
        audit = clinic.audit(1)
    put = recovery(audit)
    assert put["studies"]["recovered"] == 3
    assert put["problems"] == {"not_accepted": 1}
    assert "could not be brought back in spare" in json.dumps(audit["findings"])


def test_nothing_is_sent_to_somebody_without_an_agreement(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, dicomweb(empty).replace('"us"', '"Spare PACS Inc"'))
    clinic.configure()
    checked = clinic.run("check")
    assert "✗ spare: no current agreement with Spare PACS Inc is on record" in checked.stdout
    audit = clinic.audit(3)
    assert instances_in(empty) == 0
    assert findings(audit)["recovery-agreement-on-record", "spare"] == "critical"
    assert recovery(audit)["studies"] == {"recovered": 0, "failed": 0, "held": 0, "not_tested": 4}
    control = next(each for each in audit["controls"] if each["id"] == "EC-DR-03")
    assert control["status"] == "not checked"
    (tmp_path / "decisions.toml").write_text(
        '[[attest]]\ncontrol = "EC-BA-01"\nparty = "Spare PACS Inc"\nstatement = "Signed."\n'
        'by = "Dana"\ntitle = "Official"\non = 2026-01-15\nexpires = 2099-01-01\n'
    )
    again = clinic.audit(0)
    assert recovery(again)["studies"]["recovered"] == 4


def test_a_recovery_pacs_that_is_away_leaves_the_audit_incomplete(tmp_path: Path) -> None:
    with orthanc() as server:
        settings = dicomweb(server)
    clinic = recovering(tmp_path, settings)
    audit = clinic.audit(3)
    assert recovery(audit)["studies"]["not_tested"] == 4
    assert audit["restore_tests"][0]["restored"] == 4
    [said] = audit["not_examined"]
    assert said["text"] == "spare: it could not be reached; 4 restored studies came back to a scratch folder only"
    assert "spare: nothing listens there" in clinic.run("audit").stderr


def test_a_backup_that_fails_is_not_put_anywhere(empty: Orthanc, tmp_path: Path) -> None:
    clinic = recovering(tmp_path, f"{dicomweb(empty)}\ncleanup = true")
    clinic.path("nas", 0, 0).unlink()
    audit = clinic.audit(1)
    assert recovery(audit)["studies"]["recovered"] == 3


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "rtplan.dcm"])
@pytest.mark.parametrize("kind", [dicomweb, dimse])
def test_every_encoding_comes_back(kind: Any, name: str, empty: Orthanc, tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(with_uids(source(name), 9, 0))
    place = place_in(tmp_path)
    done = recover(*receiving(tmp_path, kind(empty)), [returned(path)], place)
    assert (done.outcome, done.problems) == ("recovered", ())
    assert (done.accepted, done.equal, done.decoded + done.not_decodable) == (1, 1, 1)
    assert [each.name for each in place.iterdir()] == []


def test_a_file_that_states_no_encoding_is_not_sent_by_dimse(empty: Orthanc, tmp_path: Path) -> None:
    bare, whole = tmp_path / "bare", tmp_path / "whole"
    data = with_uids(source("CT_small.dcm"), 9, 0)
    bare.write_bytes(data[data.index(b"\x08\0\x05\0CS") :])
    whole.write_bytes(with_uids(source("CT_small.dcm"), 9, 1))
    done = recover(*receiving(tmp_path, dimse(empty)), [returned(bare), returned(whole)], place_in(tmp_path))
    assert (done.outcome, done.accepted, done.equal) == ("failed", 1, 1)
    assert done.problems == ("not_accepted",)


@pytest.mark.parametrize("part", ["study_instance_uid", "series_instance_uid", "sop_instance_uid"])
@pytest.mark.parametrize("uid", ["..", ".", ""])
def test_a_uid_that_leads_up_in_a_path_deletes_nothing_there(part: str, uid: str, tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(with_uids(source("CT_small.dcm"), 9, 0))
    sent = returned(path).sent
    uids: dict[str, Any] = {part: uid}
    given = replace(sent, **uids)
    asked: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        if headers["X-Method"] == "DELETE":
            asked.append(path)
            return Answer(status=204)
        return Answer(status=200 if "limit=1" in path else 404, body=b"[]")

    with answering(answer) as url:
        target, _ = receiving(tmp_path, f'kind = "dicomweb"\nurl = "{url}"\nheld_by = "us"\ncleanup = true')
        with open_destination(target) as destination:
            assert not destination.remove([given])
            assert asked == []
            assert destination.remove([sent])
    assert [each.rpartition("/")[2] for each in asked] == [sent.sop_instance_uid]


@pytest.mark.parametrize(
    "said",
    [
        {"00081199": {"Value": [{"00081155": {"Value": ["2.25.1"]}}, {"00081155": {"Value": ["2.25.2"]}}]}},
        {"00081199": {"Value": [{"00081155": {"Value": []}}, {}]}},
        {"00081199": {"Value": ["2.25.1", None, 7]}},
        {"00081199": [1, 2]},
        {"00081199": {"Value": 2}},
        [{"00081199": {}}],
        7,
    ],
)
def test_what_a_server_says_that_it_stored_under_other_uids_is_not_accepted(said: Any, tmp_path: Path) -> None:
    path = tmp_path / "instance"
    path.write_bytes(with_uids(source("CT_small.dcm"), 9, 0))
    ours = returned(path)
    study = ours.sent.study_instance_uid
    rows = [{"0020000D": {"Value": [study]}, "0020000E": {"Value": ["2.25.3"]}, "00080018": {"Value": ["2.25.1"]}}]
    put: list[str] = []

    def answer(path: str, headers: Message) -> Answer:
        if headers["X-Method"] == "POST":
            put.append(path)
            return Answer(body=json.dumps(said).encode())
        shown = rows if put and "offset=0" in path else []
        return Answer(body=json.dumps(shown).encode(), headers={"Content-Type": "application/dicom+json"})

    with answering(answer) as url:
        settings = f'kind = "dicomweb"\nurl = "{url}"\nheld_by = "us"'
        done = recover(*receiving(tmp_path, settings), [ours], place_in(tmp_path))
    assert (done.outcome, done.accepted, done.problems) == ("failed", 0, ("not_accepted",))


def receiving(root: Path, settings: str) -> tuple[Target, Path]:
    """Give a recovery PACS of these settings, and where what is put there is remembered."""
    stores = 'facility = "Test"\n[primary.a]\nkind = "folder"\npath = "a"\n[backup.b]\nkind = "folder"\npath = "b"\n'
    (root / "exactcopy.toml").write_text(f"{stores}[recovery.spare]\n{settings}\n")
    target = load_config(root / "exactcopy.toml").recovery
    assert target is not None
    return target, root / "state"


def place_in(root: Path) -> Path:
    """Give an empty folder in scratch."""
    place = root / "scratch" / f"place-{len(list(root.glob('scratch/*')))}"
    place.mkdir(parents=True)
    return place


def returned(path: Path) -> Returned:
    """Give a file as a restore does that brought it back."""
    return _returned(path, sha256(path.read_bytes()).digest(), opens(path))


def test_a_study_deleted_since_it_was_listed_makes_an_alias_no_other_pacs(empty: Orthanc, tmp_path: Path) -> None:
    """A backup purges while an audit runs: that its alias lacks one study proves nothing."""
    clinic = recovering(tmp_path, dicomweb(empty))
    for study in range(3):
        for number in range(2):
            empty.upload(clinic.path("pacs", study, number).read_bytes())
    audit = clinic.audit(3)
    assert recovery(audit)["studies"] == {"recovered": 0, "failed": 0, "held": 0, "not_tested": 4}
    assert instances_in(empty) == 6
