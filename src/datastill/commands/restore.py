"""Restoration of images that a clone or branch lacks, before a stage needs them."""

import logging
from collections.abc import Iterable

from filelock import FileLock

from datastill.coco.format import Coco, read_coco
from datastill.coco.streaming import sample_images
from datastill.errors import DatastillError
from datastill.images.folders import missing_images
from datastill.page.finished_run import SAMPLED
from datastill.project.data_schema import FileData
from datastill.project.image_sets import VAL, changed_images, load
from datastill.project.profile import Profile
from datastill.project.rows import DistilledRow
from datastill.stages.data import draw, drawn_sets, file_sets

_log = logging.getLogger(__name__)


def for_row(profile: Profile, row: str) -> None:
    """Restore the images that training or annotating `row` reads."""
    spec = profile.params.row(row)
    unlabelled = [spec.unlabelled] if isinstance(spec, DistilledRow) else []
    restore(profile, [spec.labelled, *unlabelled])


def for_page(profile: Profile) -> None:
    """Restore each set of which the page would show an image that is missing, or say why not."""
    rows = profile.params.rows().values()
    unlabelled = {row.unlabelled for row in rows if isinstance(row, DistilledRow)}
    for name in sorted({VAL, *unlabelled, *(row.labelled for row in rows)}):
        path = profile.image_set(name)
        if path.is_file() and missing_images(profile.images, sample_images(path, SAMPLED)[0]):
            try:
                restore(profile, [name])
            except DatastillError as error:
                _log.warning("images of %s stay missing: %s", name, error)


def load_restored(profile: Profile, name: str) -> Coco:
    """Return the image set `name` after restoring it; raises DataError if images stay absent."""
    restore(profile, [name])
    return load(profile, name)


def restore(profile: Profile, names: Iterable[str]) -> None:
    """Recreate absent or changed images of these sets: drawings, links and video frames.

    One process does so while the others wait.
    """
    for name in names:
        if _incomplete(profile, name):
            with FileLock(profile.work / "images.lock"):
                _remake(profile, name)


def _incomplete(profile: Profile, name: str) -> bool:
    path = profile.image_set(name)
    return path.is_file() and bool(changed_images(profile, read_coco(path)))


def _remake(profile: Profile, name: str) -> None:
    if not _incomplete(profile, name):  # another process may have restored it
        return
    _log.warning("images of %s are missing or have changed: restoring them", name)
    images = read_coco(profile.image_set(name)).images
    folders = {image["file_name"].split("/")[0] for image in images}
    for drawn in drawn_sets(profile):
        if drawn.name in folders:
            draw(profile, drawn)
    if isinstance(profile.params.data, FileData):
        file_sets(profile).restore(folders)
