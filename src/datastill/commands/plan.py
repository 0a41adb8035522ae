"""Command `plan`: what a profile is going to do and cost, and what would go wrong on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from datastill.coco.format import PERSON, Coco, Record
from datastill.coco.lint import lint
from datastill.coco.skeleton import build_skeleton
from datastill.coco.subsets import trainable, union
from datastill.commands.benchmark import Speed
from datastill.commands.estimate import Costs, mix, timed
from datastill.commands.restore import load_restored
from datastill.errors import DatastillError
from datastill.images.leaks import find_leaks
from datastill.images.load import Refusal
from datastill.images.manifest import examine
from datastill.model.pretrained import find_initial, initial_weights
from datastill.model.resnets import IMAGENET
from datastill.progress import Steps
from datastill.project.data_schema import FileData, Union
from datastill.project.image_sets import VAL
from datastill.project.profile import Profile
from datastill.sources.files import AnnotatedFiles, FileSet, FileSets, VideoFiles
from datastill.stages import data
from datastill.stages.ensemble import members
from datastill.stages.train import count_processes, start
from datastill.training.distributed import check_shares

_NAMED = 3  # of the categories, at both ends


@dataclass
class Findings:
    """What is known of the sets before anything runs, and every fault on the way."""

    sets: dict[str, Coco] = field(default_factory=dict)
    videos: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)  # of these, at most
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def attempt(self, work: Any, *arguments: Any) -> Any:
        """Return what `work` returns; what it refuses is a fault, told once."""
        try:
            return work(*arguments)
        except DatastillError as error:
            if str(error) not in self.faults:
                self.faults.append(str(error))
            return None

    def refuse(self, what: str, refused: list[Refusal]) -> None:
        """Note as one fault what is wrong with all these files."""
        if refused:
            lines = [f"{refusal.file_name}: {refusal.reason}" for refusal in refused]
            self.faults.append(data.many(f"{what}: {len(refused)}", lines))


def run(profile: Profile, pixels: bool, probe_seconds: float) -> tuple[str, bool]:
    """Return the plan as text, and whether nothing is wrong.

    `pixels` opens every image too. Backbones are timed one after the other as long as
    `probe_seconds` last.
    """
    found = Findings()
    how = profile.params.train
    found.attempt(check_shares, how.batch, how.micro_batch_size, count_processes(profile))
    if isinstance(profile.params.data, FileData):
        images = _look(profile, found)
        _compare_with_val(profile, found, images if pixels else [])
        _unite(profile.params.data, found)
    else:
        _drawn(profile, found)
    keypoints = _keypoints(profile, found)
    _look_for_initial(profile, found)
    for name in profile.params.ensembles:
        found.attempt(members, profile, name)
    objects = keypoints, _categories(profile, found)
    speeds = timed(profile, objects, probe_seconds, found.faults.append)
    costs = Costs(profile, keypoints, _images(profile, found), speeds)
    parts = {
        "Image sets": _sets_table(profile, found),
        "Rows": _rows_table(profile, costs),
        f"Timed on {_device()}": _speeds_table(speeds),
        "Views": _views(profile),
        "Disk": "\n".join(costs.disk()),
        "Notes": "\n".join(found.notes),
        "Wrong": "\n".join(found.faults),
    }
    text = "\n\n".join(f"{name}\n{part}" for name, part in parts.items() if part)
    verdict = f"wrong: {len(found.faults)}" if found.faults else "nothing is wrong"
    return f"{text}\n\n{verdict}", not found.faults


def _drawn(profile: Profile, found: Findings) -> None:
    paths = sorted((profile.work / "data").glob("*.json"))
    loaded = {path.stem: found.attempt(load_restored, profile, path.stem) for path in paths}
    found.sets = {name: coco for name, coco in loaded.items() if coco}
    if not paths:
        found.notes.append("the sets are not drawn yet: `datastill data` takes seconds")


def _look(profile: Profile, found: Findings) -> list[Record]:
    """Load the sets as stage `data` would; return the images that are where they must be."""
    files = data.file_sets(profile)
    there: list[Record] = []
    for spec in files.sets:
        name = spec.name
        if isinstance(spec, VideoFiles):
            if count := found.attempt(files.count_videos, spec):
                found.videos[name] = count
                found.frames[name] = count * spec.per_video
            continue
        listed, (coco, refused) = _one_set(files, spec, found)
        there += coco.images if coco else []
        found.refuse(f"{name}: images that are missing or unreadable", refused)
        if known := coco or listed:
            found.sets[name] = known
            found.faults += [f"{name}: {fault}" for fault in lint(known)]
    return there


def _one_set(
    files: FileSets, spec: FileSet, found: Findings
) -> tuple[Coco | None, tuple[Coco | None, list[Refusal]]]:
    """Return what a set's annotations list, if anything, and what is there and what is not."""
    if not isinstance(spec, AnnotatedFiles):
        return None, found.attempt(files.load, spec) or (None, [])
    listed = found.attempt(files.read, spec)
    there = found.attempt(files.locate, spec, listed) if listed else None
    return listed, there or (None, [])


def _compare_with_val(profile: Profile, found: Findings, images: list[Record]) -> None:
    """Open all `images`, and look for val's among those of the other sets."""
    manifest = None
    if images:
        files = {image["file_name"]: image for image in images}
        with Steps("looking at every image", len(files)) as steps:
            seen = found.attempt(examine, profile.images, list(files.values()), steps.advance)
        manifest, refused = seen or (None, [])
        found.refuse("images that do not open", refused)
    others = {name: coco for name, coco in found.sets.items() if name != VAL}
    leaks = find_leaks(found.sets[VAL], others, manifest) if VAL in found.sets else []
    milestones = isinstance(profile.params.data, FileData) and profile.params.data.leaks == "drop"
    if leaks and milestones:
        lines = [f"{leak.set}: {leak.file_name} {leak.reason}" for leak in leaks]
        found.notes.append(data.many(f"{len(leaks)} images are in val and will be left out", lines))
    elif leaks:
        found.faults.append(data.leak_text(leaks))


def _look_for_initial(profile: Profile, found: Findings) -> None:
    """Rows that start from initial weights need a file of them, at the latest when they start."""
    files = profile.params.train.initial_files
    rows = profile.params.rows().items()
    starting = (row.backbone for name, row in rows if start(profile, name) == "initial")
    for backbone in dict.fromkeys(starting):
        packed = initial_weights(backbone)
        if backbone in files or backbone not in IMAGENET or packed.is_file():
            if not (path := find_initial(backbone, files)).is_file():
                found.faults.append(
                    f"{path}: no initial weights of {backbone}; put them there, or name another "
                    "file in train.initial_files"
                )
        else:
            found.notes.append(f"{backbone}: starts from torchvision's weights, fetched once")


def _unite(files: FileData, found: Findings) -> None:
    for name, spec in files.sets.items():
        if isinstance(spec, Union) and found.sets.keys() >= set(spec.union):
            united = found.attempt(union, [found.sets[part] for part in spec.union])
            found.sets |= {name: united} if united else {}


def _keypoints(profile: Profile, found: Findings) -> int:
    """Return how many keypoints an instance has: a drawn person's where no set is known yet."""
    if profile.params.task == "boxes":
        return 0
    known = next(iter(found.sets.values()), Coco([], [], [PERSON]))
    return len(build_skeleton(known.categories))


def _images(profile: Profile, found: Findings) -> dict[str, tuple[int, int]]:
    """Return how many images of each set teach something, and how many there are."""
    known = {
        name: (len(_useful(profile, coco).images), len(coco.images))
        for name, coco in found.sets.items()
    }
    return known | {name: (0, count) for name, count in found.frames.items()}


def _useful(profile: Profile, coco: Coco) -> Coco:
    return trainable(coco, profile.params.task)


def _categories(profile: Profile, found: Findings) -> int:
    """Return of how many categories a detector tells boxes apart."""
    several = [len(coco.categories) for coco in found.sets.values()]
    return max(several, default=1) if profile.params.task == "boxes" else 1


def _sets_table(profile: Profile, found: Findings) -> str:
    contents = _box_contents if profile.params.task == "boxes" else _contents
    lines = [{"set": name, **contents(coco)} for name, coco in found.sets.items()]
    lines += [{"set": name, "images": f"{n:,} videos"} for name, n in found.videos.items()]
    return _table(lines)


def _contents(coco: Coco) -> dict[str, str]:
    people = [a for a in coco.annotations if not a["iscrowd"]]
    return {
        "images": f"{len(coco.images):,}",
        "with keypoints": f"{len(trainable(coco, 'keypoints').images):,}",
        "instances": f"{len(people):,}",
        "crowds": f"{len(coco.annotations) - len(people):,}",
        "keypoints": f"{sum(a['num_keypoints'] for a in people):,}",
        "category": ", ".join(f"{c['id']} {c['name']}" for c in coco.categories),
    }


def _box_contents(coco: Coco) -> dict[str, str]:
    """Return the same of boxes; of the categories, the most and the least frequent."""
    names = {category["id"]: category["name"] for category in coco.categories}
    counts = Counter(names[a["category_id"]] for a in coco.annotations if not a["iscrowd"])
    ranked = [f"{name} {count:,}" for name, count in counts.most_common()]
    few = ranked if len(ranked) <= 2 * _NAMED else [*ranked[:_NAMED], "...", *ranked[-_NAMED:]]
    return {
        "images": f"{len(coco.images):,}",
        "with objects": f"{len(trainable(coco, 'boxes').images):,}",
        "instances": f"{counts.total():,}",
        "crowds": f"{len(coco.annotations) - counts.total():,}",
        "categories": f"{len(counts)} of {len(names)}: {', '.join(few)}",
    }


def _rows_table(profile: Profile, costs: Costs) -> str:
    return _table(
        [
            {
                "row": name,
                "backbone": row.backbone,
                "iterations": f"{profile.params.scaled(row.iterations):,}",
                "per batch": mix(profile, row),
                "epochs": _number(costs.epochs(row), 1),
                "training h": _number(costs.training(row), 3600),
                "annotating h": _number(costs.annotating(row), 3600),
                "testing h": _number(costs.testing(name, row), 3600),
            }
            for name, row in profile.params.rows().items()
        ]
    )


def _number(value: float | None, unit: float) -> str:
    return "?" if value is None else f"{value / unit:,.2f}"


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"a CPU with {torch.get_num_threads()} threads"


def _speeds_table(speeds: dict[str, Speed]) -> str:
    return _table(
        [
            {
                "backbone": name,
                "parameters": f"{speed.parameters:,}",
                "s per training pass": f"{speed.train_pass:.3f}",
                "s per image, plain": f"{speed.plain_image:.3f}",
                "memory GB": _number(speed.memory, 1e9),
            }
            for name, speed in speeds.items()
        ]
    )


def _views(profile: Profile) -> str:
    views = profile.params.views
    sides = ", ".join(map(str, views.short_sides))
    flips = " x {plain, mirrored}" if views.flip else ""
    boxes = f"boxes from one at {views.plain_short_side}"
    if profile.params.task == "boxes":
        boxes = f"boxes from all, put to the vote at an IoU of {views.voting_iou:g}"
    return f"short side {{{sides}}}{flips}; {boxes}"


def _table(lines: list[dict[str, str]]) -> str:
    return pd.DataFrame(lines).fillna("").to_string(index=False) if lines else ""
