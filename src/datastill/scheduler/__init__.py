"""Concurrent execution of DVC stages: each in its own process, as soon as it is ready."""
