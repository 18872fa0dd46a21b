"""Ask a registered version the rows that it was registered with."""

from collections.abc import Mapping
from pathlib import Path

from components.errors import refuse
from components.release.releases import Release


def check_answers(release: Release, version: int | str, *, into: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Download a version, hash its files, load it as its users do, and ask it the rows that it was registered with.

    Args:
        release: What was released.
        version: Its number, or the alias that names it.
        into: A folder for what is downloaded.
        files: The SHA-256 of each file at its release: none is loaded where one differs.

    Returns:
        The SHA-256 of each file, by its path in the version.

    Raises:
        Gone: the version or its file isn't in the registry.
        Refusal: a file isn't the one that was released, or the answers aren't.
    """
    from components.release.files import TRIAL, altered, digests, keep_only
    from components.release.trial import Trial, differences
    from tasks import registry

    folder = registry.download(release.model, version, into=into)
    keep_only(folder, released=files)
    found = digests(folder)
    for name, digest in altered(found, released=files).items():
        raise refuse(
            f"the registry holds another file than was released: {found[name][:12]} instead of {digest[:12]}",
            where=f"{release.model} version {version}, {name}",
            do="don't serve it; look who changed the registry's artifacts, and release again",
        )
    if TRIAL not in found:
        raise registry.files_gone(f"{registry.named(release.model, version)} are gone from the registry: {TRIAL}")
    trial = Trial.read(folder / TRIAL)
    try:
        answers = registry.answers(folder, trial.rows)
    except Exception as error:  # MLflow and runtimes raise what they like
        raise refuse(f"the registered model can't be asked: {error}", where=f"{release.model} {version}") from error
    if wrong := differences(trial, answers):
        raise refuse(f"the registered model doesn't answer as it should: {wrong}", where=f"{release.model} {version}")
    return found
