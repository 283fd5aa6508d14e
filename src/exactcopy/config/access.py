"""How a store is reached: its address, how to sign in there, and one way to write each place. It imports pydantic."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from posixpath import normpath
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import PlainValidator

from exactcopy.config.border import limited, location, shown, text

BOTO3 = (
    "boto3 finds credentials in the environment, in ~/.aws/credentials (profile names a section of it) or in the"
    " role of the machine."
)
REFERENCES = 'Name the variable or the file that holds it: "env:PACS_TOKEN" or "file:/etc/exactcopy/token".'

# Headers that say what is asked for and how: exactcopy's own.
_OURS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "range", "transfer-encoding"}
)
_CREDENTIAL = re.compile(r"auth|cookie|credential|key|passw|secret|token")

# --- buckets and remotes ----------------------------------------------------------------------------------


def bucket(value: object) -> str:
    """Take the name of a bucket."""
    name = text(value)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return name
    raise ValueError(f"{shown(name)} is no name of a bucket. Write the bare name, and what follows it as prefix.")


def prefix(value: object) -> str:
    """Take the beginning of keys as written; S3 knows no folders, so nothing in it has a meaning."""
    return limited(value, 1000)


def endpoint(value: object) -> str:
    """Take the address of an S3 service."""
    address = text(value)
    if "@" in address:
        # Not shown: it may be a password.
        raise ValueError(f"holds a sign-in before the @. Remove it: {BOTO3}")
    if _web_address(address):
        return address
    raise ValueError(f'{shown(address)} is no address of a service. Write it as in "https://s3.example.com".')


def remote(value: object) -> str:
    """Take rclone's name of a remote and a path in it, which may be empty; slashes without meaning are dropped."""
    written = limited(value, 1000)
    name, colon, path = written.partition(":")
    if colon and (not name or "," in name or path.startswith("//")):
        # Not shown: it may be a password.
        raise ValueError("holds settings of the connection. Give them to rclone config and write the remote's name.")
    if not colon or not re.fullmatch(r"[\w.+@](?:[\w.+@ -]*[\w.+@-])?", name):
        raise ValueError(f'{shown(written)} is no remote. Write its name in rclone and the path: "gdrive:xrays".')
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f'{shown(written)} holds "..". Write the path without it.')
    return f"{name}:{'/' if path.startswith('/') else ''}{'/'.join(parts)}"


def time_stamps(value: object) -> str:
    """Take the address of a service of time stamps (RFC 3161); plain http is common, for the answer is signed."""
    address = text(value)
    if "@" in address:
        # Not shown: it may be a password.
        raise ValueError("holds a sign-in before the @. Name a service of time stamps that asks for none.")
    if _web_address(address):
        return address
    raise ValueError(f'{shown(address)} is no address of a service. Write it as in "https://tsa.example.com".')


_SCHEDULER = r"(tcp|tls)://([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})"


def cluster(value: object) -> str:
    """Take the address of a Dask scheduler, as Dask writes it."""
    address = text(value)
    if (parts := re.fullmatch(_SCHEDULER, address)) and 0 < int(parts[3]) < 2**16:
        return address
    # Not shown: it may hold a sign-in.
    raise ValueError('is no address of a Dask scheduler. Write it as in "tcp://scheduler:8786", with its port.')


# --- a PACS -----------------------------------------------------------------------------------------------


def url(value: object) -> str:
    """Take the address below which a server speaks DICOMweb, without the slash at its end."""
    address = limited(value, 1000)
    # What may hold a sign-in is not shown.
    if "@" in address:
        raise ValueError(
            'holds an "@", as a sign-in has. Write it as username and password, an @ of the path as "%40".'
        )
    if re.search("[?#]", address):
        raise ValueError('holds a "?" or "#". Write the address up to there, and a key to sign in under headers.')
    if parts := _web_address(address):
        if ".." in unquote(parts.path).split("/"):
            raise ValueError(f'{shown(address)} holds "..". Write the address without it.')
        return address.rstrip("/")
    raise ValueError(
        f'{shown(address)} is no address of a server. Write it as in "https://pacs.example.org/dicom-web".'
    )


def host(value: object) -> str:
    """Take the name or the IP address of a computer."""
    name = text(value)
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?", name):
        return name
    # Not shown: it may be an address with a sign-in.
    raise ValueError('is no name of a computer. Write the bare name or IP address: "pacs.example.org".')


def port(value: object) -> int:
    """Take the number of a TCP port."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**16:
        return value
    raise ValueError(f"{shown(value)} is no port. Write a whole number from 1 to 65535, without quotes.")


def ae_title(value: object) -> str:
    """Take an application entity's title (PS3.5 6.2, AE); spaces at its ends mean nothing."""
    title = text(value).strip()
    if len(title) <= 16 and title.isascii() and "\\" not in title:
        return title
    raise ValueError(f"{shown(title)} is no AE title. Write 1 to 16 characters of ASCII without a backslash.")


# --- how to sign in; nothing that stands in these keys is ever shown ------------------------------------------


def user(value: object) -> str:
    """Take the name of an account as HTTP knows it."""
    name = text(value)
    if ":" in name:
        raise ValueError("holds a colon, which no name of an account can (RFC 7617). Write the name alone.")
    return name


def secret(value: object) -> str:
    """Take a reference to a secret, never the secret."""
    if isinstance(value, str) and _refers(value):
        return value
    raise ValueError(f"is no reference, and no secret may stand in this file. {REFERENCES}")


def secrets(value: object) -> tuple[str, ...]:
    """Take a list of references to secrets, at least one."""
    if not isinstance(value, list) or not value:
        raise ValueError('is no list of references. Write them in brackets: ["env:TEAMS_URL"].')
    return tuple(dict.fromkeys(secret(reference) for reference in value))


def ping(value: object) -> str:
    """Take the address that is told of each run, or a reference to it."""
    if isinstance(value, str) and (_refers(value) or _web_address(value)):
        return value.rstrip("/")
    # Not shown: whoever has it can ping as well.
    raise ValueError('is no address. Write it as in "https://hc-ping.com/…", or name where it is: "env:PING_URL".')


def headers(value: object) -> dict[str, str]:
    """Take what is sent with each request: texts and references; what signs in is a reference."""
    if not isinstance(value, dict):
        raise ValueError('is no table. Write headers = { "X-Clinic" = "12" }.')
    names: set[str] = set()
    for written, content in value.items():
        name = written.casefold()
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", written):
            raise ValueError(f'{shown(written)} is no name of a header. Write one such as "X-Clinic".')
        if name in _OURS:
            raise ValueError(f"{shown(written)} is exactcopy's own to set. Remove it.")
        if name in names:
            raise ValueError(f"names {shown(written)} twice. Write it once.")
        names.add(name)
        if not isinstance(content, str) or not re.fullmatch(r"[!-~](?:[ -~]{0,998}[!-~])?", content):
            raise ValueError(
                f"{shown(written)} is no value of a header. Write 1 to 1000 characters of ASCII in quotes."
            )
        meant = _CREDENTIAL.search(name) or content.startswith(("env:", "file:"))
        if meant and not _refers(content):
            raise ValueError(f"{shown(written)} is no reference, and no secret may stand in this file. {REFERENCES}")
    return value


def _refers(value: str) -> bool:
    scheme, _, name = value.partition(":")
    match scheme:
        case "env":
            return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", name) is not None
        case "file":
            try:
                return bool(location(name))
            except ValueError:
                return False
    return False


Cluster = Annotated[str, PlainValidator(cluster)]
Bucket = Annotated[str, PlainValidator(bucket)]
Prefix = Annotated[str, PlainValidator(prefix)]
Endpoint = Annotated[str, PlainValidator(endpoint)]
Remote = Annotated[str, PlainValidator(remote)]
TimeStamps = Annotated[str, PlainValidator(time_stamps)]
Url = Annotated[str, PlainValidator(url)]
Host = Annotated[str, PlainValidator(host)]
Port = Annotated[int, PlainValidator(port)]
AeTitle = Annotated[str, PlainValidator(ae_title)]
User = Annotated[str, PlainValidator(user)]
Secret = Annotated[str, PlainValidator(secret)]
Secrets = Annotated[tuple[str, ...], PlainValidator(secrets)]
Ping = Annotated[str, PlainValidator(ping)]
Headers = Annotated[Mapping[str, str], PlainValidator(headers)]

# --- one way to write each place --------------------------------------------------------------------------


def resolved(base: Path, path: str) -> str:
    """Return the whole path without links."""
    # Not Path.resolve: it raises on a circle of links.
    return os.path.realpath(base / path)


def absolute(base: Path, path: str | None) -> str | None:
    """Return the whole path, its links left to be followed when it is opened."""
    return os.path.abspath(base / path) if path else None


def reference(base: Path, written: str | None) -> str | None:
    """Return a reference to a secret with the whole path of its file; anything else as it is."""
    scheme, _, path = (written or "").partition(":")
    return f"file:{absolute(base, path)}" if scheme == "file" else written


def service(endpoint: str | None) -> str:
    """Return one name for all addresses of a service: AWS has many, and each of them reaches every bucket."""
    parts = urlsplit((endpoint or "https://amazonaws.com").lower())
    if f".{_server(parts)}".endswith(".amazonaws.com"):
        return "amazonaws.com"
    return f"{_server(parts)}{parts.path.rstrip('/')}"


def web_service(address: str) -> str:
    """Return one name for all ways to write the address of a DICOMweb server."""
    parts = urlsplit(address)
    return _server(parts) + normpath(f"/{unquote(parts.path).strip('/')}")


def named(host: str) -> str:
    """Return one name for all ways to write a computer's."""
    return host.lower().rstrip(".")


def _server(parts: SplitResult) -> str:
    port = "" if parts.port in {None, 80, 443} else f":{parts.port}"
    return f"{named(parts.hostname or '')}{port}"


def _web_address(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if sound and not re.search(r"[\s?#]", address) else None
