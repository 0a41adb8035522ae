"""The sections of params.yaml, one per stage, and the whole."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from datastill.coco.format import Task
from datastill.errors import ParamsError
from datastill.model.backbones import PUBLISHED
from datastill.project.data_schema import Data, original_set
from datastill.project.rows import Ablation, DistilledRow, Ensemble, SupervisedRow
from datastill.project.section import Name, Natural, Positive, PositiveFloat, Section, Seed, Share

if TYPE_CHECKING:
    from datastill.inference.views import ViewSettings

Table = Literal["table1", "table2", "table3", "table4", "figure5", "figure6", "beyond"]

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]

Published = Literal[*PUBLISHED]  # type: ignore[valid-type]


class Scale(Section):
    """What the paper's numbers are divided by, except the images of val."""

    images: PositiveFloat
    iterations: PositiveFloat

    @model_validator(mode="before")
    @classmethod
    def _both(cls, raw: Any) -> Any:
        if isinstance(raw, int | float):
            both = f"{{images: {raw}, iterations: {raw}}}"
            raise ValueError(f"expected a number for each, such as {both}")
        return raw


class Initial(Section):
    """How `datastill pretrain` trains the initial weights, on drawn objects of `side` pixels."""

    pictures: Positive
    held_out: Positive
    side: Positive
    epochs: Positive
    batch: Positive
    base_lr: PositiveFloat
    warmup: Natural
    seed: Seed


class Train(Section):
    """How teachers and students are trained; each row has its own iterations.

    start             initial: the backbone's own; coco: torchvision's detector; random
    initial_files     backbone: file of its initial weights, or of the detector to start from, if
                      the package has none and torchvision's cannot be downloaded
    micro_batch_size  images per forward pass: the losses of a batch's micro-batches are averaged
    flip              whether half of the images are mirrored
    quarter_turns     whether images are also turned by 0, 90, 180 or 270 degrees; not in the paper
    negatives         labelled images without objects: kept as background, or dropped (Detectron)
    """

    start: Literal["initial", "coco", "random"]
    initial_files: dict[str, str]
    batch: Positive
    micro_batch_size: Positive
    labelled_share: Share
    base_lr: PositiveFloat
    warmup: Natural
    milestones: list[Share]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    short_sides: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    long_side: Positive
    flip: bool = True
    quarter_turns: bool = False
    negatives: Literal["keep", "drop"] = "drop"
    precision: Precision
    checkpoint_every: Positive
    log_every: Positive

    @model_validator(mode="after")
    def _short_sides_ascend(self) -> Self:
        if self.short_sides[0] > self.short_sides[1]:
            raise ValueError("short_sides: expected the smaller one first")
        return self


class Views(Section):
    """The single-scale view of every test, and the views of multi-transform inference.

    quarter_turns  whether every view is also turned by 90, 180 and 270 degrees; not in the paper
    voting_iou     minimum IoU at which a box votes for another; boxes only
    """

    plain_short_side: Positive
    plain_long_side: Positive
    short_sides: Annotated[list[Positive], Field(min_length=1)]
    long_side: Positive
    flip: bool
    quarter_turns: bool = False
    voting_iou: Annotated[float, Field(gt=0, le=1)]
    batch: Positive
    precision: Precision

    @model_validator(mode="after")
    def _every_view_once(self) -> Self:
        if twice := [side for side in self.short_sides if self.short_sides.count(side) > 1]:
            raise ValueError(f"short_sides: expected each once, found {twice[0]} more than once")
        return self

    def settings(self) -> "ViewSettings":
        from datastill.inference.views import ViewSettings  # torch, not for reading params

        return ViewSettings(**dict(self) | {"short_sides": tuple(self.short_sides)})


class Select(Section):
    """Which candidates become annotations; distill/thresholds.py has the rules.

    images_without  images without annotations: kept as background, or dropped (authors' code)
    max_unreadable_fraction  of the images; above it, the stage fails
    min_expected_precision  of the annotations; below it, the stage fails
    """

    instances: Literal["match", "prior", "fixed"]
    keypoints: Literal["match", "match_by_type", "fixed", "agreement"] | None
    per_image: PositiveFloat | None
    min_score: Share | None
    min_probability: Share | None
    min_views: Positive | None
    min_ignored: Share | None
    images_without: Literal["keep", "drop"]
    max_unreadable_fraction: Annotated[float, Field(ge=0, lt=1)]
    min_expected_precision: Share | None

    @model_validator(mode="after")
    def _rules_have_their_values(self) -> Self:
        needs = {
            "instances": {"prior": "per_image", "fixed": "min_score"},
            "keypoints": {"fixed": "min_probability", "agreement": "min_views"},
        }
        for key, values in needs.items():
            needed = values.get(rule := getattr(self, key))
            if needed and getattr(self, needed) is None:
                raise ValueError(f"{key}: {rule} needs a value for {needed}")
        return self


class Variance(Section):
    """A standard deviation between seeds, in AP, and its degrees of freedom."""

    sd: PositiveFloat
    degrees: Positive


class BetweenSeeds(Section):
    """The variance between seeds of AP and of gains, borrowed where no row has several seeds."""

    ap: Variance
    gain: Variance


class Teachers(Section):
    """Teachers that are not trained here.

    torchvision  name: torchvision's detector, trained on COCO
    exported     name: folder that `datastill export` wrote, relative to the root
    """

    torchvision: dict[Name, Published] = Field(default={})
    exported: dict[Name, str] = Field(default={})

    def names(self) -> list[str]:
        return [*self.torchvision, *self.exported]


class Evaluate(Section):
    """The bootstrap's resamples, and the rows to test with all views as well."""

    resamples: Positive
    with_views: list[str]


class Machine(Section):
    """The resources of this machine; they do not affect results, so no stage depends on them.

    processes  training processes, one per device; auto is one per GPU
    workers    image-loading processes for each of them; 0 loads between steps
    engine     for annotation: local, or ray (a cluster; needs datastill[ray])
    """

    processes: Positive | Literal["auto"]
    workers: Natural
    engine: Literal["local", "ray"]


class Tracking(Section):
    """MLflow's tracking URI, and how long a stage waits for MLflow at its end."""

    uri: str
    patience_seconds: PositiveFloat


class Params(Section):
    """The whole of params.yaml."""

    profile: str
    root: str
    params_file: str
    task: Task
    tables: Annotated[list[Table], Field(min_length=1)]
    scale: Scale
    data: Data
    initial: Initial | None
    train: Train
    views: Views
    select: Select
    supervised: dict[Name, SupervisedRow]
    ensembles: dict[Name, Ensemble]
    teachers: Teachers = Teachers()
    distilled: dict[Name, DistilledRow]
    evaluate: Evaluate
    between_seeds: BetweenSeeds | None
    machine: Machine
    tracking: Tracking

    def rows(self) -> dict[str, SupervisedRow]:
        """Return all rows, supervised ones first."""
        return {**self.supervised, **self.distilled}

    def row(self, name: str) -> SupervisedRow:
        """Return the row called `name`; raises ParamsError listing the known ones."""
        if row := (rows := self.rows()).get(name):
            return row
        raise ParamsError(f"{self.params_file}: no row {name!r}; there are {', '.join(rows)}")

    def baseline(self, row: str) -> str | None:
        """Return the supervised row over which `row` gains, None if it is supervised or has none.

        Of those with its labels and backbone: the one with its seed, its teacher, the shortest.
        """
        spec, rows = self.row(row), self.supervised.items()
        alike = [
            (other.seed != spec.seed, name != spec.teacher, other.iterations, name)
            for name, other in rows
            if isinstance(spec, DistilledRow)
            and (other.labelled, other.backbone) == (spec.labelled, spec.backbone)
            and other.ablation == Ablation()
        ]
        return min(alike)[-1] if alike else None

    def models(self, teacher: str) -> list[SupervisedRow]:
        """Return the rows of a teacher: itself, an ensemble's members, none if not trained here."""
        rows, names = self.rows(), self.members().get(teacher, [teacher])
        return [rows[name] for name in names if name in rows]

    def original_set(self, name: str) -> str:
        """Return the set that `name` redraws, or itself."""
        return original_set(self.data.model_dump()["sets"], name)

    def members(self) -> dict[str, list[str]]:
        return {name: [*rows.model_dump().values()] for name, rows in self.ensembles.items()}

    def selection(self, row: str) -> Select:
        """Return the selection rules of a row: section `select`, or what its ablation says."""
        ablation = self.row(row).ablation
        rules = {k: getattr(ablation, k) for k in ("keypoints", "images_without")}
        if rules["keypoints"] == "all":
            rules |= {"keypoints": "fixed", "min_probability": 0.0}
        return self.select.model_copy(update={k: v for k, v in rules.items() if v is not None})

    def scaled_images(self, number: int) -> int:
        """Return a number of the paper's images at this profile's scale."""
        return max(1, round(number / self.scale.images))

    def scaled_iterations(self, number: int) -> int:
        """Return a number of the paper's iterations at this profile's scale."""
        return max(1, round(number / self.scale.iterations))


class Expected(Section):
    """expected.yaml: values with tolerances by row and metric, and orders between rows."""

    class Value(Section):
        """A number and its tolerance."""

        value: float
        tolerance: PositiveFloat

    values: dict[str, dict[str, Value]]
    orders: list[str]
