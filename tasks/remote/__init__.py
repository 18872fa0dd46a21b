"""Stages that run on a worker: asked for by the run's process, done by the worker's, told by their record."""
