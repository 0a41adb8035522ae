"""The chain from a row's AP to its origins: model, annotations, teacher, image sets, source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from datastill.errors import DataError
from datastill.io import digest
from datastill.lineage.dvc_lock import File, Lock, Stage
from datastill.lineage.git_history import commit_of
from datastill.project.data_schema import original_set
from datastill.project.profile import Profile
from datastill.project.records import read_facts

ROW_FACTS = ("labelled", "unlabelled", "teacher", "backbone", "seed", "iterations", "ablation")
TRAIN_FACTS = ("start", "batch", "base_lr", "labelled_share")
MACHINE = ("code", "device", "threads", "precision", "torch")


@dataclass(frozen=True)
class Node:
    """One link of the chain.

    kind     value, result, model, annotations, set or source
    facts    facts about it, in display order
    files    its files on disk
    code     the commit with the source that made it, "" if not in this clone; or the release
    sources  what it was made from, by role
    """

    kind: str
    name: str
    facts: Mapping[str, Any]
    files: tuple[File, ...] = ()
    code: str | None = None
    sources: Mapping[str, "Node"] = field(default_factory=dict)


class Chain:
    """A chain from dvc.lock, results/ and git only; `breaks` are their contradictions."""

    def __init__(self, profile: Profile, lock: Lock) -> None:
        self._profile, self._lock, self._commit_of = profile, lock, cache(commit_of)
        self._digest = cache(digest)
        self.breaks: list[str] = []
        tables = [stage.params for name, stage in lock.stages.items() if name.startswith("tables")]
        self.rows = {**tables[0]["supervised"], **tables[0]["distilled"]} if tables else {}
        self.original = partial(
            original_set, tables[0].get("data", {}).get("sets", {}) if tables else {}
        )

    def result(self, row: str) -> Node:
        """Return the chain of the evaluation of `row`; raises DataError if a link is missing."""
        evaluated = self._lock.stage(f"evaluate-{self._role(row)}@{row}")
        metrics = self._card(self._profile.metrics(row))
        made = metrics["provenance"]
        facts = {name: metrics[name] for name in metrics if name not in ("row", "provenance")}
        facts |= {name: made.get(name) for name in MACHINE}
        # a folder of detections; earlier records have a file
        folder = (self._profile.work / "detections").as_posix()
        detections = next(self._recorded(path) for path in evaluated.writes if folder in path)
        files = (self._written(evaluated, self._profile.metrics(row)), detections)
        val = self._set("val", evaluated, made["val"])
        sources = {"model": self.model(row), "val": val}
        return Node("result", row, facts, files, self.code_of(evaluated), sources)

    def model(self, name: str) -> Node:
        """Return the chain of the model of a row, an ensemble or a ready teacher."""
        if stage := self._lock.stages.get(f"ensemble@{name}"):
            members = dict(stage.params[f"ensembles.{name}"])
            facts: dict[str, Any] = {"ensemble": list(members.values())}
            weights = self._recorded(self._profile.weights(name))
            sources = {part: self.model(member) for part, member in members.items()}
        elif ready := self._ready(name):
            stage, origin = ready
            facts, sources = {"ready": origin}, {}
            weights = self._recorded(self._profile.weights(name))
        else:
            role = self._role(name)
            stage = self._lock.stage(f"{role}@{name}")
            spec, train = stage.params[f"{role}.{name}"], stage.params["train"]
            made = self._card(self._profile.metrics(name))["provenance"]
            self._compare_with_model(name, made["fingerprint"])
            self._compare_with_initial(name, spec, train)
            facts = {key: spec[key] for key in ROW_FACTS if key in spec}
            facts["steps"] = max(1, round(spec["iterations"] / stage.params["scale.iterations"]))
            facts |= {key: train[key] for key in TRAIN_FACTS} | {"fingerprint": made["fingerprint"]}
            weights = self._recorded(self._profile.weights(name), made["weights"])
            sources = {"labelled": self._set(spec["labelled"], stage)}
            if role == "distilled":
                sources["generated"] = self._annotations(name, spec)
        files = (weights, self._written(stage, self._profile.model(name)))
        return Node("model", name, facts, files, self.code_of(stage), sources)

    def _compare_with_model(self, row: str, evaluated: str) -> None:
        """Add a break if the model that is there now is of another training than `evaluated`."""
        trained = read_facts(path := self._profile.model(row) / "card.json").get("fingerprint")
        if trained not in (None, evaluated):
            self.breaks.append(
                f"{path.parent}: the metrics are of training {evaluated[:8]}, the model here is of "
                f"{trained[:8]}; `dvc repro` makes everything that depends on it again"
            )

    def _compare_with_initial(
        self, row: str, spec: Mapping[str, Any], train: Mapping[str, Any]
    ) -> None:
        """Add a break if the file of its initial weights is not the one the model started from."""
        start = (spec.get("ablation") or {}).get("start") or train["start"]
        file = train.get("initial_files", {}).get(spec["backbone"])
        started = read_facts(self._profile.model(row) / "card.json").get("initial")
        if not (file and started and start in ("initial", "coco")):
            return
        path = Path(file).expanduser()
        if path.is_file() and (present := self._digest(path)) != started:
            self.breaks.append(
                f"{path}: the model of {row} started from {started[:8]}, the file here is "
                f"{present[:8]}; bring back the former file, or train {row} again"
            )

    def _ready(self, name: str) -> tuple[Stage, str] | None:
        """Return the stage of a teacher that was not trained here, and its origin."""
        for kind in ("torchvision", "exported"):
            if stage := self._lock.stages.get(f"teacher-{kind}@{name}"):
                return stage, stage.params[f"teachers.{kind}.{name}"]
        return None

    def _annotations(self, row: str, spec: Mapping[str, Any]) -> Node:
        stage = self._lock.stage(f"annotate@{row}")
        card, teacher = self._card(self._profile.annotation_card(row)), self.model(spec["teacher"])
        made, thresholds, weights = card["provenance"], card["thresholds"], teacher.files[0]
        if weights.sha256 and weights.sha256 != (used := made["teacher_weights"]):
            measured = f"{weights.path}: measured was {weights.sha256[:8]}"
            self.breaks.append(f"{measured}, the teacher of {row} was {used[:8]}")
        facts = {name: card[name] for name in ("images", "instances")}
        for kind in ("instance", "keypoint"):
            facts[f"{kind}_threshold"] = (thresholds.get(kind) or {}).get("value")
        select, quality = stage.params.get("select"), card["quality"]
        facts |= {"views": made["views"], "select": select, "quality": quality}
        facts["expected"] = card.get("expected")  # older cards have none
        facts |= {name: made[name] for name in MACHINE if name in made}
        files = (
            self._recorded(self._profile.annotations(row), made["annotations"]),
            self._written(stage, self._profile.evidence(row)),
            self._written(stage, self._profile.annotation_card(row)),
        )
        sources = {"teacher": teacher, "unlabelled": self._set(spec["unlabelled"], stage)}
        sources["as many per image as"] = self._set(spec["labelled"], stage)
        return Node("annotations", row, facts, files, self.code_of(stage), sources)

    def _set(self, name: str, reader: Stage | None, sha256: str = "") -> Node:
        """Return the chain of an image set that the stage `reader` has read."""
        stage = self._lock.stage("data")
        data, path = stage.params["data"], self._profile.image_set(name)
        if reader and path.as_posix() not in reader.reads:
            raise DataError(f"{self._lock.path}: {reader.name} has not read {path}")
        spec = data["val"] if name == "val" else data["sets"][name]
        both = self._recorded(path, sha256), self._written(stage, path.parent)
        files = tuple(file for file in both if file.md5)  # a part of a union may be read by none
        if "union" in spec:
            parts = {part: self._set(part, None) for part in spec["union"]}
            return Node("set", name, {}, files, None, parts)
        original = data["sets"].get(spec.get("redraws"), spec)
        count, scale = original.get("images"), 1 if name == "val" else stage.params["scale.images"]
        facts = {"images": max(1, round(count / scale))} if isinstance(count, int) else {}
        source = _source(data, {**original, **spec}, stage, self.code_of(stage))
        return Node("set", name, facts, files, None, {"source": source})

    def read_by(self, stage: Stage) -> list[File]:
        """Return what `stage` read besides source; add a break for each that no stage wrote."""
        files = [file for path, file in stage.reads.items() if not path.startswith("src/")]
        odd = [file.path for file in files if not self._lock.has_written(file.path)]
        advice = f"{stage.name} read it, and no stage has written it; `dvc repro` makes it"
        self.breaks += [f"{path}: {advice}" for path in odd]
        return files

    def code_of(self, stage: Stage) -> str:
        """Return the commit with the source that ran, "" if not in this clone; or the release."""
        return f"datastill {stage.release}" if stage.release else self._commit_of(stage.code)

    def _role(self, row: str) -> str:
        for role in ("distilled", "supervised"):
            if f"{role}@{row}" in self._lock.stages:
                return role
        known = sorted(n.partition("@")[2] for n in self._lock.stages if "evaluate-" in n)
        raise DataError(f"{self._lock.path}: no row {row!r} has run; there are {known}")

    def _card(self, path: Path) -> dict[str, Any]:
        if card := read_facts(path):
            return card
        raise DataError(f"{path}: no such file; `git checkout {path}` or `dvc repro` restores it")

    def _written(self, stage: Stage, path: Path) -> File:
        if path.as_posix() not in stage.writes:
            raise DataError(f"{self._lock.path}: {stage.name} has not written {path}")
        return self._recorded(path)

    def _recorded(self, path: Path | str, sha256: str = "") -> File:
        """Return `path` as the stages recorded it; add a break if they disagree."""
        digests = self._lock.digests(str(path))
        if len(digests) > 1:
            met = " and ".join(md5[:8] for md5 in digests)
            self.breaks.append(f"{path}: the stages recorded {met}")
        return File(str(path), digests[0] if digests else "", sha256)


def _source(data: Mapping[str, Any], spec: Mapping[str, Any], stage: Stage, commit: str) -> Node:
    """Return the source of a set's images: drawn, or files and those of them that DVC watches."""
    if data["source"] == "drawn":
        facts = {"seed": spec.get("seed", data["seed"]), "style": spec["style"]}
        facts |= {name: data[name] for name in ("width", "height")}
        return Node("source", "drawn", facts, code=commit)
    watched = stage.reads.get(data["watched"])
    files = (watched,) if watched else ()
    return Node("source", "files", {"root": data["root"], **spec}, files, commit)
