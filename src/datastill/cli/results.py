"""Commands that ask: are the results as expected, where do they come from, what do they show?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datastill.cli.application import Profile, Row, Seeded, app, stage
from datastill.errors import ParamsError


@app.command()
def check(
    profile: Profile = "miniature",
    against: Annotated[
        str | None, typer.Option(help="A git revision to compare with, instead of expected.yaml.")
    ] = None,
    seeds: Seeded = None,
) -> None:
    """Compare the results with expected.yaml, or a commit's; exit 1 where they differ."""
    if seeds and not against:
        raise ParamsError(
            "--spread is for --against REV; without it the tolerances are those of expected.yaml, "
            "which `datastill accept --spread` takes from a profile"
        )
    text, ok = (
        stage("commands.diff", profile, against, seeds)
        if against
        else stage("commands.check", profile)
    )
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


@app.command()
def accept(profile: Profile = "miniature", seeds: Seeded = None) -> None:
    """Make the present results what check expects, with tolerances from the spread over seeds."""
    typer.echo(stage("commands.accept", profile, seeds))


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
    text, ok = stage("commands.trace", of, what, verify, as_json)
    typer.echo(text)
    if not ok:
        raise typer.Exit(1)


@app.command()
def why(
    row: Row,
    image_id: Annotated[int, typer.Argument(help="An image of the row's unlabelled set.")],
    profile: Profile = "miniature",
) -> None:
    """Say of every candidate in an image why it was kept or not; picture it, and say where."""
    typer.echo(stage("commands.explain", profile, row, image_id))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An image set, or a distilled row.")],
    profile: Profile = "miniature",
) -> None:
    """Picture the first of a set's images, or of a row's generated annotations; say where it is."""
    path: Path = stage("commands.show", profile, name)
    typer.echo(path)
