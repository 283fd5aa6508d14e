"""A bucket of S3: AWS, or whatever else speaks its language (Backblaze B2, Wasabi, R2, a server of one's own)."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Self

from exactcopy.model import Copy, Gap, Problem, Target
from exactcopy.stores import Safeguards, Stream
from exactcopy.stores.ahead import AHEAD, ahead
from exactcopy.stores.s3.asking import Examined, Versioning
from exactcopy.stores.s3.checksums import THAWED, asked
from exactcopy.stores.s3.client import Bucket, at_aws, connect, session_of
from exactcopy.stores.s3.deletion import versioning_of
from exactcopy.stores.s3.faults import FAILURES, problem_of, unavailable
from exactcopy.stores.s3.listing import CURRENT, VERSIONS, Sample, Way, encoded, objects, page_of
from exactcopy.stores.s3.reading import Opened, Reader
from exactcopy.stores.s3.safeguards import examine, host_of

# Shards let a listing run side by side; many small ones would cost more requests than the whole has pages.
_SHARDS = 100


class S3Store:
    """The objects of a bucket whose keys begin with a prefix; the key of a copy is the whole key there."""

    def __init__(self, target: Target) -> None:
        """Take the target; nothing is asked before the store is entered."""
        self._target = target
        self._sample: Sample | None = None

    def __enter__(self) -> Self:
        """List one key: the only right that a list needs, and proof of all that leads there."""
        options = self._target.options
        try:
            self._session = session_of(options)
            client = connect(self._session, options)
            self._bucket = Bucket(client=client, name=str(options["bucket"]), prefix=str(options.get("prefix") or ""))
            page_of(self._bucket, CURRENT, Prefix=self._bucket.prefix, MaxKeys=1)
        except FAILURES as error:
            raise unavailable(error, self._target.name) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if "_reader" in vars(self):
            self._reader.close()
        self._bucket.client.close()

    def partitions(self) -> Iterator[str]:
        """Yield what lies below each name at the top and what lies beside them, or all in one where that is cheaper."""
        prefix = self._bucket.prefix
        try:
            page = page_of(self._bucket, self._way, Prefix=prefix, Delimiter="/")
        except FAILURES as error:
            raise unavailable(error, self._target.name) from None
        below = [str(common["Prefix"]) for common in page.get("CommonPrefixes", ())]
        if page["IsTruncated"] or len(below) > _SHARDS:
            yield f"below:{prefix}"
            return
        yield from (f"below:{name}" for name in below)
        if not below or any(page.get(items) for items in self._way.items):
            yield f"here:{prefix}"

    def listing(self, partition: str) -> Iterator[Copy | Gap]:
        """Yield every object of `partition`, and what was deleted and is kept; one Gap where its listing breaks off."""
        extent, _, prefix = partition.partition(":")
        request: dict[str, Any] = {"Prefix": prefix, "Delimiter": "/"} if extent == "here" else {"Prefix": prefix}
        if at_aws(self._bucket):
            request["OptionalObjectAttributes"] = [THAWED]
        self._sample = sample = self._sample or Sample()
        try:
            for copy in objects(self._bucket, self._way, **request):
                sample.pass_by(copy)
                yield copy
        except FAILURES as error:
            denied = problem_of(error) is Problem.PERMISSION
            yield Gap(scope=encoded(prefix), reason=Problem.PERMISSION if denied else Problem.IO_ERROR)

    def checksums(self, copies: Iterable[Copy]) -> Iterator[Copy]:
        """Yield each copy with all checksums that the server has of it; without any, and with a problem, on failure."""
        with ThreadPoolExecutor(AHEAD) as threads:
            yield from ahead(
                lambda copy: threads.submit(asked, self._bucket, copy), copies, at_once=self._target.concurrency
            )

    def read(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Iterator[tuple[Copy, Stream | Problem]]:
        """Yield each copy with its bytes, in the order given, while the next ones are being asked for."""
        with closing(self.open(copies, first_bytes)) as opened:
            for copy, body in opened:
                if isinstance(body, Problem):
                    yield copy, body
                    continue
                with closing(body):
                    yield copy, body

    def open(self, copies: Iterable[Copy], first_bytes: int | None = None) -> Generator[Opened]:
        """Yield what `read` does."""
        opening = partial(self._reader.ask, first_bytes=first_bytes)

        def fetched(copy: Copy) -> int:
            return copy.size if first_bytes is None else min(copy.size, first_bytes)

        # A server does not wait for ever until a body is taken that was asked for too early.
        at_once = 1 if self._target.max_rate else self._target.concurrency
        return ahead(opening, copies, _drop, fetched, at_once)

    def safeguards(self) -> Safeguards:
        """Return where the bucket is and, once it was listed, what protects it and some of its objects."""
        bucket, options = self._bucket, self._target.options
        shown = Safeguards(medium=f"{options.get('endpoint') or 'AWS'} {bucket.name}")
        if self._sample is None:
            return shown
        with closing(connect(self._session, options, signed=False)) as nobody:
            examined = Examined(
                bucket=bucket,
                stranger=replace(bucket, client=nobody),
                versioning=self._versioning,
                sample=self._sample.copies(),
            )
            return replace(shown, host=host_of(bucket), seen=examine(examined))

    @cached_property
    def _versioning(self) -> Versioning:
        return versioning_of(self._bucket)

    @property
    def _way(self) -> Way:
        return VERSIONS if self._versioning.listed else CURRENT

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self._session, self._bucket)


def _drop(opened: Opened) -> None:
    if not isinstance(opened[1], Problem):
        opened[1].close()
