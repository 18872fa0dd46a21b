"""Servers that tests of several rooms use."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.s3 import BUCKET, S3Server, s3_server
from tests.servers.tables import shared_tables

S3, POSTGRES = "s3", "postgres"  # tests whose server is started once a process
FOLDERS = {
    Path("components/store/s3"): S3,
    Path("components/database"): POSTGRES,
    Path("components/planning"): POSTGRES,
}
# Groups that take long, longest first: else all others have ended, and one processor waits for the last of them.
LONGEST = (
    *("runs", "production", "torture", "dying", S3, "processes", POSTGRES, "test_lost_answers", "test_parity"),
    *("test_services", "test_quantization", "test_versioning", "test_reaping", "test_resume", "plain script"),
    *("test_bunched", "test_gate", "test_served_by_mlflow"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Have the processes of pytest-xdist make tables once, for all of them; and time no test."""
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    if not hasattr(config, "workerinput"):
        stack = ExitStack()
        stack.enter_context(shared_tables())
        config.add_cleanup(stack.close)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups, and behind the folders that name some
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file on one process, which so makes what its tests share once, and begin with the longest."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(_group_of(item.path)))
    items.sort(key=_rank)


def _group_of(file: Path) -> str:
    room = file.relative_to(Path(__file__).parent).parent
    return FOLDERS.get(room, file.stem)


def _rank(item: pytest.Item) -> int:
    groups = {mark.args[0] for mark in item.iter_markers("xdist_group")}
    return min((rank for rank, name in enumerate(LONGEST) if name in groups), default=len(LONGEST))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, for a whole session of tests: each asks it for a `fresh` database, or an `emptied` one."""
    with tempfile.TemporaryDirectory(prefix="steelyard-postgres-") as folder, postgres_server(Path(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with a bucket, for a whole session of tests."""
    with s3_server(tmp_path_factory.mktemp("s3") / "server") as made:
        made.make_bucket(BUCKET)
        yield made


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with its keys where boto3 finds them."""
    for name, value in server.variables().items():
        if "CHECKSUM" not in name:  # for libraries that don't say it themselves
            monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test knows."""
    return f"project/{uuid.uuid4().hex}"


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return tmp_path / "home" / "ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.emptied()
