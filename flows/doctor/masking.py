"""Secrets that this process knows, taken out of texts by their value: what others wrote may repeat one."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Final
from urllib.parse import unquote, urlsplit

from components.errors import Refusal
from components.home import Home
from components.production import production_of
from components.settings import NAMES, settings_of

SHORTEST: Final = 6  # letters: a shorter secret is part of many words
_NAMED: Final = re.compile("PASSWORD|SECRET|TOKEN|AUTH_STRING|API_KEY")


def masking(home: Home) -> Callable[[str], str]:
    """Return what puts `***` in the place of every secret of the home and of this process's variables."""
    known = sorted({one for one in _secrets(home) if len(one) >= SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known)) or "(?!)")
    return lambda text: pattern.sub("***", text)


def _secrets(home: Home) -> Iterator[str]:
    for name, value in os.environ.items():
        if _NAMED.search(name):
            yield from (value, value.partition(":")[2])  # NAME:PASSWORD
    try:
        production, settings = production_of(home), settings_of(home)
    except Refusal:  # told elsewhere; it repeats none of them
        return
    if production is not None:
        yield from asdict(production.secrets).values()
    for name in NAMES:
        if password := urlsplit(str(getattr(settings, name))).password:
            yield from (password, unquote(password))
