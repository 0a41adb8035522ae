"""Stage `ensemble`: three trained models become one teacher (model distillation)."""

from __future__ import annotations

from datastill.errors import ParamsError
from datastill.model.checkpoint import join_weights
from datastill.stages.place import Place


def run(place: Place, name: str) -> None:
    """Join the weights of the ensemble called `name`; raises ParamsError where there is none."""
    ensembles = place.params.ensembles
    if name not in ensembles:
        known = ", ".join(ensembles) or "none"
        raise ParamsError(f"{place.params.params_file}: no ensemble {name!r}; there are {known}")
    members = ensembles[name].model_dump().values()
    join_weights(place.weights(name), [place.weights(member) for member in members])
