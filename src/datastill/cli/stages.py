"""Commands that make: a stage each, or all of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datastill.cli.application import Profile, Row, app, fetch, imported, row_stage, stage, track


@app.command()
def plan(
    profile: Annotated[
        str, typer.Argument(help="miniature, or the name of a folder in pipelines/.")
    ] = "miniature",
    pixels: Annotated[bool, typer.Option(help="Open all images, compare them with val's.")] = True,
    probe_seconds: Annotated[
        float, typer.Option(help="Seconds to time the backbones for; 0: no timing.")
    ] = 15.0,
) -> None:
    """Say what a profile will do and cost; exit 1 where something is wrong."""
    text, ok = stage("commands.plan", profile, pixels, probe_seconds)
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


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
    typer.echo(imported("commands.fetch").run(to, only or [], keep, base_url))


@app.command()
def data(profile: Profile = "miniature") -> None:
    """Write every image set as COCO JSON, with a manifest of all images."""
    stage("stages.data", profile)


@app.command()
def pretrain(
    backbone: Annotated[str, typer.Argument(help="A backbone, such as small.")],
    to: Annotated[
        Path | None, typer.Option(help="The file to write, instead of the package's.")
    ] = None,
    profile: Profile = "miniature",
) -> None:
    """Make initial weights from drawn things; those in the package were made so."""
    typer.echo(stage("commands.pretrain", profile, backbone, to))


@app.command()
def train(row: Row, profile: Profile = "miniature") -> None:
    """Train the model of a row, going on where a killed training stopped."""
    row_stage("stages.train", profile, row)


@app.command()
def ensemble(
    name: Annotated[str, typer.Argument(help="An ensemble of params.yaml.")],
    profile: Profile = "miniature",
) -> None:
    """Join three trained models to one teacher: model distillation."""
    stage("stages.ensemble", profile, name)


@app.command()
def annotate(row: Row, profile: Profile = "miniature") -> None:
    """Let a row's teacher annotate its unlabelled set."""
    row_stage("stages.annotate", profile, row)


@app.command()
def evaluate(row: Row, profile: Profile = "miniature") -> None:
    """Measure the AP of a row's model on val."""
    row_stage("stages.evaluate", profile, row)


@app.command()
def tables(
    name: Annotated[str | None, typer.Argument(help="A table, such as table1; else all.")] = None,
    profile: Profile = "miniature",
) -> None:
    """Put all results into tables beside the paper's, and print them."""
    typer.echo(stage("stages.tables", profile, name))


@app.command()
def run(
    profile: Annotated[
        str, typer.Argument(help="miniature, or the name of a folder in pipelines/.")
    ] = "miniature",
    jobs: Annotated[int, typer.Option(min=1, help="Stages at a time, spread over the GPUs.")] = 2,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would run.")] = False,
    seeds: Annotated[
        str, typer.Option(help="Such as 0,1,2: makes and runs PROFILE-seeds, every row so often.")
    ] = "",
) -> None:
    """Run what is out of date, several stages at a time: what dvc repro does one by one."""
    typer.echo(stage("commands.run", profile, jobs, dry, seeds))


@track.command()
def sync(profile: Profile = "miniature") -> None:
    """Rebuild the MLflow runs of every row from the files."""
    typer.echo(stage("commands.track", profile))
