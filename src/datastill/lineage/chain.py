"""From a row's AP back to what it was made of: model, annotations, teacher, image sets, source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datastill.errors import DataError
from datastill.lineage.dvc_lock import File, Lock, Stage
from datastill.lineage.git_history import History
from datastill.project.profile import Profile

SCALED = ("labelled", "unlabelled", "teacher", "backbone", "seed", "iterations", "ablation")
TRAINED = ("start", "batch", "base_lr", "labelled_share")
MACHINE = ("code", "device", "threads", "precision", "torch")


@dataclass(frozen=True)
class Node:
    """One thing in the chain.

    kind     value, result, model, annotations, set or source
    facts    what is known of it, in the order of telling
    files    what it is on disk
    code     the commit that holds the source which made it, "" where none here does
    sources  what it was made of, by what that was to it
    """

    kind: str
    name: str
    facts: Mapping[str, Any]
    files: tuple[File, ...] = ()
    code: str | None = None
    sources: Mapping[str, Node] = field(default_factory=dict)


class Chain:
    """Follows records alone: dvc.lock, results/ and git; `breaks` names those that contradict."""

    def __init__(self, profile: Profile, lock: Lock) -> None:
        self._place, self._lock, self._history = profile, lock, History()
        self.breaks: list[str] = []
        tables = [stage for name, stage in lock.stages.items() if name.startswith("tables")]
        self.supervised: dict[str, Any] = dict(tables[0].params["supervised"]) if tables else {}
        self.distilled: dict[str, Any] = dict(tables[0].params["distilled"]) if tables else {}
        self._models: dict[str, Node] = {}

    def result(self, row: str) -> Node:
        """Return the chain of what was measured of `row`; raises DataError where a link is gone."""
        evaluated = self._lock.stage(f"evaluate-{self._role(row)}@{row}")
        metrics = self._card(self._place.metrics(row))
        made = metrics["provenance"]
        facts = {name: metrics[name] for name in metrics if name not in ("row", "provenance")}
        files = (self._written(evaluated, self._place.metrics(row)), self._detections(evaluated))
        val = self._set("val", evaluated, made["val"])
        return Node(
            "result", row, facts | {name: made.get(name) for name in MACHINE}, files,
            self.commit_of(evaluated), {"model": self.model(row), "val": val},
        )  # fmt: skip

    def commit_of(self, stage: Stage) -> str:
        """Return the commit that holds the source of `stage`, "" where none here does."""
        return self._history.commit_of(stage.code())

    def model(self, row: str) -> Node:
        """Return the chain of the model of `row`."""
        if row not in self._models:
            joined = f"ensemble@{row}" in self._lock.stages
            self._models[row] = self._ensemble(row) if joined else self._model(row)
        return self._models[row]

    def _model(self, row: str) -> Node:
        role = self._role(row)
        trained = self._lock.stage(f"{role}@{row}")
        spec, how = trained.params[f"{role}.{row}"], trained.params["train"]
        steps = max(1, round(spec["iterations"] / trained.params["scale"]))
        made = self._card(self._place.metrics(row))["provenance"]
        weights = self._recorded(self._place.weights(row), made["weights"])
        facts = {name: spec[name] for name in SCALED if name in spec} | {"steps": steps}
        facts |= {name: how[name] for name in TRAINED} | {"fingerprint": made["fingerprint"]}
        files = (weights, self._written(trained, self._place.model(row)))
        sources = {"labelled": self._set(spec["labelled"], trained)}
        if role == "distilled":
            sources["generated"] = self._annotations(row, trained)
        code = self.commit_of(trained)
        return Node("model", row, facts, files, code, sources)

    def _ensemble(self, name: str) -> Node:
        joined = self._lock.stage(f"ensemble@{name}")
        members = dict(joined.params[f"ensembles.{name}"])
        files = (
            self._recorded(self._place.weights(name)),
            self._written(joined, self._place.model(name)),
        )
        code = self.commit_of(joined)
        sources = {part: self.model(member) for part, member in members.items()}
        return Node("model", name, {"ensemble": list(members.values())}, files, code, sources)

    def _annotations(self, row: str, trained: Stage) -> Node:
        annotated = self._lock.stage(f"annotate@{row}")
        card, spec = (
            self._card(self._place.annotation_card(row)),
            trained.params[f"distilled.{row}"],
        )
        made, path = card["provenance"], self._place.annotations(row)
        teacher = self.model(spec["teacher"])
        weights = teacher.files[0]
        if weights.sha256:
            self._fits(weights.path, weights.sha256, made["teacher_weights"], "the teacher of", row)
        file = replace(self._recorded(path), sha256=made["annotations"])
        others = (self._place.candidates(row), self._place.annotation_card(row))
        facts = {
            "images": card["images"],
            "instances": card["instances"],
            "instance_threshold": (card["thresholds"]["instance"] or {}).get("value"),
            "keypoint_threshold": (card["thresholds"].get("keypoint") or {}).get("value"),
            "views": made["views"],
            "select": annotated.params.get("select"),
            "quality": card["quality"],
            **{name: made.get(name) for name in MACHINE if name in made},
        }
        files = (file, *(self._written(annotated, other) for other in others))
        sources = {
            "teacher": teacher,
            "unlabelled": self._set(spec["unlabelled"], annotated),
            "as many per image as": self._set(spec["labelled"], annotated),
        }
        code = self.commit_of(annotated)
        return Node("annotations", row, facts, files, code, sources)

    def _set(self, name: str, reader: Stage | None, sha256: str = "") -> Node:
        """Return the chain of an image set that the stage `reader` has read."""
        drawn = self._lock.stage("data")
        data, path = drawn.params["data"], self._place.image_set(name)
        if reader and path.as_posix() not in reader.reads:
            raise DataError(f"{self._lock.path}: {reader.name} has not read {path}")
        spec = data["val"] if name == "val" else data["sets"][name]
        file = replace(self._recorded(path), sha256=sha256)
        folder = self._written(drawn, path.parent)
        if "union" in spec:
            parts = {part: self._set(part, None) for part in spec["union"]}
            return Node("set", name, {}, (file, folder), None, parts)
        count = spec.get("images")
        scale = 1 if name == "val" else drawn.params["scale"]
        facts = {"images": max(1, round(count / scale))} if isinstance(count, int) else {}
        source = _source(data, spec, drawn, self.commit_of(drawn))
        return Node("set", name, facts, (file, folder), None, {"source": source})

    def _role(self, row: str) -> str:
        if f"distilled@{row}" in self._lock.stages:
            return "distilled"
        if f"supervised@{row}" not in self._lock.stages:
            known = [name.partition("@")[2] for name in self._lock.stages if "evaluate-" in name]
            raise DataError(f"{self._lock.path}: no row {row!r} has run; there are {sorted(known)}")
        return "supervised"

    def _card(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise DataError(f"{path}: no such file; `git checkout {path}` or `dvc repro` brings it")
        card: dict[str, Any] = json.loads(path.read_text())
        return card

    def _written(self, stage: Stage, path: Path) -> File:
        if path.as_posix() not in stage.writes:
            raise DataError(f"{self._lock.path}: {stage.name} has not written {path}")
        return self._recorded(path)

    def _detections(self, evaluated: Stage) -> File:
        """Return what a row was measured by: a folder, and before that was so, a file."""
        folder = (self._place.work / "detections").as_posix()
        return next(self._recorded(Path(path)) for path in evaluated.writes if folder in path)

    def _recorded(self, path: Path, sha256: str = "") -> File:
        """Return what the stages agree `path` was; notes a break where they do not."""
        digests = sorted(self._lock.digests(path.as_posix()))
        if len(digests) > 1:
            self.note(f"{path}: the stages have met {' and '.join(d[:8] for d in digests)}")
        return File(path.as_posix(), digests[0] if digests else "", sha256)

    def _fits(self, path: str, one: str, other: str, *of: str) -> None:
        if one != other:
            self.note(f"{path}: measured was {one[:8]}, {' '.join(of)} was {other[:8]}")

    def note(self, text: str) -> None:
        """Keep what contradicts, once."""
        if text not in self.breaks:
            self.breaks.append(text)


def _source(data: Mapping[str, Any], spec: Mapping[str, Any], made: Stage, commit: str) -> Node:
    """Return where the images of a set come from: drawn, or files and what DVC watches of them."""
    if data["source"] == "drawn":
        facts = {"seed": data["seed"], "style": spec["style"]}
        facts |= {name: data[name] for name in ("width", "height")}
        return Node("source", "drawn", facts, code=commit)
    watched = [file for path, file in made.reads.items() if path == data["watched"]]
    return Node("source", "files", {"root": data["root"], **spec}, tuple(watched), commit)
