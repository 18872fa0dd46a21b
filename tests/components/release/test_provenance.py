"""The chain names the link that broke."""

import hashlib
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import Refusal
from components.release.provenance import LINKS, Link, Sealed, build, canonical, head, stated, verify


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def chain(**changed):
    links = [
        Link(name="data", artifacts={"data": sha("rows")}, facts={"dvc_md5": "0" * 32, "rows": 1797}),
        Link(name="split", artifacts={"split/assignments": sha("assignments"), "split/counts": sha("counts")}),
        Link(name="code", artifacts={"code": sha("code")}),
        Link(name="seeds", facts={"train": 0, "split": 7}),
        Link(name="checkpoint", artifacts={"checkpoint": sha("weights")}),
        Link(name="candidate", artifacts={"candidate": sha("pruned")}, facts={"name": "int8"}),
        Link(name="onnx", artifacts={"model.onnx": sha("onnx")}),
        Link(name="gate", artifacts={"judgement": sha("yes")}, facts={"decision": "yes", "accuracy": 0.99}),
    ]
    return [changed.get(link.name, link) for link in links]


STATEMENT = build(chain(), subject="model.onnx")
HERE = {name: digest for link in chain() for name, digest in link.artifacts.items()}


def broken(statement, *, digest_of=HERE.get, **more):
    return [check.name for check in verify(statement, digest_of=digest_of, **more) if check.status == "broken"]


def edited(edit):
    whole = json.loads(STATEMENT)
    edit(whole)
    return canonical(whole)


def test_an_untouched_chain_holds_at_every_link_and_what_was_not_hashed_is_only_stated():
    checks = verify(STATEMENT, digest_of=HERE.get, head=head(STATEMENT))
    assert [check.name for check in checks] == list(LINKS)
    assert {check.name: check.status for check in checks} == {
        link.name: "verified" if link.artifacts else "stated" for link in chain()
    }


def test_it_is_an_in_toto_statement():
    whole = json.loads(STATEMENT)
    assert whole["_type"] == "https://in-toto.io/Statement/v1"
    assert whole["subject"] == [{"name": "model.onnx", "digest": {"sha256": sha("onnx")}}]
    theirs = pytest.importorskip("in_toto_attestation.v1.statement")
    parsed = pytest.importorskip("google.protobuf.json_format").Parse(STATEMENT, theirs.spb.Statement())
    theirs.Statement.copy_from_pb(parsed).validate()


def test_the_same_links_give_the_same_bytes_whatever_the_order_of_their_facts():
    links = [replace(link, facts=dict(reversed(link.facts.items()))) for link in chain()]
    assert build(links, subject="model.onnx") == STATEMENT


@pytest.mark.parametrize("place", range(len(LINKS)))
def test_changed_content_names_its_link_and_no_other(place):
    def edit(whole):
        whole["predicate"]["links"][place]["facts"]["added"] = "later"

    assert broken(edited(edit)) == [LINKS[place]]


@pytest.mark.parametrize("place", range(len(LINKS)))
def test_a_changed_digest_names_its_link_and_no_other(place):
    def edit(whole):
        whole["predicate"]["links"][place]["digest"] = sha("other")

    assert broken(edited(edit)) == [LINKS[place]]


@pytest.mark.parametrize("place", range(len(LINKS)))
def test_a_changed_back_reference_names_its_link_and_no_other(place):
    def edit(whole):
        whole["predicate"]["links"][place]["previous"] = sha("other")

    assert broken(edited(edit)) == [LINKS[place]]


@pytest.mark.parametrize("place", range(len(LINKS) - 1))
def test_a_link_that_was_replaced_and_sealed_again_is_named(place):
    def edit(whole):
        link = whole["predicate"]["links"][place]
        link["facts"]["seen"] = "never"
        link["digest"] = Sealed(**{**link, "digest": ""}).computed()

    assert broken(edited(edit)) == [LINKS[place]]


@pytest.mark.parametrize("artifact", sorted(HERE))
def test_an_artifact_with_other_bytes_names_the_link_that_holds_it(artifact):
    def digest_of(name):
        return sha("changed") if name == artifact else HERE[name]

    (link,) = [link.name for link in chain() if artifact in link.artifacts]
    (check,) = [c for c in verify(STATEMENT, digest_of=digest_of) if c.status == "broken"]
    assert check.name == link
    assert artifact in check.text


def test_an_artifact_that_is_not_here_is_said_to_be_unverifiable():
    checks = verify(STATEMENT, digest_of=lambda name: None if name == "data" else HERE[name])
    assert [check.name for check in checks if check.status == "unverifiable"] == ["data"]
    assert broken(STATEMENT, digest_of=lambda name: None) == []


def test_an_artifact_that_must_be_here_and_is_not_breaks_its_link():
    checks = verify(STATEMENT, digest_of=lambda name: None, needed={"model.onnx"})
    assert [(check.name, check.text) for check in checks if check.status == "broken"] == [
        ("onnx", "model.onnx is gone.")
    ]


@pytest.mark.parametrize("place", range(len(LINKS)))
def test_a_removed_link_is_named(place):
    assert LINKS[place] in broken(edited(lambda whole: whole["predicate"]["links"].pop(place)))


def test_a_chain_written_anew_is_found_by_its_recorded_head():
    forged = build(
        chain(data=Link(name="data", artifacts={"data": HERE["data"]}, facts={"rows": 1})), subject="model.onnx"
    )
    assert broken(forged) == []
    assert broken(forged, head=head(STATEMENT)) == ["gate"]


def test_a_chain_that_says_that_something_came_before_its_first_link_is_found_though_it_was_sealed_again():
    def edit(whole):
        previous = sha("a link that was removed")
        for link in whole["predicate"]["links"]:
            link["previous"] = previous
            link["digest"] = previous = Sealed(**{**link, "digest": ""}).computed()

    (check,) = [c for c in verify(edited(edit), digest_of=HERE.get) if c.status == "broken"]
    assert (check.name, check.text) == (LINKS[0], "Links before it were removed.")


def test_another_subject_breaks_the_onnx_link():
    def edit(whole):
        whole["subject"][0]["digest"]["sha256"] = sha("other")

    assert broken(edited(edit)) == ["onnx"]


def test_links_in_another_order_or_twice_are_found():
    assert broken(edited(lambda whole: whole["predicate"]["links"].reverse()))
    assert broken(edited(lambda whole: whole["predicate"]["links"].append(whole["predicate"]["links"][-1])))


def test_what_no_link_speaks_for_is_found():
    assert broken(edited(lambda whole: whole["predicate"].update(note="trust me"))) == ["statement"]
    assert broken(json.dumps(json.loads(STATEMENT), indent=1).encode()) == ["statement"]


@given(st.integers(0, len(STATEMENT) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(place, change):
    damaged = bytearray(STATEMENT)
    damaged[place] ^= change
    with suppress(Refusal):
        assert broken(bytes(damaged))


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b"\xff\xfe", b'{"_type": 1}', b"null", b'{"predicate": NaN}'])
def test_what_is_no_statement_is_refused(junk):
    with pytest.raises(Refusal, match="statement"):
        verify(junk, digest_of=HERE.get)


@pytest.mark.parametrize(
    "emptied", [lambda whole: whole["predicate"]["links"].clear(), lambda whole: whole["subject"].clear()]
)
def test_a_statement_of_nothing_is_refused(emptied):
    with pytest.raises(Refusal, match="no subject, or no links"):
        verify(edited(emptied), digest_of=HERE.get)


def test_a_number_that_json_has_not_is_refused_wherever_it_is():
    with pytest.raises(Refusal, match="NaN isn't JSON"):
        verify(STATEMENT.replace(b"0.99", b"NaN"), digest_of=HERE.get)


def test_a_chain_that_is_not_whole_is_not_built():
    with pytest.raises(ValueError, match="it must be data, split"):
        build(chain()[1:], subject="model.onnx")
    with pytest.raises(ValueError, match="isn't among the artifacts"):
        build(chain(), subject="other.onnx")
    with pytest.raises(ValueError, match="not JSON compliant"):
        build(chain(gate=Link(name="gate", facts={"accuracy": float("nan")})), subject="model.onnx")


def test_the_digests_that_a_chain_states_can_be_read():
    assert stated(STATEMENT) == HERE
