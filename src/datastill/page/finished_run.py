"""A finished run as the page sees it: its rows, files, and the trainings that it compares."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from datastill.coco.format import Coco, Record, Task, read_coco
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.results import read_results
from datastill.coco.streaming import read_section, sample_images
from datastill.errors import DataError
from datastill.evaluation.image_pairs import ImagePairs, image_pairs
from datastill.images.manifest import read_column
from datastill.io import digest
from datastill.page.blocks import Group
from datastill.report.tables import TABLES

SAMPLED = 2000  # unlabelled images that the page looks at, at most, of each set
SETTINGS = 4  # whose images are shown, at most
_NAMED = 5  # rows in a message, at most


class Files(Protocol):
    """Where a run keeps its files."""

    @property
    def work(self) -> Path: ...
    @property
    def results(self) -> Path: ...
    @property
    def images(self) -> Path: ...
    @property
    def manifest(self) -> Path: ...
    @property
    def allowed(self) -> Path: ...
    def image_set(self, name: str) -> Path: ...
    def model(self, row: str) -> Path: ...
    def evidence(self, row: str) -> Path: ...
    def annotation_card(self, row: str) -> Path: ...
    def detections(self, row: str, *, all_views: bool = False) -> Path: ...
    def metrics(self, row: str) -> Path: ...
    def usage(self, row: str) -> Path: ...


@dataclass(frozen=True)
class Setting:
    """A labelled and an unlabelled set, by the rows that show it: those of its first seed.

    title      of the sets, without seeds
    key        for ids in the page
    unlabelled the set that `student`'s teacher annotated
    roles      rows with detections, by role; a teacher that is the control is named so
    """

    title: str
    key: str
    labelled: str
    unlabelled: str
    teacher: str
    student: str
    roles: Mapping[str, str]


@dataclass(frozen=True)
class FinishedRun:
    """The rows of a profile with what the page needs to know of them.

    specs     of all rows, by name, as params.yaml has them
    original  the set that a set redraws, or itself
    members   rows of each ensemble
    tables    names
    drawn     whether labels are drawn, so none is a person's mistake
    read      the content of a record that a stage wrote, {} if there is none
    trace     the origin of a row's numbers, as text
    """

    name: str
    task: Task
    files: Files
    specs: Mapping[str, Mapping[str, Any]]
    original: Callable[[str], str]
    members: Mapping[str, Sequence[str]]
    tables: Sequence[str]
    read: Callable[[Path], dict[str, Any]]
    drawn: bool = False
    trace: Callable[[str], str] = lambda _: ""

    @cached_property
    def val(self) -> Coco:
        """Val with its truth; raises DataError without either."""
        val = read_coco(self._val_file)
        if not val.annotations:
            raise DataError(
                f"{self._val_file}: has no annotations, so nothing was measured; {self._advice}"
            )
        return val

    @property
    def _val_file(self) -> Path:
        path = self.files.image_set("val")
        if not path.is_file():
            raise DataError(f"{path}: no such file, and a report shows its images; {self._advice}")
        return path

    @property
    def _advice(self) -> str:
        return f"`datastill run {self.name}` makes it, `dvc pull` fetches it from a remote"

    @cached_property
    def _val_digest(self) -> str:
        return digest(self._val_file)

    @cached_property
    def metadata(self) -> Metadata:
        return build_metadata(self.val, self.task)

    @cached_property
    def _pairs(self) -> dict[str, list[ImagePairs]]:
        return {}

    @cached_property
    def _samples(self) -> dict[str, tuple[Coco, int]]:
        return {}

    def detections(self, row: str) -> list[Record]:
        """Return the detections of `row` on val through one view, [] if it was not evaluated."""
        path = self.files.detections(row)
        return read_results(path, "evaluate the row again") if path.is_file() else []

    def pairs(self, row: str) -> list[ImagePairs]:
        """Return the detections of `row` on val beside the truth, image by image."""
        if row not in self._pairs:
            detections, sigmas = self.detections(row), self.metadata.sigmas
            self._pairs[row] = [*image_pairs(self.val, detections, sigmas)]
        return self._pairs[row]

    def sample(self, name: str) -> tuple[Coco, int]:
        """Return SAMPLED images at most of a set, and how many it has."""
        if name not in self._samples:
            self._samples[name] = sample_images(self.files.image_set(name), SAMPLED)
        return self._samples[name]

    def learned(self, teacher: str) -> set[str]:
        """Return the images whose human labels a teacher learned from, as far as is known."""
        rows = [row for row in self.members.get(teacher, [teacher]) if row in self.specs]
        paths = (self.files.image_set(self.specs[row]["labelled"]) for row in rows)
        return {image["file_name"] for path in paths for image in read_section(path, "images")}

    def manifest_column(self, column: str, images: Iterable[Record]) -> dict[str, str]:
        """Return a column of the manifest for these images, by file name."""
        values = read_column(self.files.manifest, column)
        names = (image["file_name"] for image in images)
        return {name: values[name] for name in names if name in values}

    def metrics(self, row: str) -> dict[str, Any]:
        """Return what was measured of `row`; raises DataError if that was on another val."""
        metrics = self.read(path := self.files.metrics(row))
        measured = metrics.get("provenance", {}).get("val")  # early versions recorded none
        if measured not in (None, self._val_digest):
            raise DataError(
                f"{path}: measured on val {measured[:8]}, {self._val_file} is "
                f"{self._val_digest[:8]}; `datastill run {self.name}` measures again"
            )
        return metrics

    def annotation_card(self, row: str) -> dict[str, Any]:
        return self.read(self.files.annotation_card(row))

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table of the results as it was written, None if it was not."""
        path = self.files.results / f"{name}.csv"
        return pd.read_csv(path) if path.is_file() else None

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """Table 1 or 4, empty if the profile has neither."""
        names = [name for name in self.tables if name in TABLES]
        tables = [table for name in names if (table := self.table(name)) is not None]
        if self.settings and names and not tables:
            path = self.files.results / f"{names[0]}.csv"
            rest = [row for row in self.specs if not self.files.metrics(row).is_file()]
            more = f" and {len(rest) - _NAMED} more" if len(rest) > _NAMED else ""
            reason = f", rows not evaluated yet: {', '.join(rest[:_NAMED])}{more}" if rest else ""
            raise DataError(f"{path}: no such file{reason}; `datastill run {self.name}` writes it")
        return tables[0] if tables else pd.DataFrame()

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings in the order of their rows, each by its first student without ablation."""
        settings: dict[str, Setting] = {}
        for row, spec in self.specs.items():
            if spec.get("unlabelled") and not spec.get("ablation"):
                title = " + ".join(self.original(spec[key]) for key in ("labelled", "unlabelled"))
                if title not in settings:
                    settings[title] = Setting(
                        title, f"s{len(settings) + 1}", spec["labelled"], spec["unlabelled"],
                        spec["teacher"], row, self._roles(row, spec),
                    )  # fmt: skip
        return [*settings.values()]

    def _roles(self, row: str, spec: Mapping[str, Any]) -> dict[str, str]:
        alike = ("labelled", "backbone", "iterations", "seed")
        controls = (
            name
            for name, other in self.specs.items()
            if not other.get("unlabelled") and not other.get("ablation")
            and all(other[key] == spec[key] for key in alike)
        )  # fmt: skip
        control, teacher = next(controls, None), spec["teacher"]
        if teacher == control:
            roles = {"teacher and control": teacher}
        else:
            roles = {"teacher": teacher} | ({"control": control} if control else {})
        roles["student"] = row
        files = {role: self.files.detections(name) for role, name in roles.items()}
        return {role: name for role, name in roles.items() if files[role].is_file()}


def setting_groups(run: FinishedRun, blocks: Callable[[Setting], Iterable[Any]]) -> list[Group]:
    """Return the blocks of each setting that is shown and has any, the first setting's open."""
    return [
        Group(setting.title, shown, open=number == 0)
        for number, setting in enumerate(run.settings[:SETTINGS])
        if (shown := [*blocks(setting)])
    ]
