"""What an error of PostgreSQL means for a person: what to do about it, or that the work may be done again."""

import re

import psycopg2

from components.database.address import Address
from components.database.database import Undone
from components.errors import GO_ON, Problem, Refusal, Unreachable, refuse

_AGAIN = "look whether the server keeps running, and try again"
_NAME = "look at the name and the password in the address"
_SSL = "look at what begins with ssl in the address"
_RIGHTS = "give the user of the address rights on the database and on its schema 'steelyard'"
# A server that denies a connection says why in words alone. What isn't known here is waited for, as a restart is.
_DENIED = {
    r"password authentication failed": ("the server denies the user's name or password", _NAME),
    r"no password supplied": ("the server asks for a password", _NAME),
    r"authentication failed": ("the server denies the user", _NAME),
    r'role ".*" does not exist': ("the server knows no such user", _NAME),
    r'database ".*" does not exist': (
        "the server has no such database",
        "mend the address, or make the database",
    ),
    r"permission denied for database": ("the user may not connect to the database", _RIGHTS),
    r"no pg_hba.conf entry": ("the server lets nobody in from here under this name", "look at its pg_hba.conf"),
    r"does not support SSL|certificate": ("there is no agreement on encryption", _SSL),
    r"invalid \S+ value": ("an option in the address has no such value", _SSL),
}
_BY_CODE = {
    "25006": ("the {what}'s server is read-only", "name the primary server in the address, not its copy"),
    "42501": ("the {what} may not be read or written", _RIGHTS),
    "53100": ("no space left on the server's disk", f"free some space; {GO_ON}"),
    "53200": ("the server is out of memory", _AGAIN),
    "55P03": ("another process has held the {what} for too long", "end it, or try again"),
    "57014": ("the server cancelled the work on the {what}", "look at its time limits, and try again"),
    "58030": ("the {what} can't be read or written", "look at the server's disk"),
    "XX001": ("the {what} is damaged", "restore the database, or name a new one"),
    "XX002": ("the {what} is damaged", "restore the database, or name a new one"),
}
_TRANSIENT = ("08", "40", "57P")  # connection, deadlock or conflict, shutdown: as codes begin


def explained(error: psycopg2.Error, *, lost: bool, what: str, address: Address) -> Refusal | None:
    """Return what to raise instead of an error of a statement, or None where it is a mistake of ours."""
    said = _said(error, address)
    code = error.pgcode or ""
    if lost or code.startswith(_TRANSIENT):
        broken = f"the connection to the {what} broke, and nothing was changed ({said})"
        return Undone([Problem(what=broken, where=str(address), do=_AGAIN)])
    if code not in _BY_CODE:
        return None
    text, do = _BY_CODE[code]
    return refuse(f"{text.format(what=what)} ({said})", where=str(address), do=do)


def is_final(error: psycopg2.Error) -> bool:
    """Say whether the server, or this machine, has denied the connection for good."""
    return _denial(str(error)) is not None


def unreachable(error: psycopg2.Error, *, what: str, address: Address) -> Refusal:
    """Return the refusal of a connection that didn't come about."""
    said, where = _said(error, address), str(address)
    if denial := _denial(str(error)):
        origin = f" (the address is from {address.origin})" if address.origin else ""
        return refuse(f"{denial[0]} ({said})", where=where, do=denial[1] + origin)
    told = f"the {what}'s server can't be reached ({said})"
    return Unreachable([Problem(what=told, where=where, do="look whether it runs at this address")])


def _denial(said: str) -> tuple[str, str] | None:
    return next((meaning for words, meaning in _DENIED.items() if re.search(words, said)), None)


def _said(error: psycopg2.Error, address: Address) -> str:
    return address.masked(" ".join(str(error).split()))
