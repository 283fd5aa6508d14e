"""QIDO-RS: questions, and whether an answer is all there is (PS3.18 10.6)."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from exactcopy.model import Problem
from exactcopy.stores.dicomweb.client import Server, problem_of
from exactcopy.stores.dimse.finding import Answer, Row

_JSON = "application/dicom+json"
_PAGE = 1000
_COUNT, _COUNT_OF_SERIES = "00201208", "00201206"
_TAGS = {
    "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018",
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "NumberOfStudyRelatedInstances": _COUNT,
    "NumberOfSeriesRelatedInstances": "00201209",
}


class Finder:
    """Asks a server, page by page until one is empty: it may cap pages below the limit that it was asked for."""

    def __init__(self, server: Server) -> None:
        """Take the server."""
        self._server = server

    def ask(self, level: str, keys: Mapping[str, str], enough: int | None = None) -> Answer:
        """Return what matches `keys`, of which the empty ones are only asked for; `enough` rows are all there is."""
        path, matched = _path(level, keys)
        fields = {key: value for key, value in keys.items() if value and key not in matched}
        asked = [_TAGS[key] for key, value in keys.items() if not value]
        if _COUNT in asked:
            # Asked for one count without the other, Orthanc gives what a file of the study once said.
            asked.append(_COUNT_OF_SERIES)
        fields["includefield"] = ",".join(asked)
        items: dict[str, Any] = {}
        offset = 0
        try:
            while len(items) != enough:
                page = self._page(path, {**fields, "limit": str(_PAGE), "offset": str(offset)})
                if isinstance(page, Problem):
                    return Answer(_rows(items, keys), page)
                offset += len(page)
                before = len(items)
                # While studies arrive pages drift, and what was on one may be on the next again.
                items |= {json.dumps(item, sort_keys=True): item for item in page}
                if len(items) == before:
                    break
        except (HTTPError, OSError, ValueError, TypeError, AttributeError, KeyError, IndexError):
            return Answer(_rows(items, keys), Problem.IO_ERROR)
        return Answer(_rows(items, keys), None)

    def _page(self, path: str, fields: Mapping[str, str]) -> list[Any] | Problem:
        answer = self._server.get(path, _JSON, **fields)
        try:
            content = answer.read()
        finally:
            answer.release_conn()
        if answer.status == 204:
            return []
        if answer.status != 200:
            # A study that is not there is an empty answer, and with some servers no resource.
            gone = answer.status == 404 and path != "/studies"
            return [] if gone else _refusal(answer.status)
        page = json.loads(content)
        if not isinstance(page, list) or not all(isinstance(item, dict) for item in page):
            raise TypeError
        return page


def _refusal(status: int) -> Problem:
    problem = problem_of(status)
    return Problem.IO_ERROR if problem is Problem.VANISHED else problem


def _path(level: str, keys: Mapping[str, str]) -> tuple[str, set[str]]:
    """Return the resource, and the keys that it stands for."""
    study, series = keys.get("StudyInstanceUID"), keys.get("SeriesInstanceUID")
    if level == "STUDY" or not study:
        return "/studies", set()
    below = f"/studies/{quote(study, safe='')}"
    if level == "SERIES" or not series:
        return f"{below}/{'series' if level == 'SERIES' else 'instances'}", {"StudyInstanceUID"}
    return f"{below}/series/{quote(series, safe='')}/instances", {"StudyInstanceUID", "SeriesInstanceUID"}


def _rows(items: Mapping[str, Any], keys: Mapping[str, str]) -> list[Row]:
    return [{key: _value(item, _TAGS[key]) for key in keys} for item in items.values()]


def _value(item: Mapping[str, Any], tag: str) -> str:
    values = (item.get(tag) or {}).get("Value") or [""]
    return str(values[0]) if values[0] is not None else ""
