"""What breaks off goes on from there, on scripted servers: no proper one breaks off when it is told to."""

import os
import re
from collections.abc import Callable
from email.message import Message
from time import monotonic

import pytest

from exactcopy.errors import ObjectChanged
from exactcopy.model import Problem
from exactcopy.stores import many_open, open_store
from exactcopy.stores.s3 import direct
from tests.servers import ADMIN, Answer, Keys, scripted
from tests.stores.buckets import by_sdk, described, item, page, refusal, target_of, without_obstore
from tests.stores.contract import content, listed

FIRST = {"Content-Range": "bytes 0-149999/300000"}
SECOND = {"Content-Range": "bytes 150000-299999/300000"}
DATA = os.urandom(300_000)
pytestmark = pytest.mark.usefixtures("_impatient")
both = pytest.mark.usefixtures("reads_by")


@pytest.fixture(autouse=True)
def _admin(login: Callable[[Keys], None]) -> None:
    login(ADMIN)


class Breaking:
    """Serves objects that break off, as often as it is said to, after half of what is left of them."""

    def __init__(self, times: int, *names: str, later: Answer | None = None, stays: bool = False) -> None:
        """Take how often each breaks off, and what is answered to whoever goes on."""
        self.times = dict.fromkeys(names or ("image",), times)
        self.asked: list[tuple[str, int]] = []
        self.later = later
        self.stays = stays

    def __call__(self, path: str, headers: Message) -> Answer:
        """Answer a request."""
        if "list-type" in path:
            return page(*(item(name, DATA) for name in self.times))
        name = path.removeprefix("/b/")
        if name not in self.times:
            return refusal(501, "NotImplemented")
        begin, end = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range", f"bytes=0-{len(DATA) - 1}")).groups()  # type: ignore[union-attr]
        self.asked.append((name, int(begin)))
        if self.later is not None and int(begin):
            return self.later
        body = DATA[int(begin) : int(end) + 1]
        said = described(DATA, **({"Content-Range": f"bytes {begin}-{end}/{len(DATA)}"} if "Range" in headers else {}))
        status = 206 if "Range" in headers else 200
        if not self.times[name]:
            return Answer(status=status, headers=said, body=body)
        self.times[name] -= 1
        return Answer(status=status, headers=said, body=body[: len(body) // 2], length=len(body), stays=self.stays)


@both
@pytest.mark.parametrize("times", [1, 4])
def test_it_goes_on_where_it_broke_off_and_nothing_is_read_twice(times: int) -> None:
    server = Breaking(times)
    with scripted(server) as endpoint, open_store(target_of(endpoint, "b")) as store:
        assert [content(stream) for _, stream in store.read(listed(store))] == [DATA]
    begins = [begin for _, begin in server.asked]
    assert begins[:2] == [0, 150_000]
    assert begins == sorted(set(begins))
    assert len(begins) == times + 1


@both
def test_what_breaks_off_for_ever_fails(reads_by: str) -> None:
    server = Breaking(100)
    with scripted(server) as endpoint, open_store(target_of(endpoint, "b")) as store:
        for _, stream in store.read(listed(store)):
            with pytest.raises(OSError, match="not as long"):
                content(stream)
    assert len(server.asked) == 5, reads_by


@both
@pytest.mark.parametrize(
    ("later", "error"),
    [
        (refusal(412, "PreconditionFailed"), ObjectChanged),
        (Answer(status=206, body=b"1" * 150_000, headers=described(b"other")), ObjectChanged),
        (refusal(404, "NoSuchKey"), OSError),
        (refusal(503, "SlowDown"), OSError),
        # All of it, where the second half was asked for.
        (Answer(body=DATA, headers=described(DATA)), OSError),
        (Answer(status=206, body=DATA[:150_000], headers=described(DATA, **FIRST)), OSError),
        (Answer(status=206, body=DATA[150_000:-1], headers=described(DATA, **SECOND)), OSError),
    ],
)
def test_what_goes_on_as_something_else_is_never_taken_for_it(later: Answer, error: type[Exception]) -> None:
    with scripted(Breaking(1, later=later)) as endpoint, open_store(target_of(endpoint, "b")) as store:
        for _, stream in store.read(listed(store)):
            with pytest.raises(error):
                content(stream)


def test_from_a_server_that_is_lost_nothing_is_asked_again_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    without_obstore(monkeypatch)
    names = [f"image{number:02}" for number in range(16)]
    server = Breaking(1, *names, later=refusal(503, "SlowDown"))
    with scripted(server) as endpoint, open_store(target_of(endpoint, "b")) as store:
        keys = by_sdk(store)
        streams = [stream for _, stream in many_open(store).open(listed(store))]
        for stream in streams:
            assert not isinstance(stream, Problem)
            with pytest.raises(OSError, match="broke off"):
                content(stream)
            stream.close()
    assert keys == ["image00"]


def test_those_that_fall_silent_together_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    without_obstore(monkeypatch)
    monkeypatch.setattr(direct, "_SILENCE", 2.0)
    monkeypatch.setattr(direct, "_WAITED_TOO", 0.05)
    names = [f"image{number:02}" for number in range(16)]
    server = Breaking(1, *names, later=refusal(503, "SlowDown"), stays=True)
    with scripted(server) as endpoint, open_store(target_of(endpoint, "b")) as store:
        streams = [stream for _, stream in many_open(store).open(listed(store))]
        begun = monotonic()
        for stream in streams:
            assert not isinstance(stream, Problem)
            with pytest.raises(OSError, match="broke off"):
                content(stream)
            stream.close()
    # Not sixteen times two seconds.
    assert 2 <= monotonic() - begun < 16
