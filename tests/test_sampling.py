"""How many, which ones, and what it proves: against the definitions and against published figures."""

import hashlib
import hmac
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.sampling import PRESETS, certainty, draw, frame_digest, sample_size, seed, upper_limit


@pytest.mark.parametrize(
    ("frame", "standard", "strong"),
    [(200, 51, 200), (500, 56, 225), (1_000, 57, 258), (10_000, 59, 294), (100_000, 59, 298)],
)
def test_sample_sizes_are_the_published_ones(frame: int, standard: int, strong: int) -> None:
    assert sample_size(frame, PRESETS["standard"]) == standard
    # Half of the frame or more is all of it.
    assert sample_size(frame, PRESETS["strong"]) == strong


@pytest.mark.parametrize("frame", [0, 1, 40, 100])
def test_small_frames_are_restored_whole(frame: int) -> None:
    assert {sample_size(frame, preset) for preset in PRESETS.values()} == {frame}


@pytest.mark.parametrize(
    ("frame", "drawn", "failed", "limit"), [(1_240, 59, 0, 59), (1_240, 59, 1, 94), (40, 40, 0, 0), (40, 40, 3, 3)]
)
def test_limits_are_the_published_ones(frame: int, drawn: int, failed: int, limit: int) -> None:
    assert upper_limit(frame, drawn, failed, 0.95) == limit


def chance(frame: int, failing: int, drawn: int, failed: int) -> Fraction:
    """Give the exact chance of at most `failed` failures in a sample."""
    ways = sum(comb(failing, k) * comb(frame - failing, drawn - k) for k in range(failed + 1))
    return Fraction(ways, comb(frame, drawn))


@given(frame=st.integers(101, 3_000), preset=st.sampled_from(["quick", "standard", "strong"]))
def test_the_sample_is_the_smallest_that_proves_the_policy(frame: int, preset: str) -> None:
    policy = PRESETS[preset]
    size = sample_size(frame, policy)
    failing = -(-frame * int(policy.tolerable * 100) // 100)
    allowed = Fraction(str(round(1 - policy.confidence, 2)))
    assert chance(frame, failing, size, 0) <= allowed
    if size < frame:
        assert chance(frame, failing, size - 1, 0) > allowed


@given(st.data())
def test_the_limit_is_the_largest_number_that_the_result_leaves_possible(data: st.DataObject) -> None:
    frame = data.draw(st.integers(1, 200))
    drawn = data.draw(st.integers(1, frame))
    failed = data.draw(st.integers(0, drawn))
    limit = upper_limit(frame, drawn, failed, 0.95)
    assert failed <= limit <= frame - (drawn - failed)
    if drawn < frame:
        assert limit == failed or chance(frame, limit, drawn, failed) > Fraction(5, 100)
        if limit < frame - (drawn - failed):
            assert chance(frame, limit + 1, drawn, failed) <= Fraction(5, 100)


uids = st.sets(st.from_regex(r"2\.25\.[1-9][0-9]{0,8}", fullmatch=True), min_size=1, max_size=60)


@given(uids=uids, data=st.data())
def test_anybody_can_draw_again(uids: set[str], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(uids)))
    digest = frame_digest(uids)
    assert digest == hashlib.sha256("".join(f"{uid}\n" for uid in sorted(uids)).encode()).hexdigest()
    start = seed("ab" * 32, digest)
    assert start == hashlib.sha256(("ab" * 32 + digest).encode()).hexdigest()
    key = bytes.fromhex(start)
    expected = sorted(uids, key=lambda uid: hmac.new(key, uid.encode(), "sha256").digest())[:size]
    assert draw(uids, start, size) == draw(sorted(uids, reverse=True), start, size) == expected


def test_the_first_seed_is_the_frame_itself() -> None:
    assert seed(None, "ab" * 32) == "ab" * 32


def test_certainty_items_are_newest_oldest_largest_and_failed_before_and_never_drawn_twice() -> None:
    ranked = [("a", 1, 10), ("b", 2, 99), ("c", 3, 10), ("d", 2, 10), ("e", 2, 11)]
    assert certainty(ranked, ["d", "not in the frame"], []) == ["c", "a", "b", "d"]
    assert certainty(ranked, [], ["a", "c"]) == ["b"]
    assert certainty([], ["d"], []) == []
