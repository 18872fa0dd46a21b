"""`predict`: a file of rows or images in, a file of answers out, asked of the released model as its users ask it."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.errors import refuse
from components.home import Home
from flows.releasing import release_of, releases_of
from flows.servers.backend import enter_registry

NAMELESS: Final = "a column without a name"

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from components.data.answering.unlabelled import Asked


def predict(
    home: Home,
    model: str,
    source: Path,
    *,
    output: Path,
    version: int | None,
    keep: Sequence[str],
    say: Callable[[str], None],
) -> int:
    """Answer every row of the source, in its order, and return how many they were.

    Answers are a row per row: the columns to keep, of images the `file`, then `prediction`, and of classes a
    `probability_…` each. What of the rows is strange to the model is said at the end.

    Raises:
        Refusal: there is no such version, the output is a file of no answers, columns are missing, or cells aren't
            what their column is.
    """
    release = release_of(home, model, version)
    if not source.exists():
        from components.data.sources.table import absent

        raise absent(source)
    if output.exists() and output.samefile(source):
        raise refuse("the answers would replace the rows", where=str(output), do="name another file with --output")
    from components.data.answering.answer_file import AnswerFile
    from components.data.answering.strange import Strange
    from components.data.answering.unlabelled import unlabelled
    from components.data.sources.chunk import no_rows
    from components.data.sources.image_folder import told_of
    from components.export.metadata import read_columns
    from components.release.serving import features

    with AnswerFile(output) as answers, tempfile.TemporaryDirectory() as folder:
        enter_registry(home)
        from tasks.registry import as_released, load

        released = releases_of(home, model).known_files(release)
        files = as_released(release, files=released, into=Path(folder))
        wanted = read_columns(files / "artifacts" / "model.onnx")
        kinds = features(wanted.kinds, target=wanted.target)
        strange = Strange(known=wanted.known, complete=wanted.complete, spans=wanted.spans, target=wanted.target)
        answer = load(files)
        ignored, strays = tuple[str, ...](), tuple[str, ...]()
        asked = unlabelled(
            source,
            kinds,
            target=wanted.target,
            known=wanted.known,
            decimal=wanted.decimal,
            keep=keep,
            image_size=wanted.image_size,
        )
        for rows in asked:
            strange.look(rows.table)
            answered = answer(rows.table.to_pandas())
            if wanted.target in wanted.spans:
                strange.look_at_answers(answered["prediction"].to_numpy())
            answers.write(_beside_answers(rows, answered))
            ignored, strays = rows.ignored, rows.strays
        if not answers.rows:
            raise no_rows(str(source))
    if ignored:
        say(f"ignored, since the model doesn't take them: {', '.join(name or NAMELESS for name in ignored)}")
    if strays:
        say(told_of(strays))
    for sentence in strange.told():
        say(sentence)
    return answers.rows


def _beside_answers(rows: "Asked", answered: "pd.DataFrame") -> "pa.Table":
    """Return the answers with what is to stand beside them."""
    import pyarrow as pa

    answers = pa.Table.from_pandas(answered, preserve_index=False).replace_schema_metadata()
    beside = {**rows.kept} | ({"file": pa.array(rows.files)} if rows.files else {})
    if taken := [name for name in rows.kept if name in answers.column_names or (name == "file" and rows.files)]:
        raise refuse(f"the answers have a column '{taken[0]}' of their own", where="--keep", do="rename it in the file")
    return pa.table({**beside, **{name: answers[name] for name in answers.column_names}})
