"""XML of labelling tools, read without entities."""

import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from datastill.errors import DataError


def read_xml(file: Path, expected: str) -> Element:
    """Return the root of an XML file, which should be what `expected` says.

    Raises DataError, naming `file`, if it is unreadable or malformed, or declares entities: no
    labelling tool does, and a few lines of them can stand for more text than memory holds.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; correct its name or fetch it") from None
    except (OSError, ValueError, LookupError, expat.ExpatError) as error:
        raise DataError(f"{file}: expected {expected}, found other content: {error}") from None
    return builder.close()


def parse_number(text: str, key: str) -> float:
    """Return the number in `text`; raises DataError, naming `key`, if it is none or infinite."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"expected a number as {key}, found {text!r}")
    return number


def _refuse(name: str, *_: Any) -> None:
    raise ValueError(f"it declares the entity {name!r}")
