"""How MLflow's client is told to ask: by variables that all of a process share."""

import os

import pytest

from tasks.tracking.away import RETRIES, TIMEOUT, asked_briefly


@pytest.mark.parametrize("given", [None, "7"])
@pytest.mark.parametrize("first", [0, 1])
def test_two_that_ask_at_once_put_back_what_was_there_before_both(
    monkeypatch: pytest.MonkeyPatch, given: str | None, first: int
) -> None:
    for name in (RETRIES, TIMEOUT):
        monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv(RETRIES, given)
    asking = [asked_briefly(retries=0), asked_briefly(retries=1, seconds=5)]
    for one in asking:
        one.__enter__()
    assert (os.environ[RETRIES], os.environ[TIMEOUT]) == ("1", "5")
    asking.pop(first).__exit__(None, None, None)
    assert (os.environ[RETRIES], os.environ.get(TIMEOUT)) == (("1", "5"), ("0", None))[first]
    asking.pop().__exit__(None, None, None)
    assert (os.environ.get(RETRIES), os.environ.get(TIMEOUT)) == (given, None)
