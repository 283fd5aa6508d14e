"""Which provider holds the bytes of a remote in the end, and what is known of that kind of provider."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Providers that keep checksums of what they hold. Of any other rclone would read every byte to compute them.
REPORTING = frozenset(
    [
        "azureblob",
        "azurefiles",
        "b2",
        "box",
        "drive",
        "dropbox",
        "google cloud storage",
        "huaweidrive",
        "jottacloud",
        "koofr",
        "onedrive",
        "opendrive",
        "oracleobjectstorage",
        "pcloud",
        "qingstor",
        "s3",
        "sharefile",
        "swift",
        "yandex",
    ]
)
# Providers that are reached by https, unless an address in the settings says otherwise.
HTTPS = frozenset(
    [
        "azureblob",
        "azurefiles",
        "b2",
        "box",
        "drive",
        "dropbox",
        "google cloud storage",
        "google photos",
        "jottacloud",
        "koofr",
        "onedrive",
        "pcloud",
        "s3",
        "sharefile",
        "yandex",
    ]
)
# Asked for many folders at once, rclone may drop an error of the last of them and end well, with a part of the objects
# (1.75.2: drive.go, ListR: an error counts only while the channel of jobs is open).
LISTED_BY_FOLDER = frozenset({"drive"})
# Measured: rclone pauses between two requests to these. Of others no bound is known.
_OBJECTS_PER_SECOND = {"drive": 12.0, "dropbox": 90.0, "webdav": 90.0}
# Remotes that hand on what another one holds, which their setting `remote` names.
_WRAPPERS = frozenset({"alias", "cache", "chunker", "compress", "crypt", "hasher"})
_DEEPEST = 8
# A name, or a kind behind a colon; settings; a path. In quotes a colon ends nothing.
_REMOTE = re.compile(r"""(:?[\w.+@ -]+)(,(?:"[^"]*"|'[^']*'|[^:"'])*)?:(.*)""", re.DOTALL)

Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What holds the bytes: its kind, its name in the configuration, the folder there.

    `folder` is None where a wrapper gives folders names of its own. `wrappers` are the kinds before it, outermost
    first; an alias is none. `settings` may hold secrets; None: some stand in the address and are not known.
    `encrypted` is what crypt does, if it is one of the wrappers.
    """

    kind: str
    name: str
    folder: str | None
    settings: Settings | None = field(repr=False)
    wrappers: tuple[str, ...] = ()
    encrypted: bool | None = None

    @property
    def spoken_to(self) -> str:
        """The kind that answers when the remote is asked."""
        return self.wrappers[0] if self.wrappers else self.kind

    def setting(self, name: str) -> str:
        """Return what is set; nothing where that is not known."""
        return (self.settings or {}).get(name, "")


def objects_per_second(kind: str) -> float | None:
    """Return how many objects can be read in a second at the pace that rclone keeps; None: no bound is known."""
    return _OBJECTS_PER_SECOND.get(kind)


def resolve(remote: str, configured: Callable[[str], Settings]) -> Remote:
    """Return what holds the bytes of `remote`; `configured` gives the settings of a name."""
    folder: str | None = ""
    wrappers: list[str] = []
    encrypted = None
    for depth in range(_DEEPEST + 1):
        name, overridden, below = _parts(remote)
        folder = None if folder is None else _joined(below, folder)
        settings = _settings(name, configured)
        kind = settings.get("type", "")
        if depth == _DEEPEST or kind not in _WRAPPERS or "remote" not in settings:
            break
        if kind == "crypt":
            encrypted = not said_yes(settings, "no_data_encryption") and encrypted is not False
        if kind != "alias":
            wrappers.append(kind)
            folder = None
        remote = settings["remote"]
    return Remote(
        kind=kind,
        name=name,
        folder=folder,
        settings=None if overridden else settings,
        wrappers=tuple(wrappers),
        encrypted=encrypted,
    )


def said_yes(settings: Settings, name: str) -> bool:
    """Say whether a switch is on."""
    return settings.get(name, "").lower() in {"1", "t", "true"}


def _parts(remote: str) -> tuple[str, bool, str]:
    """Return the name, whether the address holds settings, and the folder."""
    parts = _REMOTE.fullmatch(remote)
    return (parts[1], parts[2] is not None, parts[3]) if parts else (":local", False, remote)


def _joined(above: str, below: str) -> str:
    return f"{above.rstrip('/')}/{below}" if above and below else above or below


def _settings(name: str, configured: Callable[[str], Settings]) -> Settings:
    """Return what rclone goes by: the surroundings before its configuration, a remote before its kind."""
    if name.startswith(":"):
        kind = name[1:]
        return {**_surrounding(f"RCLONE_{kind}_"), "type": kind}
    settings, own = configured(name), _surrounding(f"RCLONE_CONFIG_{name}_")
    kind = own.get("type") or settings.get("type") or name
    return {**settings, **_surrounding(f"RCLONE_{kind}_"), **own, "type": kind}


def _surrounding(prefix: str) -> Settings:
    return {name[len(prefix) :].lower(): value for name, value in os.environ.items() if name.startswith(prefix.upper())}
