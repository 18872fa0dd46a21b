"""The files of a registered version: whether they are those that were released."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from components.release.provenance import LinkCheck
from components.store.artifact import Artifact
from components.store.folder import sha256

ONNX: Final = "artifacts/model.onnx"
TRIAL: Final = "artifacts/trial.json"
NEEDED: Final = ("MLmodel", "served.py", ONNX)  # to load it
NOTED: Final = "registered_model_meta"  # by MLflow, in what it downloads
# What every version has, also one that was registered before the digests of its files were kept.
PARTS: Final = (*NEEDED, TRIAL, *(f"artifacts/{name}" for name in ("report.html", "recipe.yaml", "data.dvc")))
NOT_KEPT: Final = "Registered before the digests of such files were kept, so that nothing speaks for"


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a downloaded version, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files if path != folder / NOTED}


def loads(folder: Path, onnx: Artifact, *, released: Mapping[str, str] | None) -> bool:
    """Say whether what loads a version is in its folder, and is what was released.

    Args:
        folder: Of the version's files.
        onnx: The model's own, which is compared by its size.
        released: The SHA-256 of each file at its release: those that are there must have it. None: nothing is read.
    """
    if not all((folder / name).is_file() for name in NEEDED) or (folder / ONNX).stat().st_size != onnx.size_bytes:
        return False
    return released is None or not altered(digests(folder), released=released)


def keep_only(folder: Path, *, released: Mapping[str, str]) -> None:
    """Take out of a copy of a version what wasn't released with it: Python would load a `__pycache__` unread.

    Of an older release, of which fewer digests were kept than it has files, nothing is taken.
    """
    if released.keys() <= {ONNX}:
        return
    for name in digests(folder).keys() - released.keys():
        (folder / name).unlink()


def altered(found: Mapping[str, str], *, released: Mapping[str, str | None]) -> dict[str, str]:
    """Return the files that are there and aren't what was released, with what that was. Arguments as of `check`."""
    known = {name: digest for name, digest in released.items() if digest is not None}
    return {name: digest for name, digest in known.items() if found.get(name, digest) != digest}


def check(found: Mapping[str, str], *, released: Mapping[str, str | None], code: Collection[str] = ()) -> LinkCheck:
    """Say whether the files of a version are those that were released.

    Args:
        found: The SHA-256 of each file that is there now, by its path.
        released: That of each file that must be there; None where it wasn't kept.
        code: Files that aren't of the release, and that Python might run when the version is loaded.
    """
    faults = [f"{name} is gone." for name in released if name not in found]
    faults += [
        f"{name} has the digest {found[name][:12]}, it was released with {digest[:12]}."
        for name, digest in altered(found, released=released).items()
    ]
    if code:
        names = ", ".join(code)
        faults.append(f"{names}: not of the release, and code that may answer in its place; remove it.")
    if faults:
        return LinkCheck(name="files", status="broken", text=" ".join(faults))
    text = f"Hashed: {', '.join(name for name, digest in released.items() if digest is not None) or 'none'}."
    if unspoken := [name for name, digest in released.items() if digest is None]:
        return LinkCheck(name="files", status="stated", text=f"{text} {NOT_KEPT} {', '.join(unspoken)}.")
    if added := sorted(found.keys() - released.keys()):
        text += f" Also there, and not of the release: {', '.join(added)}."
    return LinkCheck(name="files", status="verified", text=text)
