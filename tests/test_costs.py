"""Sums that anybody can check by hand, and what holds for every price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exactcopy.costs import paid_once, read_back_cost, yearly_cost
from exactcopy.model import Cost

TB = 10**12


@pytest.mark.parametrize(
    ("cost", "yearly", "once"),
    [
        (Cost(monthly=15), 180.0, 0.0),
        (Cost(per_study=0.75), 750.0, 7_500.0),
        (Cost(one_time=80), 0.0, 80.0),
        (Cost(per_tb_month=6), 144.0, 0.0),
        # What is given away is priced: it is not the same as a price that nobody wrote down.
        (Cost(monthly=0), 0.0, 0.0),
        (Cost(egress_per_gb=0.01), None, 0.0),
        (Cost(), None, 0.0),
    ],
)
def test_what_recurs_and_what_is_paid_once_stand_apart(cost: Cost, yearly: float | None, once: float) -> None:
    assert yearly_cost(cost, 1_000, 2 * TB) == yearly
    assert paid_once(cost, 10_000) == once


def test_a_price_for_each_study_says_nothing_of_a_year_whose_studies_nobody_counted() -> None:
    assert yearly_cost(Cost(per_study=0.75), None, TB) is None
    assert yearly_cost(Cost(monthly=15), None, TB) == 180.0


def test_reading_back_costs_what_leaves_the_provider() -> None:
    assert read_back_cost(Cost(per_tb_month=6, egress_per_gb=0.01), 2 * TB) == pytest.approx(20.0)
    assert read_back_cost(Cost(monthly=15, egress_per_gb=0), 2 * TB) == 0.0
    assert read_back_cost(Cost(monthly=15), 2 * TB) is None


AMOUNTS = st.floats(0, 10**9)
COUNTS = st.integers(0, 10**9)
SIZES = st.integers(0, 10**18)
COSTS = st.builds(
    lambda form, amount, egress: Cost(**{form: amount}, egress_per_gb=egress),
    st.sampled_from(["monthly", "per_study", "one_time", "per_tb_month"]),
    AMOUNTS,
    st.none() | AMOUNTS,
)


@given(cost=COSTS, studies=st.tuples(COUNTS, COUNTS), sizes=st.tuples(SIZES, SIZES))
def test_no_cost_is_negative_and_more_is_never_cheaper(
    cost: Cost, studies: tuple[int, int], sizes: tuple[int, int]
) -> None:
    (few, many), (small, large) = sorted(studies), sorted(sizes)
    less, more = yearly_cost(cost, few, small), yearly_cost(cost, many, large)
    assert less is not None
    assert more is not None
    assert 0 <= less <= more
    assert 0 <= paid_once(cost, few) <= paid_once(cost, many)
    less, more = read_back_cost(cost, small), read_back_cost(cost, large)
    assert (less is None) == (more is None) == (cost.egress_per_gb is None)
    assert less is None or more is None or 0 <= less <= more


@given(cost=COSTS, size=SIZES)
def test_reading_back_half_costs_half(cost: Cost, size: int) -> None:
    whole = read_back_cost(cost, 2 * size)
    assert whole is None or whole == pytest.approx(2 * (read_back_cost(cost, size) or 0.0))
