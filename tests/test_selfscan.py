"""What names a patient is found wherever it would travel, and what only looks like it stops nothing."""

import json
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from duckdb import connect
from hypothesis import given, settings
from hypothesis import strategies as st

from exactcopy import selfscan
from exactcopy.aliases import Aliases
from exactcopy.config import load_config
from exactcopy.decisions import Decisions
from exactcopy.dicom.patient import patient_of, tokens
from exactcopy.drift import lines, run_drift
from exactcopy.errors import RecordError
from exactcopy.inventory.database import save_rows
from exactcopy.inventory.schema import TOKENS
from exactcopy.reconcile.case import Case
from exactcopy.report import render
from exactcopy.selfscan import Outside, Scan
from exactcopy.tokens import NEWEST_BIRTH, Ledger, days, grams, token, words
from exactcopy.verify import verify
from tests.clinic import Clinic, audit_at, findings, store
from tests.servers import Answer, scripted

NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
CHECK = ("report-holds-no-identifiers", "audit")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
PARTS = st.sampled_from((" ", "-", "_", ", ", "^", "/", ".", "  "))
# Vowels in pairs are in no word of ours.
NAME = st.text("aeiouxz", min_size=6, max_size=9).map(lambda text: f"q{text}")


def patient(**values: str | bytes) -> dict[int, bytes]:
    """Give elements by keyword, as they stand in a file."""
    made = {"name": 0x00100010, "id": 0x00100020, "birth": 0x00100030, "accession": 0x00080050, "charset": 0x00080005}
    return {made[key]: value if isinstance(value, bytes) else value.encode() for key, value in values.items()}


def scan(folder: Path, patients: list[dict[int, bytes]], *strings: Outside) -> Scan:
    """Hold strings against the patients whose images were read."""
    ledger = Ledger(folder=folder)
    db = connect()
    db.execute("create table objects as select 1 as sop")
    found = {pair for values in patients for pair in tokens(ledger.key, patient_of(values))}
    save_rows(db, TOKENS, list(found), folder / "pacs-part-0.parquet", note=str(len(patients)))
    return Scan(Case(db, (), 0, 1, None), ledger, strings, Aliases())


def hit(folder: Path, patients: list[dict[int, bytes]], text: str, who: str = "") -> bool:
    """Say whether a text is withheld, beside the name of somebody who is named on purpose."""
    names = [Outside(where="facility", text=who, who=True)] if who else []
    return bool(scan(folder, patients, Outside(where="site", text=text), *names).facts.withheld)


def shared(values: dict[int, bytes], text: str) -> bool:
    """Say whether a text and a patient have a token in common."""
    key = b"of this run"
    of_text = {token(key, kind, "".join(gram)) for kind, gram in selfscan.in_string(words(text))}
    return not of_text.isdisjoint(found for found, _ in tokens(key, patient_of(values)))


@settings(max_examples=40, deadline=None)
@given(
    family=NAME,
    given_name=NAME,
    number=st.from_regex(r"[A-Z]{0,3}[0-9]{6,8}", fullmatch=True),
    born=st.dates(date(1900, 1, 1), NEWEST_BIRTH - timedelta(days=1)),
    parts=PARTS,
    upper=st.booleans(),
    around=st.sampled_from(("{}", "drive of {}", "({})", "restored {} 2019", "{}.dcm")),
)
def test_who_an_image_is_of_is_found_in_any_spelling(
    family: str, given_name: str, number: str, born: date, parts: str, upper: bool, around: str
) -> None:
    year, month, day = str(born.year), MONTHS[born.month - 1], str(born.day)
    spellings = {
        family: patient(name=f"{family.upper()}^^{given_name}"),
        given_name: patient(name=f"SMITH^{given_name}"),
        f"{given_name[:3]}{parts}{family[:3]}": patient(name=f"{family[:3]}^{given_name[:3]}^^Dr"),
        f"{family[:3]}{given_name[:3]}": patient(name=f"{family[:3]}^{given_name[:3]}=x^y"),
        number: patient(id=f"OTHER\\{number}"),
        f"{number[:3]}{parts}{number[3:]}": patient(accession=number),
        f"{born:%Y%m%d}": patient(birth=f"{born:%Y%m%d}"),
        f"{born:%m%d%Y}": patient(birth=f"{born:%Y.%m.%d}"),
        parts.join([year, f"{born:%m}", f"{born:%d}"]): patient(birth=f"{born:%Y%m%d}"),
        parts.join([f"{born:%m}", f"{born:%d}", year]): patient(birth=f"{born:%Y%m%d}"),
        parts.join([day, month, year]): patient(birth=f"{born:%Y%m%d}"),
        f"{month} {day}, {year}": patient(birth=f"{born:%Y%m%d}"),
    }
    if number.isdecimal() and len(number) < 8:
        del spellings[f"{number[:3]}{parts}{number[3:]}"]
    for text, values in spellings.items():
        assert shared(values, around.format(text.upper() if upper else text))
        assert not shared(values, around.format("somebody else, of 2001-02-03"))


@given(text=st.text(max_size=60))
def test_every_text_is_taken_apart_and_what_is_short_is_left_out(text: str) -> None:
    parts = words(text)
    assert all(sum(map(len, gram)) >= 6 for gram in grams(parts))
    assert all(day < NEWEST_BIRTH for day in days(parts))
    assert words(text.upper()) == words(text.upper().lower())


def test_a_short_name_or_number_is_an_ordinary_word(tmp_path: Path) -> None:
    may = [patient(name="May^Li", id="41", accession="2019")]
    for number, text in enumerate(("May Clinic", "41 Main Street", "may-41", "41", "2019", "li")):
        assert not hit(tmp_path / str(number), may, text)
    assert not hit(tmp_path / "date", [patient(id="202105")], "agreement of 2021-05-03")
    assert hit(tmp_path / "both", [patient(name="May^Lia")], "lia-may-drive")


def test_who_is_named_on_purpose_may_be_a_patient_too(tmp_path: Path) -> None:
    staff = [patient(name="Quixotra^Zoe", id="Q-123456")]
    assert hit(tmp_path / "1", staff, "quixotra-nas")
    assert not hit(tmp_path / "2", staff, "quixotra-nas", who="Quixotra Imaging")
    assert not hit(tmp_path / "3", staff, "signed by Zoe Quixotra", who="Zoe Quixotra")
    assert hit(tmp_path / "4", staff, "Q-123456", who="Q-123456"), "a number is nobody's name"


def test_a_name_that_many_bear_names_nobody(tmp_path: Path) -> None:
    many = [patient(name=f"Quixotra^Zo{number}", id=f"Q-{number}") for number in range(5)]
    assert not hit(tmp_path / "5", many, "Quixotra Street")
    assert hit(tmp_path / "4", many[:4], "Quixotra Street")
    assert hit(tmp_path / "whole", many, "Zo1 Quixotra Street"), "together with the given name it does"


def test_a_patient_called_like_a_word_of_ours_is_not_named_by_it(tmp_path: Path) -> None:
    phantoms = [patient(name="Backup^Restore", id="UNKNOWN"), patient(name="Unknown", id="Restored")]
    assert not hit(tmp_path, phantoms, "backup, restore: unknown")


@pytest.mark.parametrize(
    ("charset", "written", "text"),
    [
        ("ISO_IR 100", "Müllerén^Bjørn".encode("latin-1"), "MULLEREN"),
        ("ISO_IR 192", "Müllerén^Bjørn".encode(), "müllerén"),
        ("ISO_IR 144", "Люксембург".encode("iso8859-5"), "люксембург"),
        ("\\ISO 2022 IR 87", b"Yamadaq^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "tarou yamadaq"),
        ("no such set", b"M\xfcllerenko", "müllerenko"),
    ],
)
def test_names_are_read_in_the_character_set_of_the_instance(
    tmp_path: Path, charset: str, written: bytes, text: str
) -> None:
    assert hit(tmp_path, [patient(name=written, charset=charset)], text)


def test_nothing_is_said_without_patient_data(tmp_path: Path) -> None:
    nothing = scan(tmp_path, [patient()], Outside(where="site", text="Main Street"))
    assert (nothing.facts.tokens, nothing.facts.images, nothing.facts.withheld) == (0, 1, ())


def test_what_is_withheld_is_replaced_wherever_it_stands_and_nothing_else() -> None:
    withheld = Aliases(shown={"smith-john": "backup 1", "smith-john-2": "backup 2", "R. (Main)": "[withheld]"})
    said = {
        "smith-john": ["worklist-smith-john.csv", "smith-john-2: smith-john", 7],
        "at": "R. (Main), blacksmith-johnson",
    }
    assert withheld.applied(said) == {
        "backup 1": ["worklist-backup 1.csv", "backup 2: backup 1", 7],
        "at": "[withheld], blacksmith-johnson",
    }


@pytest.fixture
def without_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the PDF, which takes longest and is drawn from the HTML."""
    monkeypatch.setattr("exactcopy.recording.write_pdf", lambda *_: [])


def rename(path: Path, **values: str) -> None:
    """Change whose an image is."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.usefixtures("without_pdf")
def test_a_patient_called_may_with_the_number_41_stops_no_report(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("may-41",), settings='[people]\nit = "May Day"')
    clinic.settings = ""
    clinic.stores = {"pacs": 'site = "41 May Street"', "may-41": 'site = "May 1941"'}
    for study in range(2):
        rename(clinic.add(study, 0), PatientName=f"May^{'Day' * study}", PatientID="41", PatientBirthDate="20261124")
    clinic.mirror()
    audit = audit_at(clinic, NOW)
    [control] = [each for each in audit["controls"] if each["id"] == "EC-PR-01"]
    assert control["status"] == "no exception"
    assert audit["self_scan"]["tokens"]
    assert audit["self_scan"]["images"] == audit["self_scan"]["of_images"] == 4
    assert "41 May Street" in (clinic.record() / "report.html").read_text(encoding="utf-8")
    # What a backup still proves is not read again: there is nothing to hold anything against.
    clinic.stores = {name: f'{settings}\nread = "rotation"' for name, settings in clinic.stores.items()}
    again = audit_at(clinic, NOW + timedelta(days=1))
    assert again["self_scan"]["images"] == 0
    [control] = [each for each in again["controls"] if each["id"] == "EC-PR-01"]
    assert control["status"] == "not checked"


def test_a_patients_name_that_is_planted_never_travels(tmp_path: Path) -> None:
    name = "Secretname Planted0"
    said = Answer(status=500, body=f"patient {name}, SECRET-ID-0, is not here".encode())
    with scripted(lambda path, headers: said) as address:
        clinic = Clinic(tmp_path, backups=("secretname-planted0", "usb"))
        clinic.fill(studies=2, instances=1)
        clinic.stores = {"pacs": f'site = "Room of {name}"', "usb": 'site = "SECRETACC1"'}
        (tmp_path / "pacs" / f"{name} SECRET-ID-0.dcm").write_bytes(b"no image")
        (tmp_path / "usb" / "study 0" / "0.dcm").unlink()
        (tmp_path / "secretname-planted0" / "study 1" / "0.dcm").unlink()
        path = clinic.configure()
        pacs = f'[backup.orthanc]\nkind = "dicomweb"\nurl = "{address}"\nheld_by = "us"\nsite = "Basement"\n'
        path.write_text(path.read_text(encoding="utf-8") + pacs, encoding="utf-8")
        (tmp_path / "decisions.toml").write_text(
            '[[attest]]\ncontrol = "EC-CP-01"\nby = "Dana Reyes"\ntitle = "Security official"\non = 2026-01-02\n'
            f'statement = "Tested with the images of {name.upper()}."\n',
            encoding="utf-8",
        )
        done = clinic.run("audit")
    record = clinic.record()
    travels = [path.read_text(encoding="utf-8") for path in record.iterdir() if path.is_file()]
    everything = "\n".join([*travels, done.stdout, done.stderr]).lower()
    for word in ("secretname", "planted0", "secret-id", "secretacc"):
        assert word not in everything
    audit = json.loads((record / "audit.json").read_text(encoding="utf-8"))
    assert done.returncode == 3
    assert findings(audit)[CHECK] == "critical"
    assert [each["where"] for each in audit["self_scan"]["withheld"]] == [
        "the configuration, primary 1: site, synced_to, restored_from or volumes",
        "the configuration, backup 1: its name",
        "the configuration, backup 2: site, synced_to, restored_from or volumes",
        "decisions.toml, attestation 1: statement",
    ]
    assert "backup 1" in {store["name"] for store in audit["stores"]}
    worklist = next(each["worklist"] for each in audit["findings"] if each["target"] == "backup 1" and each["worklist"])
    assert (record / "restricted" / worklist).is_file()
    assert not verify(tmp_path / "records", []).faults


@pytest.mark.usefixtures("without_pdf")
def test_a_drift_check_withholds_what_the_audit_withheld(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, backups=("secretname-planted0", "nas"))
    clinic.fill(studies=2, instances=1)
    audit = audit_at(clinic, NOW)
    clinic.path("secretname-planted0", 0, 0).unlink()
    drifted = run_drift(
        load_config(clinic.configure()), Decisions(), NOW + timedelta(days=1), lambda *_: lambda *_: None
    )
    told = "\n".join([*lines(drifted.said), json.dumps(drifted.said), *drifted.warnings])
    assert "backup 1" in told
    assert "secretname" not in told
    assert "secretname" not in (tmp_path / ".exactcopy" / "drift.jsonl").read_text(encoding="utf-8")
    known = {each["id"] for each in audit["findings"]}
    new = [each for each in drifted.said["changes"]["since_audit"] if each["id"] not in known]
    assert new, "a copy that went is told of"
    # Nothing is read of which a proof is carried on: what was withheld stays so, and its store is known.
    clinic.stores = dict.fromkeys(("pacs", "secretname-planted0", "nas"), 'read = "rotation"')
    again = audit_at(clinic, NOW + timedelta(days=2))
    assert again["self_scan"]["tokens"] == 0
    assert findings(again)[CHECK] == "critical"
    travels = "".join(path.read_text(encoding="utf-8") for path in clinic.record().iterdir() if path.is_file())
    assert "secretname" not in travels + (tmp_path / "records" / "index.html").read_text(encoding="utf-8")
    assert store(again, "backup 1")["last_examined"]
    assert not [each for each in again["findings"] if each["check"] == "no-store-left-out"]
    assert ("backup-is-complete", "backup 1") in findings(again)


@pytest.mark.usefixtures("without_pdf")
def test_what_reaches_a_finished_page_stops_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if a string had been forgotten among those of outside origin.
    monkeypatch.setattr("exactcopy.audit.outside", lambda *_: [])
    clinic = Clinic(tmp_path, backups=("nas",), stores={"pacs": 'site = "Secretname Planted0"'})
    clinic.fill(studies=1, instances=1)
    audit = audit_at(clinic, NOW)
    record = clinic.record()
    assert {path.name for path in record.iterdir()} == {"audit.json", "gaps.csv", "manifest-sha256.txt", "restricted"}
    assert "Planted0" not in (record / "audit.json").read_text(encoding="utf-8")
    assert audit["self_scan"]["stopped"]
    assert findings(audit)[CHECK] == "critical"
    assert audit["conclusion"] == "exceptions noted"
    assert not verify(tmp_path / "records", []).faults
    with pytest.raises(RecordError, match="held patient data"):
        render(record, ("html",), tmp_path)
    assert (
        subprocess.run(["sha256sum", "-c", "--quiet", "manifest-sha256.txt"], cwd=record, check=False).returncode == 0
    )


def test_the_words_of_the_program_hold_no_made_name() -> None:
    assert {"backup", "unknown", "restore"} <= selfscan.own_words()
    assert not {"quixotra", "secretname"} & selfscan.own_words()
