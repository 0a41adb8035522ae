"""Images that a clone or another branch lacks, made again before a stage needs them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from filelock import FileLock

from datastill.coco.format import Coco, read_coco
from datastill.project.data_schema import FileData
from datastill.project.image_sets import VAL, changed_images, load
from datastill.project.profile import Profile
from datastill.project.rows import DistilledRow
from datastill.stages.data import draw, drawn_sets, file_sets

_log = logging.getLogger(__name__)


def for_row(profile: Profile, row: str) -> None:
    """Restore the images that training or annotating `row` reads."""
    spec = profile.params.row(row)
    restore(
        profile, [spec.labelled, *([spec.unlabelled] if isinstance(spec, DistilledRow) else [])]
    )


def for_val(profile: Profile) -> None:
    """Restore the images of val."""
    restore(profile, [VAL])


def load_restored(profile: Profile, name: str) -> Coco:
    """Return the image set `name` with all its images; raises DataError where some stay away."""
    restore(profile, [name])
    return load(profile, name)


def restore(profile: Profile, names: Iterable[str]) -> None:
    """Draw missing images again, or make links and video frames again: one process for all."""
    for name in names:
        if _incomplete(profile, name):
            with FileLock(profile.work / "images.lock"):
                _make_again(profile, name)


def _incomplete(profile: Profile, name: str) -> bool:
    path = profile.image_set(name)
    return path.is_file() and bool(changed_images(profile, read_coco(path)))


def _make_again(profile: Profile, name: str) -> None:
    if not _incomplete(profile, name):  # another process has made them meanwhile
        return
    coco = read_coco(profile.image_set(name))
    _log.warning("images of %s are missing or have changed: making them again", name)
    folders = {image["file_name"].split("/")[0] for image in coco.images}
    for drawn in drawn_sets(profile):
        if drawn.name in folders:
            draw(profile, drawn)
    if isinstance(profile.params.data, FileData):
        file_sets(profile).restore(folders)
