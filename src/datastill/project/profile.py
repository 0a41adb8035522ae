"""The files of a profile; every path is relative to the project's root."""

from dataclasses import dataclass
from pathlib import Path

from datastill.errors import DataError, ParamsError
from datastill.project.loading import load_params
from datastill.project.release import RELEASE
from datastill.project.rows import DistilledRow
from datastill.project.schema import Params

DEFAULT_PROFILE = "miniature"


def params_path(profile: str) -> Path:
    """Return the params.yaml of `profile`: the root's own, or that of its folder in pipelines/."""
    folder = "" if profile == DEFAULT_PROFILE else f"pipelines/{profile}"
    return Path(folder, "params.yaml")


def profile_names() -> list[str]:
    """Return the names of the profiles in pipelines/."""
    paths = Path("pipelines").glob("[!.]*/params.yaml")
    return sorted(path.parent.name for path in paths)


@dataclass(frozen=True)
class Profile:
    """A profile's params and its files."""

    params: Params

    @property
    def option(self) -> str:
        """The command-line option that selects this profile, with a leading space."""
        profile = self.params.profile
        return "" if profile == DEFAULT_PROFILE else f" --profile {profile}"

    @property
    def work(self) -> Path:
        """The folder of data sets, models and annotations: large, in DVC, not in git."""
        return Path("work") / self.params.profile

    @property
    def report(self) -> Path:
        """Return the page of all rows."""
        return self.work / "report.html"

    @property
    def results(self) -> Path:
        """The folder of numbers and tables: small, for people, in git."""
        return Path("results") / self.params.profile

    @property
    def images(self) -> Path:
        """The base folder of every `file_name`."""
        return self.work / "images"

    def image_set(self, name: str) -> Path:
        return self.work / "data" / f"{name}.json"

    @property
    def manifest(self) -> Path:
        return self.work / "data" / "manifest.csv"

    @property
    def allowed(self) -> Path:
        """Return the table of images that look like val's but stay; absent if there are none."""
        return self.work / "data" / "allowed.csv"

    def model(self, row: str) -> Path:
        """Return the folder of a trained model: weights, card and metrics log."""
        return self.work / "models" / row

    def weights(self, row: str) -> Path:
        return self.model(row) / "weights.safetensors"

    def training(self, row: str) -> Path:
        """Return the folder of a training run in progress; in neither git nor DVC."""
        return self.work / "training" / row

    def annotations(self, row: str) -> Path:
        return self.work / "annotations" / f"{row}.json"

    def evidence(self, row: str) -> Path:
        """Return the Parquet table of a teacher's candidates, kept or not, with the reasons."""
        return self.work / "annotations" / f"{row}.parquet"

    def annotation_card(self, row: str) -> Path:
        return self.results / "annotations" / f"{row}.json"

    def detections(self, row: str, *, all_views: bool = False) -> Path:
        """Return the COCO results of a model on val, with one view or all."""
        return self.work / "detections" / row / f"{'all-views' if all_views else 'one-view'}.json"

    def metrics(self, row: str) -> Path:
        return self.results / "metrics" / f"{row}.json"

    def curve(self, name: str, row: str) -> Path:
        return self.results / "curves" / name / f"{row}.json"

    def summary(self, row: str) -> Path:
        """Return the few numbers of a row that DVC compares."""
        return self.results / "summary" / f"{row}.json"

    def export(self, row: str) -> Path:
        return self.work / "export" / row

    def usage(self, row: str) -> Path:
        """Return the file with the peak memory of a training run on this machine."""
        return self.work / "usage" / f"{row}.json"

    def sheet(self, name: str) -> Path:
        """Return the contact sheet of an image set or of a row's generated annotations."""
        return self.work / "sheets" / f"{name}.png"

    def require(self, path: Path, stage: str, row: str) -> Path:
        """Return `path`; raises DataError if `stage` has not made it for `row`."""
        if not path.is_file():
            command = f"datastill {stage} {row}{self.option}"
            raise DataError(f"{path}: no such file; run `{command}` first")
        return path

    def inputs(self, row: str) -> dict[str, Path]:
        """Return the files that a row is trained on, by their role."""
        spec = self.params.row(row)
        generated = {"generated": self.annotations(row)} if isinstance(spec, DistilledRow) else {}
        return {"labelled": self.image_set(spec.labelled), **generated}


def open_profile(profile: str) -> Profile:
    """Return `profile`; raises ParamsError for wrong params or those of another profile."""
    path = params_path(profile)
    if not path.is_file() and ((known := profile_names()) or RELEASE.is_file()):
        advice = "`datastill new` writes one"
        if known:
            advice = f"the profiles are {', '.join(known)}"
        raise ParamsError(f"{path}: no such file; {advice}")
    params = load_params(path)
    for key, expected in (("profile", profile), ("params_file", path.as_posix())):
        if (value := getattr(params, key)) != expected:
            raise ParamsError(
                f"{path}: {key}: expected {expected}, after its folder, found {value}; its files "
                "would be those of another profile"
            )
    return Profile(params)
