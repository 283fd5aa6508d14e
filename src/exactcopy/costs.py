"""What a backup costs, from the price in the configuration and what lies there today.

Nothing is guessed: growth is not foreseen, a price is not spread over years, units are decimal as providers
bill them (1 GB = 10^9 bytes). A sum that recurs and a sum that is paid once are never added up.
"""

from exactcopy.model import Cost

GB = 10**9
TB = 10**12
MONTHS = 12


def yearly_cost(cost: Cost, new_studies: int | None, size: int) -> float | None:
    """Return the US dollars that a year costs, or None where the price alone does not tell.

    `monthly` is paid 12 times; `per_tb_month` 12 times for the `size` bytes of today; `per_study` for each of
    the `new_studies` of a year, None where that number is not known; after `one_time` a year costs nothing.
    """
    if cost.monthly is not None:
        return MONTHS * cost.monthly
    if cost.per_tb_month is not None:
        return MONTHS * cost.per_tb_month * size / TB
    if cost.per_study is not None:
        return None if new_studies is None else cost.per_study * new_studies
    return None if cost.one_time is None else 0.0


def paid_once(cost: Cost, studies: int) -> float:
    """Return the US dollars paid once for what lies there: `one_time`, or `per_study` for the `studies` held."""
    return (cost.one_time or 0.0) + (cost.per_study or 0.0) * studies


def read_back_cost(cost: Cost, size: int) -> float | None:
    """Return the US dollars of egress for reading `size` bytes back, or None where no price of it is given."""
    return None if cost.egress_per_gb is None else cost.egress_per_gb * size / GB


def bytes_for(cost: Cost, dollars: float) -> int | None:
    """Return how many bytes may be read back for so many US dollars of egress, or None where no price is given."""
    return int(dollars / cost.egress_per_gb * GB) if cost.egress_per_gb else None
