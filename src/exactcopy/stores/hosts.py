"""What stands for another computer, so that two stores on it can be told to fail together."""

import hashlib

THIS_COMPUTER = frozenset({"127.0.0.1", "::1", "localhost"})


def standing_for(server: str) -> str | None:
    """Return a hash of a server's name, for the name itself is not to be printed; equal for all that lies there.

    None where there is no name, or where it is this computer's: its own disks, or the end of a tunnel to anywhere.
    """
    name = server.casefold()
    if not name or name in THIS_COMPUTER:
        return None
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
