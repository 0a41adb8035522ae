"""Stage `ensemble`: one teacher from three trained models (model distillation)."""

from datastill.errors import ParamsError
from datastill.model.backbones import backbone_spec
from datastill.model.checkpoint import join_weights
from datastill.project.profile import Profile


def run(profile: Profile, name: str) -> None:
    """Join the weights of ensemble `name`; errors of `member_rows` and `join_weights`."""
    join_weights(profile.weights(name), [*map(profile.weights, member_rows(profile, name))])


def member_rows(profile: Profile, name: str) -> list[str]:
    """Return the rows that ensemble `name` joins.

    Raises ParamsError if there is no such ensemble, or its heatmaps differ in size.
    """
    ensembles, file = profile.params.ensembles, profile.params.params_file
    if name not in ensembles:
        known = ", ".join(ensembles) or "none"
        raise ParamsError(f"{file}: no ensemble {name!r}; there are {known}")
    rows: list[str] = list(ensembles[name].model_dump().values())
    sizes = {row: backbone_spec(profile.params.row(row).backbone).heatmap for row in rows}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{row} {size} x {size}" for row, size in sizes.items())
        key = f"{file}: ensembles.{name}"
        raise ParamsError(f"{key}: expected heatmaps of one size, found {listed}")
    return rows
