"""Command `show`: one picture of an image set, or of the annotations generated for a row."""

from pathlib import Path

from datastill.coco.format import read_coco
from datastill.commands.restore import restore
from datastill.errors import ParamsError
from datastill.images.contact_sheet import write_contact_sheet
from datastill.project.profile import Profile


def run(profile: Profile, name: str) -> Path:
    """Write the contact sheet of a set or distilled row; return its path."""
    if name in profile.params.distilled:
        profile.require(profile.annotations(name), "annotate", name)
        restore(profile, [profile.params.distilled[name].unlabelled])
        coco = read_coco(profile.annotations(name))
    elif name in (sets := [*profile.params.data.sets, "val"]):
        restore(profile, [name])
        coco = read_coco(profile.image_set(name))
    else:
        known = f"there are {', '.join([*sets, *profile.params.distilled])}"
        raise ParamsError(f"{name!r} is neither an image set nor a distilled row; {known}")
    write_contact_sheet(profile.sheet(name), profile.images, coco, profile.params.task)
    return profile.sheet(name)
