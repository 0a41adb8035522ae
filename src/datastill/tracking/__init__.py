"""The MLflow mirror of every row: its files alone are the truth.

A row has one live run: the one that carries the record's fingerprint and attempt, whatever its
status, so that a resume or a repeated mirroring continues it. Any other run of the row is
superseded and deleted (MLflow can restore it). Processes that mirror the same row read the same
files and take turns, so the last one wins; a run that a killed process left RUNNING is corrected
the next time its row is mirrored.
"""
