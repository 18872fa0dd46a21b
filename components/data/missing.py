"""How many values a packed data set lacks, from the statistics that its files hold: no row is read."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from components.data.card import read_card


def missing(folder: Path) -> dict[str, int]:
    """Return the rows without a value of each column that lacks some; an image, which never does, isn't looked at."""
    lacking: Counter[str] = Counter()
    card = read_card(folder)
    for file in card.files:
        held = pq.read_metadata(folder / file)
        for group in map(held.row_group, range(held.num_row_groups)):
            for column in map(group.column, range(held.num_columns)):
                if column.path_in_schema in card.columns and column.statistics is not None:
                    lacking[column.path_in_schema] += column.statistics.null_count
    return {name: rows for name, rows in lacking.items() if rows}
