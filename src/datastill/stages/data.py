"""Stage `data`: every image set of the profile as one COCO JSON, and a manifest of all images."""

from __future__ import annotations

import logging

from datastill.data.coco import Coco, read_coco
from datastill.data.sets import DrawnSet, Studio, draw_set, missing_images, union, write_sets
from datastill.params import DrawnImages, Union
from datastill.progress import Steps
from datastill.stages.place import Place
from datastill.stages.show import draw_sheet

_log = logging.getLogger(__name__)
VAL = "val"


def run(place: Place) -> None:
    """Draw all sets and write them."""
    sets = {drawn.name: _draw(place, drawn) for drawn in drawn_sets(place)}
    for name, spec in place.params.data.sets.items():
        if isinstance(spec, Union):
            sets[name] = union([sets[part] for part in spec.union])
    for name, coco in sets.items():
        draw_sheet(place, name, coco)
    write_sets(place.work / "data", place.images, sets)


def drawn_sets(place: Place) -> list[DrawnSet]:
    """Return what is to be drawn; `val` alone is not scaled down."""
    data, scaled = place.params.data, place.params.scaled
    specs = [
        (name, scaled(spec.images), spec.style)
        for name, spec in data.sets.items()
        if isinstance(spec, DrawnImages)
    ]
    specs.append((VAL, data.val.images, data.val.style))
    return [DrawnSet(number, *spec) for number, spec in enumerate(specs, start=1)]


def load(place: Place, name: str) -> Coco:
    """Return an image set whose images are all there.

    DVC restores the JSON files of a clone, not the images: drawn ones are drawn again.
    """
    coco = read_coco(place.image_set(name))
    if missing_images(place.images, coco):
        _log.warning("images of %s are missing: drawing them again", name)
        folders = {image["file_name"].split("/")[0] for image in coco.images}
        for drawn in drawn_sets(place):
            if drawn.name in folders:
                _draw(place, drawn)
    return coco


def _draw(place: Place, drawn: DrawnSet) -> Coco:
    data = place.params.data
    studio = Studio(place.images, (data.width, data.height), data.seed)
    with Steps(f"drawing {drawn.name}", drawn.images) as steps:
        return draw_set(drawn, studio, steps.advance)
