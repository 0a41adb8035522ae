"""Stages `evaluate-supervised` and `evaluate-distilled`: AP and pixel errors of a row on val."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datastill.coco.format import Coco, Record
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.results import coco_results
from datastill.evaluation.bootstrap import Matches, bootstrap, interval, match, paired_interval
from datastill.evaluation.coco_ap import evaluate
from datastill.evaluation.pixel_errors import pixel_errors, pixel_metrics
from datastill.images.load import load_image
from datastill.inference.multi_transform import predict
from datastill.inference.predictor import load_on_device
from datastill.inference.views import Inference, build_inference
from datastill.io import digest, write_text
from datastill.model.detector import Detector
from datastill.progress import Steps
from datastill.project.image_sets import VAL, load
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment
from datastill.project.row_models import check_model
from datastill.tracking.live import mirror_row

# Keypoints go without a bbox: COCO's own format has none, and pycocotools would take areas from it.
_DECIMALS = {"keypoints": {"score": 6, "keypoints": 4}, "boxes": {"score": 6, "bbox": 3}}


def run(profile: Profile, row: str) -> None:
    """Evaluate the model of `row` on val; write its detections, metrics and provenance."""
    params, code = profile.params, code_version()
    params.row(row)  # rejects an ensemble: it has a model, but no metrics
    detector, card = load_on_device(profile.weights(row))
    val = load(profile, VAL)
    test = _Test(profile, row, detector, val, build_metadata(val, params.task))
    check_model(profile, row, card, test.metadata)
    inference = build_inference(params.views.settings(), test.metadata, 1)
    detections = test.detect(inference)
    matches = test.match(detections)
    metrics = {
        "row": row,
        "task": params.task,
        **test.percent(detections),
        **test.pixels(detections),
        "images": len(val.images),
        **({"families": matches.families} if matches.families < len(val.images) else {}),
        "instances": len(val.annotations),
        "interval": test.interval(matches),
        "provenance": {
            "weights": digest(profile.weights(row)),
            "fingerprint": card["fingerprint"],
            "val": digest(profile.image_set(VAL)),
            "precision": inference.precision,
            **({"oks": test.metadata.skeleton.oks()} if test.metadata.sigmas else {}),
            "code": code,
            **environment(),
        },
    }
    if row in params.evaluate.with_views:
        metrics["with_views"] = _with_views(test, matches)
    _write(profile.detections(row), detections)
    write_text(profile.metrics(row), json.dumps(metrics, indent=2) + "\n")
    mirror_row(profile, row)


@dataclass(frozen=True)
class _Test:
    """A row's model, and the images and categories that it is tested on."""

    profile: Profile
    row: str
    detector: Detector
    val: Coco
    metadata: Metadata

    def detect(self, inference: Inference) -> list[Record]:
        results: list[Record] = []
        batch, decimals = self.profile.params.views.batch, _DECIMALS[self.profile.params.task]
        with Steps(f"testing with {len(inference.views)} view(s)", len(self.val.images)) as steps:
            for start in range(0, len(self.val.images), batch):
                images = self.val.images[start : start + batch]
                pixels = [load_image(self.profile.images, image) for image in images]
                predictions = predict(self.detector, pixels, inference)
                for image, instances in zip(images, predictions, strict=True):
                    on_image = coco_results(instances, decimals)
                    results += [{"image_id": image["id"], **result} for result in on_image]
                steps.advance(len(images))
        return results

    def match(self, detections: Sequence[Record]) -> Matches:
        task, sigmas = self.profile.params.task, self.metadata.sigmas
        return match(self.val, detections, task, sigmas=sigmas)

    def percent(self, detections: Sequence[Record]) -> dict[str, float | None]:
        """Return AP by name, in percent."""
        task, sigmas = self.profile.params.task, self.metadata.sigmas
        measured = asdict(evaluate(self.val, detections, task, sigmas=sigmas))
        if task == "keypoints":
            del measured["ap_small"]  # COCO has none
        return {k: None if v is None else round(v, 2) for k, v in measured.items()}

    def pixels(self, detections: Sequence[Record]) -> dict[str, Any]:
        """Return the pixel errors of keypoints and their intervals, {} for boxes."""
        if self.profile.params.task == "boxes":
            return {}
        errors = pixel_errors(self.val, detections, sigmas=self.metadata.sigmas)
        return pixel_metrics(errors, self.profile.params.evaluate.resamples)

    def interval(self, matches: Matches) -> list[float]:
        """Return the 95 % interval of AP, in percent."""
        samples = bootstrap(matches, self.profile.params.evaluate.resamples)
        return _rounded(interval(samples, matches.families))


def _with_views(test: _Test, single_scale: Matches) -> dict[str, Any]:
    """Return the metrics of inference through all views, and its gain; write its detections."""
    params = test.profile.params
    inference = build_inference(params.views.settings(), test.metadata, None)
    detections = test.detect(inference)
    matches = test.match(detections)
    gain, bounds = paired_interval(single_scale, matches, params.evaluate.resamples)
    _write(test.profile.detections(test.row, all_views=True), detections)
    return {
        **test.percent(detections),
        **test.pixels(detections),
        "views": len(inference.views),
        "interval": test.interval(matches),
        "gain": round(gain, 2),
        "gain_interval": _rounded(bounds),
    }


def _write(path: Path, detections: Sequence[Record]) -> None:
    write_text(path, json.dumps(detections, separators=(",", ":")))


def _rounded(bounds: tuple[float, float]) -> list[float]:
    return [round(bound, 2) for bound in bounds]
