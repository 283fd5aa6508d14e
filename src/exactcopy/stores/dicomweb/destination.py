"""A PACS that receives test restores by STOW-RS (PS3.18 10.5), and is cleaned up by its own means."""

import json
import secrets
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Self

from urllib3.exceptions import HTTPError

from exactcopy.errors import StoreUnavailable
from exactcopy.model import Copy, Target
from exactcopy.stores import Sent
from exactcopy.stores.dicomweb import DicomwebStore
from exactcopy.stores.dicomweb.client import connect, resource, unreachable
from exactcopy.stores.dicomweb.finding import Finder
from exactcopy.stores.dicomweb.orthanc import beside

_JSON = "application/dicom+json"
_REFERENCED, _SOP_INSTANCE = "00081199", "00081155"
# So much goes into one request, or a single larger instance.
_REQUEST_BYTES = 32 * 1024 * 1024
_PIECE = 256 * 1024
# A picture of a mammogram is a tenth of this.
_MOST_PICTURE = 64 * 1024 * 1024
_REMOVED = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT)
_NOT_OFFERED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


class DicomwebDestination:
    """Receives instances over the web; what it holds is asked for as of any other DICOMweb server."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before it is entered."""
        self._target = target
        self.store = DicomwebStore(target)

    def __enter__(self) -> Self:
        """Ask for one study: proof of all that leads there."""
        self.store.__enter__()
        self._server = connect(self._target)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._server.pool.clear()
        self.store.__exit__(kind, error, trace)

    def holds(self, study_instance_uid: str) -> bool:
        """Ask for the study."""
        answer = Finder(self._server).ask("STUDY", {"StudyInstanceUID": study_instance_uid}, enough=1)
        if answer.problem and not answer.rows:
            raise StoreUnavailable(
                "no_answer", self._target.name, "the server does not say what it holds", "Ask who runs it."
            )
        return bool(answer.rows)

    def put(self, instances: Sequence[Sent]) -> frozenset[str]:
        """Send the instances, several at a time; those of a request that took not all of them once more, alone."""
        accepted: set[str] = set()
        for some in _batches(instances):
            taken = self._send(some)
            accepted |= taken
            if len(some) > 1:
                for one in some:
                    accepted |= self._send([one]) if one.sop_instance_uid not in taken else set()
        return frozenset(accepted)

    def rendered(self, copy: Copy) -> bool | None:
        """Ask for a picture of an instance, and look whether it is one (PS3.18 10.4.1.1.2)."""
        path = resource(copy.study_instance_uid, copy.series_instance_uid, copy.sop_instance_uid)
        try:
            answer = self._server.get(f"{path}/rendered", "image/jpeg")
            content = answer.read(_MOST_PICTURE)
            answer.release_conn()
        except (HTTPError, OSError) as error:
            raise unreachable(self._target.name, error) from None
        if answer.status in _NOT_OFFERED:
            return None
        return answer.status == HTTPStatus.OK and _is_picture(content)

    def remove(self, instances: Sequence[Sent]) -> bool:
        """Delete each instance over the web, or where that is not offered by Orthanc's own REST."""
        done = True
        for each in instances:
            status = self._delete(each)
            removed = status in _REMOVED or (status in _NOT_OFFERED and self._remove_from_orthanc(each))
            # What it did not take is not there: nothing is left to remove.
            done = (removed or (status == HTTPStatus.NOT_FOUND and self._lacks(each))) and done
        return done

    def _lacks(self, instance: Sent) -> bool:
        """Say whether the server says cleanly that it has no such image in that study."""
        if not _addressable(instance):
            return False
        asked = {"StudyInstanceUID": instance.study_instance_uid, "SOPInstanceUID": ""}
        answer = Finder(self._server).ask("IMAGE", asked)
        there = {row["SOPInstanceUID"] for row in answer.rows}
        return answer.problem is None and instance.sop_instance_uid not in there

    def _delete(self, instance: Sent) -> int:
        if not _addressable(instance):
            return HTTPStatus.NOT_FOUND
        path = resource(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
        return self._ask("DELETE", f"{self._server.url}{path}")[0]

    def _remove_from_orthanc(self, instance: Sent) -> bool:
        """Delete what Orthanc has of this UID in this study; it knows objects by names of its own."""
        orthanc = beside(self._server)
        if orthanc is None:
            return False
        base = orthanc.server.url
        status, found = self._ask("POST", f"{base}/tools/lookup", instance.sop_instance_uid.encode())
        if status != HTTPStatus.OK or not isinstance(found, list):
            return False
        done = True
        for path in (each.get("Path") for each in found if isinstance(each, dict) and each.get("Type") == "Instance"):
            _, study = self._ask("GET", f"{base}{path}/study")
            tags = study.get("MainDicomTags", {}) if isinstance(study, dict) else {}
            if tags.get("StudyInstanceUID") == instance.study_instance_uid:
                done = self._ask("DELETE", f"{base}{path}")[0] in _REMOVED and done
        return done

    def _send(self, instances: Sequence[Sent]) -> set[str]:
        """Store some instances in one request; return the UIDs that the server says it took."""
        boundary = f"exactcopy-{secrets.token_hex(16)}"
        try:
            answer = self._server.pool.urlopen(
                "POST",
                f"{self._server.url}/studies",
                body=_body(instances, boundary),
                headers={
                    **self._server.pool.headers,
                    "Accept": _JSON,
                    "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                    "Content-Length": str(_length(instances, boundary)),
                },
                retries=False,
            )
            said = json.loads(answer.data)
        except (HTTPError, OSError) as error:
            raise unreachable(self._target.name, error) from None
        except (ValueError, RecursionError):
            return set()
        # Whatever the status: some servers answer with a failure where one of several was refused (PS3.18 10.5.3).
        # One that gives images UIDs of its own did not store these.
        return _taken(said) & {each.sop_instance_uid for each in instances}

    def _ask(self, method: str, url: str, body: bytes | None = None) -> tuple[int, Any]:
        try:
            answer = self._server.pool.urlopen(method, url, body=body, headers=self._server.pool.headers)
        except (HTTPError, OSError) as error:
            raise unreachable(self._target.name, error) from None
        try:
            return answer.status, json.loads(answer.data)
        except (ValueError, RecursionError):
            return answer.status, None


def _addressable(instance: Sent) -> bool:
    """Say whether its UIDs name it in a path: ".." leads up, to all of its series or study."""
    uids = (instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
    return all(uid.strip(".") for uid in uids)


def _batches(instances: Sequence[Sent]) -> Iterator[list[Sent]]:
    some: list[Sent] = []
    size = 0
    for each in instances:
        if some and size + each.size > _REQUEST_BYTES:
            yield some
            some, size = [], 0
        some.append(each)
        size += each.size
    if some:
        yield some


def _head(boundary: str) -> bytes:
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()


def _end(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()


def _length(instances: Sequence[Sent], boundary: str) -> int:
    return sum(len(_head(boundary)) + each.size + 2 for each in instances) + len(_end(boundary))


def _body(instances: Sequence[Sent], boundary: str) -> Iterator[bytes]:
    """Yield a multipart body, the files as they are."""
    for each in instances:
        yield _head(boundary)
        with each.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield b"\r\n"
    yield _end(boundary)


def _taken(said: Any) -> set[str]:
    """Return the UIDs that an answer says were stored; none where it is no such answer."""
    try:
        return {str(item[_SOP_INSTANCE]["Value"][0]) for item in said[_REFERENCED]["Value"]}
    except (TypeError, KeyError, IndexError):
        return set()


def _is_picture(content: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
    except Exception:  # noqa: BLE001  whatever a decoder makes of it, it is no picture
        return False
    return True
