"""Clothes, hair and skin of drawn people."""

from dataclasses import dataclass, replace

import numpy as np

from datastill.synthetic.drawing.colours import Colour, darker, mix, random_colour

SKINS: tuple[Colour, ...] = (
    (246, 214, 188), (233, 188, 150), (212, 160, 118), (176, 124, 84), (128, 84, 56), (84, 54, 38),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (28, 22, 20), (60, 40, 28), (106, 72, 42), (170, 124, 66), (222, 188, 120), (150, 64, 34),
    (170, 168, 166),
)  # fmt: skip
HAIRDOS = ("short", "long", "bun", "bald", "cap")
PATTERNS = ("plain", "bands", "stripes", "logo", "open", "buttons", "bag")


@dataclass(frozen=True)
class Outfit:
    """Colours and cut of clothes; `sleeves` and `legs` are how many limb segments they cover."""

    skin: Colour
    hair: Colour
    shirt: Colour
    accent: Colour
    trousers: Colour
    shoes: Colour
    hairdo: str
    pattern: str
    sleeves: float
    legs: float
    skirt: bool
    number: int


def everyday_outfit(rng: np.random.Generator) -> Outfit:
    """Sample clothes for an ordinary day."""
    skirt = bool(rng.random() < 0.12)
    return Outfit(
        skin=_shade(SKINS, rng),
        hair=_shade(HAIRS, rng),
        shirt=random_colour(rng),
        accent=random_colour(rng, (0.05, 0.9), (0.1, 1.0)),
        trousers=random_colour(rng, (0.05, 0.7), (0.12, 0.85)),
        shoes=random_colour(rng, (0.0, 0.8), (0.08, 0.95)),
        hairdo=str(rng.choice(["short", "long", *HAIRDOS])),
        pattern=str(rng.choice(["plain", *PATTERNS])),
        sleeves=float(rng.choice([0.0, 0.35, 0.5, 1.0, 2.0, 2.0, 2.0])),
        legs=float(rng.choice([0.55, 0.8, 2.0, 2.0, 2.0, 2.0])) if not skirt else 0.0,
        skirt=skirt,
        number=0,
    )


def sport_outfit(rng: np.random.Generator, team: tuple[Colour, Colour]) -> Outfit:
    """Sample a player's kit in the two colours of the `team`."""
    return replace(
        everyday_outfit(rng),
        shirt=team[0],
        accent=team[1],
        trousers=team[int(rng.random() < 0.6)],
        hairdo=str(rng.choice(["short", "short", "bun", "bald", "cap"])),
        pattern=str(rng.choice(["number", "number", "number stripes", "number sash"])),
        sleeves=float(rng.choice([0.0, 0.4, 0.5, 0.6])),
        legs=float(rng.choice([0.5, 0.6, 0.7, 2.0])),
        skirt=False,
        number=int(rng.integers(1, 100)),
    )


def _shade(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    first, second = rng.integers(len(colours), size=2)
    between = mix(colours[first], colours[second], 0.3 * rng.random())
    return darker(between, rng.uniform(0.88, 1.08))
