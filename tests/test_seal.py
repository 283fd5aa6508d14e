"""The seal of the report: whole, by our key, and broken by whatever is changed."""

import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from pypdf import PdfReader, PdfWriter
from typer.testing import CliRunner

from exactcopy.cli import app
from exactcopy.config import Config, load_config
from exactcopy.errors import ConfigError
from exactcopy.report import render
from exactcopy.seal import Key, look_at, make_key, open_key, refuses, seal
from tests.clinic import Clinic
from tests.time_stamps import SERVICE, time_stamps

NOW = datetime(2026, 11, 25, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real service of time stamps."""
    with time_stamps(tmp_path_factory.mktemp("service") / "tsa") as address:
        yield address


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, service: str) -> Clinic:
    """A clinic with one audit, of which the PDF was made, sealed and stamped."""
    settings = f'[seal]\ntimestamp = "{service}"'
    clinic = Clinic(tmp_path_factory.mktemp("sealed"), backups=("nas",), pdf=True, settings=settings)
    clinic.fill(1, 1, "rtplan.dcm")
    clinic.audit(0)
    return clinic


@pytest.fixture(scope="module")
def rendered(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that record, made again: it bears no seal."""
    [pdf] = render(clinic.record(), ["pdf"], tmp_path_factory.mktemp("again"))
    return pdf


def config(root: Path, settings: str = "") -> Config:
    """Give a configuration with a table [seal]."""
    return load_config(Clinic(root, backups=("nas",), settings=f"[seal]\n{settings}").configure())


def test_the_first_audit_makes_a_key_and_seals_the_report(clinic: Clinic) -> None:
    pdf, key = clinic.record() / "report.pdf", clinic.root / ".exactcopy" / "seal.p12"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    opened = open_key(load_config(clinic.root / "exactcopy.toml"))
    assert not opened.protected
    assert look_at(pdf, opened.certificate_sha256).broken is None
    told = subprocess.run(["pdfsig", pdf], capture_output=True, text=True, check=False).stdout
    assert "Signature is Valid" in told
    assert "Total document signed" in told
    assert "ETSI.CAdES.detached" in told
    pages = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert "No passphrase protects the key" in " ".join(pages.split())
    assert opened.certificate_sha256[:20] in pages
    verified = clinic.run("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert re.search(rf"report.pdf: a time stamp of 20\d\d-\d\d-\d\d .* UTC, by .*{SERVICE}", verified.stdout)
    assert "The seal shows any change since sealing, not who sealed it or when." in " ".join(pages.split())
    assert sha256((clinic.record() / "audit.json").read_bytes()).hexdigest() in pages


def test_a_time_stamp_is_as_old_as_the_seal_and_one_that_fails_leaves_the_seal(
    clinic: Clinic, rendered: Path, service: str, tmp_path: Path
) -> None:
    key = open_key(load_config(clinic.root / "exactcopy.toml"))
    for address, reason in (
        (service, None),
        (f"{service}/busy", "TimestampRequestError"),
        ("http://127.0.0.1:9/", "TimestampRequestError"),
    ):
        pdf = Path(shutil.copy(rendered, tmp_path))
        assert seal(pdf, key, address) == reason
        shown = look_at(pdf, key.certificate_sha256)
        assert shown.broken is None
        if reason is None:
            assert shown.stamped is not None
            assert abs(datetime.now(UTC) - shown.stamped) < timedelta(minutes=1)
            assert shown.service is not None
            assert SERVICE in shown.service
        else:
            assert shown.stamped is None
        assert refuses(address) == reason


def test_a_time_stamp_of_something_else_is_none(clinic: Clinic, service: str, tmp_path: Path) -> None:
    key = open_key(load_config(clinic.root / "exactcopy.toml"))
    pdf = Path(shutil.copy(clinic.record() / "report.pdf", tmp_path))
    content = pdf.read_bytes()
    [covered] = re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\s*\]", content)
    _, end, again, _ = map(int, covered)
    # In the token itself the moment is text.
    moment = re.search(rb"180f(?:3[0-9]){14}5a", content[end:again], re.IGNORECASE)
    assert moment is not None
    place = end + moment.end() - 3
    pdf.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert look_at(pdf, key.certificate_sha256).broken


def test_what_is_sealed_is_what_is_rendered_again_byte_by_byte(clinic: Clinic, rendered: Path) -> None:
    sealed = (clinic.record() / "report.pdf").read_bytes()
    assert sealed.startswith(rendered.read_bytes())
    assert len(sealed) > rendered.stat().st_size


def test_each_flipped_byte_breaks_the_seal(clinic: Clinic, tmp_path: Path) -> None:
    key = open_key(load_config(clinic.root / "exactcopy.toml"))
    content, random, path = (clinic.record() / "report.pdf").read_bytes(), Random(1), tmp_path / "report.pdf"
    # All but the hexadecimal digits of the seal itself, which ends in zeros that mean nothing.
    [covered] = re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\s*\]", content)
    first, end, again, more = map(int, covered)
    assert (first, again + more) == (0, len(content))
    for place in random.sample(range(end), 40) + random.sample(range(again, len(content)), 40):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert look_at(path, key.certificate_sha256).broken, place


def test_what_was_written_again_or_added_to_breaks_the_seal(clinic: Clinic, rendered: Path, tmp_path: Path) -> None:
    key = open_key(load_config(clinic.root / "exactcopy.toml"))
    pdf = clinic.record() / "report.pdf"
    again, added = tmp_path / "again.pdf", tmp_path / "added.pdf"
    PdfWriter(clone_from=PdfReader(pdf)).write(again)
    later = PdfWriter(pdf, incremental=True)
    later.pages[0].rotate(90)
    later.write(added)
    for path in (again, added):
        assert look_at(path, key.certificate_sha256).broken == "its seal is broken: it was changed since it was sealed"
    assert look_at(rendered, key.certificate_sha256).broken == "it bears no seal"
    assert (
        look_at(tmp_path / "none.pdf", key.certificate_sha256).broken == "it cannot be read (No such file or directory)"
    )


def test_a_report_that_was_sealed_anew_by_another_key_is_found(clinic: Clinic, rendered: Path, tmp_path: Path) -> None:
    own = open_key(load_config(clinic.root / "exactcopy.toml"))
    other = open_key(config(tmp_path / "other"))
    pdf = Path(shutil.copy(rendered, tmp_path))
    seal(pdf, other)
    assert look_at(pdf, other.certificate_sha256).broken is None
    assert look_at(pdf, own.certificate_sha256).broken == "it was sealed with another key than audit.json names"


def test_a_key_of_ones_own_is_opened_by_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.p12").write_bytes(make_key("A clinic with a name " * 8, NOW, b"correct horse"))
    own = 'key = "key.p12"\npassphrase = "env:SEAL"'
    monkeypatch.setenv("SEAL", "correct horse")
    opened = open_key(config(tmp_path, own))
    assert isinstance(opened, Key)
    assert opened.protected
    for wrong, fault in (("battery staple", "is no PKCS#12 file that `passphrase` opens"), ("", "SEAL is missing")):
        monkeypatch.setenv("SEAL", wrong)
        with pytest.raises(ConfigError, match=fault):
            open_key(config(tmp_path, own))
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\)"):
        open_key(config(tmp_path, 'key = "nowhere.p12"'))


def test_a_passphrase_protects_the_key_that_is_made_and_none_is_claimed_of_one_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL", "correct horse")
    assert open_key(config(tmp_path / "made", 'passphrase = "env:SEAL"')).protected
    monkeypatch.setenv("SEAL", "battery staple")
    with pytest.raises(ConfigError, match="that `passphrase` opens"):
        open_key(config(tmp_path / "made", 'passphrase = "env:SEAL"'))
    bare = config(tmp_path / "bare", 'key = "bare.p12"\npassphrase = "env:SEAL"')
    (tmp_path / "bare" / "bare.p12").write_bytes(make_key("Clinic", NOW, None))
    with pytest.raises(ConfigError, match="that `passphrase` opens"):
        open_key(bare)


def test_keys_makes_a_key_and_imports_one_under_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = CliRunner()
    made = told.invoke(app, ["keys", str(tmp_path / "a.p12"), "--facility", "Clinic"], input="one\none\n")
    assert made.exit_code == 0, made.output
    assert "[seal]" in made.output
    assert stat.S_IMODE((tmp_path / "a.p12").stat().st_mode) == 0o600
    again = ["keys", str(tmp_path / "b.p12"), "--import", str(tmp_path / "a.p12")]
    assert told.invoke(app, again, input="one\ntwo\ntwo\n").exit_code == 0
    keys = []
    for name, passphrase in (("a", "one"), ("b", "two")):
        monkeypatch.setenv("SEAL", passphrase)
        keys.append(open_key(config(tmp_path, f'key = "{name}.p12"\npassphrase = "env:SEAL"')))
    assert keys[0].certificate_sha256 == keys[1].certificate_sha256
    for wrong in (["keys", str(tmp_path / "a.p12")], [*again[:1], str(tmp_path / "c.p12"), *again[2:]]):
        with pytest.raises(ConfigError, match=r"is there already|is another one"):
            told.invoke(app, wrong, input="bad\nbad\nbad\n", catch_exceptions=False)
    assert not (tmp_path / "c.p12").exists()


def test_an_audit_with_a_key_that_does_not_open_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / "key.p12").write_bytes(b"no key")
    clinic = Clinic(tmp_path, backups=("nas",), settings='[seal]\nkey = "key.p12"')
    clinic.fill(1, 1, "rtplan.dcm")
    clinic.configure()
    done = clinic.run("audit")
    assert done.returncode == 2
    assert "is no PKCS#12 file that `passphrase` opens" in done.stderr
    assert not (tmp_path / "records").exists()


def test_the_key_is_for_signing_alone_and_for_ten_years() -> None:
    _, certificate, _ = pkcs12.load_key_and_certificates(make_key("Clinic", NOW, None), None)
    assert certificate is not None
    assert (certificate.not_valid_after_utc - NOW).days in (3652, 3653)
    assert certificate.not_valid_before_utc < NOW
