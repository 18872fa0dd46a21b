"""What an S3 that says no, or nothing, is to a person: something to mend. No message holds a secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from components.errors import GO_ON, Problem, Refusal, Unreachable, refuse

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

ABSENT: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "InvalidPart"})  # the last: a part of an upload
DENIED: Final = frozenset({"403", "AccessDenied", "AllAccessDisabled"})
LOGIN: Final = DENIED | {"InvalidAccessKeyId", "SignatureDoesNotMatch"}  # what is wrong may be the keys
LATER: Final = (408, 429)  # S3, or a proxy before it, had no time for the request
_CREDENTIALS: Final = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the machine's role"

# What is wrong, and what to do, by the code of the answer.
_ANSWERS: Final[dict[str, tuple[str, str]]] = {
    "NoSuchBucket": ("there is no such bucket", "make the bucket, or mend the address of the store"),
    **dict.fromkeys(DENIED, ("access denied", "let these credentials list, read, write and delete below the prefix")),
    "InvalidAccessKeyId": ("the access key is unknown there", "check AWS_ACCESS_KEY_ID, AWS_PROFILE and the endpoint"),
    "SignatureDoesNotMatch": ("the secret key is wrong", "check AWS_SECRET_ACCESS_KEY, AWS_PROFILE and the endpoint"),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "InvalidToken", "RequestExpired", "TokenRefreshRequired"),
        ("the credentials have expired", f"renew them; {GO_ON}"),
    ),
    "RequestTimeTooSkewed": ("the clocks differ", "set this machine's clock"),
    **dict.fromkeys(
        ("301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
        ("the bucket is in another region, or at another endpoint", "set the region and the endpoint of the store"),
    ),
    "400": ("the request was refused, as it is where credentials have expired", f"renew them; {GO_ON}"),
    "QuotaExceeded": ("the quota is used up", f"free some space there; {GO_ON}"),
}


@contextmanager
def refusals(place: str, endpoint: str, *, origin: str = "") -> Iterator[None]:
    """Turn what S3 answers, or the network does, into a Refusal; into FileNotFoundError where a key isn't there.

    `origin` is where the keys were read, where that is known.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(error, place, endpoint, origin) from error
    except BotoCoreError as error:
        raise _unanswered(error, place, endpoint) from error


def code_of(error: "ClientError") -> str:
    """Return the code of the answer: a word, or the HTTP status where the answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _answered(error: "ClientError", place: str, endpoint: str, origin: str) -> Exception:
    code, call = code_of(error), error.operation_name
    if code in ABSENT:
        return FileNotFoundError(place)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    what, do = _ANSWERS.get(code, ("S3 failed, time and again", f"look at {endpoint}; {GO_ON}"))
    if origin and code in LOGIN:
        do += f" (the keys are from {origin})"
    kind = Unreachable if code not in _ANSWERS and (status >= 500 or status in LATER) else Refusal
    return kind([Problem(what=f"{what} ({call}: {status} {code})", where=place, do=do)])


def _unanswered(error: "BotoCoreError", place: str, endpoint: str) -> Refusal:
    from botocore import exceptions as known

    kind = type(error).__name__
    if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError | known.CredentialRetrievalError):
        return refuse(f"no credentials for S3 were found ({kind})", where=place, allowed=_CREDENTIALS, do="set them")
    if isinstance(error, known.ProfileNotFound | known.ConfigNotFound | known.ConfigParseError):
        return refuse(
            f"the settings of boto3 can't be read ({kind})", where=place, do="check AWS_PROFILE and its files"
        )
    if isinstance(error, known.TokenRetrievalError | known.SSOError):
        return refuse(f"the login has expired ({kind})", where=place, do=f"log in again; {GO_ON}")
    if isinstance(error, known.SSLError):
        do = "check the certificate of the endpoint, or AWS_CA_BUNDLE"
        return refuse(f"{endpoint} isn't trusted ({kind})", where=place, do=do)
    if isinstance(error, known.ConnectionError | known.HTTPClientError | known.IncompleteReadError):
        do = f"check the endpoint and the network; {GO_ON}"
        what = f"{endpoint} can't be reached, or stopped answering ({kind})"
        return Unreachable([Problem(what=what, where=place, do=do)])
    return refuse(f"boto3 can't ask {endpoint} ({kind})", where=place, do="check the settings of the store")
