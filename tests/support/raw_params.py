"""params.yaml as plain data, to be changed and written again."""

import pytest
import yaml
from places import ROOT

from datastill.errors import ParamsError
from datastill.project.loading import load_params
from datastill.project.schema import Params


def read(path="params.yaml"):
    return yaml.safe_load((ROOT / path).read_text())


def accepted(folder, raw) -> Params:
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_params(folder / "params.yaml")


def refusal(folder, raw) -> str:
    """The message that refuses `raw`."""
    with pytest.raises(ParamsError) as refused:
        accepted(folder, raw)
    return str(refused.value)
