"""Commands for data of one's own: a profile of them, a model's use, corrections."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from datastill.cli.application import Profile, app, imported, stage
from datastill.errors import ParamsError


@app.command()
def new(  # noqa: PLR0913  # an option per thing that somebody may bring
    name: Annotated[str, typer.Argument(help="The profile's, a new folder in pipelines/.")],
    labelled: Annotated[Path, typer.Option(help="Labels, COCO JSON.")],
    images: Annotated[Path, typer.Option(help="The folder of their images.")],
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="A folder of images or of videos, one video, or a text file of videos."),
    ] = None,
    label_only: Annotated[
        int | None,
        typer.Option(
            help="Instead of --unlabelled: so many images keep labels, others are unlabelled."
        ),
    ] = None,
    val: Annotated[Path | None, typer.Option(help="Labels to test on, COCO JSON.")] = None,
    val_images: Annotated[
        Path | None, typer.Option(help="The folder of val's images, where it is another.")
    ] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="Without --val: the share of labelled images to hold out; else 0.1."),
    ] = None,
    val_count: Annotated[
        int | None, typer.Option(help="Without --val: how many labelled images to hold out.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="keypoints or boxes; what the labels have, if not said.")
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(min=1, help="Times to annotate and retrain, each student the next teacher."),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of split, frames and rows.")] = 0,
) -> None:
    """Make a profile of your own data, with values chosen from what they hold."""
    inputs = imported("commands.own_data.inputs")
    division = inputs.Division(val_fraction, val_count, label_only, seed)
    files = inputs.Inputs(labelled, images, unlabelled, val, val_images, division, task)
    typer.echo(imported("commands.own_data.new").run(name, files, rounds))


@app.command()
def merge(
    base: Annotated[Path, typer.Argument(help="The labels there are, COCO JSON.")],
    corrected: Annotated[list[Path], typer.Argument(help="What a tool saved, COCO JSON.")],
    to: Annotated[Path, typer.Option(dir_okay=False, help="The COCO JSON to write.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of their images; may be given repeatedly, base's first."),
    ] = None,
    scored: Annotated[
        bool, typer.Option(help="Take images whose annotations all still have a score, too.")
    ] = False,
) -> None:
    """Make labels of generated annotations that were corrected in a labelling tool."""
    run = imported("commands.merge").run
    typer.echo(run(base, corrected, to, images or [], scored))


@app.command()
def predict(  # noqa: PLR0913  # a command has the options it needs
    model: Annotated[str, typer.Argument(help="An exported model folder, or a row.")],
    images: Annotated[list[str], typer.Argument(help="Image files, or folders of images.")],
    views: Annotated[
        str, typer.Option(help="How many views: 1 is the plain one, `all` are the model's.")
    ] = "1",
    to: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="COCO results JSON, with a list of the images beside it; else they are printed.",
        ),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(file_okay=False, help="A folder for pictures of what is seen.")
    ] = None,
    profile: Profile = "miniature",
) -> None:
    """Let a trained model look at images: boxes, scores and keypoints as COCO results."""
    if views != "all" and not views.isdecimal():
        raise ParamsError(f"--views: expected a number or all, found {views!r}")
    stage = imported("commands.predict")
    gc.freeze()  # what is loaded stays: looking through it once is a tenth of the whole command
    try:
        ready = stage.find_model(model, profile)
        many = None if views == "all" else int(views)
        typer.echo(stage.run(ready, images, many, stage.Output(to, draw)))
    finally:
        gc.unfreeze()
    leave()


@app.command()
def export(
    row: Annotated[str, typer.Argument(help="A row, or `best`: that with the highest AP on val.")],
    to: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A folder, instead of work/<profile>/export/<row>."),
    ] = None,
    champion: Annotated[
        bool, typer.Option(help="Also register it in MLflow as the profile's champion, to serve.")
    ] = False,
    profile: Profile = "miniature",
) -> None:
    """Write a row's model as a folder that needs nothing else, and what its teacher annotated."""
    typer.echo(stage("commands.export", profile, row, to, champion))


def leave() -> None:
    """End the process now if it is this command's alone: taking torch apart takes a second."""
    if Path(getattr(sys.modules["__main__"], "__file__", "")).stem == "datastill":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
