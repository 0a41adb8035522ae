"""Command `show`: one picture of an image set, or of the annotations generated for a row."""

from __future__ import annotations

from pathlib import Path

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import build_metadata
from datastill.errors import ParamsError
from datastill.images.contact_sheet import contact_sheet, write_png
from datastill.images.load import load_image
from datastill.project.profile import Profile, check_annotated

SHOWN = 24  # images of a contact sheet


def run(profile: Profile, name: str) -> Path:
    """Write the contact sheet of a set or distilled row; return its path."""
    if name in profile.params.distilled:
        check_annotated(profile, name)
        coco = read_coco(profile.annotations(name))
    elif name in (*profile.params.data.sets, "val"):
        coco = read_coco(profile.image_set(name))
    else:
        known = ", ".join([*profile.params.data.sets, "val", *profile.params.distilled])
        raise ParamsError(
            f"{name!r} is neither an image set nor a distilled row; there are {known}"
        )
    draw_sheet(profile, name, coco)
    return profile.sheet(name)


def draw_sheet(profile: Profile, name: str, coco: Coco) -> None:
    """Write the first images of `coco` with what is annotated on them."""
    objects = coco.by_image()
    shown = coco.images[:SHOWN]
    pictures = [load_image(profile.images, image).permute(1, 2, 0).numpy() for image in shown]
    what = build_metadata(coco, profile.params.task)
    names = {each["id"]: each["name"] for each in what.categories if not what.sigmas}
    annotated = [objects[image["id"]] for image in shown]
    sheet = contact_sheet(pictures, annotated, what.skeleton, names)
    write_png(profile.sheet(name), sheet)
