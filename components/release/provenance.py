"""The chain of a release, from its data to the gate: an in-toto Statement whose every link names the one before it.

A link holds the SHA-256 of what it is about and facts beside them. Its own digest is that of its content together
with the digest of the link before, so a change anywhere shows, and shows where. The last link's digest, the head,
stands for the whole chain: kept elsewhere (in the registry, under a signature), it shows a chain that was
rewritten from one end to the other, which no chain can show by itself.

Source: in-toto Attestation Framework, Statement v1 (https://github.com/in-toto/attestation).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal, get_args

from components.errors import refuse

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:steelyard:provenance:v1"

LinkName = Literal["data", "split", "code", "seeds", "checkpoint", "candidate", "onnx", "gate"]
LINKS: Final[tuple[LinkName, ...]] = get_args(LinkName)
Fact = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One step of the chain."""

    name: LinkName
    artifacts: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256, to be computed again by `verify`
    facts: Mapping[str, Fact] = field(default_factory=dict)  # DVC's MD5, seeds, the decision: held by the digest only


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A link as it stands in the statement."""

    name: str
    artifacts: Mapping[str, str]
    facts: Mapping[str, Fact]
    previous: str  # digest of the link before, "" for the first
    digest: str

    def computed(self) -> str:
        """Return the digest that the content and the link before it give."""
        content = {name: value for name, value in asdict(self).items() if name != "digest"}
        return hashlib.sha256(canonical(content)).hexdigest()


STATED: Final = "Written down, with nothing beside it that could be hashed again."


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkCheck:
    """What came of checking one link.

    verified: its artifacts were hashed again. stated: it has none, so that only the chain speaks for it; the code's
    digest is among these, as the code that verifies may well be newer. unverifiable: nothing is wrong, but an artifact
    isn't here to be hashed.
    """

    name: str
    status: Literal["verified", "stated", "broken", "unverifiable"]
    text: str  # why, for a person


def canonical(value: object) -> bytes:
    """Return JSON of which there is one form only: sorted keys, no blanks, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def build(links: Sequence[Link], *, subject: str) -> bytes:
    """Return the statement of a release.

    Args:
        links: The chain, one of each of LINKS, in their order.
        subject: The name of the ONNX file, which must be an artifact of the link `onnx`.

    Raises:
        ValueError: Links are missing, double or out of order, or the subject isn't an artifact.
    """
    if tuple(link.name for link in links) != LINKS:
        raise ValueError(f"the chain is {', '.join(link.name for link in links)}; it must be {', '.join(LINKS)}")
    onnx = next(link for link in links if link.name == "onnx")
    if subject not in onnx.artifacts:
        raise ValueError(f"the subject '{subject}' isn't among the artifacts of the link onnx")
    return canonical(_statement({subject: onnx.artifacts[subject]}, seal(links)))


def _statement(subject: Mapping[str, str], links: Sequence[Sealed]) -> dict[str, object]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subject.items()],
        "predicateType": PREDICATE,
        "predicate": {"links": [asdict(link) for link in links]},
    }


def seal(links: Iterable[Link]) -> tuple[Sealed, ...]:
    """Return the links with their digests."""
    sealed: list[Sealed] = []
    for link in links:
        open_link = Sealed(
            name=link.name,
            artifacts=dict(link.artifacts),
            facts=dict(link.facts),
            previous=sealed[-1].digest if sealed else "",
            digest="",
        )
        sealed.append(replace(open_link, digest=open_link.computed()))
    return tuple(sealed)


def head(statement: bytes) -> str:
    """Return the digest of the last link, which stands for the whole chain.

    Raises:
        Refusal: The bytes aren't a statement of this kind.
    """
    return _read(statement).links[-1].digest


def stated(statement: bytes) -> dict[str, str]:
    """Return the SHA-256 that the links state of each artifact, by its name.

    Raises:
        Refusal: The bytes aren't a statement of this kind.
    """
    return {name: digest for link in _read(statement).links for name, digest in link.artifacts.items()}


def verify(
    statement: bytes,
    *,
    digest_of: Callable[[str], str | None],
    head: str | None = None,
    needed: Collection[str] = (),
) -> list[LinkCheck]:
    """Compute the chain again and say of each link whether it holds.

    Args:
        statement: What `build` returned.
        digest_of: Computes the SHA-256 of an artifact by its name; None where it isn't here.
        head: The digest of the last link as it was recorded elsewhere, if it was.
        needed: Artifacts that must be here: without one of them its link is broken.

    Returns:
        A check for each of LINKS, in order, then one for each link or form that doesn't belong.

    Raises:
        Refusal: The bytes aren't a statement of this kind at all.
    """
    read = _read(statement)
    found = {link.name: place for place, link in enumerate(read.links)}
    checks = []
    for name in LINKS:
        if name not in found:
            checks.append(LinkCheck(name=name, status="broken", text=f"The link {name} is missing."))
            continue
        checks.append(_check(read, found[name], digest_of=digest_of, head=head, needed=needed))
    if tuple(link.name for link in read.links) != LINKS and len(found) >= len(LINKS):
        names = ", ".join(link.name for link in read.links)
        checks.append(LinkCheck(name="statement", status="broken", text=f"Its links are {names}."))
    elif canonical(_statement(read.subject, read.links)) != statement:
        text = "It holds what no link speaks for, or was written again by something else."
        checks.append(LinkCheck(name="statement", status="broken", text=text))
    return checks


@dataclass(frozen=True, kw_only=True, slots=True)
class _Statement:
    """A statement that was read: well-formed, and not yet believed."""

    subject: Mapping[str, str]  # name -> SHA-256
    links: tuple[Sealed, ...]


def _check(
    read: _Statement,
    place: int,
    *,
    digest_of: Callable[[str], str | None],
    head: str | None,
    needed: Collection[str],
) -> LinkCheck:
    link = read.links[place]
    faults = _faults_of_chain(read, place, head=head)
    found = {name: digest_of(name) for name in link.artifacts}
    faults += [
        f"{name} has the digest {digest[:12]}, the link says {link.artifacts[name][:12]}."
        for name, digest in found.items()
        if digest is not None and digest != link.artifacts[name]
    ]
    faults += [f"{name} is gone." for name, digest in found.items() if digest is None and name in needed]
    if faults:
        return LinkCheck(name=link.name, status="broken", text=" ".join(faults))
    absent = [name for name, digest in found.items() if digest is None]
    if absent:
        text = f"Not here to be hashed: {', '.join(absent)}."
        return LinkCheck(name=link.name, status="unverifiable", text=text)
    if not found:
        return LinkCheck(name=link.name, status="stated", text=STATED)
    return LinkCheck(name=link.name, status="verified", text=f"Hashed: {', '.join(found)}.")


def _faults_of_chain(read: _Statement, place: int, *, head: str | None) -> list[str]:
    """Return what is wrong with a link's digest, and with its place between its neighbours."""
    link, links, faults = read.links[place], read.links, []
    if link.computed() != link.digest:
        faults.append("Its content isn't what its digest was made of.")
    after = links[place + 1] if place + 1 < len(links) else None
    # Where the next link is sound and was built on another digest, this link was replaced, not that one.
    if after is not None and after.computed() == after.digest and after.previous != link.digest:
        faults.append(f"It isn't the link that {after.name} was built on.")
    if place == 0 and link.previous:
        faults.append("Links before it were removed.")
    if after is None and head is not None and link.digest != head:
        faults.append("It isn't the end of the chain that was recorded: the chain was written anew.")
    if link.name == "onnx" and not read.subject.items() <= link.artifacts.items():
        faults.append("It isn't about the file that the statement is about.")
    return faults


def _read(statement: bytes) -> _Statement:
    from pydantic import TypeAdapter, ValidationError

    try:
        whole = json.loads(statement, parse_constant=_no_constant)
        if (whole["_type"], whole["predicateType"]) != (STATEMENT, PREDICATE):
            raise refuse(f"the statement is of type {whole['predicateType']}", allowed=PREDICATE)
        subject = {entry["name"]: entry["digest"]["sha256"] for entry in whole["subject"]}
        links = TypeAdapter(tuple[Sealed, ...]).validate_json(json.dumps(whole["predicate"]["links"]))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise refuse(
            f"it isn't a statement of provenance: {str(error).splitlines()[0]}",
            where="provenance",
            do="take the file from the model version again",
        ) from error
    if not links or not subject:
        raise refuse("the statement has no subject, or no links", where="provenance")
    return _Statement(subject=subject, links=links)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} isn't JSON")
