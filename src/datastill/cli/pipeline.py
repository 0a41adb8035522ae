"""Commands that produce results: one per stage, `run` for all stages of a profile, and more."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from datastill.cli.application import (
    Profile,
    ProfileArgument,
    Row,
    app,
    call,
    call_on_row,
    echo,
    lazy_import,
    report,
)

From = Annotated[
    list[Path] | None,
    Option("--from", help="Take the files from this folder, not the server; repeatable."),
]
CocoServer = Annotated[
    str | None, Option(help="A mirror of images.cocodataset.org; also verified.")
]
RawServer = Annotated[
    str | None, Option(help="A mirror of raw.githubusercontent.com; also verified.")
]
track = typer.Typer(help="Mirror the results on disk to MLflow; open it.", no_args_is_help=True)
app.add_typer(track, name="track")
fetch = typer.Typer(help="Download public image sets from their servers.", no_args_is_help=True)
app.add_typer(fetch, name="fetch")


@app.command()
def plan(
    profile: ProfileArgument = "miniature",
    pixels: Annotated[
        bool, Option(help="Open every image, and search the other sets for val's.")
    ] = True,
    probe_seconds: Annotated[
        float, Option(help="Seconds for timing the backbones; 0 skips it.")
    ] = 15.0,
) -> None:
    """Preview what a profile will do and cost; exit 1 if anything is wrong."""
    report(*call("commands.plan", profile, pixels, probe_seconds))


@fetch.command()
def coco(
    to: Annotated[Path, Option(help="The folder to unpack into.")] = Path("coco"),
    only: Annotated[
        list[str] | None, Option(help="Only this archive, such as val2017; repeatable.")
    ] = None,
    keep: Annotated[bool, Option(help="Keep the archives after unpacking.")] = False,
    base_url: CocoServer = None,
) -> None:
    """Download, verify and unpack COCO (41 GB), resuming where a killed run stopped."""
    echo(lazy_import("commands.fetch").run(to, only or [], keep, base_url))


@fetch.command()
def people(
    to: Annotated[Path, Option(help="The folder to unpack into.")] = Path("data/coco"),
    source: From = None,
    base_url: CocoServer = None,
) -> None:
    """Download COCO's val2017 and its annotations (1.1 GB), resuming a killed run."""
    archives = ["val2017", "annotations_trainval2017"]
    echo(lazy_import("commands.fetch").run(to, archives, False, base_url, source or []))


@fetch.command()
def mouse(
    to: Annotated[Path, Option(help="The folder to write to.")] = Path("data/mouse"),
    source: From = None,
    base_url: RawServer = None,
) -> None:
    """Download DeepLabCut's open-field mouse (29 MB), resuming a killed run."""
    echo(lazy_import("commands.fetch").run_published("mouse", to, source or [], base_url))


@fetch.command()
def cells(
    to: Annotated[Path, Option(help="The folder to write to.")] = Path("data/cells"),
    source: From = None,
    base_url: RawServer = None,
) -> None:
    """Download BCCD's blood cells (9 MB), resuming a killed run."""
    echo(lazy_import("commands.fetch").run_published("cells", to, source or [], base_url))


@app.command()
def data(profile: Profile = "miniature") -> None:
    """Write every image set as COCO JSON, with a manifest of all images."""
    call("stages.data", profile)


@app.command()
def pretrain(
    backbone: Annotated[str, Argument(help="A backbone, such as small.")],
    to: Annotated[Path | None, Option(help="The file to write, instead of the package's.")] = None,
    profile: Profile = "miniature",
) -> None:
    """Pretrain initial weights on drawn objects, as those in the package were made."""
    echo(call("commands.pretrain", profile, backbone, to))


@app.command()
def train(row: Row, profile: Profile = "miniature") -> None:
    """Train the model of a row, resuming where a killed training run stopped."""
    call_on_row("stages.train", profile, row)


@app.command()
def ensemble(
    name: Annotated[str, Argument(help="An ensemble of params.yaml.")],
    profile: Profile = "miniature",
) -> None:
    """Combine three trained models into one teacher: model distillation."""
    call("stages.ensemble", profile, name)


@app.command()
def teacher(
    name: Annotated[str, Argument(help="A teacher in section teachers of params.yaml.")],
    profile: Profile = "miniature",
) -> None:
    """Make a teacher of torchvision's detector, or of an exported folder."""
    call("stages.teacher", profile, name)


@app.command()
def annotate(row: Row, profile: Profile = "miniature") -> None:
    """Annotate the unlabelled set of a row with its teacher, and print the expected quality."""
    echo(call_on_row("stages.annotate", profile, row))


@app.command()
def evaluate(row: Row, profile: Profile = "miniature") -> None:
    """Measure the AP of a row's model on val."""
    call_on_row("stages.evaluate", profile, row)


@app.command()
def curves(profile: Profile = "miniature") -> None:
    """Write what DVC draws and compares: losses, precision over recall, summaries of rows."""
    call("stages.curves", profile)


@app.command()
def tables(
    name: Annotated[str | None, Argument(help="A table, such as table1; else all.")] = None,
    profile: Profile = "miniature",
) -> None:
    """Write and print tables of all results beside the paper's."""
    echo(call("stages.tables", profile, name))


@app.command()
def run(
    profile: ProfileArgument = "miniature",
    jobs: Annotated[int, Option(min=1, help="Stages at a time, spread over the GPUs.")] = 2,
    dry: Annotated[bool, Option("--dry", help="Only list what would run.")] = False,
    seeds: Annotated[
        str | None,
        Option(help="Such as 0,1,2: write and run PROFILE-seeds, with every row once per seed."),
    ] = None,
) -> None:
    """Run the stages that are out of date, several at a time; dvc repro runs one at a time."""
    echo(call("commands.run", profile, jobs, dry, seeds))


@track.command()
def sync(profile: Profile = "miniature") -> None:
    """Rebuild the MLflow runs of every row from the files."""
    echo(call("commands.track", profile))


@track.command("open")
def open_page(
    profile: ProfileArgument = "miniature",
    browser: Annotated[bool, Option(help="Open the page, if there is a display.")] = True,
    port: Annotated[int, Option(min=1, max=65535, help="Where to serve a SQLite store.")] = 5000,
) -> None:
    """Mirror every row, then open MLflow on the AP of all rows; Ctrl-C ends its server."""
    address, server = call("commands.track_open", profile, port)
    with server:
        echo(lazy_import("tracking.store").without_password(address))
        if browser and _has_display():
            typer.launch(address)
        server.wait()


def _has_display() -> bool:
    """Return whether a browser would have a window; else it may take over the terminal."""
    return sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
