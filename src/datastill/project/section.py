"""The base class of all sections of params.yaml, and their types of numbers and names."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
MAX_SEED = 10**13  # torch's has 64 bits, and a training run multiplies its own by 1,000,003
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
# The name of a row is also a command-line argument, a DVC key and a folder; that of a set, a file.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+-]+$")]


class Section(BaseModel):
    """A part of params.yaml: frozen, strictly typed, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
