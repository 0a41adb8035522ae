"""Rows of params.yaml: one model each, trained on human and possibly generated annotations."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from datastill.model.backbones import BACKBONES
from datastill.project.section import Positive, Section, Seed, Share

Backbone = Literal[*BACKBONES]  # type: ignore[valid-type]


class Ablation(Section):
    """A row's departures from the paper's method; null keeps the method.

    start           weights to start from: the backbone's, those of torchvision's detector (coco),
                    random, or the teacher's (fine-tuning)
    labelled_share  of every minibatch, instead of train.labelled_share
    augmentation    strong: colours, blur and holes in the images with generated annotations
    fraction        of the unlabelled images to annotate
    views           number of views of the teacher: 1 is single-scale, others are closest in scale
    average         what is averaged over the views, instead of probabilities
    keypoints       which keypoints of a kept person become labels; all: even improbable ones
    images_without  unlabelled images without annotations: kept as background, or dropped
    """

    start: Literal["initial", "coco", "random", "teacher"] | None = None
    labelled_share: Share | None = None
    augmentation: Literal["strong"] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    views: Positive | None = None
    average: Literal["logits"] | None = None
    keypoints: Literal["match", "match_by_type", "all"] | None = None
    images_without: Literal["keep", "drop"] | None = None


class SupervisedRow(Section):
    """A model trained on human labels.

    iterations  the paper's number, divided by `scale.iterations`
    """

    labelled: str
    backbone: Backbone
    iterations: Positive
    seed: Seed
    ablation: Ablation = Ablation()

    @model_validator(mode="after")
    def _ablates_what_it_has(self) -> Self:
        ablation = self.ablation.model_dump(exclude_none=True)
        distilled = [key for key in ablation if key != "start" or ablation[key] == "teacher"]
        if distilled and not isinstance(self, DistilledRow):
            raise ValueError(f"ablation.{distilled[0]} needs a teacher; this row has none")
        return self


class DistilledRow(SupervisedRow):
    """A model trained on human labels and on annotations that `teacher` generated.

    teacher  a row, an ensemble, or one of section `teachers`
    """

    unlabelled: str
    teacher: str


def as_trained(row: SupervisedRow, card: Mapping[str, Any]) -> SupervisedRow:
    """Return `row` as the `card` of its model has it: params.yaml may have changed since.

    A card of an earlier version, which has no such row, leaves it as it is.
    """
    trained = card.get("row", {})
    with suppress(ValidationError):
        return (DistilledRow if "teacher" in trained else SupervisedRow).model_validate(trained)
    return row


class Ensemble(Section):
    """Three models that annotate as one: model distillation (figure 1)."""

    first: str
    second: str
    third: str
