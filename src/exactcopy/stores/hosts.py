"""What stands for another computer, so that two stores on it can be told to fail together."""

import hashlib
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from exactcopy.model import Answer, Seen, Target


def is_this_computer(server: str) -> bool:
    """Say whether a name is that of this computer, and its address one that leads nowhere else (RFC 6761, RFC 1122)."""
    name = server.casefold().strip("[]").removesuffix(".")
    with suppress(ValueError):
        address = ip_address(name)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return name == "localhost"


def standing_for(server: str) -> str | None:
    """Return a hash of a server's name, for the name itself is not to be printed; equal for all that lies there.

    None where there is no name, or where it is this computer's: its own disks, or the end of a tunnel to anywhere.
    """
    name = server.casefold()
    if not name or is_this_computer(name):
        return None
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def in_the_clear(server: str) -> Seen:
    """Say what it means that nothing encrypts the way to a server.

    To this computer there is no way on which anybody could listen; yet a tunnel may begin there, and what it does is
    not seen.
    """
    if is_this_computer(server):
        return Seen(answer=Answer.NOT_ASSESSED, detail="on this computer, or through a tunnel that begins here")
    return Seen(answer=Answer.FAIL, detail="not encrypted")


def way_to(pacs: Target) -> Seen:
    """Say whether the way to a PACS is encrypted, as it is configured."""
    if pacs.kind == "dimse":
        encrypted, server = bool(pacs.options.get("tls")), str(pacs.options["host"])
    else:
        parts = urlsplit(str(pacs.options["url"]))
        encrypted, server = parts.scheme == "https", parts.hostname or ""
    return Seen(answer=Answer.PASS, detail="TLS") if encrypted else in_the_clear(server)
