"""claims.yaml: what the paper claims, the cells that decide it, and the verdict to expect."""

from typing import Annotated, Literal

from pydantic import Field, RootModel, StringConstraints

from datastill.project.section import Section
from datastill.report.claims import RULES, VERDICTS

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
Table = Annotated[str, StringConstraints(pattern=r"^results/[A-Za-z0-9_-]+/[A-Za-z0-9_-]+\.csv$")]


class CellSpec(Section):
    """The place of a number: the only line of a table with the values `where`, and its column."""

    table: Table
    where: Annotated[dict[str, str | int | float], Field(min_length=1)]
    column: str


class ClaimSpec(Section):
    """A claim; `report.claims.Claim` explains its parts.

    by_seed  whether to judge an order in each seed, by the metrics of its rows
    verdict  what `datastill check` expects the rule to give
    readme   whether README.md shows the claim
    """

    says: str
    cells: Annotated[dict[Name, CellSpec], Field(min_length=1)]
    quoted: dict[Name, CellSpec] = Field(default_factory=dict)
    rule: Literal[*RULES]  # type: ignore[valid-type]
    by_seed: bool = False
    paper: str | int | float
    verdict: Literal[*VERDICTS]  # type: ignore[valid-type]
    readme: bool = False

    def profiles(self) -> set[str]:
        """Return the profiles whose tables it rests on."""
        cells = [*self.cells.values(), *self.quoted.values()]
        return {cell.table.split("/")[1] for cell in cells}


class Claims(RootModel[dict[Name, ClaimSpec]]):
    """The whole of claims.yaml, in the order of the pages that are made from it."""
