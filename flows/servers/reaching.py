"""Servers elsewhere: they are met before a client of theirs is, which may try for minutes and then show its insides."""

import socket
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from components.errors import Problem, Unreachable
from components.home import PRODUCTION, Home
from components.production import production_of
from components.settings import NEEDED_BY, Settings

PATIENCE_SECONDS: Final = 10.0  # for a server that is about to come back
PORTS: Final = {"http": 80, "https": 443}


def reach(settings: Settings, name: str) -> None:
    """Wait until a connection to the server of a setting can be made, if one is set and no proxy stands between.

    Raises:
        Refusal: there is none.
    """
    url = getattr(settings, name) or ""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or (parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")):
        return
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            where = (parts.hostname or "", parts.port or PORTS[parts.scheme])
            socket.create_connection(where, timeout=PATIENCE_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                what = f"can't be reached ({error.strerror or error}), and is needed by {NEEDED_BY[name]}"
                do = f"{remedy(settings, name)}; `steelyard doctor` tries it"
                raise Unreachable([Problem(what=what, where=masked(url), do=do)]) from None
        time.sleep(0.2)


def remedy(settings: Settings, name: str) -> str:
    """Say what helps where the server of a setting is silent: nobody wrote the addresses of `up --production`."""
    origin = settings.origin(name)
    if Path(origin).name == PRODUCTION:
        return f"`steelyard up --production` starts what is missing (the address is from {origin})"
    named = f"{name} (from {origin})" if name in settings.origins else "its address"
    return f"start it, or mend {named}"


def check_up(home: Home) -> None:
    """Refuse where the servers of `up --production`, which the home uses, are down."""
    production = production_of(home)
    if production is not None and not listens(production.urls["postgres"]):
        what = "this home uses the servers of `up --production`, and they are down"
        raise Unreachable([Problem(what=what, where=str(home.root), do="steelyard up --production")])


def listens(url: str) -> bool:
    """Whether something takes connections at an address of this machine."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5.0).close()
    except OSError:
        return False
    return True


def masked(address: str) -> str:
    """Return an address without the name, the password and the query that it may hold."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "", ""))
