"""A folder that reports checksums, as a cloud does, truly or not, and writes down what is read of it."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from exactcopy.digest import hasher, parse
from exactcopy.model import Copy, Gap, Problem
from exactcopy.stores import Stream
from exactcopy.stores.folder import FolderStore


class ReportingStore(FolderStore):
    """Options: `algorithms` that it reports; `lies`, keys with checksums of other bytes; `log`, a file.

    And keys of `shortcuts`, and those that were `deleted` and of which a version is kept.
    """

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield what a folder does, with checksums."""
        for item in super().listing(partition):
            if isinstance(item, Gap) or item.problem:
                yield item
                continue
            content = Path(os.fsdecode(os.path.join(self._root, item.key))).read_bytes()
            if os.fsdecode(item.key) in self._target.options["lies"]:
                content += b"a lie"
            digests = {}
            for name in self._target.options["algorithms"]:
                hashing = hasher(parse(name))
                hashing.update(content)
                digests[parse(name)] = hashing.digest()
            name, problem = os.fsdecode(item.key), None
            if name in self._target.options.get("shortcuts", ()):
                problem = Problem.ALIAS
            if name in self._target.options.get("deleted", ()):
                problem = Problem.DELETED
            yield Copy(
                key=item.key,
                size=item.size,
                modified=item.modified,
                inode=item.inode,
                version=hashlib.sha256(content).hexdigest()[:8],
                digests=digests,
                problem=problem,
            )

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield what a folder does, and write down which keys were asked for."""
        for copy in copies:
            with Path(self._target.options["log"]).open("a", encoding="utf-8") as log:
                log.write(f"{'head' if first_bytes else 'whole'} {os.fsdecode(copy.key)}\n")
            for there, stream in super().read([copy], first_bytes):
                yield replace(there, version=copy.version), stream


class TwinStore(ReportingStore):
    """Where two objects may have one name, as in Google Drive: `twins` are keys and those that are shown as theirs."""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield what is there; of those that have one name either may come."""
        twins: dict[str, str] = self._target.options["twins"]
        for item in super().listing(partition):
            if isinstance(item, Copy) and (name := os.fsdecode(item.key)) in {*twins, *twins.values()}:
                yield replace(item, key=os.fsencode(twins.get(name, name)), problem=Problem.AMBIGUOUS)
            else:
                yield item


class RottenStore(ReportingStore):
    """Reports the checksums of what was uploaded, which lies below the option `uploaded`; gives what it holds."""

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield what is there with the checksums of what once was."""
        held, self._root = self._root, os.fsencode(self._target.options["uploaded"])
        yield from super().listing(partition)
        self._root = held


class AnsweringStore(ReportingStore):
    """Shows its checksums in the listing and, asked about an object, tells the same."""

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield what the listing showed, and write down about which keys it was asked."""
        truth = {item.key: item.digests for item in ReportingStore.listing(self, "") if isinstance(item, Copy)}
        for copy in copies:
            key = os.fsdecode(copy.key)
            with Path(self._target.options["log"]).open("a", encoding="utf-8") as log:
                log.write(f"asked {key}\n")
            yield replace(copy, digests={} if key in self._target.options.get("silent", ()) else truth[copy.key])


class AskedStore(AnsweringStore):
    """Tells the checksums only of what it is asked about, object by object; of `silent` keys none.

    With the option `nonsense` its listing shows what looks like an MD5 and is none.
    """

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield what is there, without checksums or with nonsense."""
        for item in super().listing(partition):
            if isinstance(item, Copy):
                shown = {parse("md5"): hashlib.md5(item.key, usedforsecurity=False).digest()}
                item = replace(item, digests=shown if self._target.options.get("nonsense") else {})
            yield item
