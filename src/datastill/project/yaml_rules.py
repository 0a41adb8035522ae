"""What datastill (YAML 1.1) and DVC (YAML 1.2) would read differently in a params.yaml."""

import re
from collections.abc import Iterator

import yaml

_LEADING_ZERO = re.compile(r"[-+]?(0o[0-7_]+|0[0-9_]+)")
_EXPONENT = re.compile(r"([-+]?[0-9][0-9_]*(?:\.[0-9_]*)?)[eE]([-+]?[0-9]+)")


def disagreements(root: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Yield the line and the reason of each repeated key and each value of two meanings."""
    nodes, seen = [root] if root else [], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # behind an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if number := _unambiguous(node):
                text = f"or '{node.value}' in quotes if it is text"
                reason = f"YAML 1.1 and DVC's YAML 1.2 read {node.value} differently"
                yield _line(node), f"{reason}; write {number}, {text}"
        elif isinstance(node, yaml.MappingNode):
            yield from _repeated(node)
            nodes += [each for pair in node.value for each in pair]
        else:
            nodes += node.value


def differs(text: str) -> bool:
    """Return whether `text`, which YAML 1.1 reads as text, is a number in YAML 1.2."""
    return bool(_LEADING_ZERO.fullmatch(text) or _EXPONENT.fullmatch(text))


def _repeated(mapping: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    first: dict[tuple[str, str], yaml.Node] = {}
    for key in (key for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)):
        if (twin := first.setdefault((key.tag, key.value), key)) is not key:
            yield _line(key), f"{key.value} is also in line {_line(twin)}; keep one of them"


def _unambiguous(scalar: yaml.ScalarNode) -> str | None:
    """Return what to write for a value of two meanings, None if `scalar` has one."""
    kind, value = scalar.tag.rpartition(":")[2], scalar.value
    if scalar.style:  # in quotes, or a block of text
        return None
    if kind == "bool" and value.lower() not in ("true", "false"):
        return "true" if value.lower() in ("yes", "on") else "false"
    if kind in ("int", "float") and ":" in value:  # sexagesimal
        return "a number without colons"
    if kind in ("int", "str") and _LEADING_ZERO.fullmatch(value):
        return str(int(value, 8 if "o" in value else 10))
    if kind == "str" and (parts := _EXPONENT.fullmatch(value)):
        return f"{parts[1]}{'' if '.' in parts[1] else '.0'}e{int(parts[2]):+d}"
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
