"""The MLflow mirror of every row, whose files are the source of truth.

A row has one live run: the one with the record's fingerprint and attempt, regardless of its
status, so that resuming or mirroring again continues it. Any other run of the row is superseded
and deleted (MLflow can restore it). Processes that mirror the same row read the same files and
take turns, so the last one wins; a run that a killed process left RUNNING is corrected the next
time its row is mirrored.
"""
