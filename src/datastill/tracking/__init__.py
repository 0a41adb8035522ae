"""What MLflow shows of every row: a mirror of the row's files, which alone are the truth.

A row has one live run: the one that carries the record's fingerprint and attempt, whatever its
status, so that a resume or a second mirroring continues it; any other run of the row is superseded
and deleted (MLflow can restore it). Two processes that mirror one row read the same files and take
turns, so the last one wins; a run that a killed process left RUNNING is put right by the next
mirroring of its row.
"""

from datastill.tracking.champion import Champion, promote
from datastill.tracking.live import Follower, mirror_patiently
from datastill.tracking.run_record import DataInput, RunRecord
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror, runs

__all__ = [
    "Champion",
    "DataInput",
    "Follower",
    "RunRecord",
    "Store",
    "mirror",
    "mirror_patiently",
    "promote",
    "runs",
]
