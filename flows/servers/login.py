"""Prefect's login: tried before its client is, which would answer a denial with its insides."""

import time
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from components.errors import Refusal, refuse
from components.home import Home
from components.settings import NEEDED_BY, logins_of, settings_of
from flows.servers.environment import environment
from flows.servers.processes import Answer, answer_of, basic
from flows.servers.reaching import PATIENCE_SECONDS, masked, remedy

LOGINS: Final = ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")
DENIED: Final = (401, 403)
# It is about to come back, or a proxy before it says so; 500 is what it answers while its database restarts.
AWAY: Final = (0, 429, 500, 502, 503, 504)
SECONDS: Final = 5.0


def check_login(home: Home, *, patience: float = PATIENCE_SECONDS) -> None:
    """Look whether the Prefect server that is set answers to the login that its client will use.

    Raises:
        Refusal: it denies it, or it is no server of Prefect's.
    """
    url = settings_of(home).prefect_api_url
    if url is None:
        return
    end = time.monotonic() + patience
    while (answer := ask_prefect(url, "/flows/count", home)).status in AWAY and time.monotonic() < end:
        time.sleep(0.2)
    if answer.status != 200:
        raise _refused(answer.status, url, home)


def ask_prefect(url: str, path: str, home: Home) -> Answer:
    """Ask Prefect's server for something that wants a login. Nothing of Prefect's is loaded for it."""
    variables = environment(home)
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    login, key = (variables.get(name, "") for name in LOGINS)
    if parts.username and not login:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    headers = {"Authorization": basic(login) if login else f"Bearer {key}"} if login or key else {}
    return answer_of(f"{bare}{path}", seconds=SECONDS, method="POST", content={}, headers=headers)


def _refused(status: int, url: str, home: Home) -> Refusal:
    settings, where = settings_of(home), masked(url)
    if status in DENIED:
        needed = NEEDED_BY["prefect_api_url"]
        what = f"Prefect's server denies the login ({status}; {_origin(home)}), and is needed by {needed}"
        allowed = f"{LOGINS[0]} as NAME:PASSWORD, or {LOGINS[1]}; those of the shell count with `inherit`"
        return refuse(what, where=where, allowed=allowed, do="mend the login; `steelyard doctor` tries it")
    if status and status in AWAY:
        do = "look at its log, and whether its database is up; `steelyard doctor` tries it"
        what = f"Prefect's server, or a proxy before it, answers with an error ({status})"
        return refuse(what, where=where, do=do)
    said = f"answers {status}" if status else "doesn't answer"
    do = f"{remedy(settings, 'prefect_api_url')}; `steelyard doctor` tries it"
    return refuse(f"{said}, where Prefect's API should be", where=where, allowed="http://HOST:PORT/api", do=do)


def _origin(home: Home) -> str:
    if "@" in urlsplit(settings_of(home).prefect_api_url or "").netloc:
        return "it is in the address"
    given = [name for name in LOGINS if name in environment(home)]
    if not given:
        return "none was given"
    return f"{given[0]} is from {home.secrets if given[0] in logins_of(home) else 'the shell'}"
