"""Columns that name whom rows are of, in data that doesn't fit into memory."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest

from components.data.drafting import subjects as room
from components.data.drafting.subjects import Subjects, subjects
from components.data.drafting.survey import survey
from components.data.sources.chunk import Chunk


class Rows:
    """A source of chunks of 100 rows."""

    def __init__(self, ids: list[str], answers: list[str], **others: list[str]) -> None:
        self.table = pa.table({"patient_id": ids, "ill": answers, **others})
        self.schema = self.table.schema

    def chunks(self) -> Iterator[Chunk]:
        for start in range(0, len(self.table), 100):
            piece = self.table.slice(start, 100)
            yield Chunk(table=piece, rows=np.arange(start + 1, start + len(piece) + 1), decimal=".")

    def places(self, rows: Sequence[int]) -> list[str]:
        return [f"row {row}" for row in rows]


def found(source: Rows) -> Subjects | None:
    return subjects(source, survey(source), "ill")


def test_of_very_many_the_first_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KNOWN", 120)
    whose = [i % 400 for i in range(1600)]
    source = Rows([f"p{one}" for one in whose], [("no", "yes")[one % 2] for one in whose])
    told = found(source)
    assert told is not None
    assert (told.column, told.counted, told.alike) == ("patient_id", "120 or more", 1.0)


def test_rows_without_an_answer_or_a_name_are_passed_over() -> None:
    whose = [i % 20 for i in range(400)]
    ids = [f"p{one}" if i % 7 else "" for i, one in enumerate(whose)]
    source = Rows(ids, [("no", "yes")[one % 2] if i % 9 else "" for i, one in enumerate(whose)])
    told = found(source)
    assert told is not None
    assert (told.counted, told.alike) == ("20", 1.0)


def test_of_several_the_one_of_fewest_is_taken_since_it_keeps_the_others_rows_together_too() -> None:
    whose = [i % 40 for i in range(400)]
    families = [f"f{one // 2}" for one in whose]
    told = found(Rows([f"p{one}" for one in whose], [("no", "yes")[one // 2 % 2] for one in whose], family_id=families))
    assert told is not None
    assert (told.column, told.count) == ("family_id", 20)
