"""Ask a registered version the rows that it was registered with."""

from pathlib import Path

from components.errors import refuse
from components.release.releases import Release


def check_answers(release: Release, version: int | str, *, into: Path) -> dict[str, str]:
    """Download a version, hash its files, load it as its users do, and ask it the rows that it was registered with.

    Returns:
        The SHA-256 of each file, by its path in the version.

    Raises:
        Gone: the version or its file isn't in the registry.
        Refusal: the file isn't the one that was released, or its answers aren't.
    """
    from components.release.files import ONNX, TRIAL, digests
    from components.release.trial import Trial, differences
    from tasks import registry

    folder = registry.download(release.model, version, into=into)
    files = digests(folder)
    if (found := files[ONNX]) != release.onnx.digest:
        raise refuse(
            f"the registry holds another file than was released: {found[:12]} instead of {release.onnx.digest[:12]}",
            where=f"{release.model} version {version}, model.onnx",
            do="don't serve it; look who changed the registry's artifacts, and release again",
        )
    if TRIAL not in files:
        raise registry.files_gone(f"{registry.named(release.model, version)} are gone from the registry: {TRIAL}")
    trial = Trial.read(folder / TRIAL)
    try:
        answers = registry.answers(folder, trial.rows)
    except Exception as error:  # MLflow and runtimes raise what they like
        raise refuse(f"the registered model can't be asked: {error}", where=f"{release.model} {version}") from error
    if wrong := differences(trial, answers):
        raise refuse(f"the registered model doesn't answer as it should: {wrong}", where=f"{release.model} {version}")
    return files
