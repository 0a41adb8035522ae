"""Commands that query results: regression checks, origins, explanations and pictures."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from datastill.cli.application import (
    Profile,
    ProfileArgument,
    Row,
    SeedProfile,
    app,
    call,
    call_on_row,
    echo,
    lazy_import,
    report,
)
from datastill.errors import ParamsError


@app.command()
def check(
    profile: Profile = "miniature",
    against: Annotated[
        str | None, Option(help="A git revision to compare with, instead of expected.yaml.")
    ] = None,
    seeds: SeedProfile = None,
) -> None:
    """Check results against expected.yaml, claims and READMEs, or a revision; exit 1 on failure."""
    if seeds and not against:
        raise ParamsError(
            "--spread is for --against REV; without it the tolerances are those of expected.yaml, "
            "which `datastill accept --spread` takes from a profile"
        )
    diff = ("commands.diff", profile, against, seeds)
    report(*(call(*diff) if against else call("commands.check", profile)))


@app.command()
def accept(profile: Profile = "miniature", seeds: SeedProfile = None) -> None:
    """Write the current results to expected.yaml, with tolerances from the seed variance."""
    echo(call("commands.accept", profile, seeds))


@app.command()
def readme(
    picture: Annotated[
        bool, Option("--picture", help="Also draw the method, from the miniature's work folder.")
    ] = False,
) -> None:
    """Renew the generated blocks of README.md and results/README.md from tables and claims."""
    if picture:
        echo(call("commands.picture", "miniature"))
    echo(lazy_import("commands.readme").run())


@app.command()
def trace(
    result: Annotated[
        str, Argument(help="A row, or a line of a table: results/miniature/table1.csv:co-35.")
    ],
    profile: Profile = "miniature",
    verify: Annotated[
        bool, Option("--verify", help="Recompute every digest; exit 1 if any differs.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Trace a number to its model, annotations, teacher, image sets and their source."""
    table = Path(result.partition(":")[0])
    source = table.parent.name if table.suffix == ".csv" else profile
    text, holds = call("commands.trace", source, result, verify, as_json)
    report(text, holds, coloured=True)


@app.command()
def why(
    row: Row,
    image_id: Annotated[int, Argument(help="The id of an image of the unlabelled set.")],
    profile: Profile = "miniature",
) -> None:
    """Explain why each candidate in an image was kept or rejected, and draw all on the image."""
    echo(call_on_row("commands.explain", profile, row, image_id))


@app.command()
def show(
    name: Annotated[str, Argument(help="An image set, or a distilled row.")],
    profile: Profile = "miniature",
) -> None:
    """Draw the first images of a set, or of a row's generated annotations; print the path."""
    echo(call("commands.show", profile, name))


@app.command("report")
def report_page(
    profile: ProfileArgument = "miniature",
) -> None:
    """Write one HTML page on what a finished run shows; print its path."""
    echo(call("stages.report", profile))
