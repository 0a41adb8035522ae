"""Stage `ensemble`: three trained models become one teacher (model distillation)."""

from __future__ import annotations

from datastill.errors import ParamsError
from datastill.model.backbones import backbone_spec
from datastill.model.checkpoint import join_weights
from datastill.project.profile import Place


def run(place: Place, name: str) -> None:
    """Join the weights of the ensemble called `name`; raises ParamsError where `members` does."""
    join_weights(place.weights(name), [place.weights(row) for row in members(place, name)])


def members(place: Place, name: str) -> list[str]:
    """Return the rows that the ensemble called `name` joins.

    Raises ParamsError where there is none, or heatmaps of several sizes have no mean.
    """
    ensembles, file = place.params.ensembles, place.params.params_file
    if name not in ensembles:
        known = ", ".join(ensembles) or "none"
        raise ParamsError(f"{file}: no ensemble {name!r}; there are {known}")
    rows: list[str] = list(ensembles[name].model_dump().values())
    sizes = {row: backbone_spec(place.params.row(row).backbone).heatmap for row in rows}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{row} {size} x {size}" for row, size in sizes.items())
        raise ParamsError(f"{file}: ensembles.{name}: expected heatmaps of one size, found {told}")
    return rows
