"""What of the rows to be answered the model has never seen."""

import pyarrow as pa

from components.data.strange import Strange


def test_unknown_categories_are_counted_over_all_pieces_with_three_examples() -> None:
    strange = Strange(known={"plan": ["basic", "pro"]}, complete=())
    strange.look(pa.table({"plan": ["pro", "gold", "gold", None]}))
    strange.look(pa.table({"plan": ["silver", "tin", "lead", "gold"]}))
    strange.look(pa.table({"plan": ["pro", None]}))
    assert strange.told() == [
        "column 'plan': 6 rows have a category that the model doesn't know, such as 'gold', 'silver', 'tin'"
    ]


def test_gaps_count_where_the_train_rows_had_none() -> None:
    strange = Strange(known={}, complete=["age", "plan"])
    strange.look(pa.table({"age": [1.0, None], "plan": ["a", None], "income": [None, None]}))
    strange.look(pa.table({"age": [None, 2.0], "plan": ["a", "b"], "income": [None, None]}))
    assert strange.told() == [
        "column 'age': 2 rows have no value, which no train row lacked",
        "column 'plan': 1 row has no value, which no train row lacked",
    ]


def test_rows_like_those_of_training_are_not_spoken_of() -> None:
    strange = Strange(known={"plan": ["pro"], "rare": []}, complete=["plan"])
    strange.look(pa.table({"plan": ["pro"], "rare": pa.array([None], pa.string())}))
    assert strange.told() == []
