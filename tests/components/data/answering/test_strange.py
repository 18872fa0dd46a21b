"""What of the rows to be answered the model has never seen."""

import numpy as np
import pyarrow as pa

from components.data.answering.strange import Strange


def test_unknown_categories_are_counted_over_all_pieces_with_three_examples() -> None:
    strange = Strange(known={"plan": ["basic", "pro"]}, complete=(), spans={}, target="y")
    strange.look(pa.table({"plan": ["pro", "gold", "gold", None]}))
    strange.look(pa.table({"plan": ["silver", "tin", "lead", "gold"]}))
    strange.look(pa.table({"plan": ["pro", None]}))
    assert strange.told() == [
        "column 'plan': 6 rows have a category that the model doesn't know, such as 'gold', 'silver', 'tin'"
    ]


def test_a_long_value_is_shown_by_its_beginning() -> None:
    strange = Strange(known={"plan": ["basic"]}, complete=(), spans={}, target="y")
    strange.look(pa.table({"plan": ["x" * 5000]}))
    assert strange.told()[0].endswith(f"such as '{'x' * 37}...'")


def test_gaps_count_where_the_train_rows_had_none() -> None:
    strange = Strange(known={}, complete=["age", "plan"], spans={}, target="y")
    strange.look(pa.table({"age": [1.0, None], "plan": ["a", None], "income": [None, None]}))
    strange.look(pa.table({"age": [None, 2.0], "plan": ["a", "b"], "income": [None, None]}))
    assert strange.told() == [
        "column 'age': 2 rows have no value, which no train row lacked",
        "column 'plan': 1 row has no value, which no train row lacked",
    ]


def test_numbers_that_lie_further_outside_than_all_train_rows_span_are_counted() -> None:
    strange = Strange(known={}, complete=(), spans={"height": (150.0, 200.0), "age": (18.0, 80.0)}, target="y")
    strange.look(pa.table({"height": [99.0, 250.0, 1.7, None], "age": [1.0, 100.0, 142.0, 18.0]}))
    strange.look(pa.table({"height": [1.8, 251.0, 180.0, 180.0], "age": [80.0, 20.0, 20.0, 20.0]}))
    assert strange.told() == [
        "column 'height': 4 rows have a number far outside of what the model was trained on (150 to 200), such as 99: "
        "another unit?"
    ]


def test_columns_are_told_in_the_order_of_the_model() -> None:
    names = [f"column {number}" for number in range(20)]
    strange = Strange(known={}, complete=(), spans=dict.fromkeys([*names, "y"], (0.0, 1.0)), target="y")
    strange.look(pa.table({name: [9.0] for name in reversed(names)}))
    assert [told.split("'")[1] for told in strange.told()] == names


def test_rows_like_those_of_training_are_not_spoken_of() -> None:
    strange = Strange(known={"plan": ["pro"], "rare": []}, complete=["plan"], spans={"age": (18.0, 80.0)}, target="y")
    strange.look(pa.table({"plan": ["pro"], "rare": pa.array([None], pa.string()), "age": [90.0]}))
    assert strange.told() == []


def test_answers_beyond_all_that_the_target_was_are_counted_with_the_farthest() -> None:
    strange = Strange(known={}, complete=(), spans={"price": (10.0, 200.0), "size": (0.0, 1.0)}, target="price")
    strange.look(pa.table({"size": [0.5, 0.2]}))
    strange.look_at_answers(np.array([10.0, 200.0, 55.0]))
    assert strange.told() == []
    strange.look_at_answers(np.array([9.0, 55.0]))
    assert strange.told() == ["1 answer lies beyond what 'price' was in training (about 10 to 200), the farthest is 9"]
    strange.look_at_answers(np.array([-20.0, 201.0]))
    strange.look_at_answers(np.array([202.0, -19.0]))
    assert strange.told() == [
        "5 answers lie beyond what 'price' was in training (about 10 to 200), the farthest is -20"
    ]
