"""Orthanc beside its DICOMweb: what its REST API tells of what it stores. It is only ever asked.

The MD5 is that of the stored file. This is the file that was sent if it came over the web; what came by C-STORE got
another file meta group. To verify it the server reads the file, unless it still holds it in its memory.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from exactcopy.digest import MD5
from exactcopy.model import UNSIZED, Copy
from exactcopy.stores.dicomweb.client import Server

_PLUGIN = "dicom-web"


@dataclass(frozen=True, slots=True)
class Orthanc:
    """The REST API of an Orthanc."""

    server: Server

    def count(self) -> int | None:
        """Return how many instances it says that it has."""
        said = self._json("/statistics")
        count = said.get("CountInstances") if isinstance(said, dict) else None
        return count if isinstance(count, int) else None

    def told(self, copy: Copy) -> Copy:
        """Return `copy` with the size and MD5 of its stored file, and that as its version, if the server verifies it.

        Without any of them where it does not, or where two instances bear that UID.
        """
        untold = replace(copy, size=UNSIZED, version=None, digests={})
        found = self._json("/tools/lookup", copy.sop_instance_uid or "")
        items = found if isinstance(found, list) else []
        names = [item.get("ID") for item in items if isinstance(item, dict) and item.get("Type") == "Instance"]
        if len(names) != 1 or not re.fullmatch(r"[0-9a-f-]{1,64}", str(names[0])):
            return untold
        file = f"/instances/{names[0]}/attachments/dicom"
        if self._ask(f"{file}/verify-md5", "") is None:
            return untold
        # Of an attachment that is kept compressed both are those of the file in it (measured).
        md5, size = self._ask(f"{file}/md5") or "", self._ask(f"{file}/size") or ""
        if not re.fullmatch(r"[0-9a-f]{32}", md5) or not re.fullmatch(r"[0-9]{1,15}", size):
            return untold
        return replace(copy, size=int(size), version=md5, digests={MD5: bytes.fromhex(md5)})

    def _json(self, path: str, said: str | None = None) -> Any:
        try:
            return json.loads(self._ask(path, said) or "null")
        except ValueError:
            return None

    def _ask(self, path: str, said: str | None = None) -> str | None:
        """Return the answer to a GET, or to one of the two questions that are put by POST; None where there is none."""
        if said is not None and path != "/tools/lookup" and not path.endswith("/verify-md5"):
            raise ValueError(path)
        try:
            answer = self.server.pool.request(
                "GET" if said is None else "POST",
                f"{self.server.url}{path}",
                body=said,
                headers={**self.server.pool.headers, "Content-Type": "text/plain"},
            )
            return answer.data.decode() if answer.status == 200 else None
        except (HTTPError, OSError, ValueError):
            return None


def beside(server: Server) -> Orthanc | None:
    """Return the Orthanc whose DICOMweb plugin `server` is; None where it is none, or does not say so."""
    root, _, last = server.url.rpartition("/")
    if not urlsplit(root).netloc:
        return None
    orthanc = Orthanc(replace(server, url=root))
    system, plugin = orthanc._json("/system"), orthanc._json(f"/plugins/{_PLUGIN}")
    if not isinstance(system, dict) or not isinstance(plugin, dict):
        return None
    # Another server could be reached there than the one that answers at `url`.
    here = f"/{last}/" in str(plugin.get("RootUri", f"/{last}/"))
    return orthanc if "ApiVersion" in system and plugin.get("ID") == _PLUGIN and here else None
