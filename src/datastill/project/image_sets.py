"""Image sets as stage `data` wrote them, checked against the manifest."""

from pathlib import Path

from datastill.coco.format import Coco, read_coco
from datastill.errors import DataError
from datastill.images.folders import missing_images
from datastill.images.manifest import read_column
from datastill.project.data_schema import FileData
from datastill.project.profile import Profile

VAL = "val"


def load(profile: Profile, name: str) -> Coco:
    """Return an image set, all of whose images exist.

    In a clone or on another branch DVC restores the JSON files; the images are restored by the
    command line before a stage runs. Raises DataError if some are missing or differ in size
    from the manifest.
    """
    coco = read_coco(profile.image_set(name))
    if absent := changed_images(profile, coco):
        raise DataError(
            f"{name}: {len(absent)} images are missing or differ from those in the manifest, "
            f"such as {absent[0]}; {_advice(profile)}"
        )
    return coco


def _advice(profile: Profile) -> str:
    data, again = profile.params.data, f"run `datastill data{profile.option}` again"
    if not isinstance(data, FileData):
        return again
    is_there = Path(data.root).expanduser().is_dir()
    state = "lacks them or has others" if is_there else "is not a folder here"
    return (
        f"data.root ({data.root}) {state}: bring them back, by `dvc pull` if DVC has them; "
        f"or change data.root and {again}"
    )


def changed_images(profile: Profile, coco: Coco) -> list[str]:
    """Return the images that are missing or whose size in bytes is not the manifest's."""
    missing = missing_images(profile.images, coco)
    if missing or not profile.manifest.is_file():
        return missing
    names = [image["file_name"] for image in coco.images]
    sizes, root = read_column(profile.manifest, "size"), profile.images.as_posix()
    return [n for n in names if str(Path(f"{root}/{n}").stat().st_size) != sizes.get(n)]
