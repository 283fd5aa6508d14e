"""What Linux shows of the file system that holds a folder; other systems show nothing of it here."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from exactcopy.model import Answer, Seen
from exactcopy.stores.hosts import is_this_computer, standing_for

# How the UUID of a mapping of the kernel's dm-crypt begins, by what opened it (cryptsetup, lib/libdevmapper.c).
# CRYPT-VERITY and CRYPT-INTEGRITY are checksums and CRYPT-SUBDEV is a part of another: none of them encrypts.
_ENCRYPTED = {
    "CRYPT-LUKS": "LUKS",
    "CRYPT-BITLK": "BitLocker",
    "CRYPT-FVAULT2": "FileVault",
    "CRYPT-TCRYPT": "VeraCrypt",
    "CRYPT-PLAIN": "dm-crypt",
    "CRYPT-LOOPAES": "dm-crypt",
}
# File systems that encrypt themselves. gocryptfs calls a view of plain files fuse.gocryptfs-reverse.
_ENCRYPTING = {"ecryptfs": "eCryptfs", "fuse.gocryptfs": "gocryptfs"}
_ON_THE_WAY = "not encrypted on the way"
_NFS = frozenset({"nfs", "nfs4"})
_SMB = frozenset({"cifs", "smb3"})
# Their files have no rights of their own: what is shown comes from the options of the mount.
# Others than NFS and SMB whose files lie on another computer.
_SHARES = frozenset({"afs", "ceph", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "lustre"})
# A hypervisor's disks: that they would have a head is the default of their drivers, and says nothing of what is behind.
_VIRTUAL = re.compile(r"/(virtio\d+|vbd-\d+|VMBUS:\w+|[0-9a-f]{8}-[0-9a-f-]{27})/")
_VIRTUAL_VENDORS = frozenset({"QEMU", "VMware", "Msft", "VBOX", "Google", "Amazon", "Nutanix", "VIRTUAL"})
_WITHOUT_RIGHTS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "9p", "iso9660", *_SMB})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mountinfo (proc(5)). `device` is MAJOR:MINOR; `source` is a device, a share, a name."""

    device: str
    filesystem: str
    source: str
    options: frozenset[str]

    @property
    def by_program(self) -> bool:
        """Whether a program keeps the files (FUSE), and not the kernel."""
        return self.filesystem.startswith("fuse")

    @property
    def has_rights(self) -> bool:
        """Whether the rights of its files are the files' own, and the kernel obeys them."""
        return self.filesystem not in _WITHOUT_RIGHTS and not self.by_program

    def option(self, name: str) -> str | None:
        """Return the value of an option."""
        found = (option.partition("=") for option in self.options)
        return next((value for key, _, value in found if key == name), None)


def mounted(path: bytes, proc: Path = Path("/proc/self")) -> Mount | None:
    """Return the mount that holds `path`; None where the system does not show it."""
    try:
        # The kernel names the mount of an open folder. Finding it by its path goes wrong where mounts hide mounts.
        folder = os.open(path, getattr(os, "O_PATH", os.O_RDONLY))
        try:
            shown = (proc / "fdinfo" / str(folder)).read_text(encoding="ascii")
        finally:
            os.close(folder)
        number = re.search(r"^mnt_id:\s+(\d+)$", shown, re.MULTILINE)
        table = (proc / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return mount_of(table, number[1]) if number else None


def mount_of(table: str, number: str) -> Mount | None:
    """Return mount `number` of the text of a mountinfo; None unless its line is just as proc(5) says."""
    for line in table.split("\n"):
        if not line.startswith(f"{number} "):
            continue
        # A space in a name is written as \040, so that this bar is the only one.
        before, _, after = line.partition(" - ")
        with suppress(ValueError):
            _, _, device, _, _, options, *_ = before.split(" ")
            filesystem, source, more = after.split(" ")
            return Mount(
                device=device,
                filesystem=filesystem,
                source=source,
                options=frozenset(f"{options},{more}".split(",")),
            )
    return None


def devices(mount: Mount, sysfs: Path = Path("/sys")) -> list[Path]:
    """Return the folders in sysfs of the block devices that hold a file system; none for a share or for memory."""
    place = sysfs / "dev" / "block" / mount.device
    if place.is_dir():
        return [place.resolve()]
    # btrfs shows a device that is none, and may lie on several.
    name = os.path.basename(os.path.realpath(mount.source))
    for members in (sysfs / "fs" / "btrfs").glob("*/devices") if mount.filesystem == "btrfs" else ():
        if (members / name).is_dir():
            return [member.resolve() for member in members.iterdir()]
    return []


def disks(places: list[Path]) -> set[str | None]:
    """Return the disks under block devices; None stands for one that does not show."""
    found: set[str | None] = set()
    for place in places:
        under = _under(place)
        # The disk under a loop device is that of its file, or it is not known.
        found |= disks(under) if under else {place.name if _file(place) is None else None}
    return found


def read_from_medium(mount: Mount) -> bool:
    """Whether what was dropped from this computer's memory is read from a disk of its own.

    What a program or a server reads for us may come from its memory, and so may a file that passes for a disk.
    """
    places = devices(mount)
    return bool(places) and not mount.by_program and not any(map(_on_loop, places))


def lies_on(mount: Mount, places: Sequence[Path]) -> str | None:
    """Say what holds a file system: a "spinning" disk, a "share" of another computer; None for all else.

    Of several disks one that spins is enough: all of them are waited for.
    """
    if mount.filesystem in _NFS | _SMB | _SHARES:
        return "share"
    return "spinning" if any(map(_spins, places)) else None


def encryption(mount: Mount, places: list[Path]) -> Seen | None:
    """Say that a file system is encrypted, where every device of it is; else None.

    Encryption by the drive itself, by a hypervisor or folder by folder does not show: not seen is not absent.
    """
    name = _ENCRYPTING.get(mount.filesystem) or _named(map(_mapping, places))
    return Seen(answer=Answer.PASS, detail=name) if name else None


def transport(mount: Mount) -> Seen | None:
    """Say whether what is read from a share is encrypted on the way; None where the mount does not tell."""
    # A tunnel begins on this computer, and what it does is not seen.
    local = is_this_computer(mount.option("addr") or "")
    if mount.filesystem in _NFS and not local and (security := mount.option("sec")):
        if security == "krb5p":
            return Seen(answer=Answer.PASS, detail="Kerberos")
        if mount.option("xprtsec") in {"tls", "mtls"}:
            return Seen(answer=Answer.PASS, detail="TLS")
        return Seen(answer=Answer.FAIL, detail=_ON_THE_WAY)
    if mount.filesystem in _SMB:
        if "seal" in mount.options:
            return Seen(answer=Answer.PASS, detail="SMB encryption")
        # From version 3 on a server may ask for encryption, which the options do not show.
        if not local and (mount.option("vers") or "").startswith(("1.", "2.")):
            return Seen(answer=Answer.FAIL, detail=_ON_THE_WAY)
    return None


def together(answers: Sequence[Seen | None]) -> Seen | None:
    """Return what holds of several file systems together: that one fails, or that all pass."""
    failed = next((seen for seen in answers if seen and seen.answer is Answer.FAIL), None)
    return failed or (answers[0] if answers and all(answers) else None)


def server(mount: Mount) -> str | None:
    """Return what stands for the server of a share, equal for all its shares; None where there is none."""
    if mount.filesystem not in _NFS | _SMB | {"fuse.sshfs"}:
        return None
    # server:/path, //server/share, user@server:path; an IPv6 address in brackets.
    named = re.match(r"(?://|[^@/]*@)?(\[[^\]]+\]|[^:/@]+)", mount.source)
    return standing_for(mount.option("addr") or (named[1].strip("[]") if named else ""))


def _mapping(place: Path) -> str | None:
    """Return what encrypts a device: itself, or everything that it lies on."""
    uuid = _text(place / "dm" / "uuid") or ""
    own = next((name for prefix, name in _ENCRYPTED.items() if uuid.startswith(prefix)), None)
    return own or _named(map(_mapping, _under(place)))


def _named(names: Iterable[str | None]) -> str | None:
    """Return what encrypts all parts of something; None where it has none, or one that nothing is seen to encrypt."""
    found = set(names)
    return None if None in found else " and ".join(sorted(name for name in found if name)) or None


def _under(place: Path) -> list[Path]:
    """Return what a block device lies on: a partition on its disk, a mapping on its parts, a loop on its file's."""
    if (place / "partition").exists():
        return [place.parent]
    if (file := _file(place)) is not None:
        holder = mounted(os.fsencode(file))
        return devices(holder) if holder else []
    with suppress(OSError):
        return [part.resolve() for part in (place / "slaves").iterdir()]
    return []


def _spins(place: Path) -> bool:
    """Whether a device lies on a disk with a head. A disk that a hypervisor makes up is not known to have one."""
    if under := _under(place):
        return any(map(_spins, under))
    if _VIRTUAL.search(f"{place}/") or (_text(place / "device" / "vendor") or "").strip() in _VIRTUAL_VENDORS:
        return False
    return _file(place) is None and _text(place / "queue" / "rotational") == "1"


def _on_loop(place: Path) -> bool:
    return _file(place) is not None or any(map(_on_loop, _under(place)))


def _file(place: Path) -> str | None:
    """Return the file behind a loop device."""
    return _text(place / "loop" / "backing_file")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
    except OSError:
        return None
