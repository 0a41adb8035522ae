"""Command `plan`: a preview of what a profile does and costs, and of all problems with it."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from datastill.coco.format import PERSON, Coco, Record, Task
from datastill.coco.lint import lint
from datastill.coco.results import COCO_DETECTIONS, max_detections
from datastill.coco.skeleton import build_skeleton
from datastill.coco.subsets import trainable, union
from datastill.commands.estimate import Costs, describe_batch, time_backbones
from datastill.commands.predictors import folder_predictor
from datastill.commands.restore import load_restored
from datastill.commands.set_checks import unused_labels, without_objects
from datastill.errors import DatastillError
from datastill.images.leaks import Leak
from datastill.images.load import Refusal
from datastill.images.manifest import examine
from datastill.model.backbones import PUBLISHED, published_detector
from datastill.model.precision import gpu_name
from datastill.model.pretrained import find_initial, initial_weights
from datastill.model.resnets import IMAGENET
from datastill.model.torchvision_detectors import find_published
from datastill.progress import Steps, on_one_line
from datastill.project.data_schema import FileData, Union
from datastill.project.image_sets import VAL
from datastill.project.profile import Profile
from datastill.report.render import Column, text_grid, word
from datastill.scheduler.benchmark import Speed
from datastill.sources.files import AnnotatedFiles, VideoFiles
from datastill.stages.data import excerpt, file_sets, find_all_leaks, pixel_limit
from datastill.stages.ensemble import member_rows
from datastill.stages.train import count_processes, starting_weights
from datastill.training.distributed import check_shares

_MAX_NAMES = 3  # of categories, at both ends


@dataclass
class Findings:
    """Facts about the image sets before any stage runs, and all faults."""

    sets: dict[str, Coco] = field(default_factory=dict)
    videos: dict[str, tuple[int, int]] = field(default_factory=dict)  # and frames, at most
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def attempt(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of `work`, or None if it fails; each error is one fault."""
        try:
            return work(*arguments)
        except DatastillError as error:
            if str(error) not in self.faults:
                self.faults.append(str(error))
            return None

    def refuse(self, fault: str, refused: list[Refusal]) -> None:
        """Record one fault for all these images, if any."""
        lines = [f"{refusal.file_name}: {refusal.reason}" for refusal in refused]
        self.faults += [excerpt(f"{fault}: {len(lines)}", lines)] if lines else []


def run(profile: Profile, pixels: bool, probe_seconds: float) -> tuple[str, bool]:
    """Return the plan as text, and whether nothing is wrong.

    pixels         also open every image and compare it with val's
    probe_seconds  no further backbone is timed after this time
    """
    findings, train, data = Findings(), profile.params.train, profile.params.data
    processes = count_processes(profile)
    findings.attempt(check_shares, train.batch, train.micro_batch_size, processes)
    if isinstance(data, FileData):
        images = _load_files(profile, findings)
        _check_leaks(profile, data, findings, images if pixels else [])
        _unite(data, findings)
    else:
        _load_drawn(profile, findings)
    findings.faults += without_objects(profile.params, findings.sets)
    _check_initial_weights(profile, findings)
    for name in profile.params.ensembles:
        findings.attempt(member_rows, profile, name)
    for folder in profile.params.teachers.exported.values():
        findings.attempt(folder_predictor, Path(folder), 1)
    objects = _objects(profile, findings)
    speeds = time_backbones(profile, objects, probe_seconds, findings.faults.append)
    task, sets = profile.params.task, findings.sets.values()
    most = max((max_detections(coco, task) for coco in sets), default=COCO_DETECTIONS[task])
    costs = Costs(profile, objects[0], most, _image_counts(profile, findings), speeds)
    device = gpu_name() or f"a CPU with {torch.get_num_threads()} threads"
    parts = {
        "Image sets": _sets_table(profile.params.task, findings),
        "Rows": _rows_table(profile, costs),
        "Total": _total(profile, costs),
        f"Timed on {device}": _speeds_table(speeds),
        "Views": _views(profile),
        "Disk": "\n".join(costs.disk()),
        "Notes": "\n".join(findings.notes),
        "Wrong": "\n".join(findings.faults),
    }
    text = "\n\n".join(f"{name}\n{part}" for name, part in parts.items() if part)
    verdict = f"wrong: {len(findings.faults)}" if findings.faults else "nothing is wrong"
    return f"{text}\n\n{verdict}", not findings.faults


def _load_drawn(profile: Profile, findings: Findings) -> None:
    paths = sorted((profile.work / "data").glob("*.json"))
    for name in (path.stem for path in paths):
        if coco := findings.attempt(load_restored, profile, name):
            findings.sets[name] = coco
    if not paths:
        findings.notes.append("the sets are not drawn yet: `datastill data` takes seconds")


def _load_files(profile: Profile, findings: Findings) -> list[Record]:
    """Load the sets as stage `data` would; return the images that exist."""
    files, images, counts = file_sets(profile), list[Record](), dict[str, int]()
    for spec in files.sets:
        if isinstance(spec, VideoFiles):
            if count := findings.attempt(files.count_videos, spec):
                findings.videos[spec.name] = count, count * spec.per_video
            continue
        listed, loaded = None, None
        if not isinstance(spec, AnnotatedFiles):
            loaded = findings.attempt(files.load, spec)
        elif listed := findings.attempt(files.read, spec):
            loaded = findings.attempt(files.locate, spec, listed)
        coco, refused = loaded or (listed, [])
        images += loaded[0].images if loaded else []
        if listed:
            counts[spec.name] = len(listed.images) - len(refused)
        findings.refuse(f"{spec.name}: images that are missing or unreadable", refused)
        if coco:
            findings.sets[spec.name] = coco
            findings.faults += [f"{spec.name}: {fault}" for fault in lint(coco)]
    findings.notes += unused_labels(files.sets, counts)
    return images


def _check_leaks(
    profile: Profile, data: FileData, findings: Findings, images: Iterable[Record]
) -> None:
    """Look for val's images in the other sets, by content if all `images` are given."""
    manifest = None
    if files := {image["file_name"]: image for image in images}:
        with Steps("opening every image", len(files)) as steps:
            examined = findings.attempt(
                examine, profile.images, [*files.values()], steps.advance, pixel_limit(data)
            )
        manifest, refused = examined or (None, [])
        findings.refuse("images that do not open", refused)
    if VAL not in findings.sets:
        return
    leaks, allowed = findings.attempt(find_all_leaks, data, findings.sets, manifest) or ([], [])
    titles: dict[str, list[Leak]] = {
        "images are in val and will be left out": leaks,
        f"images look like val's and stay ({data.leaks_reason})": allowed,
    }
    for title, noted in titles.items():
        lines = [f"{leak.set}: {leak.file_name} {leak.reason}" for leak in noted]
        findings.notes += [excerpt(f"{len(lines)} {title}", lines)] if lines else []


def _unite(data: FileData, findings: Findings) -> None:
    sets = findings.sets
    for name, spec in data.sets.items():
        if isinstance(spec, Union) and sets.keys() >= {*spec.union}:
            united = findings.attempt(union, [sets[part] for part in spec.union])
            sets |= {name: united} if united else {}


def _check_initial_weights(profile: Profile, findings: Findings) -> None:
    """Record a fault for each backbone whose initial weights neither exist nor can be fetched."""
    files, rows = profile.params.train.initial_files, profile.params.rows().items()
    initial = (row.backbone for name, row in rows if starting_weights(profile, name) == "initial")
    for backbone in dict.fromkeys(initial):
        fetched = backbone in IMAGENET and not initial_weights(backbone).is_file()
        if fetched and backbone not in files:
            findings.notes.append(f"{backbone}: starts from torchvision's weights, fetched once")
        elif not (path := find_initial(backbone, files)).is_file():
            advice = "put them there, or name another file in train.initial_files"
            findings.faults.append(f"{path}: no initial weights of {backbone}; {advice}")
    task = int(profile.params.task == "keypoints")
    of_coco = (row.backbone for name, row in rows if starting_weights(profile, name) == "coco")
    detectors = [published_detector(backbone, task) for backbone in of_coco]
    for detector in dict.fromkeys([*detectors, *profile.params.teachers.torchvision.values()]):
        if PUBLISHED[detector][0] in files:
            findings.attempt(find_published, detector, files)
        else:
            findings.notes.append(f"torchvision's {detector}: needed, fetched once")


def _objects(profile: Profile, findings: Findings) -> tuple[int, int]:
    """Return the keypoints per instance (a person's until a set is known), and the categories."""
    known = [coco.categories for coco in findings.sets.values()] or [[PERSON]]
    if profile.params.task == "boxes":
        return 0, max(map(len, known))
    return len(build_skeleton(known[0])), 1


def _image_counts(profile: Profile, findings: Findings) -> dict[str, tuple[int, int]]:
    """Return the number of trainable images of each set, and of all its images."""
    task, negatives = profile.params.task, profile.params.train.negatives
    counts = {
        name: (len(trainable(coco, task, negatives=negatives).images), len(coco.images))
        for name, coco in findings.sets.items()
    }
    return counts | {name: (0, frames) for name, (_, frames) in findings.videos.items()}


def _sets_table(task: Task, findings: Findings) -> str:
    lines = [{"set": name, **_contents(coco, task)} for name, coco in findings.sets.items()]
    lines += [{"set": name, "images": f"{n:,} videos"} for name, (n, _) in findings.videos.items()]
    return _table(lines)


def _contents(coco: Coco, task: Task) -> dict[str, str]:
    """Return the cells of a set, with its most and least frequent categories."""
    instances = [a for a in coco.annotations if not a["iscrowd"]]
    cells = {
        "images": f"{len(coco.images):,}",
        f"with {'objects' if task == 'boxes' else task}": f"{len(trainable(coco, task).images):,}",
        "instances": f"{len(instances):,}",
        "crowds": f"{len(coco.annotations) - len(instances):,}",
    }
    if task == "keypoints":
        cells["keypoints"] = f"{sum(a['num_keypoints'] for a in instances):,}"
        return cells | {
            "category": ", ".join(f"{c['id']} {on_one_line(c['name'])}" for c in coco.categories)
        }
    by_id = {category["id"]: on_one_line(category["name"]) for category in coco.categories}
    counts = Counter(by_id[a["category_id"]] for a in instances)
    ranked = [f"{name} {count:,}" for name, count in counts.most_common()]
    if len(ranked) > 2 * _MAX_NAMES:
        ranked[_MAX_NAMES:-_MAX_NAMES] = ["..."]
    return cells | {"categories": f"{len(counts)} of {len(by_id)}: {', '.join(ranked)}"}


def _rows_table(profile: Profile, costs: Costs) -> str:
    return _table(
        {
            "row": name,
            "backbone": row.backbone,
            "iterations": f"{profile.params.scaled_iterations(row.iterations):,}",
            "per batch": describe_batch(profile, row),
            "epochs": _number(costs.epochs(row), 1),
            "training h": _number(costs.training(row), 3600),
            "annotating h": _number(costs.annotating(row), 3600),
            "testing h": _number(costs.testing(name, row), 3600),
        }
        for name, row in profile.params.rows().items()
    )


def _total(profile: Profile, costs: Costs) -> str:
    rows = profile.params.rows().items()
    seconds = sum(costs.training(r) + costs.annotating(r) + costs.testing(n, r) for n, r in rows)
    if math.isnan(seconds):
        return "unknown: not every set and backbone is known"
    end = datetime.now() + timedelta(seconds=seconds)
    return f"{seconds / 3600:,.2f} h, one stage at a time; started now, done on {end:%a at %H:%M}"


def _speeds_table(speeds: Mapping[str, Speed]) -> str:
    return _table(
        {
            "backbone": name,
            "parameters": f"{speed.parameters:,}",
            "s per training pass": f"{speed.train_pass:.3f}",
            "s per image, single scale": f"{speed.single_scale_pass:.3f}",
            "memory GB": _number(speed.memory, 1e9),
        }
        for name, speed in speeds.items()
    )


def _number(value: float, unit: float) -> str:
    return "?" if math.isnan(value) else f"{value / unit:,.2f}"


def _table(lines: Iterable[dict[str, str]]) -> str:
    table = pd.DataFrame([*lines])
    return "\n".join(text_grid([Column(name, word(name)) for name in map(str, table)], table))


def _views(profile: Profile) -> str:
    views = profile.params.views
    sides = ", ".join(map(str, views.short_sides))
    flips = " x {upright, mirrored}" if views.flip else ""
    boxes = f"boxes from one view at {views.plain_short_side}"
    if profile.params.task == "boxes":
        boxes = f"boxes from all views, voting at an IoU of {views.voting_iou:g}"
    return f"short side {{{sides}}}{flips}; {boxes}"
