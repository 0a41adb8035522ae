"""The command line: a command per stage, and those that look at what the stages left behind."""

from __future__ import annotations

import errno
import gc
import importlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from datastill.errors import DatastillError, ParamsError

app = typer.Typer(
    help="Data distillation: better detectors from labelled images and more unlabelled ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
track = typer.Typer(help="MLflow as a mirror of the results on disk.", no_args_is_help=True)
app.add_typer(track, name="track")
fetch = typer.Typer(help="Public image sets, from their own servers.", no_args_is_help=True)
app.add_typer(fetch, name="fetch")

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="miniature, or the name of a folder in pipelines/.")
]
Seeded = Annotated[
    str,
    typer.Option("--spread", help="A profile with several seeds: how far chance moves a value."),
]
Row = Annotated[str, typer.Argument(help="A row of params.yaml, such as co-35_co-80.")]


@app.command()
def new(  # noqa: PLR0913  # an option per thing that somebody may bring
    name: Annotated[str, typer.Argument(help="Of the profile, a new folder in pipelines/.")],
    labelled: Annotated[Path, typer.Option(help="Labels, COCO JSON.")],
    images: Annotated[Path, typer.Option(help="The folder of their images.")],
    unlabelled: Annotated[
        Path | None, typer.Option(help="A folder of images or videos, or a list of videos.")
    ] = None,
    label_only: Annotated[
        int | None,
        typer.Option(help="Instead: as many images stay labelled, the others count as unlabelled."),
    ] = None,
    val: Annotated[Path | None, typer.Option(help="Labels to test on, COCO JSON.")] = None,
    val_images: Annotated[
        Path | None, typer.Option(help="The folder of val's images, where it is another.")
    ] = None,
    val_fraction: Annotated[
        float | None, typer.Option(help="Without --val: of the labelled images; 0.1 if not said.")
    ] = None,
    val_count: Annotated[
        int | None, typer.Option(help="Without --val: so many of the labelled images.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="keypoints or boxes; what the labels have, if not said.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the frames, the rows.")] = 0,
) -> None:
    """Make a profile of your own data, with values chosen from what they hold."""
    brought = importlib.import_module("datastill.stages.brought")
    division = brought.Division(val_fraction, val_count, label_only, seed)
    files = brought.Brought(labelled, images, unlabelled, val, val_images, division, task)
    typer.echo(importlib.import_module("datastill.stages.new").run(name, files))


@app.command()
def merge(
    base: Annotated[Path, typer.Argument(help="The labels there are, COCO JSON.")],
    corrected: Annotated[list[Path], typer.Argument(help="What a tool saved, COCO JSON.")],
    to: Annotated[Path, typer.Option(help="The COCO JSON to write.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of their images; may be given repeatedly, base's first."),
    ] = None,
    scored: Annotated[
        bool, typer.Option(help="Take images whose annotations all still have a score, too.")
    ] = False,
) -> None:
    """Make labels of generated annotations that were corrected in a labelling tool."""
    run = importlib.import_module("datastill.stages.merge").run
    typer.echo(run(base, corrected, to, images or [], scored))


@app.command()
def data(profile: Profile = "miniature") -> None:
    """Write every image set as COCO JSON, with a manifest of all images."""
    _stage("data", profile)


@app.command()
def pretrain(
    backbone: Annotated[str, typer.Argument(help="A backbone, such as small.")],
    to: Annotated[
        Path | None, typer.Option(help="Where to write them, instead of into the package.")
    ] = None,
    profile: Profile = "miniature",
) -> None:
    """Make initial weights from drawn things; those in the package were made so."""
    typer.echo(_stage("pretrain", profile, backbone, to))


@app.command()
def train(row: Row, profile: Profile = "miniature") -> None:
    """Train the model of a row, going on where a killed training stopped."""
    _stage("train", profile, row)


@app.command()
def annotate(row: Row, profile: Profile = "miniature") -> None:
    """Let a row's teacher annotate its unlabelled set."""
    _stage("annotate", profile, row)


@app.command()
def evaluate(row: Row, profile: Profile = "miniature") -> None:
    """Measure the AP of a row's model on val."""
    _stage("evaluate", profile, row)


@app.command()
def tables(profile: Profile = "miniature") -> None:
    """Put all results into tables beside the paper's, and print them."""
    typer.echo(_stage("tables", profile))


@app.command()
def plan(
    profile: Annotated[
        str, typer.Argument(help="miniature, or the name of a folder in pipelines/.")
    ] = "miniature",
    pixels: Annotated[bool, typer.Option(help="Open all images, compare them with val's.")] = True,
    probe_seconds: Annotated[
        float, typer.Option(help="Time backbones as long as this lasts; 0 times none.")
    ] = 15.0,
) -> None:
    """Say what a profile will do and cost; exit 1 where something is wrong."""
    text, ok = _stage("plan", profile, pixels, probe_seconds)
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


@app.command()
def run(
    profile: Annotated[
        str, typer.Argument(help="miniature, or the name of a folder in pipelines/.")
    ] = "miniature",
    jobs: Annotated[int, typer.Option(min=1, help="Stages at a time.")] = 2,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run.")] = False,
) -> None:
    """Run what is out of date, several stages at a time: what dvc repro does one by one."""
    typer.echo(_stage("run", profile, jobs, dry))


@app.command()
def accept(profile: Profile = "miniature", seeds: Seeded = "seeds") -> None:
    """Make the present results what check expects, with tolerances from the spread over seeds."""
    typer.echo(_stage("accept", profile, seeds))


@app.command()
def check(
    profile: Profile = "miniature",
    against: Annotated[
        str | None, typer.Option(help="A git revision to compare with, instead of expected.yaml.")
    ] = None,
    seeds: Seeded = "seeds",
) -> None:
    """Compare the results with expected.yaml, or a commit's; exit 1 where they differ."""
    text, ok = _stage("against", profile, against, seeds) if against else _stage("check", profile)
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


@app.command()
def trace(
    what: Annotated[
        str,
        typer.Argument(help="A row, or a line of a table: results/miniature/table1.csv:co-35."),
    ],
    profile: Profile = "miniature",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute every digest again; exit 1 if one differs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say where a number comes from: model, annotations, teacher, image sets and their source."""
    table = Path(what.partition(":")[0])
    of = table.parent.name if table.suffix == ".csv" else profile
    text, ok = _stage("trace", of, what, verify, as_json)
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


@app.command()
def why(
    row: Row,
    image_id: Annotated[int, typer.Argument(help="An image of the row's unlabelled set.")],
    profile: Profile = "miniature",
) -> None:
    """Say of every candidate in an image why it was kept or not, and write a picture of it."""
    typer.echo(_stage("why", profile, row, image_id))


@app.command()
def predict(  # noqa: PLR0913  # a command has the options it needs
    model: Annotated[str, typer.Argument(help="An exported model folder, or a row.")],
    images: Annotated[list[str], typer.Argument(help="Image files, or folders of images.")],
    views: Annotated[
        str, typer.Option(help="How many views: 1 is the plain one; all of the model's.")
    ] = "1",
    to: Annotated[
        Path | None,
        typer.Option(help="COCO results JSON, with a list of the images beside it; else printed."),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="A folder for pictures of what is seen.")
    ] = None,
    profile: Profile = "miniature",
) -> None:
    """Let a trained model look at images: boxes, scores and keypoints as COCO results."""
    if views != "all" and not views.isdecimal():
        raise ParamsError(f"--views: expected a number or all, found {views!r}")
    stage = _imported("predict")
    gc.freeze()  # what is loaded stays: looking through it once is a tenth of the whole command
    try:
        ready = stage.find_model(model, profile)
        many = None if views == "all" else int(views)
        typer.echo(stage.run(ready, images, many, stage.Output(to, draw)))
    finally:
        gc.unfreeze()
    _leave()


@app.command()
def export(
    row: Annotated[str, typer.Argument(help="A row, or `best`: that with the highest AP on val.")],
    to: Annotated[
        Path | None, typer.Option(help="A folder, instead of work/<profile>/export/<row>.")
    ] = None,
    champion: Annotated[
        bool, typer.Option(help="Also register it in MLflow as the profile's champion, to serve.")
    ] = False,
    profile: Profile = "miniature",
) -> None:
    """Write a row's model as a folder that needs nothing else, and what its teacher annotated."""
    typer.echo(_stage("export", profile, row, to, champion))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An image set, or a distilled row.")],
    profile: Profile = "miniature",
) -> None:
    """Write one picture of an image set or of the annotations generated for a row."""
    path: Path = _stage("show", profile, name)
    typer.echo(path)


@track.command()
def sync(profile: Profile = "miniature") -> None:
    """Rebuild the MLflow runs of every row from the files."""
    typer.echo(_stage("track", profile))


@fetch.command()
def coco(
    to: Annotated[Path, typer.Option(help="The folder they are unpacked in.")] = Path("coco"),
    only: Annotated[
        list[str] | None,
        typer.Option(help="An archive, such as val2017, instead of all; may be given repeatedly."),
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep the archives once they are unpacked.")] = False,
    base_url: Annotated[
        str | None, typer.Option(help="A mirror of images.cocodataset.org; verified all the same.")
    ] = None,
) -> None:
    """Download, verify and unpack COCO (41 GB), going on where a killed run stopped."""
    typer.echo(_imported("fetch").run(to, only or [], keep, base_url))


def _stage(name: str, profile: str, *arguments: str | Path | float | None) -> Any:
    """Run a stage; its modules are imported only now, so that --help is quick."""
    place = _imported("place").open_place(profile)
    return _imported(name).run(place, *arguments)


def _imported(name: str) -> Any:
    """Import a module of stages; all that it loads lives on, so no garbage is looked for."""
    gc.disable()  # looking for it is a fifth of the time that torch takes to import
    try:
        return importlib.import_module(f"datastill.stages.{name}")
    finally:
        gc.enable()


def main() -> None:
    """Run the command line; a mistake of the user's costs one message, no traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except DatastillError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror}; make room or give leave, and the same command goes on")


def _leave() -> None:
    """End the process now if it is this command's alone: taking torch apart takes a second."""
    if Path(getattr(sys.modules["__main__"], "__file__", "")).stem == "datastill":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _stop(*_: object) -> None:
    _fail("stopped by SIGTERM; the same command goes on where it was")


def _fail(message: str) -> None:
    typer.echo(f"datastill: {message}", err=True)
    sys.exit(1)
