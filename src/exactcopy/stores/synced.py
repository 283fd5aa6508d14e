"""Local folders of sync clients, and the files in them whose content lies only in the cloud."""

import json
import os
import re

from exactcopy.model import Problem

# What clients put into the top of a folder that they keep in step.
_MARKS = {
    # The folder of the first name in a home is where the client keeps its own things.
    ".dropbox": ("Dropbox", os.path.isfile),
    ".dropbox.cache": ("Dropbox", os.path.isdir),
    ".tmp.drivedownload": ("Google Drive", os.path.isdir),
    ".tmp.driveupload": ("Google Drive", os.path.isdir),
    ".shortcut-targets-by-id": ("Google Drive", os.path.isdir),
    ".849C9593-D756-4E56-8D6E-42412F2A707B": ("OneDrive", os.path.isfile),
}
# Where clients put their folders. Since macOS 12.1 they all lie in CloudStorage, as <client>-<account>.
_PLACES = {
    r"/Library/CloudStorage/GoogleDrive\b": "Google Drive",
    r"/Library/CloudStorage/OneDrive\b": "OneDrive",
    r"/Library/CloudStorage/Dropbox\b": "Dropbox",
    r"/Library/CloudStorage/Box\b": "Box",
    r"/Library/CloudStorage/": "a cloud service",
    r"/Library/Mobile Documents/": "iCloud Drive",
    r"^/Volumes/GoogleDrive\b": "Google Drive",
    r"/(?:home|Users)/[^/]+/OneDrive(?: - [^/]+)?/": "OneDrive",
}

# How systems mark a file that is fetched when it is read: macOS (chflags(2)), Windows (file attributes: offline,
# recall on open, recall on data access).
_DATALESS = 0x40000000
_RECALLED = 0x1000 | 0x40000 | 0x400000
# True where the system has such marks.
MARKED = hasattr(os.stat_result, "st_flags") or hasattr(os.stat_result, "st_file_attributes")
# Small files that stand for others: of iCloud before macOS 14, of ownCloud, Nextcloud and odrive.
_STUBS = (b".icloud", b".owncloud", b".nextcloud", b".cloud")
# Names of documents that only Google's editors open.
_DOCUMENTS = (b".gdoc", b".gsheet", b".gslides", b".gdraw", b".gform", b".gmap", b".gsite", b".gjam", b".gtable")


def sync_client(path: bytes) -> str | None:
    """Return the name of the sync client in whose local folder `path` lies, by the marks that clients leave.

    None is no proof that there is none.
    """
    place = os.path.realpath(os.fsdecode(path))
    for pattern, client in _PLACES.items():
        if re.search(pattern, f"{place}/"):
            return client
    if any(os.path.commonpath([folder, place]) == folder for folder in _dropbox_folders()):
        return "Dropbox"
    while True:
        for name, (client, kind) in _MARKS.items():
            # Asked first, for it is asked often and answered by no.
            if os.access(mark := f"{place}/{name}", os.F_OK) and kind(mark):
                return client
        if place == (place := os.path.dirname(place)):
            return None


def stand_in(name: bytes, status: os.stat_result, *, synced: bool) -> Problem | None:
    """Return what a file is in place of its content, without opening it: opening would download it.

    `synced`: it lies in the folder of a sync client. Elsewhere a file may well be sparse, and be named as it likes.
    """
    if getattr(status, "st_flags", 0) & _DATALESS or getattr(status, "st_file_attributes", 0) & _RECALLED:
        return Problem.PLACEHOLDER
    if not synced:
        return None
    name = name.lower()
    if name.endswith(_DOCUMENTS):
        return Problem.DOCUMENT
    return Problem.PLACEHOLDER if name.endswith(_STUBS) or (status.st_size and not status.st_blocks) else None


def _dropbox_folders() -> list[str]:
    """Return the folders of this account's Dropbox, by the file that Dropbox documents for programs."""
    try:
        with open(os.path.expanduser("~/.dropbox/info.json"), encoding="utf-8") as file:
            return [os.path.realpath(account["path"]) for account in json.load(file).values()]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []
