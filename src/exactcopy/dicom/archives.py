"""Tell an archive, which may hold images, from anything else that is no DICOM, by how it begins."""

# APPNOTE 4.3.7 (also of an empty and of a split zip), RFC 1952, bzip2, xz, 7z, rar, RFC 8878.
_BEGINNINGS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x07\x08",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",
)
_TAR_AT, _TAR = 257, b"ustar"  # POSIX.1-1988: the magic of its first header
TELLING = _TAR_AT + len(_TAR)  # so many bytes tell


def is_archive(beginning: bytes | bytearray) -> bool:
    """Say whether a file that begins so is a zip, a tar or another archive or compressed file."""
    return beginning.startswith(_BEGINNINGS) or beginning[_TAR_AT:TELLING] == _TAR
