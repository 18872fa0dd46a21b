"""The only file that imports DVC: it versions data sets, and brings back those that a repository tracks."""

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.errors import refuse
from components.recipe_file import without_secrets
from components.store.artifact import Stored
from tasks.stage import Remote

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB

os.environ.setdefault("DVC_NO_ANALYTICS", "1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A data set as DVC knows it."""

    md5: str  # of the folder, ending in .dir
    dvc_file: Path  # the .dvc text, all that is needed to have the data back from the remote


def snapshot(data: Path, *, workspace: Path, remote: Remote) -> Version:
    """Add the folder to DVC in a throw-away workspace of its own, without git, and push it to the remote.

    `data` must lie in `workspace`. DVC's cache is made by links, so the bytes aren't there twice.

    Raises:
        Refusal: the remote is on S3, and can't be reached, or denies it.
    """
    with _quiet_dvc(workspace), _repository(workspace, remote) as repo:
        (added,) = repo.add(str(data))
        with _s3_refused(remote):
            repo.push(remote="home")
        return Version(md5=added.outs[0].hash_info.value, dvc_file=Path(added.path))


def restore(dvc_file: Path, *, workspace: Path, remote: Remote) -> Path:
    """Have the data set of a .dvc file back from the remote, in the workspace, and return its folder."""
    from dvc.exceptions import DvcException

    workspace.mkdir(parents=True, exist_ok=True)
    text = workspace / "data.dvc"
    text.write_bytes(dvc_file.read_bytes())
    with _quiet_dvc(workspace), _repository(workspace, remote) as repo:
        try:
            repo.pull(targets=[str(text)], remote="home")
        except DvcException as error:
            raise refuse(
                f"the data set can't be had back: {error}",
                where=remote.url,
                do="check that the remote holds it; `steelyard doctor` tries it",
            ) from error
    return workspace / "data"


@dataclass(frozen=True, slots=True)
class Pieces:
    """The files of the remote, by their MD5: those of data sets, and for each data set one that lists them."""

    odb: "HashFileDB"

    def all(self) -> Iterator[Stored]:
        """Yield what is there."""
        for path in self.odb.fs.find(self.odb.path):
            with suppress(ValueError, FileNotFoundError):  # it isn't DVC's, or has just gone
                yield self._listed(self.odb.path_to_oid(path), path)

    def look(self, names: Iterable[str]) -> Iterator[Stored]:
        """Yield those of the pieces that are there."""
        for name in names:
            with suppress(FileNotFoundError):
                yield self._listed(name, self.odb.oid_to_path(name))

    def of(self, md5: str) -> set[str]:
        """Return the names of all pieces of a data set; only its own where the remote has lost its list."""
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree
        from dvc_objects.errors import ObjectFormatError

        try:
            tree = Tree.load(self.odb, HashInfo("md5", md5))
        except (FileNotFoundError, ObjectFormatError):
            return {md5}
        return {md5, *(str(piece.value) for _, _, piece in tree)}

    def remove(self, one: Stored, *, before: float) -> bool:
        """Remove a piece, unless it is younger by now."""
        for now in self.look([one.name]):
            if now.at >= before:
                return False
            self.odb.delete(one.name)
        return True

    def _listed(self, name: str, path: str) -> Stored:
        info = self.odb.fs.info(path)
        changed = info.get("LastModified") or info.get("mtime") or 0.0
        return Stored("object", name, info["size"], changed if isinstance(changed, float) else changed.timestamp())


@contextmanager
def pieces(remote: Remote) -> Iterator[Pieces]:
    """Open the remote, to see what it keeps. Raises Refusal where it is on S3, and can't be reached, or denies it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with _quiet_dvc(folder), _s3_refused(remote, "looked at"), _repository(folder, remote) as repo:
            yield Pieces(repo.cloud.get_remote_odb("home"))


def tracks(path: Path) -> bool:
    """Say whether an enclosing DVC repository tracks the path, so that `bring` may make it."""
    from dvc.exceptions import DvcException

    root = _repository_of(path)
    if root is None:
        return False
    try:
        with _tracking(path, root):
            return True
    except DvcException:
        return False


def bring(path: Path) -> bool:
    """Make a data set that an enclosing DVC repository tracks, where it isn't there. False: nothing tracks it."""
    from dvc.exceptions import DvcException

    root = _repository_of(path)
    if root is None:
        return False
    # Its stages say `python`: that is this one, also where no environment is activated.
    own_first = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        with _variables({"PATH": own_first}), _tracking(path, root) as (repo, out):
            try:
                repo.pull(targets=[out.stage.addressing])
            except DvcException:  # no remote holds it: build it again
                repo.reproduce(targets=[out.stage.addressing], single_item=True)
    except DvcException:
        return path.exists()
    return path.exists()


def _repository_of(path: Path) -> Path | None:
    """Return the DVC repository that encloses the path, and so may know it."""
    return next((folder for folder in path.parents if (folder / ".dvc").is_dir()), None)


@contextmanager
def _tracking(path: Path, root: Path) -> "Iterator[tuple[Repo, Output]]":
    """Open a repository with what it says of a path. Raises DvcException where that is nothing."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        (out,) = repo.find_outs_by_path(str(path))
        yield repo, out


def fetch(url: str, *, workspace: Path) -> Path:
    """Have the file of a URL in the workspace; where it is there already, only if it changed."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    workspace.mkdir(parents=True, exist_ok=True)
    workspace.chmod(0o700)  # DVC writes the URL down as it is, with what may be a password in it
    name = url.rsplit("/", 1)[-1].partition("?")[0] or "data"
    with _quiet_dvc(workspace):
        try:
            if not (workspace / ".dvc").is_dir():
                with Repo.init(str(workspace), no_scm=True) as repo:
                    repo.imp_url(url, out=str(workspace / name))
            else:
                with Repo(str(workspace)) as repo:
                    repo.update(targets=[str(workspace / f"{name}.dvc")])
        except (DvcException, OSError) as error:
            # The cause isn't chained: its text may hold a password or a signed query.
            what = without_secrets(f"{url} can't be had: {error}")
            raise refuse(what, do="check the address, and that this machine reaches it") from None
    return workspace / name


@contextmanager
def _s3_refused(remote: Remote, done: str = "pushed") -> Iterator[None]:
    """Refuse what S3 refuses, which DVC hands on as errors of boto3, or of files in their place."""
    if not remote.url.startswith("s3://"):
        yield
        return
    from dvc.exceptions import DvcException

    from components.store.s3.refusals import refusals

    try:
        with refusals(remote.url, remote.endpoint_url or "S3", origin=remote.origin):
            yield
    except (DvcException, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of this machine's disk
            raise
        do = "`steelyard doctor` tries the remote, and says what to mend"
        raise refuse(f"the data set can't be {done}: {error}", where=remote.url, do=do) from error


@contextmanager
def _repository(folder: Path, remote: Remote) -> "Iterator[Repo]":
    """Make a repository in the folder, without git, that knows the remote as `home`.

    The file is written as DVC would, but for the encoding: DVC takes ASCII to write it, and UTF-8 to read it.
    """
    from configobj import ConfigObj
    from dvc.repo import Repo

    Repo.init(str(folder), no_scm=True, force=True).close()
    endpoint = {"endpointurl": remote.endpoint_url} if remote.endpoint_url else {}
    config = {
        "core": {"no_scm": True, "analytics": False, "check_update": False, "autostage": False, "remote": "home"},
        "cache": {"type": ["reflink", "hardlink", "copy"]},
        'remote "home"': {"url": remote.url, **endpoint},
    }
    with (folder / ".dvc" / "config").open("wb") as file:
        ConfigObj(config, encoding="utf-8").write(file)
    with Repo(str(folder)) as repo:
        yield repo


@contextmanager
def _variables(changes: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in the environment within the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def _quiet_dvc(workspace: Path) -> Iterator[None]:
    """Keep DVC's own state inside the workspace, and what it prints off standard output, which is for results."""
    logging.getLogger("dvc").setLevel(logging.WARNING)  # it writes notes to standard output
    own = {
        "DVC_GLOBAL_CONFIG_DIR": str(workspace / ".global"),
        "DVC_SYSTEM_CONFIG_DIR": str(workspace / ".system"),
        "DVC_SITE_CACHE_DIR": str(workspace / ".site"),
    }
    with _variables(own), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield
