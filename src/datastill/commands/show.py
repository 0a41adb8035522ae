"""Command `show`: one picture of an image set, or of the annotations generated for a row."""

from __future__ import annotations

from pathlib import Path

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import subject
from datastill.errors import ParamsError
from datastill.images.contact_sheet import contact_sheet, write_png
from datastill.images.load import load_image
from datastill.project.profile import Place, check_annotated

SHOWN = 24  # images of a contact sheet


def run(place: Place, name: str) -> Path:
    """Write the contact sheet of a set or distilled row; return its path."""
    if name in place.params.distilled:
        check_annotated(place, name)
        coco = read_coco(place.annotations(name))
    elif name in (*place.params.data.sets, "val"):
        coco = read_coco(place.image_set(name))
    else:
        known = ", ".join([*place.params.data.sets, "val", *place.params.distilled])
        raise ParamsError(
            f"{name!r} is neither an image set nor a distilled row; there are {known}"
        )
    draw_sheet(place, name, coco)
    return place.sheet(name)


def draw_sheet(place: Place, name: str, coco: Coco) -> None:
    """Write the first images of `coco` with what is annotated on them."""
    objects = coco.by_image()
    shown = coco.images[:SHOWN]
    pictures = [load_image(place.images, image).permute(1, 2, 0).numpy() for image in shown]
    what = subject(coco, place.params.task)
    names = {each["id"]: each["name"] for each in what.categories if not what.sigmas}
    annotated = [objects[image["id"]] for image in shown]
    sheet = contact_sheet(pictures, annotated, what.skeleton, names)
    write_png(place.sheet(name), sheet)
