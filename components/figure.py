"""Figures in plain text: for the terminal, for sentences, for logs."""

import math


def figure(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, thousands apart, and without an exponent where it can be read."""
    places = decimals(value, digits)
    if places is None:
        return f"{value:.{digits}g}"
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimals(value: float, digits: int) -> int | None:
    """Return how many decimals show so many significant digits, None where only an exponent can be read."""
    if value == 0:
        return 0
    exponent = math.floor(math.log10(abs(value))) if math.isfinite(value) else 99
    return max(digits - 1 - exponent, 0) if -9 <= exponent < 15 else None
