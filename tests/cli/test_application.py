import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from places import ROOT

PROGRAM = Path(sys.executable).parent / "datastill"
COMMANDS = (
    "new", "merge", "plan", "fetch", "data", "pretrain", "train", "annotate", "why", "evaluate",
    "tables", "check", "show", "predict", "export", "track", "trace", "accept", "run", "ensemble",
    "readme", "teacher", "init", "rm", "curves", "report",
)  # fmt: skip


def test_help_names_every_command_and_each_has_its_own(datastill):
    told = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    for command in COMMANDS:
        assert command in told.stdout
        answer = datastill(command, "--help")
        assert answer.returncode == 0
        assert f"datastill {command}" in answer.stdout


def test_help_imports_nothing_that_is_slow_to_import():
    script = (
        "import sys; import datastill.cli as cli\n"
        "try: cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'mlflow', 'pandas', 'pydantic', 'requests'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_one_arena():
    script = (
        "import ctypes, sys, threading; from datastill.cli import main\n"
        "sys.argv = ['datastill', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "both = threading.Barrier(2)\n"
        "def allocate(): both.wait(); held = bytearray(100_000); both.wait()\n"
        "threads = [threading.Thread(target=allocate) for _ in range(2)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, 'stdout')); libc.fflush(None)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout.count("<heap nr=") == 1


def test_wrong_params_cost_one_message_exit_1_and_start_nothing(datastill, tmp_path):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["scale"] = -1
    raw["trian"] = raw.pop("train")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    answer = datastill("data", cwd=tmp_path)
    assert answer.returncode == 1
    for part in ("params.yaml has 3 wrong keys", "scale: ", "trian: unknown key", "train: missing"):
        assert part in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "co-53"), "no row 'co-53'; there are co-35"),
        (("annotate", "co-35"), "has no unlabelled set"),
        (("train", "co-35"), "co-35.json: no such file"),
        (("evaluate", "co-35"), "train this row first"),
        (("evaluate", "co-53"), "no row 'co-53'; there are co-35"),
        (("why", "co-35", "7"), "has no unlabelled set"),
        (("why", "co-35_co-80", "7"), "co-80.json: no such file"),
        (("show", "co-1"), "neither an image set nor a distilled row"),
        (("show", "co-35_co-80"), "run `datastill annotate co-35_co-80` first"),
        (("tables",), "val.json: no such file"),
        (("data", "--profile", "nowhere"), "pipelines/nowhere/params.yaml: no such file"),
        (("predict", "co-35", "a.jpg"), "train this row first"),
        (("predict", "co-53", "a.jpg"), "neither a model folder (no card.json in it) nor a row"),
        (("export", "co-35"), "train this row first"),
        (("export", "co-53"), "no row 'co-53'; there are co-35"),
        (("export", "best"), "no row is evaluated"),
        (("check",), "expected.yaml: no such file"),
        (("check", "--spread", "seeds"), "--spread is for --against REV"),
        (("accept",), "run `datastill evaluate co-35` first"),
        (("check", "--against", "HEAD"), "not a git repository"),
        (("trace", "co-35"), "dvc.lock: no such file"),
        (("run",), "dvc.yaml: no such file"),
        (("run", "--seeds", ""), "--seeds: expected numbers such as 0,1,2, found ''"),
        (("report",), "table1.csv: no such file, rows not evaluated yet: co-35, co-115, "),
    ],
)
def test_a_mistake_costs_one_message(datastill, tmp_path, arguments, message):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    answer = datastill(*arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_profile_whose_params_name_another_one_is_refused(datastill, tmp_path):
    shutil.copytree(ROOT / "pipelines/boxes", tmp_path / "pipelines/mine")
    answer = datastill("data", "--profile", "mine", cwd=tmp_path)
    assert answer.returncode == 1
    assert "pipelines/mine/params.yaml: profile: expected mine" in answer.stderr
    assert not (tmp_path / "work").exists()


def test_results_that_are_no_json_are_named_and_what_to_do_is_said_for_the_profile(
    datastill, tmp_path
):
    shutil.copytree(ROOT / "pipelines/boxes", tmp_path / "pipelines/boxes")
    metrics = tmp_path / "results/boxes/metrics/co-35_seed-3.json"
    metrics.parent.mkdir(parents=True)
    metrics.write_text("<<<<<<< HEAD")
    answer = datastill("export", "best", "-p", "boxes", cwd=tmp_path)
    assert answer.returncode == 1
    assert "results/boxes/metrics/co-35_seed-3.json: expected the metrics of a row" in answer.stderr
    metrics.unlink()
    answer = datastill("accept", "-p", "boxes", cwd=tmp_path)
    assert "run `datastill evaluate co-35_seed-3 --profile boxes` first" in answer.stderr


def test_a_full_disk_is_one_message_that_says_how_to_go_on(datastill, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        answer = datastill("data", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.returncode == 1
    assert "free disk space or fix permissions, then run the same command again" in answer.stderr


def test_what_is_in_the_way_is_one_message_that_names_it(datastill, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "work").touch()
    answer = datastill("data", cwd=tmp_path)
    assert answer.returncode == 1
    assert "work" in answer.stderr
    assert "move it away, then run the same command again" in answer.stderr


def test_predictions_are_not_made_for_a_file_that_cannot_be_written(datastill, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "taken").mkdir()
    answer = datastill("predict", "co-35", "a.jpg", "--to", "taken", cwd=tmp_path)
    assert answer.returncode == 1
    assert "--to: expected a file for the results of images, found folder taken" in answer.stderr


@pytest.mark.slow
def test_a_command_that_is_told_to_stop_says_so_and_how_to_go_on(tmp_path):
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["scale"]["images"] = 2.0  # so much to draw that it is still at it
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    process = subprocess.Popen([PROGRAM, "data"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not any(tmp_path.rglob("*.jpg")):
        time.sleep(0.1)
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len([*tmp_path.rglob("*.jpg")]) < 5000  # of 17,752 that waited to be drawn
    assert "stopped by SIGTERM; run the same command again" in told
    assert "Traceback" not in told


def test_control_characters_in_a_message_do_not_reach_the_terminal(datastill, tmp_path):
    answer = datastill("data", "--profile", "x\x1b[31m", cwd=tmp_path)
    assert answer.returncode == 1
    assert "x\\x1b[31m" in answer.stderr
    assert "\x1b" not in answer.stderr


def test_nothing_is_said_of_objects_that_are_left_at_the_end():
    """Triton's bindings would, where torch has loaded it."""
    code = "import sys, triton; sys.argv = ['datastill', '--help']; from datastill.cli import main"
    command = [sys.executable, "-c", f"{code}; main()"]
    pytest.importorskip("triton")
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "report" in answer.stdout
    assert answer.stderr == ""
