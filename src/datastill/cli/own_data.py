"""Commands for your own data: new profiles, corrected labels, predictions and exports."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from datastill.cli.application import Profile, app, call, echo, lazy_import
from datastill.errors import ParamsError

Labels = Annotated[
    Path,
    Option(
        help="Labels: COCO JSON, a DeepLabCut or Lightning Pose CSV or project, a YOLO data.yaml "
        "or folder of labels, CVAT XML, or a folder of Pascal VOC XML or LabelMe JSON."
    ),
]

LabelOnly = Annotated[
    int | None, Option(help="Instead of --unlabelled: keep labels of only this many images.")
]

Backbone = Annotated[
    str | None,
    Option(help="Default: mobilenet_v2 on a CPU, resnet50 on a GPU."),
]

Iterations = Annotated[
    int | None,
    Option(min=1, help="Iterations of the teacher; default: chosen from the number of images."),
]

PerVideo = Annotated[int, Option(min=1, help="Frames to take from each unlabelled video.")]

Rounds = Annotated[
    int, Option(min=1, help="Rounds of annotation and training; each student teaches the next.")
]

NoFlip = Annotated[
    bool,
    Option(
        "--no-flip",
        help="Never mirror images, neither in training nor as views: for objects whose mirror "
        "image is something else, such as letters.",
    ),
]

QuarterTurns = Annotated[
    bool,
    Option(
        "--quarter-turns",
        help="Also train on images turned by 90, 180 and 270 degrees, and annotate with four times "
        "as many views: for objects that may point anywhere, such as animals seen from above.",
    ),
]

MaxMegapixels = Annotated[
    float | None,
    Option(help="Refuse images of more than this many million pixels; default: 100."),
]

MinScore = Annotated[
    float | None,
    Option(
        min=0,
        max=1,
        help="Lowest score to draw and, for videos, to write. Default: the score at which the "
        "model predicts as many objects on val as there are; 0.5 if it has not been evaluated.",
    ),
]


@app.command()
def init(
    folder: Annotated[Path, Argument(file_okay=False, help="A new or an empty folder.")],
) -> None:
    """Make a project for your own data: a git repository with DVC, for `new` to add to."""
    echo(lazy_import("commands.init").run(folder))


@app.command()
def new(  # noqa: PLR0913  # an option per input
    name: Annotated[str, Argument(help="Name of the profile, a new folder in pipelines/.")],
    labelled: Labels,
    images: Annotated[Path, Option(help="The folder of the labelled images.")],
    unlabelled: Annotated[
        Path | None,
        Option(help="A folder of images or of videos, one video, or a text file of videos."),
    ] = None,
    label_only: LabelOnly = None,
    val: Annotated[Path | None, Option(help="Labels to test on, formats as --labelled.")] = None,
    val_images: Annotated[
        Path | None, Option(help="The folder of val's images, if not that of --images.")
    ] = None,
    val_fraction: Annotated[
        float | None,
        Option(help="Without --val: fraction of labelled images to hold out; default: 0.1."),
    ] = None,
    val_count: Annotated[
        int | None, Option(help="Without --val: number of labelled images to hold out.")
    ] = None,
    task: Annotated[
        str | None, Option(help="keypoints or boxes; default: what the labels contain.")
    ] = None,
    backbone: Backbone = None,
    iterations: Iterations = None,
    per_video: PerVideo = 10,
    rounds: Rounds = 1,
    no_flip: NoFlip = False,
    quarter_turns: QuarterTurns = False,
    max_megapixels: MaxMegapixels = None,
    seed: Annotated[int, Option(min=0, help="Seed of the split, frames and rows.")] = 0,
) -> None:
    """Create a profile of your own data, with settings chosen from the data."""
    own = lazy_import("commands.own_data.inputs")
    division = own.Division(val_fraction, val_count, label_only, seed)
    files = (labelled, images, unlabelled, val, val_images)
    inputs = own.Inputs(*files, division, task, max_megapixels)
    command = lazy_import("commands.own_data.new")
    wishes = command.Wishes(backbone, iterations, per_video, rounds, not no_flip, quarter_turns)
    echo(command.run(name, inputs, wishes))


@app.command()
def rm(
    name: Annotated[str, Argument(help="A profile: the name of a folder in pipelines/.")],
    yes: Annotated[bool, Option("--yes", help="Remove it without asking.")] = False,
    force: Annotated[bool, Option("--force", help="Also remove files that git tracks.")] = False,
) -> None:
    """Remove a profile with its work, results and MLflow runs; your data stay."""
    trial = lazy_import("commands.rm").find_trial(name, force)
    echo(trial.describe())
    if not yes:
        typer.confirm("Remove all of this?", abort=True)
    echo(trial.remove())


@app.command()
def merge(
    base: Annotated[Path, Argument(help="The existing labels, COCO JSON.")],
    corrected: Annotated[list[Path], Argument(help="Files saved by a labelling tool, COCO JSON.")],
    to: Annotated[Path, Option(dir_okay=False, help="The COCO JSON to write.")],
    images: Annotated[
        list[Path] | None, Option(help="A folder of images; repeatable, BASE's first.")
    ] = None,
    scored: Annotated[
        bool, Option(help="Also take images whose annotations all still have a score.")
    ] = False,
) -> None:
    """Merge generated annotations, corrected in a labelling tool, into existing labels."""
    echo(lazy_import("commands.merge").run(base, corrected, to, images or [], scored))


@app.command()
def predict(  # noqa: PLR0913  # an option per input and output
    model: Annotated[str, Argument(help="An exported model folder, or a row.")],
    images: Annotated[list[str], Argument(help="Images, or videos, or folders of them.")],
    views: Annotated[
        str, Option(help="Number of views: 1 for a single scale, `all` for the model's.")
    ] = "1",
    to: Annotated[
        Path | None,
        Option(
            help="COCO results JSON to write, with a list of images beside it; default: print. "
            "For videos, a folder for a CSV of each, in DeepLabCut's form if there are keypoints.",
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        Option(file_okay=False, help="Folder for images or videos with predictions drawn."),
    ] = None,
    min_score: MinScore = None,
    max_megapixels: MaxMegapixels = None,
    profile: Profile = "miniature",
) -> None:
    """Run a trained model on images (to COCO results) or videos (to CSV)."""
    if views != "all" and not views.isdecimal():
        raise ParamsError(f"--views: expected a number or all, found {views!r}")
    command = lazy_import("commands.predict")
    command.find_files(images, to, draw)  # rejects what cannot be done before the model is loaded
    limit = lazy_import("coco.image_header").option_limit(max_megapixels, "--max-megapixels")
    count = None if views == "all" else int(views)
    predictor = lazy_import("commands.predictors").find_predictor(model, profile, count, min_score)
    typer.echo(command.run(predictor, images, to, draw, limit))  # JSON


@app.command()
def export(  # noqa: PLR0913  # an option per form of the output
    row: Annotated[
        str,
        Argument(
            help="A row, or `best`: the row with the highest AP; with --onnx also a folder that "
            "was exported before."
        ),
    ],
    to: Annotated[
        Path | None,
        Option(file_okay=False, help="A folder, instead of work/<profile>/export/<row>."),
    ] = None,
    champion: Annotated[
        bool, Option(help="Also register it in MLflow as the profile's champion, to serve.")
    ] = False,
    yolo: Annotated[
        bool, Option("--yolo", help="Also write the annotations as a YOLO data set.")
    ] = False,
    onnx: Annotated[
        bool, Option("--onnx", help="Also write the model, at a single scale, as model.onnx.")
    ] = False,
    profile: Profile = "miniature",
) -> None:
    """Export a row's model as a self-contained folder, with the annotations of its teacher."""
    if onnx and (Path(row) / "card.json").is_file():
        if to or champion or yolo:
            raise ParamsError(
                f"{row}: is exported already; --to, --champion and --yolo are for rows"
            )
        echo(lazy_import("commands.export_onnx").run(Path(row)))
    else:
        echo(call("commands.export", profile, row, to, champion, yolo, onnx))
