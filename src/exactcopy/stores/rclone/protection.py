"""How a remote is protected, as far as its settings show."""

import hashlib
import os
from urllib.parse import urlsplit

from exactcopy.model import Answer, Safeguard, Seen
from exactcopy.stores.hosts import in_the_clear, standing_for
from exactcopy.stores.rclone.remotes import HTTPS, Remote, Settings, said_yes

_PLACES = ("host", "url", "endpoint")
# What tells one account from another and is no secret. More than one may be set: all count.
_ACCOUNTS = ("team_drive", "drive_id", "account", "access_key_id", "service_account_file")


def protection(remote: Remote) -> dict[Safeguard, Seen]:
    """Return what the settings say of encryption, and of the way to the provider."""
    seen = {Safeguard.ENCRYPTION: _encryption(remote), Safeguard.TRANSPORT: _transport(remote)}
    return {safeguard: answer for safeguard, answer in seen.items() if answer}


def host(remote: Remote, account: str | None) -> str | None:
    """Return what stands for the computer or the account that holds the bytes; what is equal fails together.

    A computer has the same name as where one of its shares is mounted as a folder: a hash, for it is printed.
    `account` is what the provider itself calls it. Where nothing tells, it is the remote's name.
    """
    server = next(filter(None, (_host_of(remote.setting(name)) for name in _PLACES)), None)
    if remote.kind == "local" or server:
        return standing_for(server or "")
    known = [account] if account else [remote.setting(name) for name in _ACCOUNTS if remote.setting(name)]
    told = "\0".join(known or [remote.name]).encode(errors="surrogatepass")
    return f"{remote.kind} {hashlib.sha256(told).hexdigest()[:12]}"


def _host_of(address: str) -> str:
    """Return the name of the computer in an address, which may hold a password."""
    return (urlsplit(address if "//" in address else f"//{address}").hostname or "").casefold()


def _encryption(remote: Remote) -> Seen | None:
    if remote.encrypted is None:
        return None
    if remote.encrypted:
        return Seen(answer=Answer.PASS, detail="rclone crypt")
    return Seen(answer=Answer.FAIL, detail="rclone crypt with the encryption of data switched off")


def _transport(remote: Remote) -> Seen | None:
    settings = remote.settings
    if settings is None:
        return None
    if remote.kind == "sftp":
        known = "known_hosts_file" in settings or "host_key" in settings
        return Seen(answer=Answer.PASS, detail="SSH" if known else "SSH; the key of the server is not checked")
    address = (settings.get("url") or settings.get("endpoint") or "").lower()
    if address.startswith("http://"):
        return in_the_clear(urlsplit(address).hostname or "")
    if remote.kind == "ftp" and not (said_yes(settings, "tls") or said_yes(settings, "explicit_tls")):
        return Seen(answer=Answer.FAIL, detail="FTP without TLS")
    if remote.kind in HTTPS or remote.kind == "ftp" or address.startswith("https://"):
        if _unchecked(settings):
            return Seen(answer=Answer.FAIL, detail="TLS, but certificates are not checked")
        return Seen(answer=Answer.PASS, detail="TLS")
    return None


def _unchecked(settings: Settings) -> bool:
    switches = ("no_check_certificate", "override.no_check_certificate", "global.no_check_certificate")
    return any(said_yes(settings, name) for name in switches) or said_yes(os.environ, "RCLONE_NO_CHECK_CERTIFICATE")
