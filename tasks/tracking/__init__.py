"""The record of runs in MLflow: how it is reached, what a run leaves in it, and what a run that died has left open."""
