import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def datastill(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "datastill"
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    "command",
    ["data", "pretrain", "train", "annotate", "evaluate", "tables", "check", "show", "track"],
)
def test_help_names_every_command(command):
    assert command in datastill("--help", cwd=ROOT).stdout
    assert datastill(command, "--help", cwd=ROOT).returncode == 0


def test_help_imports_neither_torch_nor_mlflow():
    script = (
        "import sys; import datastill.cli as cli\n"
        "try: cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'mlflow', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_wrong_params_cost_one_message_exit_1_and_start_nothing(tmp_path):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["scale"] = -1
    raw["trian"] = raw.pop("train")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    answer = datastill("data", cwd=tmp_path)
    assert answer.returncode == 1
    for part in ("params.yaml has 3 wrong keys", "scale: ", "trian: unknown key", "train: missing"):
        assert part in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "co-53"), "no row 'co-53'; there are co-35"),
        (("annotate", "co-35"), "has no unlabelled set"),
        (("train", "co-35"), "co-35.json: no such file"),
        (("evaluate", "co-35"), "train this row first"),
        (("show", "co-1"), "neither an image set nor a distilled row"),
        (("tables",), "val.json: no such file"),
        (("data", "--profile", "nowhere"), "pipelines/nowhere/params.yaml: no such file"),
        (("check",), "expected.yaml: no such file"),
    ],
)
def test_a_mistake_costs_one_message_without_traceback(tmp_path, arguments, message):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    answer = datastill(*arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
