"""All studies of a server that answers no more than so many: simulated, for dates and limits of all sorts."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.model import Problem
from exactcopy.stores.dimse.finding import Answer, Finder
from exactcopy.stores.dimse.studies import Sweep

DATES = ["20200101", "20200102", "20200615", "19991231", "20000101", "18991231", "19000101", "21000101", "22500505"]
ODD_DATES = ["2020.01.05", "2020"]
TIMES = ["", "000000", "101500", "235959.5", "120000", "115959.999999", "1015", "10:15:00"]


class Study(NamedTuple):
    """What a server knows of a study."""

    uid: str
    date: str
    time: str


class Server:
    """Answers as a server would that compares dates as text, as most do, or sorts the undated nowhere."""

    def __init__(self, studies: list[Study], limit: int, *, cuts_silently: bool, undated_first: bool) -> None:
        self._studies = studies
        self._limit = limit
        self._cuts_silently = cuts_silently
        self._undated_first = undated_first
        self.questions = 0

    def ask(self, level: str, keys: Mapping[str, str]) -> Answer:
        assert level == "STUDY"
        self.questions += 1
        found = [study for study in self._studies if self._matches(study, keys)]
        rows = [
            {"StudyInstanceUID": study.uid, "StudyDate": study.date, "StudyTime": study.time}
            for study in found[: self._limit]
        ]
        cut = len(found) > self._limit and not self._cuts_silently
        return Answer(cast("list[Mapping[str, str]]", rows), Problem.IO_ERROR if cut else None)

    def _matches(self, study: Study, keys: Mapping[str, str]) -> bool:
        return self._within(study.date, keys["StudyDate"]) and self._within(study.time, keys["StudyTime"])

    def _within(self, value: str, wanted: str) -> bool:
        low, dash, high = wanted.partition("-")
        if not dash:
            return True
        if not value:
            return self._undated_first and not low
        return low <= value and (not high or value <= high)


def swept(server: Server) -> Sweep:
    """Sweep a server."""
    sweep = Sweep(cast("Finder", server))
    sweep.run()
    return sweep


@given(
    when=st.lists(st.tuples(st.sampled_from([*DATES, *ODD_DATES, ""]), st.sampled_from(TIMES)), max_size=30),
    limit=st.integers(1, 12),
    undated_first=st.booleans(),
)
def test_a_simulated_server_that_says_so_when_it_cuts_never_loses_a_study_unnoticed(
    when: list[tuple[str, str]], limit: int, undated_first: bool
) -> None:
    studies = [Study(f"1.2.{number}", *each) for number, each in enumerate(when)]
    sweep = swept(Server(studies, limit, cuts_silently=False, undated_first=undated_first))
    assert set(sweep.found) <= {study.uid for study in studies}
    assert len(sweep.found) == len(studies) or sweep.unlisted


@given(
    when=st.lists(st.tuples(st.sampled_from([*DATES, ""]), st.sampled_from(TIMES)), min_size=40, max_size=130),
    limit=st.sampled_from([50, 64, 100]),
    undated_first=st.booleans(),
)
def test_a_simulated_server_that_cuts_silently_at_a_round_number_never_loses_a_study_unnoticed(
    when: list[tuple[str, str]], limit: int, undated_first: bool
) -> None:
    studies = [Study(f"1.2.{number}", *each) for number, each in enumerate(when)]
    sweep = swept(Server(studies, limit, cuts_silently=True, undated_first=undated_first))
    # Where the dated ones are exactly as many as the limit, and came first, nothing can tell that there are others.
    blind = sum(bool(study.date) for study in studies) == limit and all(study.date for study in studies[:limit])
    assert len(sweep.found) == len(studies) or sweep.unlisted or blind


def test_of_a_simulated_server_with_a_limit_all_dated_studies_are_found_and_the_undated_are_said_to_be_missing() -> (
    None
):
    studies = [
        Study(f"1.2.{day}.{hour}", f"202001{day:02}", f"{hour}0000") for day in range(1, 29) for hour in range(10, 14)
    ]
    server = Server([*studies, Study("1.3", "", "")], 10, cuts_silently=False, undated_first=False)
    sweep = swept(server)
    assert set(sweep.found) == {study.uid for study in studies}
    assert list(sweep.unlisted) == ["undated studies of any date any time"]
    assert server.questions < 200


def test_where_a_day_of_a_simulated_server_has_more_than_the_limit_it_is_asked_by_time() -> None:
    studies = [Study(f"1.2.{minute}", "20200101", f"{10 + minute // 60}{minute % 60:02}00") for minute in range(120)]
    untimed = Study("1.3", "20200101", "")
    for undated_first in (True, False):
        server = Server([*studies, untimed], 10, cuts_silently=False, undated_first=undated_first)
        sweep = swept(server)
        assert {study.uid for study in studies} <= set(sweep.found)
        assert (untimed.uid in sweep.found) is undated_first
        assert any(scope.startswith("untimed") for scope in sweep.unlisted) is not undated_first
        assert server.questions < 200


def test_where_a_simulated_server_sorts_undated_studies_before_all_others_they_are_complete() -> None:
    studies = [Study(f"1.2.{number}", f"2020{number % 12 + 1:02}01", "") for number in range(36)]
    undated = [Study(f"1.3.{number}", "", "") for number in range(3)]
    sweep = swept(Server([*studies, *undated], 5, cuts_silently=False, undated_first=True))
    assert set(sweep.found) == {study.uid for study in (*studies, *undated)}
    assert not sweep.unlisted


@pytest.mark.parametrize("count", [50, 64, 1000])
def test_a_count_that_happens_to_be_round_is_no_gap(count: int) -> None:
    studies = [Study(f"1.2.{number}", f"20{number % 20:02}0101", "100000") for number in range(count)]
    sweep = swept(Server(studies, 10_000, cuts_silently=False, undated_first=False))
    assert len(sweep.found) == count
    assert not sweep.unlisted


def test_a_simulated_server_that_matches_neither_dates_nor_times_is_not_asked_for_ever() -> None:
    class Ignorant(Server):
        def _within(self, value: str, wanted: str) -> bool:
            return True

    studies = [Study(f"1.2.{number}", "20200101", "101500") for number in range(20)]
    server = Ignorant(studies, 5, cuts_silently=False, undated_first=False)
    assert swept(server).unlisted
    assert server.questions < 200


def test_a_simulated_server_that_fails_from_the_first_is_asked_once() -> None:
    class Failing(Server):
        def ask(self, level: str, keys: Mapping[str, str]) -> Answer:
            self.questions += 1
            return Answer([], Problem.PERMISSION)

    server = Failing([], 1, cuts_silently=False, undated_first=False)
    assert Sweep(cast("Finder", server)).run().problem is Problem.PERMISSION
    assert server.questions == 1


def test_slices_that_fail_are_told_apart_from_those_that_were_listed() -> None:
    class Odd(Server):
        def ask(self, level: str, keys: Mapping[str, str]) -> Answer:
            if keys["StudyDate"].startswith("2000"):
                return Answer([], Problem.PERMISSION)
            return super().ask(level, keys)

    studies = [Study("1.2.1", "19800101", ""), Study("1.2.2", "19900101", ""), Study("1.2.3", "20100101", "")]
    sweep = swept(Odd(studies, 2, cuts_silently=False, undated_first=False))
    assert set(sweep.found) == {"1.2.1", "1.2.2"}
    assert Problem.PERMISSION in sweep.unlisted.values()
