"""The address of a PostgreSQL database, read strictly: no part of a password is taken for a host."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from components.errors import refuse

FORM = "postgresql://user:password@host:port/database"
SCHEMES = ("postgresql://", "postgres://")
OPTIONS = ("host", "passfile", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a PostgreSQL database is. As text it is without its password and its options."""

    database: str
    host: str = ""  # empty parts are left to libpq: PGHOST, PGUSER, a password file
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()
    origin: str = ""  # the file or the variable that it was read from, for who is to mend it

    def __str__(self) -> str:
        user = f"{quote(self.user)}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"postgresql://{user}{host}{port}/{quote(self.database)}"

    def masked(self, text: str) -> str:
        """Return the text without the password."""
        return text.replace(self.password, "***") if self.password else text


def address_of(text: str, *, origin: str = "") -> Address:
    """Read an address.

    Raises:
        Refusal: it isn't one. The message doesn't repeat it, for it may hold a password.
    """
    if not text.strip().startswith(SCHEMES):
        raise _malformed(f"it doesn't begin with {SCHEMES[0]}")
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise _malformed("its host or port can't be read") from None
    if wrong := _wrong(parts):
        raise _malformed(wrong)
    options = tuple(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted({name for name, _ in options} - set(OPTIONS)):
        raise _malformed(f"'{unknown[0]}' is no option of it", allowed=", ".join(OPTIONS))
    return Address(
        database=unquote(parts.path[1:]),
        host=unquote(parts.hostname or ""),
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        options=options,
        origin=origin,
    )


def _wrong(parts: SplitResult) -> str:
    if parts.fragment or "@" in parts.path + parts.query or "/" in parts.path[1:]:
        return "it has a '/', '@', '?' or '#' too many"
    return "" if parts.path[1:] else "it names no database"


def _malformed(what: str, *, allowed: str = FORM) -> Exception:
    do = "mend the address; write %2F for a '/' in a password, %40 for '@', %3F for '?', %23 for '#'"
    return refuse(f"this is no address of a database: {what}", where="postgresql://***", allowed=allowed, do=do)
