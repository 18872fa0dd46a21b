"""`report`: the path of a version's page, the one that its run printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)
QUIET = """\
import sys
from flows.cli import main
sys.argv = ["steelyard", "report", *sys.argv[1:]]
try:
    main()
finally:
    assert not {"mlflow", "prefect", "torch"} & set(sys.modules)
"""


def reported(place: Place, *arguments: str) -> Path:
    """What the command prints, in a process that must not load the large libraries."""
    command = [sys.executable, "-P", "-c", QUIET, "people", *arguments]
    told = subprocess.run(
        command, cwd=place.folder, env=place.variables(), capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    return Path(told.stdout.strip())


def test_it_is_the_page_that_the_run_printed(both: Place) -> None:
    assert str(reported(both)) == both.told["second"].json["report"]
    assert reported(both, "--version", "1") != reported(both, "--version", "2")


def test_the_page_of_a_challenger_shows_what_the_gate_asked(both: Place) -> None:
    page = reported(both).read_text("utf-8")
    assert "against the champion, people 1" in page
    assert "<strong>people passes the gate:</strong>" in page
    assert "is promoted" not in page.replace("before it is promoted", "")  # that is decided later, and may change
    gate = page.partition('<section id="gate">')[2].partition("</section>")[0]
    names = [part.partition(" <span>")[0] for part in gate.split("<b>")[1:]]
    assert names == ["floor", "quality", "latency", "size"]


def test_the_page_shows_the_recipe_as_it_ran_without_where_the_data_lay(both: Place) -> None:
    page = reported(both).read_text("utf-8")
    recipe = page.partition('<section id="recipe">')[2].partition("</section>")[0]
    assert "model: people" in recipe
    assert str(both.folder) not in page
    assert '<ul class="columns">' in page


def test_a_page_that_is_gone_is_laid_out_again(place: Place) -> None:
    page = reported(place)
    content = page.read_bytes()
    assert content.lstrip().lower().startswith(b"<!doctype html>")
    page.unlink()
    assert reported(place).read_bytes() == content, "from the store"
    page.unlink()
    for blob in (place.home / "store" / "objects").rglob("*"):
        if blob.is_file() and blob.read_bytes() == content:
            blob.unlink()
    assert place.call("report", "people").out.strip() == str(page)
    assert page.read_bytes() == content, "from the registry"
