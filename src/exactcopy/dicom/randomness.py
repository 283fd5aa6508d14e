"""Tell what looks like random bytes from other files that are no DICOM: encryption leaves nothing else."""

from collections import Counter
from math import log

# So many bytes tell. The pixels of a compressed image are random, too: only what has lost its header is looked at.
TELLING_BYTES = 4096
_FEWEST = 1024
_TOLERANCE = 0.1
# Compressed formats that begin with little but their name: PNG, JPEG, GIF, RIFF, Ogg, LZ4, WOFF, zlib (RFC 1950), PDF.
_NAMED = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"OggS",
    b"\x04\x22\x4d\x18",
    b"wOF",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"%PDF",
)


def looks_random(beginning: bytes | bytearray) -> bool:
    """Say whether a file that begins so looks encrypted: no format is named, and any byte is as likely as any other.

    Of few bytes it cannot be told.
    """
    told = beginning[:TELLING_BYTES]
    size = len(told)
    if size < _FEWEST or told.startswith(_NAMED):
        return False
    entropy = log(size, 2) - sum(count * log(count, 2) for count in Counter(told).values()) / size
    # What random bytes come to, so few of them (Miller 1955).
    expected = 8 - 255 / (2 * size * log(2))
    return entropy > expected - _TOLERANCE
