"""The process of a flow run on a worker, `python -P -m flows.engine`: Prefect's, quick to load and to leave."""

import runpy

from flows.start import swift


def main() -> None:
    """Do what `python -m prefect.engine` does."""
    with swift():
        runpy.run_module("prefect.engine", run_name="__main__")


if __name__ == "__main__":
    main()
