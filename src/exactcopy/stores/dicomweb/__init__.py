"""A PACS that is asked by QIDO-RS and sends by WADO-RS (PS3.18)."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from exactcopy.model import UNSIZED, Copy, Gap, Problem, Safeguard, Target
from exactcopy.stores import Safeguards, Stream
from exactcopy.stores.ahead import AHEAD, ahead
from exactcopy.stores.dicomweb.client import connect, refused, unreachable
from exactcopy.stores.dicomweb.finding import Finder
from exactcopy.stores.dicomweb.orthanc import Orthanc, beside
from exactcopy.stores.dicomweb.reading import read_copies
from exactcopy.stores.dimse.listing import list_study
from exactcopy.stores.dimse.studies import Sweep
from exactcopy.stores.hosts import standing_for, way_to

# Studies that are listed one after the other, while others are listed beside them.
_STUDIES = 20


class DicomwebStore:
    """The instances of a PACS; the key of a copy is the UIDs of study, series and instance."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before the store is entered."""
        self._target = target
        self._counted: int | None = None

    def __enter__(self) -> Self:
        """Ask for one study: proof of all that leads there."""
        name = self._target.name
        try:
            self._server = connect(self._target)
            answer = self._server.get("/studies", "application/dicom+json", limit="1")
            content = answer.read()
            answer.release_conn()
        except (HTTPError, OSError) as error:
            raise unreachable(name, error) from None
        if answer.status not in (200, 204):
            raise refused(name, answer.status)
        try:
            said = json.loads(content) if answer.status == 200 else []
        except ValueError:
            said = None
        if not isinstance(said, list):
            raise refused(name, 404)
        self._finder = Finder(self._server)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._server.pool.clear()

    def partitions(self) -> Iterator[str]:
        """Yield all studies, a few at a time, and what of them could not be listed."""
        self._counted = self._orthanc.count() if self._orthanc else None
        sweep = Sweep(self._finder, silent=True)
        answer = sweep.run()
        if answer.problem and not answer.rows:
            raise refused(self._target.name, 403 if answer.problem is Problem.PERMISSION else 500)
        studies = iter(sweep.found)
        while some := list(islice(studies, _STUDIES)):
            yield f"studies:{json.dumps(some)}"
        for scope, problem in sweep.unlisted.items():
            yield f"unlisted:{problem}:{scope}"

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield the instances of a partition, or of the study behind "study:", and a Gap where there may be more."""
        extent, _, rest = partition.partition(":")
        if extent == "unlisted":
            problem, _, scope = rest.partition(":")
            yield Gap(scope=scope.encode(), reason=Problem(problem))
            return
        for study in [rest] if extent == "study" else json.loads(rest):
            quickly = self._at_once(study)
            yield from list_study(self._finder, study, seen=extent != "study") if quickly is None else quickly

    def counts(self) -> tuple[int, int] | None:
        """Return how many instances there were before and after they were listed; only an Orthanc says."""
        now = self._orthanc.count() if self._orthanc else None
        return None if now is None or self._counted is None else (self._counted, now)

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield each copy with what an Orthanc says of its stored file; no other server is asked."""
        if (orthanc := self._orthanc) is not None:
            with ThreadPoolExecutor(AHEAD) as threads:
                yield from ahead(
                    lambda copy: threads.submit(orthanc.told, copy), copies, at_once=self._target.concurrency
                )

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, as they arrive."""
        yield from read_copies(self._server, copies)

    def safeguards(self) -> Safeguards:
        """Return where the PACS is, and whether the way there is encrypted."""
        parts = urlsplit(self._server.url)
        return Safeguards(
            host=standing_for(parts.hostname or ""),
            medium=self._server.url,
            seen={Safeguard.TRANSPORT: way_to(self._target)},
        )

    @cached_property
    def _orthanc(self) -> Orthanc | None:
        return beside(self._server)

    def _at_once(self, study: str) -> list[Copy] | None:
        """Return the instances of a study by two questions; None where these do not agree in every way."""
        asked = {"StudyInstanceUID": study}
        known = self._finder.ask("STUDY", {**asked, "NumberOfStudyRelatedInstances": ""}, enough=1)
        told = known.rows[0]["NumberOfStudyRelatedInstances"] if len(known.rows) == 1 else ""
        if known.problem or not told.isdecimal() or len(told) > 6 or known.rows[0]["StudyInstanceUID"] != study:
            return None
        keys = {**asked, "SeriesInstanceUID": "", "SOPInstanceUID": "", "SOPClassUID": ""}
        found = self._finder.ask("IMAGE", keys, enough=int(told))
        copies = {
            row["SOPInstanceUID"]: Copy(
                key=f"{study}/{row['SeriesInstanceUID']}/{row['SOPInstanceUID']}".encode(),
                size=UNSIZED,
                modified=None,
                study_instance_uid=study,
                series_instance_uid=row["SeriesInstanceUID"],
                sop_instance_uid=row["SOPInstanceUID"],
                sop_class_uid=row["SOPClassUID"] or None,
            )
            for row in found.rows
            if row["SOPInstanceUID"] and row["SeriesInstanceUID"] and row["StudyInstanceUID"] in (study, "")
        }
        return list(copies.values()) if not found.problem and len(copies) == int(told) else None
