"""A flow that does nothing, for `benchmarks.workers`: what Prefect itself takes to have one run by a process pool."""

from prefect import flow


@flow(persist_result=False)
def empty() -> None:
    """Do nothing."""
