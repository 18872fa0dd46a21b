from pathlib import Path

import pytest

from flows.calling import called


@pytest.mark.parametrize(
    ("argument", "found", "said"),
    [
        (".venv/bin/steelyard", None, ".venv/bin/steelyard"),
        ("HERE/.venv/bin/steelyard", None, ".venv/bin/steelyard"),
        ("/elsewhere/bin/steelyard", None, "/elsewhere/bin/steelyard"),
        (".venv/bin/steelyard", "/usr/bin/steelyard", "steelyard"),
        ("flows/start.py", None, "steelyard"),
    ],
)
def test_hints_call_it_as_it_was_called_unless_the_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argument: str, found: str | None, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [argument.replace("HERE", str(tmp_path)), "run"])
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert called() == said
