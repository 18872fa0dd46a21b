"""A flow run that somebody has deleted in Prefect: no state of it can be asked for, or told, any more."""

from typing import Final

from components.errors import Refusal, causes, refuse

DELETED: Final = "its flow run was deleted in Prefect"


def is_deleted(error: BaseException) -> bool:
    """Say whether Prefect knows no such flow run: it says so in words, which a proxy's 404 hasn't."""
    from httpx import HTTPStatusError

    answers = [one.response for one in causes(error) if isinstance(one, HTTPStatusError)]
    return any(answer.status_code == 404 and "Flow run" in answer.text for answer in answers)


def deleted(where: str) -> Refusal:
    """Return what becomes of the work of a flow run that was deleted; `where` is the work."""
    return refuse(DELETED, where=where, do="run again: what was done is kept")
