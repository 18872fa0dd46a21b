"""How an S3 is reached. Keys that aren't given come from boto3's own chain: variables, files, the machine's role."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

LONGEST_WAIT: Final = 20.0  # seconds, as botocore's own
PASSING: Final = frozenset({"BadDigest", "429", "TooManyRequests"})  # which botocore takes for final
_Response = tuple[object, dict[str, dict[str, str]]] | None  # what was answered, and the same parsed
REGION: Final = "us-east-1"  # where nothing else is said: servers of one's own don't mind


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Where to ask, and for how long. A call that fails is tried again after growing, jittered waits."""

    endpoint_url: str | None = None  # None: what boto3's own settings say, or else Amazon's
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    origin: str = ""  # the file that the keys were read from, for who is to mend them
    timeout_seconds: float = 60.0  # without an answer, or without another byte of it
    attempts: int = 6

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint_url or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("endpoint_url is no http:// or https:// address")
        if "@" in parts.netloc or parts.query:
            raise ValueError("endpoint_url holds a name or a password, which belong into boto3's own settings")
        if self.timeout_seconds <= 0 or self.attempts < 1:
            raise ValueError("timeout_seconds and attempts are larger than 0")


def connect(access: Access, *, connections: int) -> "S3Client":
    """Return a client, to be shared by threads that keep up to so many connections open."""
    from boto3.session import Session
    from botocore.config import Config

    session = Session(aws_access_key_id=access.access_key, aws_secret_access_key=access.secret_key)
    config = Config(
        connect_timeout=min(access.timeout_seconds, 10.0),
        read_timeout=access.timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": access.attempts},
        max_pool_connections=connections,
        tcp_keepalive=True,
        # Any S3: newer checksums are only sent where a call can't do without; ours go as Content-MD5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if access.endpoint_url else "auto"},
    )
    region = access.region or session.region_name or REGION
    client = session.client("s3", endpoint_url=access.endpoint_url, region_name=region, config=config)

    def wait_more(*, response: _Response, attempts: int, **_: object) -> float | None:
        """Return the seconds to wait for another attempt at what botocore gives up, or None."""
        code = response[1].get("Error", {}).get("Code") if response else None
        return waits(attempts) if code in PASSING and attempts < access.attempts else None

    client.meta.events.register("needs-retry.s3", wait_more)  # type: ignore[arg-type]  # the answer does count
    return client


def waits(failures: int) -> float:
    """Return a random number of seconds, larger as a rule after more failures."""
    return random.uniform(0, min(2.0**failures / 2, LONGEST_WAIT))  # noqa: S311 - nothing to guess
