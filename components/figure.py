"""Figures in plain text: for the terminal, for sentences, for logs."""

import math


def figure(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, thousands apart, and without an exponent where it can be read."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    exponent = math.floor(math.log10(abs(value)))
    if not -9 <= exponent < 15:
        return f"{value:.{digits}g}"
    text = f"{value:,.{max(digits - 1 - exponent, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
