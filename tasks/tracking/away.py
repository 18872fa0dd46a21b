"""MLflow's server that denies us, is away, or whose answer is lost: what that is to a person, and how a run goes on.

Its errors are known by where their classes come from: nothing of MLflow is loaded to look.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, TypeVar

from components.errors import Problem, Refusal, Unreachable, refuse
from components.recipe_file import without_secrets

T = TypeVar("T")
AWAY_SECONDS = 1800.0  # that a server may be away while a run waits for it
AGAIN_SECONDS = 2.0
TRIES = 3  # to make something whose answers are lost
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # in seconds
_variables: Final = Lock()
_asking: Final = list[dict[str, str]]()  # what those want who are asking now, in the order of their beginnings
_given: Final = dict[str, str | None]()  # what the variables were before
_FAILS: Final = re.compile(r"(?:too many |with an error \()(\d+)")  # in MLflow's words, or in ours


class Away(Unreachable):
    """MLflow's server doesn't answer, and may come back."""


def is_away(error: Exception) -> bool:
    """Say whether MLflow's client has told that its server didn't answer, rather than what it answered."""
    said = str(error) if _is_of_mlflow(error) else ""
    silent = "API request to" in said and ("failed with exception" in said or "failed with timeout" in said)
    return isinstance(error, Away) or (silent and "too many 500 error responses" not in said)


def made_once(make: Callable[[], T], *, find: Callable[[], T | None]) -> T:
    """Make something on the server. Where the answer was lost it is looked for before it is asked for again.

    MLflow's own client asks again at once, and has two runs or versions where the first answer was cut.
    """
    for left in reversed(range(TRIES)):
        try:
            with asked_briefly(retries=0):
                return make()
        except Exception as error:
            if not left or not is_away(error):
                raise
        time.sleep(AGAIN_SECONDS)
        if (found := find()) is not None:
            return found
    raise AssertionError  # the last try returns or raises


@contextmanager
def asked_briefly(*, retries: int, seconds: int | None = None) -> Iterator[None]:
    """Have MLflow's client, which looks up its variables at each request, ask again so often, and wait so long.

    They are the process's: where several ask at once, the one that began last says how, and the last to end puts back
    what was there before any of them.
    """
    wanted = {RETRIES: str(retries)} | ({} if seconds is None else {TIMEOUT: str(seconds)})
    with _variables:
        _given.update({name: os.environ.get(name) for name in wanted if not any(name in one for one in _asking)})
        _asking.append(wanted)
        os.environ.update(wanted)
    try:
        yield
    finally:
        with _variables:
            _asking[:] = [one for one in _asking if one is not wanted]
            for name in wanted:
                _put(name, next((one[name] for one in reversed(_asking) if name in one), _given[name]))


def _put(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value


def _is_of_mlflow(error: Exception) -> bool:
    return type(error).__module__.startswith("mlflow.")


@contextmanager
def denials_refused() -> Iterator[None]:
    """Turn what a server elsewhere answers instead of doing as it is asked, or its silence, into a Refusal."""
    try:
        yield
    except Exception as error:
        if _is_of_mlflow(error) and (fails := _FAILS.search(str(error))):
            what = f"MLflow's server, or a proxy before it, answers with an error ({fails[1]})"
            do = "look at its log, and whether its database is up; then run again: what was done is kept"
            kind = Away if is_away(error) else Refusal
            raise kind([Problem(what=what, where=_where(), do=do)]) from None
        if is_away(error):
            do = "look whether it runs at its address, and run again: what was done is kept"
            raise Away([Problem(what="MLflow's server doesn't answer", where=_where(), do=do)]) from None
        if not _is_of_mlflow(error):
            raise
        what = "MLflow denies the login (401)" if "error code 401" in str(error) else f"MLflow denies it: {error}"
        allowed = (
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of the shell, with `inherit`, or in production.json"
        )
        do = "check the login, its rights, and mlflow_tracking_uri; `steelyard doctor` tries them"
        raise refuse(without_secrets(what), where=_where(), allowed=allowed, do=do) from None


def _ailment(error: Exception) -> str:
    """Say what the server does instead of answering well."""
    fails = _FAILS.search(str(error))
    return f"answers with an error ({fails[1]})" if fails else "doesn't answer"


def _where() -> str:
    """Return the address that this process's client has, without a login."""
    return without_secrets(os.environ.get("MLFLOW_TRACKING_URI", "MLflow"))


def patient(work: Callable[[], T], *, say: Callable[[str], None]) -> T:
    """Do what needs MLflow's answers; where its server went away, once more when it is back.

    The work must bear to be begun again after it was broken off anywhere.

    Raises:
        Refusal: the server stayed away.
    """
    end, told = time.monotonic() + AWAY_SECONDS, False
    while True:
        try:
            return work()
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() > end:
                what = f"MLflow's server {_ailment(error)}, for {AWAY_SECONDS / 60:.0f} minutes now"
                raise refuse(what, do="start it, and run again: what was done is kept") from None
            if not told:
                say(f"{'':10}waiting for MLflow: its server {_ailment(error)}")
            told = True
        time.sleep(AGAIN_SECONDS)
