"""Share the rows out among train, validation and test; and read them, for a stated purpose."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.data.config import DataConfig, SplitConfig
from components.planning.history import outputs_as
from components.store.artifact import Artifact
from components.task import Task
from tasks.ingest import Dataset
from tasks.stage import Workspace, Yard, stage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from components.data.rows import Rows
    from components.data.splitting.purposes import Part, Purpose


READ = ("pyarrow", "pillow")  # libraries of every stage that reads rows: a picture is decoded by them each time


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Which rows of the data set belong to which part, and how many they are."""

    dataset: Dataset
    assignments: Artifact
    previous: Artifact | None = field(metadata={"in_key": False})  # the one that this continues: nothing later asks
    rows: dict[str, int]  # by part
    classes: dict[str, dict[str, int]]  # rows by part and class; empty for regression
    copies: int  # rows that are exact copies of earlier ones
    in_train: dict[str, int]  # rows of validation and of test that are exact copies of rows of train

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"rows.{part}": rows for part, rows in self.rows.items()}

    def told(self) -> str:
        """What a person is told of it."""
        return ", ".join(f"{part} {rows:,}" for part, rows in self.rows.items()) + " rows"


@stage(libraries=("pyarrow", "pandas"))
def split(
    here: Workspace,
    config: SplitConfig,
    *,
    data: DataConfig,
    task: Task,
    dataset: Dataset,
    previous: Artifact | None,
) -> Splits:
    """Assign every row to a part."""
    from components.data.splitting.copies import copies_in
    from components.data.splitting.split import split as assign

    file = here.folder / "assignments.parquet"
    past = here.open(previous) if previous else None
    shared = assign(config, data, here.open(dataset.folder), file, task=task, previous=past)
    copies = copies_in(file)
    return Splits(
        dataset=dataset,
        assignments=here.keep(file),
        previous=previous,
        rows=shared.rows,
        classes=shared.classes,
        copies=copies.rows,
        in_train=copies.in_train,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PastData:
    """A data set that was split before."""

    folder: Artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What has to be known of an earlier split, whichever version of the stage recorded it."""

    dataset: PastData
    assignments: Artifact
    previous: Artifact | None


def continued(yard: Yard, config: SplitConfig, dataset: Dataset) -> Artifact | None:
    """Return the assignments that a stratified split must respect: those of the model's data before this one."""
    if config.method != "stratified":
        return None
    for record in yard.ledger.history(yard.model, "split", limit=100):
        if not yard.ledger.note_use(yard.model, "split", record.key):  # `reap` was faster
            continue
        past = outputs_as(record, Past)
        return past.previous if past.dataset.folder.digest == dataset.folder.digest else past.assignments
    return None


def rows_for(here: Workspace, splits: Splits, part: "Part", *, data: DataConfig, purpose: "Purpose") -> "Rows":
    """Read the rows of a part for a purpose. Raises Refusal for a purpose that the part isn't for."""
    from components.data.load import load
    from components.data.splitting.purposes import rows_of

    index = rows_of(here.open(splits.assignments), part, purpose=purpose)
    return load(here.open(splits.dataset.folder), index, data.columns)


def groups_for(here: Workspace, splits: Splits, part: "Part", *, purpose: "Purpose") -> "npt.NDArray[np.uint64]":
    """Read which rows of a part, in the order of `rows_for`, aren't independent of each other: those share a number."""
    from components.data.splitting.purposes import groups_of

    return groups_of(here.open(splits.assignments), part, purpose=purpose)
