"""What makes another version of the same file."""

from pathlib import Path

import pytest

from tasks import answering
from tasks.answering import ANSWERING, answering_code


def test_the_code_is_that_of_the_served_model_and_of_its_signature() -> None:
    from components.planning.closure import code_of

    reached = {name for entry in ANSWERING for name in code_of(entry, named=frozenset())}
    assert {
        "components.release.served.Served",
        "components.release.served.category",
        "components.release.serving.signature",
        "tasks.registry.signature_of",
    } <= reached
    assert not any("bundle" in name for name in reached)


def test_other_code_has_another_digest_and_other_words_have_not(monkeypatch: pytest.MonkeyPatch) -> None:
    before, code_of = answering_code(), answering.code_of
    assert before == answering_code()
    for entry in ANSWERING:
        monkeypatch.setattr(
            answering,
            "code_of",
            lambda name, named, entry=entry: code_of(name, named=named) | {"x": str(name == entry)},
        )
        assert answering_code() != before


def test_it_is_read_from_the_file_that_the_version_copies() -> None:
    from components.release import served

    assert Path(served.__file__).name == "served.py"
