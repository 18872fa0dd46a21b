"""What the end of a worker's process tells."""

import pytest

from tasks.remote.endings import Lost, error_of


@pytest.mark.parametrize(
    ("message", "perhaps"),
    [
        ("Flow run process exited with non-zero status code -9.", True),
        ("Process exited with status code: 137. Typically, this is caused by", True),
        ("Flow run infrastructure exited with non-zero status code -11. It", True),
        ("Flow run process exited with non-zero status code 1.", False),
        ("Flow run process exited with non-zero status code -15.", False),
        ("its process in pool '-9' is gone", False),
    ],
)
def test_a_process_that_was_killed_may_have_been_short_of_memory(message: str, perhaps: bool) -> None:
    lost = error_of("Crashed", message, stage="train")
    assert isinstance(lost, Lost)
    assert lost.perhaps_memory == perhaps
    assert not str(lost).endswith(".")


@pytest.mark.parametrize(("message", "said"), [("", "out of memory"), ("no more", "out of memory: no more")])
def test_memory_that_ran_out_is_told_with_what_was_said_of_it(message: str, said: str) -> None:
    assert str(error_of("Out of memory", message, stage="train")) == said
