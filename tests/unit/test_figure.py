"""Numbers that people can read, and that say on which side of a bound they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.core.evidence import Metric
from proctor.core.figure import beside, figure, written
from proctor.core.gate import number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (907_712, "907,712"),
        (907_712.0, "907,712"),
        (16_060_522_496, "16,060,522,496"),
        (0, "0"),
        (0.0, "0"),
        (1, "1"),
        (-3, "-3"),
        (0.9966666, "0.9967"),
        (0.5, "0.5"),
        (12.3456, "12.35"),
        (1234567.8, "1,234,568"),
        (99999.96, "100,000"),
        (-0.25001, "-0.25"),
        (0.000123456, "0.0001235"),
        (0.0000123456, "1.235e-05"),
        (2e300, "2e+300"),
    ],
)
def test_a_figure_is_readable(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (0.8, "0.8"),
        (20_000_000_000, "20,000,000,000"),
        (0.123456789, "0.123456789"),
        (1e-7, "1e-07"),
    ],
)
def test_a_bound_keeps_its_digits(bound: float, text: str) -> None:
    assert written(bound) == text


def test_a_value_beside_its_bound_is_not_rounded_onto_it() -> None:
    assert beside(0.79996, 0.8) == "0.79996"
    assert beside(0.5, 0.8) == "0.5"
    assert beside(0.8, 0.8) == "0.8"


@given(st.floats(-1e18, 1e18), st.floats(-1e18, 1e18))
def test_it_shows_on_which_side_it_is(value: float, bound: float) -> None:
    for near in (bound, value * (1 + 1e-9)):
        shown = float(beside(value, near).replace(",", ""))
        assert (shown > near, shown < near) == (value > near, value < near)


def test_a_metric_is_told_with_unit_error_and_count() -> None:
    size = Metric("total_bytes", 907_712, unit="bytes")
    assert number(size) == "907,712 bytes"
    assert number(Metric("acc", 0.27666, stderr=0.018279, n=600)) == "0.2767 ± 0.018 (n=600)"
