"""The seal of the report: an invisible certifying signature (PAdES, ETSI EN 319 142) that shows any change since.

It shows change, not who sealed or when: the key is the facility's own. A time stamp (RFC 3161) adds by when the report
was what it is, on the word of the service that gave it.
"""

import asyncio
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exactcopy.errors import ConfigError, StoreUnavailable
from exactcopy.stores.secrets import resolve

if TYPE_CHECKING:
    from exactcopy.config import Config

_OWN_KEY = "seal.p12"
_YEARS = timedelta(days=3653)
_FIELD = "Seal"
_STAMP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Key:
    """A PKCS#12 file that was opened: what pyHanko signs with, and the fingerprint of its certificate."""

    signer: Any
    certificate_sha256: str
    protected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the seal of a PDF shows: why it is broken, or None; when a service stamped it, and the name it goes by.

    Whether that service is to be trusted is for a person to say: no list of such services is kept here.
    """

    broken: str | None = None
    stamped: datetime | None = None
    service: str | None = None


def key_is_there(config: "Config") -> bool:
    """Whether there is a key already, or one is named: an audit makes none then."""
    return config.seal_key is not None or (config.state / _OWN_KEY).exists()


def open_key(config: "Config") -> Key:
    """Return the key of `[seal]`, or the one beside the configuration, which is made where there is none.

    Raises ConfigError where it cannot be opened, and OSError where none can be made.
    """
    path = config.seal_key or config.state / _OWN_KEY
    passphrase = None
    if config.seal_passphrase is not None:
        try:
            passphrase = resolve(config.seal_passphrase, "seal").encode()
        except StoreUnavailable as error:
            raise ConfigError([f"{config.path.name}: seal.passphrase: {error}"]) from None
    if not key_is_there(config):
        write_key(path, make_key(config.facility, datetime.now(UTC), passphrase))
    return _opened(path, passphrase, config.path.name)


def make_key(facility: str, now: datetime, passphrase: bytes | None) -> bytes:
    """Return a new PKCS#12 file: an ECDSA key on P-256 and its own certificate, for ten years from `now`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

    key = generate_private_key(SECP256R1())
    # RFC 5280 allows 64 characters.
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"exactcopy, {facility}"[:64])])
    uses = dict.fromkeys(
        (
            *("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
            *("encipher_only", "decipher_only"),
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, content_commitment=True, **uses), critical=True)
        .sign(key, SHA256())
    )
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"exactcopy", key, certificate, None, encryption)


def with_passphrase(content: bytes, old: bytes | None, new: bytes) -> bytes:
    """Return a PKCS#12 file that holds the key of another, under a new passphrase. Raises ConfigError."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    try:
        found = pkcs12.load_pkcs12(content, old)
    except ValueError:
        raise ConfigError(["This is no PKCS#12 file, or its passphrase is another one."]) from None
    if found.key is None or found.cert is None:
        raise ConfigError(["This file holds no key with its certificate. Export both into one PKCS#12 file."])
    chain = [each.certificate for each in found.additional_certs]
    key: Any = found.key
    return pkcs12.serialize_key_and_certificates(
        found.cert.friendly_name, key, found.cert.certificate, chain, BestAvailableEncryption(new)
    )


def write_key(path: Path, content: bytes) -> None:
    """Write a key that only this account may read, and that is never half there. Raises ConfigError over a file."""
    if path.exists():
        raise ConfigError([f"{path}: is there already, and no key is written over. Name another file."])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    partial.rename(path)


def seal(pdf: Path, key: Key, timestamp: str | None = None) -> str | None:
    """Seal a PDF in its place: its bytes stay as they are, and the seal is added behind them.

    A service of time stamps (RFC 3161) at the address `timestamp` is sent a hash and states when. Where it gives none
    the PDF is sealed without, and the kind of the error is returned.
    """
    _quietly()
    reason = None
    if timestamp is not None:
        try:
            _seal(pdf, key, _stamper(timestamp))
        except Exception as error:  # noqa: BLE001 - whatever a service answers, the report gets its seal
            reason = type(error).__name__
        else:
            return None
    _seal(pdf, key, None)
    return reason


def refuses(timestamp: str) -> str | None:
    """Ask a service for a time stamp of nothing; return the kind of the error where it gives none."""
    _quietly()
    try:
        asyncio.run(_stamper(timestamp).async_timestamp(sha256(b"").digest(), "sha256"))
    except Exception as error:  # noqa: BLE001 - whatever it answers
        return type(error).__name__
    return None


def _stamper(timestamp: str) -> Any:
    from pyhanko.sign.timestamps.aiohttp_client import HTTPTimeStamper

    return HTTPTimeStamper(timestamp, timeout=_STAMP_SECONDS)


def _seal(pdf: Path, key: Key, stamper: Any) -> None:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers
    from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter

    metadata = signers.PdfSignatureMetadata(
        field_name=_FIELD,
        md_algorithm="sha256",
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        subfilter=SigSeedSubFilter.PADES,
    )
    writer = IncrementalPdfFileWriter(BytesIO(pdf.read_bytes()))
    sealed = signers.PdfSigner(metadata, signer=key.signer, timestamper=stamper).sign_pdf(writer)
    partial = pdf.with_suffix(".sealed")
    partial.write_bytes(sealed.getvalue())
    partial.replace(pdf)


def look_at(pdf: Path, certificate_sha256: str) -> Shown:
    """Say whether a PDF bears an unbroken seal over all of it by that certificate, and when a service stamped it."""
    _quietly()
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.general import extract_certificate_info
    from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
    from pyhanko.sign.validation.generic_cms import extract_tst_data_iter

    try:
        with pdf.open("rb") as file:
            seals = PdfFileReader(file).embedded_signatures
            if len(seals) != 1:
                return Shown(broken="it bears no seal" if not seals else "it bears more than one seal")
            own = seals[0].signer_cert
            if sha256(own.dump()).hexdigest() != certificate_sha256:
                return Shown(broken="it was sealed with another key than audit.json names")
            token = next(extract_tst_data_iter(seals[0].signer_info, signed=False), None)
            # What was added behind it is not asked whether it may be harmless: nothing is added to a sealed report.
            status = validate_pdf_signature(
                seals[0],
                signer_validation_context=_only(own),
                ts_validation_context=_only(extract_certificate_info(token).signer_cert) if token else None,
                skip_diff=True,
            )
            if not status.bottom_line or status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
                return Shown(broken="its seal is broken: it was changed since it was sealed")
            stamp = status.timestamp_validity
            if stamp is None:
                return Shown()
            return Shown(stamped=stamp.timestamp, service=stamp.signing_cert.subject.human_friendly)
    except OSError as error:
        return Shown(broken=f"it cannot be read ({error.strerror})")
    except Exception:  # noqa: BLE001 - pyHanko raises what it likes over what is no PDF any more
        return Shown(broken="its seal cannot be read")


def _only(certificate: Any) -> Any:
    """Trust one certificate, at a moment when it was good: what ended since does not undo a seal."""
    from pyhanko_certvalidator import ValidationContext

    moment = certificate.not_valid_before + timedelta(seconds=1)
    return ValidationContext(trust_roots=[certificate], allow_fetching=False, moment=moment)


def _opened(path: Path, passphrase: bytes | None, where: str) -> Key:
    _quietly()
    from pyhanko.sign.signers import SimpleSigner

    try:
        path.read_bytes()
        signer = SimpleSigner.load_pkcs12(str(path), passphrase=passphrase)  # type: ignore[no-untyped-call]
    except OSError as error:
        fault = f"{where}: seal.key: {path} cannot be read ({error.strerror}). Make it readable."
        raise ConfigError([fault]) from error
    if signer is None or signer.signing_cert is None:
        raise ConfigError(
            [f"{where}: seal.key: {path} is no PKCS#12 file that `passphrase` opens. Name the key and its passphrase."]
        )
    fingerprint = sha256(signer.signing_cert.dump()).hexdigest()
    return Key(signer=signer, certificate_sha256=fingerprint, protected=passphrase is not None)


def _quietly() -> None:
    """Silence pyHanko, which logs what it cannot validate."""
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
