"""`verify` names the link that broke."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.flows.place import Place, Told, flip

pytestmark = pytest.mark.timeout(900)


UNTOUCHED = {
    "data": "verified",
    "split": "verified",
    "code": "stated",
    "seeds": "stated",
    "checkpoint": "verified",
    "candidate": "stated",
    "onnx": "verified",
    "gate": "stated",
}


def states(told: Told) -> dict[str, str]:
    return {one["name"]: one["status"] for one in told.json}


def blob(place: Place, digest: str) -> Path:
    return place.home / "store" / "objects" / digest[:2] / digest[2:]


def digests(place: Place) -> dict[str, str]:
    shown = place.call("show", "people", "--json").json
    (row,) = place.call("data", "list", "--json").json
    return {
        "checkpoint": shown["checkpoint_sha256"],
        "split": shown["assignments_sha256"],
        "data": row["sha256"],
    }


@contextmanager
def registered(place: Place, name: str, *, version: int = 2) -> Iterator[Path]:
    """A file of a version as MLflow keeps it; it is whole again at the end."""
    query = "SELECT storage_location FROM model_versions WHERE version = ?"
    with closing(sqlite3.connect(place.home / "mlflow" / "mlflow.db")) as connection:
        (where,) = connection.execute(query, (version,)).fetchone()
    file = Path(where.removeprefix("file://")) / "artifacts" / name
    content = file.read_bytes()
    try:
        yield file
    finally:
        file.write_bytes(content)


def test_an_untouched_release_holds_at_every_link(both: Place) -> None:
    told = both.call("verify", "people", "--json")
    assert told.code == 0, told.err
    assert states(told) == UNTOUCHED
    assert "the chain holds" in both.call("verify", "people", "--version", "1").out


@pytest.mark.parametrize("link", ["data", "split", "checkpoint"])
def test_a_flipped_byte_in_the_store_breaks_its_link_and_no_other(place: Place, link: str) -> None:
    stored = place.home / "store" / "folders" / digests(place)[link]
    name = next(path for path in sorted(stored.iterdir()) if path.suffix != ".json") if stored.is_dir() else None
    flip(blob(place, digests(place)[link]) if name is None else blob_of(place, name))
    told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {link: "broken"}
    assert f"broken: {link}" in place.call("verify", "people").out


def blob_of(place: Place, file: Path) -> Path:
    """The blob with the bytes of a file that was laid out."""
    return next(
        path for path in (place.home / "store" / "objects").glob("*/*") if path.read_bytes() == file.read_bytes()
    )


def test_a_flipped_byte_in_the_registry_breaks_the_link_onnx(place: Place) -> None:
    with registered(place, "model.onnx") as file:
        flip(file)
        told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {"onnx": "broken"}


def test_a_changed_fact_breaks_the_link_that_states_it(place: Place) -> None:
    with registered(place, "provenance.json") as file:
        file.write_bytes(file.read_bytes().replace(b'"rows":200', b'"rows":900'))
        told = place.call("verify", "people", "--json")
    assert [name for name, state in states(told).items() if state == "broken"] == ["data"]


def test_what_the_store_no_longer_has_cannot_be_verified_and_is_not_called_broken(place: Place) -> None:
    blob(place, digests(place)["split"]).unlink()
    told = place.call("verify", "people", "--json")
    assert told.code == 0
    assert states(told) == UNTOUCHED | {"split": "unverifiable"}
    assert "1 of 8 links can't be verified here (split)" in place.call("verify", "people").out


def test_a_chain_of_another_release_is_not_taken(place: Place) -> None:
    with registered(place, "provenance.json") as file:
        file.write_bytes(other(place))
        told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told)["gate"] == "broken"  # the last link: its digest was recorded at registration


def other(place: Place) -> bytes:
    query = "SELECT storage_location FROM model_versions WHERE version = 1"
    with closing(sqlite3.connect(place.home / "mlflow" / "mlflow.db")) as connection:
        (where,) = connection.execute(query).fetchone()
    return (Path(where.removeprefix("file://")) / "artifacts" / "provenance.json").read_bytes()
