"""The card of a packed data set: what its Parquet files hold, and where that came from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, get_args

from components.data.config import ColumnKind
from components.errors import refuse

NAME: Final = "card.json"
FORMAT: Final = 1
_KINDS: Final = get_args(ColumnKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What is said about a packed data set.

    `classes` counts the rows of each class, by name in order; empty where the target is a number. `files` are the
    Parquet files in order, `quarantined` the number of rows that were set aside.
    """

    columns: Mapping[str, ColumnKind]
    target: str
    rows: int
    files: tuple[str, ...]
    classes: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    description: str = ""
    quarantined: int = 0
    format: int = FORMAT


def write_card(card: Card, folder: Path) -> None:
    """Write the card into the folder of its data set."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """Read the card of a packed data set.

    Raises:
        Refusal: there is none, or it is damaged, or written by a newer Steelyard.
    """
    path = folder / NAME
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        card = Card(**{**said, "files": tuple(said["files"])})
    except FileNotFoundError:
        raise refuse(f"the folder has no {NAME}: it is not a packed data set", where=str(folder)) from None
    except (ValueError, TypeError, KeyError) as error:
        raise refuse(f"the card is damaged ({error})", where=str(path), do="pack the data again") from None
    if card.format != FORMAT:
        raise refuse(f"the card is of format {card.format}", where=str(path), allowed=str(FORMAT))
    _check(card, path)
    return card


def _check(card: Card, path: Path) -> None:
    odd = [name for name in card.files if Path(name).name != name or not name.endswith(".parquet")]
    odd += [name for name, kind in card.columns.items() if kind not in _KINDS]
    if odd or card.target not in card.columns or not isinstance(card.rows, int):
        raise refuse(f"the card is damaged ({', '.join(odd) or 'target or rows'})", where=str(path))
