"""The release of datastill, which a project of one's own records instead of source files."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from datastill.errors import ParamsError
from datastill.project.loading import read_yaml

RELEASE = Path("datastill.yaml")  # every stage depends on its key `version`


def installed_release() -> str:
    """Return the version of the installed package, and a digest that tells two builds apart."""
    package = Path(__file__).parents[1]
    source = sha256()
    for module in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).parts):
        source.update(module.read_bytes())
    return f"{version('datastill')}+{source.hexdigest()[:12]}"


def check_release() -> None:
    """Raise ParamsError if the project, unless a checkout of datastill, records another release."""
    if not RELEASE.is_file():
        return
    content, installed = read_yaml(RELEASE), installed_release()
    recorded = content.get("version") if isinstance(content, Mapping) else None
    if recorded != installed:
        raise ParamsError(
            f"{RELEASE}: version: expected {installed!r}, which is installed, found {recorded!r}; "
            "install that one, or write the installed one there: DVC then runs all stages again"
        )
