"""Bring the data in: packed and validated, versioned by DVC, kept in the store."""

from dataclasses import dataclass, field

from components.data.config import DataConfig
from components.errors import refuse
from components.planning.held import DATA, wait_for
from components.planning.source import Source, look_at
from components.store.artifact import Artifact
from tasks.stage import Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A packed data set. `dvc_file` is the text by which DVC has it back from the remote."""

    folder: Artifact
    dvc_file: Artifact
    dvc_md5: str
    rows: int
    source: str
    quarantined: int  # rows set aside as bad
    quarantine: Artifact | None  # the file of those rows, where there are any
    missing: dict[str, int] = field(default_factory=dict)  # rows without a value, of the columns that lack some


@stage(libraries=("pyarrow", "pillow"))
def ingest(here: Workspace, config: DataConfig, *, source: Source) -> Dataset:
    """Pack the source, add it to DVC and push it to the DVC remote.

    Raises:
        Refusal: its rows can't stand, or are no longer those that were looked at.
    """
    import shutil
    from pathlib import Path

    from components.data.missing import missing
    from components.data.packing.pack import pack
    from components.data.packing.quarantine import first_of, quarantine_path
    from components.data.sources.image_folder import strays_in, told_of
    from components.data.sources.table import kind_of
    from tasks.versioning import snapshot

    data = here.folder / "dvc" / "data"
    shutil.rmtree(data.parent, ignore_errors=True)
    data.mkdir(parents=True)
    card = pack(config, data, source=Path(source.path), progress=lambda rows: here.log.info("packed %d rows", rows))
    if look_at(Path(source.path), here.yard.ledger) != source:  # else other rows would be kept under its digest
        raise refuse("the data changed while it was being read", where=source.path, do="run again, once it is whole")
    # Who takes it from now on sees this stage at work, and removes nothing.
    wait_for(DATA, here.yard.ledger)
    version = snapshot(data, workspace=data.parent, remote=here.yard.remote)
    strays = strays_in(Path(source.path)) if kind_of(Path(source.path)) == "images" else []
    if strays:
        here.log.warning(told_of(strays))
        here.tracker.say(f"{'':10}{told_of(strays)}")
    aside = quarantine_path(data)
    if card.quarantined:
        here.log.warning("%d bad rows were set aside", card.quarantined)
        here.tracker.say(f"{'':10}bad rows set aside: {card.quarantined:,}, the first: {first_of(aside)}")
    return Dataset(
        folder=here.keep(data),
        dvc_file=here.keep(version.dvc_file),
        dvc_md5=version.md5,
        rows=card.rows,
        source=card.source,
        quarantined=card.quarantined,
        quarantine=here.keep(aside) if card.quarantined else None,
        missing=missing(data),
    )
