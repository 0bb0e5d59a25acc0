"""Numbers for people: counts in full, measures to as many digits as matter. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

_HUGE, _TINY = 1e15, 1e-4
DIGITS: Final = 4
"""Of a measure, unless more are needed to tell it from what it is compared with."""


def figure(value: float, digits: int = DIGITS) -> str:
    """A whole number in full ("907,712"), any other to so many significant digits, and never
    fewer than its whole part has ("1,234,568"). Only what is huge or tiny has an exponent."""
    size = abs(value)
    if size >= _HUGE or 0 < size < _TINY:
        return f"{value:.{digits}g}"
    if value == int(value):
        return f"{int(value):,}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def written(value: float) -> str:
    """A bound as a person wrote it: with all of its digits."""
    size = abs(value)
    if size >= _HUGE or 0 < size < _TINY:
        return repr(value)
    return figure(value) if value == int(value) else f"{Decimal(repr(value)):,f}"


def beside(value: float, bound: float) -> str:
    """A value that is compared with `bound`: enough digits that it shows on which side it is.

    0.79996 beside 0.8 is not "0.8".
    """
    for digits in range(DIGITS, 18):
        text = figure(value, digits)
        shown = float(text.replace(",", ""))
        if (shown > bound, shown < bound) == (value > bound, value < bound):
            return text
    return repr(value)
