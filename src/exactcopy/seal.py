"""The seal of the report: an invisible certifying signature (PAdES, ETSI EN 319 142) that shows any change since.

It shows change, not who sealed or when: the key is the facility's own.
"""

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


@dataclass(frozen=True, slots=True)
class Key:
    """A PKCS#12 file that was opened: what pyHanko signs with, and the fingerprint of its certificate."""

    signer: Any
    certificate_sha256: str
    protected: bool


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
    if config.seal_key is None and not path.exists():
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


def seal(pdf: Path, key: Key) -> None:
    """Seal a PDF in its place: its bytes stay as they are, and the seal is added behind them."""
    _quietly()
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
    sealed = signers.PdfSigner(metadata, signer=key.signer).sign_pdf(writer)
    partial = pdf.with_suffix(".sealed")
    partial.write_bytes(sealed.getvalue())
    partial.replace(pdf)


def broken(pdf: Path, certificate_sha256: str) -> str | None:
    """Say why a PDF does not bear an unbroken seal over all of it by that certificate; None where it does."""
    _quietly()
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    try:
        with pdf.open("rb") as file:
            seals = PdfFileReader(file).embedded_signatures
            if len(seals) != 1:
                return "it bears no seal" if not seals else "it bears more than one seal"
            own = seals[0].signer_cert
            if sha256(own.dump()).hexdigest() != certificate_sha256:
                return "it was sealed with another key than audit.json names"
            # What ended since does not undo a seal: all that counts is that it is by this certificate.
            moment = own.not_valid_before + timedelta(seconds=1)
            trusted = ValidationContext(trust_roots=[own], allow_fetching=False, moment=moment)
            # What was added behind it is not asked whether it may be harmless: nothing is added to a sealed report.
            status = validate_pdf_signature(seals[0], signer_validation_context=trusted, skip_diff=True)
            whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE
            return None if status.bottom_line and whole else "its seal is broken: it was changed since it was sealed"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except Exception:  # noqa: BLE001 - pyHanko raises what it likes over what is no PDF any more
        return "its seal cannot be read"


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
