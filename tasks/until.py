"""The end of a run that was asked to stop early."""


class Reached(Exception):
    """The stage named by `--until` is done."""
