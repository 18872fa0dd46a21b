"""Names of files, which to a file system are bytes and to everything else are text; and what they say of the files."""

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from components.data.findings import shortened
from components.errors import Problem, Refusal

# What people and programs put among images: notes, labels, sums, scripts. What may hold images itself is none of it.
_NO_IMAGE: Final = re.compile(
    r"(.*\.(txt|md|rst|rtf|tex|bib|log|pdf|docx?|odt|xlsx?|ods|csv|tsv|jsonl?|xml|ya?ml|toml|ini|cfg|names|html?|url|py"
    r"|ipynb|sh|bat|db|dvc|md5|sha1|sha256)|readme|licen[cs]e|copying|notice|authors|changelog)",
    re.IGNORECASE | re.DOTALL,
)


def says_no_image(name: str) -> bool:
    """Say whether a file's name says that it is no image: by its ending, or as README does."""
    return bool(_NO_IMAGE.fullmatch(PurePath(name).name))


def shown(name: str) -> str:
    """Return the name as text that can be written down: what isn't UTF-8 is escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def check_names(names: Iterable[str]) -> None:
    """Refuse names that aren't UTF-8, such as those from a ZIP file in Latin-1: they couldn't be written down.

    Raises:
        Refusal: it shows them escaped.
    """
    problems = [
        Problem(what="the name is not UTF-8", where=shown(name), do="rename it")
        for name in dict.fromkeys(names)
        if name != shown(name)
    ]
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))
