"""Names of files, which to a file system are bytes and to everything else are text."""

from collections.abc import Iterable

from components.data.findings import shortened
from components.errors import Problem, Refusal


def check_names(names: Iterable[str]) -> None:
    """Refuse names that aren't UTF-8, such as those from a ZIP file in Latin-1: they couldn't be written down.

    Raises:
        Refusal: it shows them escaped.
    """
    escaped = {name: name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names}
    problems = [
        Problem(what="the name is not UTF-8", where=shown, do="rename it")
        for name, shown in escaped.items()
        if name != shown
    ]
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))
