"""Traces of many rows as text: dvc.lock is read once, and git asked once for each commit."""

from functools import cached_property

from datastill.errors import DatastillError
from datastill.lineage.chain import Chain
from datastill.lineage.dvc_lock import Lock, recorded
from datastill.lineage.trace_text import to_text
from datastill.project.profile import Profile, params_path


class RowTraces:
    """The origins of a profile's numbers, row by row."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._lock_path = params_path(profile.params.profile).with_name("dvc.lock")

    @cached_property
    def _chain(self) -> Chain:
        return Chain(self._profile, Lock(self._lock_path))

    def text(self, row: str) -> str:
        """Return the trace of `row` without colours, or in a sentence why there is none."""
        try:
            with recorded(self._lock_path):
                before = len(self._chain.breaks)
                node = self._chain.result(row)
                return to_text([node], [*dict.fromkeys(self._chain.breaks[before:])], None)
        except DatastillError as error:
            return str(error)
