"""A user's own tiny data: images, labels, and the project that makes a profile of them."""

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tiny import HEIGHT, WIDTH, picture

from datastill.coco.format import PERSON, read_coco
from datastill.project.loading import load_params

PEOPLE = {**PERSON, "id": 7}  # ids need not start at 1, nor follow each other


def write_images(folder, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(picture(number)).save(folder / f"{number}.jpg", quality=92)


def labels(numbers, categories=(PEOPLE,)):
    """One instance per image, 16 x 36 pixels, of the categories in turn."""
    categories = list(categories)
    images = [
        {"id": 5 * n, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in numbers
    ]
    annotations = []
    for place, image in enumerate(images):
        category = categories[place % len(categories)]
        points = [12, 13, 2] * 5 + [0] * 36 if category.get("keypoints") else []
        annotations.append(
            {
                "id": 100 + place,
                "image_id": image["id"],
                "category_id": category["id"],
                "bbox": [9, 10, 16, 36],
                "iscrowd": 0,
                **({"keypoints": points, "num_keypoints": 5} if points else {}),
            }
        )
    return {"images": images, "annotations": annotations, "categories": categories}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@dataclass(frozen=True)
class Project:
    """A project's root, with the user's data in `mine`: 20 labelled images and 5 others."""

    root: Path

    @property
    def mine(self):
        return self.root / "mine"

    def params(self, name="own"):
        return load_params(self.root / f"pipelines/{name}/params.yaml")

    def set(self, name):
        return read_coco(self.root / f"work/own/data/{name}.json")


LABELS = ("--labelled", "mine/labels.json", "--images", "mine/photos")
OTHERS = ("--unlabelled", "mine/others")


def whole(run, *arguments):
    code, said = run("new", "own", *LABELS, *arguments)
    assert code == 0, said
    return said


def pictures(coco):
    return sorted(int(Path(image["file_name"]).stem) for image in coco.images)


def refused(project, run, *arguments, name="own"):
    """Return the one message of a command that must fail and leave nothing behind."""
    before = sorted(path for path in project.root.rglob("*") if project.mine not in path.parents)
    code, said = run("new", name, *arguments)
    assert code == 1
    after = sorted(path for path in project.root.rglob("*") if project.mine not in path.parents)
    assert after == before
    return said


def spoil(project, edit, name="labels.json"):
    content = json.loads((project.mine / name).read_text())
    edit(content)
    write(project.mine / name, content)
