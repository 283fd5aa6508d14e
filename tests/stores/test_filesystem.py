"""What is told of a file system: from real mounts where this computer has them, else from lines and trees as Linux
writes them."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exactcopy.model import Answer, Seen
from exactcopy.stores.filesystem import (
    Mount,
    devices,
    disks,
    encryption,
    lies_on,
    mount_of,
    mounted,
    read_from_medium,
    server,
    together,
    transport,
)
from tests.stores.drives import Drive, mount_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/mountinfo")

MOUNTINFO = r"""27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
127 27 8:17 / /media/x\040ray\040-\040backup rw,nosuid shared:2 master:1 - exfat /dev/sdb1 rw,uid=1000
31 27 0:51 /sub /mnt/nas ro - nfs4 nas:/volume\0401 rw,vers=4.2,sec=krb5p,addr=192.0.2.7
32 27 0:52 / /mnt/odd rw - fuse.rclone gdrive: rw extra
33 27 0:53 / /mnt/short rw fuse x rw
"""


def mount(filesystem: str, source: str = "", options: str = "rw", device: str = "8:1") -> Mount:
    """Make a mount."""
    return Mount(device=device, filesystem=filesystem, source=source, options=frozenset(options.split(",")))


class TestTable:
    """Lines of mountinfo."""

    def test_a_line_is_taken_whole_and_by_its_own_number(self) -> None:
        assert mount_of(MOUNTINFO, "27") == mount("ext4", "/dev/vda", "rw,relatime,discard", "254:0")
        assert mount_of(MOUNTINFO, "127") == mount("exfat", "/dev/sdb1", "rw,nosuid,uid=1000", "8:17")
        nas = mount_of(MOUNTINFO, "31")
        assert nas is not None
        assert (nas.filesystem, nas.option("sec"), nas.option("addr")) == ("nfs4", "krb5p", "192.0.2.7")

    def test_what_is_not_as_it_should_be_tells_nothing(self) -> None:
        assert [mount_of(MOUNTINFO, number) for number in ("32", "33", "7", "")] == [None] * 4


@linux
class TestRealMounts:
    """What the kernel of this computer shows."""

    def test_each_folder_shows_the_file_system_that_it_lies_on(self, tmp_path: Path) -> None:
        here, system = mounted(os.fsencode(tmp_path)), mounted(b"/proc/self")
        assert here is not None
        assert system is not None
        assert system.filesystem == "proc"
        assert here.filesystem not in {"proc", "sysfs"}
        assert mounted(os.fsencode(tmp_path / "gone")) is None
        assert mounted(os.fsencode(tmp_path), proc=tmp_path) is None

    def test_a_mount_that_hides_another_is_the_one_that_is_told(self, tmp_path: Path) -> None:
        below = tmp_path / "outer" / "inner"
        below.mkdir(parents=True)
        with mount_memory(below, "mode=700"), mount_memory(tmp_path / "outer", "mode=755"):
            below.mkdir()
            found = mounted(os.fsencode(below))
        # By its path the hidden one would be the nearest.
        assert found is not None
        assert (found.filesystem, found.option("mode")) == ("tmpfs", "755")

    def test_memory_is_no_medium(self, tmp_path: Path) -> None:
        with mount_memory(tmp_path):
            found = mounted(os.fsencode(tmp_path))
            assert found is not None
            assert devices(found) == []
            assert encryption(found, devices(found)) is None
            assert not read_from_medium(found)

    def test_a_file_that_passes_for_a_disk_lies_on_the_disk_of_the_file(self, drive: Drive) -> None:
        found, holder = mounted(os.fsencode(drive.place)), mounted(os.fsencode(drive.image))
        assert found is not None
        assert holder is not None
        assert found.filesystem == "ext4"
        assert found.source.startswith("/dev/loop")
        assert disks(devices(found)) == (disks(devices(holder)) or {None})
        assert not read_from_medium(found), "the file may be read from memory"


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """An ext4 drive that is connected."""
    with Drive.made(tmp_path / "drive.img", tmp_path / "drive") as made:
        yield made


def sysfs(root: Path, tree: Mapping[str, tuple[str, ...]], mappings: Mapping[str, str] | None = None) -> list[Path]:
    """Make the part of sysfs that shows block devices as Linux does: `tree` holds what each lies on.

    Gives what shows of a file system on the first; sdb1 is a partition of sdb.
    """
    places: dict[str, Path] = {}
    numbers: dict[str, str] = {}
    for number, name in enumerate(tree):
        disk = name.rstrip("0123456789") if name.startswith("sd") else name
        place = root / "devices" / disk / name if disk != name else root / "devices" / name
        (place / "slaves").mkdir(parents=True)
        if disk != name:
            (place / "slaves").rmdir()
            (place / "partition").write_text("1\n")
        if name in (mappings or {}):
            (place / "dm").mkdir()
            (place / "dm" / "uuid").write_text((mappings or {})[name] + "\n")
        places[name], numbers[name] = place, f"8:{number}"
    (root / "dev" / "block").mkdir(parents=True)
    for name, under in tree.items():
        (root / "dev" / "block" / numbers[name]).symlink_to(places[name])
        for part in under:
            (places[name] / "slaves" / part).symlink_to(places[part])
    return devices(mount("ext4", device="8:0"), sysfs=root)


def turning(root: Path, disk: str, *, vendor: str = "", rotational: str = "1") -> None:
    """Let a disk of a made sysfs say that it turns, as Linux does of each whole disk."""
    place = root / "devices" / disk
    (place / "queue").mkdir()
    (place / "queue" / "rotational").write_text(f"{rotational}\n")
    if vendor:
        (place / "device").mkdir()
        (place / "device" / "vendor").write_text(f"{vendor:<8}\n")


LUKS = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-backup"
LVM = "LVM-0123456789abcdef"
SECRET = {"dm-0": LUKS}


class TestEncryption:
    """A made sysfs: dm-crypt needs a kernel with device-mapper."""

    @pytest.mark.parametrize(
        ("uuid", "name"),
        [
            (LUKS, "LUKS"),
            ("CRYPT-LUKS1-0123456789abcdef0123456789abcdef-backup", "LUKS"),
            ("CRYPT-BITLK-backup", "BitLocker"),
            ("CRYPT-TCRYPT-backup", "VeraCrypt"),
            ("CRYPT-PLAIN-backup", "dm-crypt"),
            ("CRYPT-VERITY-0123456789abcdef-backup", None),
            ("CRYPT-INTEGRITY-0123456789abcdef-backup", None),
            ("CRYPT-SUBDEV-0123456789abcdef-backup", None),
            (LVM, None),
            ("", None),
        ],
    )
    def test_a_mapping_encrypts_or_does_not(self, tmp_path: Path, uuid: str, name: str | None) -> None:
        places = sysfs(tmp_path, {"dm-0": ("sdb1",), "sdb1": (), "sdb": ()}, {"dm-0": uuid})
        assert encryption(mount("ext4"), places) == (Seen(answer=Answer.PASS, detail=name) if name else None)
        assert disks(places) == {"sdb"}

    def test_a_plain_disk_is_not_seen_to_be_encrypted(self, tmp_path: Path) -> None:
        places = sysfs(tmp_path, {"sdb1": (), "sdb": ()})
        assert encryption(mount("ext4"), places) is None
        assert disks(places) == {"sdb"}

    def test_encryption_shows_through_whatever_lies_on_it(self, tmp_path: Path) -> None:
        tree = {"dm-2": ("dm-1",), "dm-1": ("md0",), "md0": ("dm-0",), "dm-0": ("sdb1",), "sdb1": (), "sdb": ()}
        places = sysfs(tmp_path, tree, SECRET | {"dm-1": LVM, "dm-2": "CRYPT-INTEGRITY-x"})
        assert encryption(mount("xfs"), places) == Seen(answer=Answer.PASS, detail="LUKS")
        assert disks(places) == {"sdb"}

    def test_one_plain_part_is_enough_for_none(self, tmp_path: Path) -> None:
        tree = {"dm-1": ("dm-0", "sdc"), "dm-0": ("sdb",), "sdb": (), "sdc": ()}
        places = sysfs(tmp_path, tree, SECRET | {"dm-1": LVM})
        assert encryption(mount("ext4"), places) is None
        assert disks(places) == {"sdb", "sdc"}

    def test_two_encrypted_parts_are_enough(self, tmp_path: Path) -> None:
        tree = {"md0": ("dm-0", "dm-1"), "dm-0": ("sdb",), "dm-1": ("sdc",), "sdb": (), "sdc": ()}
        places = sysfs(tmp_path, tree, SECRET | {"dm-1": LUKS})
        assert encryption(mount("ext4"), places) == Seen(answer=Answer.PASS, detail="LUKS")

    @pytest.mark.parametrize(("second", "name"), [(LUKS, "LUKS"), (LVM, None)])
    def test_btrfs_is_encrypted_where_all_of_its_devices_are(
        self, tmp_path: Path, second: str, name: str | None
    ) -> None:
        tree = {"dm-0": ("sdb",), "dm-1": ("sdc",), "sdb": (), "sdc": ()}
        sysfs(tmp_path, tree, SECRET | {"dm-1": second})
        members = tmp_path / "fs" / "btrfs" / "0b7c3a56" / "devices"
        members.mkdir(parents=True)
        for part in ("dm-0", "dm-1"):
            (members / part).symlink_to(tmp_path / "devices" / part)
        pool = mount("btrfs", "/dev/dm-0", device="0:45")
        places = devices(pool, sysfs=tmp_path)
        assert disks(places) == {"sdb", "sdc"}
        assert encryption(pool, places) == (Seen(answer=Answer.PASS, detail=name) if name else None)
        assert devices(mount("btrfs", "/dev/dm-7", device="0:45"), sysfs=tmp_path) == []

    def test_a_loop_device_without_its_file_shows_no_disk(self, tmp_path: Path) -> None:
        places = sysfs(tmp_path, {"loop0": ()})
        (places[0] / "loop").mkdir()
        (places[0] / "loop" / "backing_file").write_text(f"{tmp_path}/gone (deleted)\n")
        assert disks(places) == {None}
        assert encryption(mount("ext4"), places) is None

    @pytest.mark.parametrize(
        ("filesystem", "name"),
        [
            ("ecryptfs", "eCryptfs"),
            ("fuse.gocryptfs", "gocryptfs"),
            ("fuse.gocryptfs-reverse", None),  # an encrypted view of plain files
            ("fuse.encfs", None),  # so may this be: it does not show
            ("ntfs", None),
        ],
    )
    def test_a_file_system_that_encrypts_itself(self, filesystem: str, name: str | None) -> None:
        assert encryption(mount(filesystem), []) == (Seen(answer=Answer.PASS, detail=name) if name else None)


@pytest.mark.parametrize(
    ("filesystem", "options", "answer"),
    [
        ("nfs4", "rw,vers=4.2,sec=krb5p,addr=192.0.2.7", Answer.PASS),
        ("nfs4", "rw,vers=4.2,sec=sys,xprtsec=mtls,addr=192.0.2.7", Answer.PASS),
        ("nfs4", "rw,vers=4.2,sec=krb5i,addr=192.0.2.7", Answer.FAIL),
        ("nfs", "rw,vers=3,sec=sys,addr=192.0.2.7", Answer.FAIL),
        ("nfs4", "rw,vers=4.2,sec=sys,addr=127.0.0.1", None),
        ("nfs4", "rw,vers=4.2,addr=192.0.2.7", None),
        ("cifs", "rw,vers=3.1.1,seal,addr=192.0.2.7", Answer.PASS),
        ("cifs", "rw,vers=3.1.1,addr=192.0.2.7", None),
        ("cifs", "rw,vers=2.1,addr=192.0.2.7", Answer.FAIL),
        ("cifs", "rw,vers=1.0,addr=192.0.2.7", Answer.FAIL),
        ("cifs", "rw", None),
        ("ext4", "rw", None),
        ("fuse.rclone", "rw", None),
    ],
)
def test_the_way_to_a_share_is_judged_by_the_options_as_linux_writes_them(
    filesystem: str, options: str, answer: Answer | None
) -> None:
    seen = transport(mount(filesystem, "nas:/images", options))
    assert (seen.answer if seen else None) is answer


def test_several_file_systems_pass_only_together() -> None:
    good, other, bad = (
        Seen(answer=answer, detail=detail)
        for answer, detail in ((Answer.PASS, "LUKS"), (Answer.PASS, "BitLocker"), (Answer.FAIL, ""))
    )
    assert together([good, other]) == good
    assert together([good, None]) is None
    assert together([None, good, bad]) == bad
    assert together([None]) is None
    assert together([]) is None


def test_shares_of_one_server_are_told_to_be_so_without_its_name() -> None:
    shares = [
        mount("nfs4", "NAS.clinic.example:/volume1/images", "rw,sec=sys"),
        mount("cifs", "//nas.clinic.example/backup", "rw,vers=3.1.1"),
        mount("fuse.sshfs", "root@nas.clinic.example:/volume2", "rw"),
    ]
    names = {server(share) for share in shares}
    assert len(names) == 1
    (name,) = names
    assert name is not None
    assert "nas" not in name
    assert server(mount("cifs", "//other.clinic.example/backup", "rw")) != name
    # Two names of one server have one address.
    by_address = {server(mount("nfs4", f"{alias}:/x", "rw,addr=192.0.2.7")) for alias in ("nas", "storage")}
    assert len(by_address) == 1
    assert server(mount("nfs4", "[2001:db8::7]:/x", "rw")) == server(mount("nfs4", "y:/x", "rw,addr=2001:db8::7"))
    # A share of this computer may be its own disk.
    here = (mount("nfs4", "nas:/x", "rw,addr=127.0.0.1"), mount("fuse.sshfs", "root@localhost:/x"))
    for local in (*here, mount("ext4", "/dev/sdb1"), mount("9p", "C:\\134"), mount("fuse.rclone", "gdrive:xrays")):
        assert server(local) is None


@pytest.mark.parametrize(
    ("filesystem", "own"),
    [("ext4", True), ("nfs4", True), ("btrfs", True), ("exfat", False), ("ntfs3", False), ("fuseblk", False)],
)
def test_file_systems_without_rights_are_known(filesystem: str, own: bool) -> None:
    assert mount(filesystem).has_rights is own


class TestWhatItLiesOn:
    """A made sysfs: of the disks of this computer nothing is known."""

    @pytest.mark.parametrize(
        ("vendor", "rotational", "found"),
        [
            ("ATA", "1", "spinning"),
            ("WD", "1", "spinning"),
            ("", "1", "spinning"),
            ("ATA", "0", None),
            # Hypervisors say so of every disk that they make up.
            ("QEMU", "1", None),
            ("VMware", "1", None),
            ("Msft", "1", None),
        ],
    )
    def test_a_disk_turns_or_does_not(self, tmp_path: Path, vendor: str, rotational: str, found: str | None) -> None:
        places = sysfs(tmp_path, {"sdb1": (), "sdb": ()})
        turning(tmp_path, "sdb", vendor=vendor, rotational=rotational)
        assert lies_on(mount("ext4"), places) == found

    @pytest.mark.parametrize("bus", ["virtio1", "vbd-51712", "VMBUS:00", "f8b3781a-1e82-4818-a1c3-63d806ec15bb"])
    def test_a_disk_on_the_bus_of_a_hypervisor_is_not_known_to_turn(self, tmp_path: Path, bus: str) -> None:
        root = tmp_path / bus
        root.mkdir()
        places = sysfs(root, {"vda": ()})
        turning(root, "vda")
        assert lies_on(mount("ext4"), places) is None

    def test_one_disk_that_turns_is_enough_whatever_lies_on_it(self, tmp_path: Path) -> None:
        tree = {"dm-0": ("md0",), "md0": ("sdb1", "sdc"), "sdb1": (), "sdb": (), "sdc": ()}
        places = sysfs(tmp_path, tree, SECRET)
        turning(tmp_path, "sdc", rotational="0")
        assert lies_on(mount("xfs"), places) is None
        turning(tmp_path, "sdb", vendor="ATA")
        assert lies_on(mount("xfs"), places) == "spinning"

    @pytest.mark.parametrize("filesystem", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"])
    def test_a_share_is_one_by_its_kind(self, filesystem: str) -> None:
        assert lies_on(mount(filesystem, device="0:51"), []) == "share"

    def test_memory_is_neither(self) -> None:
        assert lies_on(mount("tmpfs", device="0:23"), []) is None
