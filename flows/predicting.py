"""`predict`: a file of rows or images in, a file of answers out, asked of the released model as its users ask it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import nearest, refuse
from components.home import Home
from flows.backend import enter_registry
from flows.releasing import release_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def predict(home: Home, model: str, source: Path, *, output: Path, version: int | None) -> int:
    """Answer every row of the source, in its order, and return how many they were.

    Answers are a row per row: of images with the `file`, then `prediction`, and of classes a `probability_…` each.

    Raises:
        Refusal: there is no such version, columns are missing, or cells aren't what their column is.
    """
    release = release_of(home, model, version)
    if not source.exists():
        raise refuse("no such file or folder", where=str(source), do=nearest(source.name, _beside(source)))
    if output.exists() and output.samefile(source):
        raise refuse("the answers would replace the rows", where=str(output), do="name another file with --output")
    from components.data.answer_file import AnswerFile
    from components.data.unlabelled import unlabelled
    from components.export.metadata import read_columns
    from components.release.serving import features

    with AnswerFile(output) as answers, tempfile.TemporaryDirectory() as folder:
        enter_registry(home)
        from tasks.registry import download, load

        files = download(model, release.version, into=Path(folder))
        wanted = read_columns(files / "artifacts" / "model.onnx")
        asked = unlabelled(source, features(wanted.kinds, target=wanted.target), target=wanted.target)
        answer = load(files)
        for rows in asked:
            answers.write(_with_files(answer(rows.table.to_pandas()), rows.files))
        if not answers.rows:
            raise refuse("there are no rows", where=str(source))
        return answers.rows


def _beside(path: Path) -> list[str]:
    return [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []


def _with_files(answered: "pd.DataFrame", files: tuple[str, ...]) -> "pa.Table":
    import pyarrow as pa

    table = pa.Table.from_pandas(answered, preserve_index=False).replace_schema_metadata()
    return table.add_column(0, "file", pa.array(files)) if files else table
