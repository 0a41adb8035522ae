import time

from datastill.training.metrics_log import MetricsLog, read_metrics_log


def fill(path, steps, resume_at=0, loss=1.0):
    log = MetricsLog(path, resume_at)
    for step in steps:
        log.write(step, {"loss": loss + step})


def steps_and_losses(path):
    return [(entry["step"], entry["loss"]) for entry in read_metrics_log(path)]


def test_a_step_is_written_with_its_values_and_the_time(tmp_path):
    before = time.time()
    fill(tmp_path / "new" / "journal.jsonl", [0, 5])
    first, second = read_metrics_log(tmp_path / "new" / "journal.jsonl")
    assert (first["step"], first["loss"], second["step"], second["loss"]) == (0, 1, 5, 6)
    assert before - 0.001 <= first["time"] <= second["time"] <= time.time() + 0.001


def test_a_step_can_be_read_while_the_log_is_in_use(tmp_path):
    log = MetricsLog(tmp_path / "journal.jsonl", 0)
    log.write(0, {"loss": 2.0})
    assert steps_and_losses(tmp_path / "journal.jsonl") == [(0, 2)]
    log.write(5, {"loss": 1.0})
    assert steps_and_losses(tmp_path / "journal.jsonl") == [(0, 2), (5, 1)]


def test_a_resumed_log_drops_the_steps_to_be_repeated(tmp_path):
    path = tmp_path / "journal.jsonl"
    fill(path, [0, 2, 4, 6])
    fill(path, [4, 6, 8], resume_at=4, loss=10.0)
    assert steps_and_losses(path) == [(0, 1), (2, 3), (4, 14), (6, 16), (8, 18)]


def test_a_log_that_starts_again_forgets_everything(tmp_path):
    path = tmp_path / "journal.jsonl"
    fill(path, [0, 2, 4])
    fill(path, [0], resume_at=0, loss=7.0)
    assert steps_and_losses(path) == [(0, 7)]


def test_a_torn_last_line_is_not_read_and_is_dropped(tmp_path):
    path = tmp_path / "journal.jsonl"
    fill(path, [0, 2])
    with path.open("a") as file:
        file.write('{"step": 4, "time": 17')
    assert steps_and_losses(path) == [(0, 1), (2, 3)]
    fill(path, [4], resume_at=4)
    assert steps_and_losses(path) == [(0, 1), (2, 3), (4, 5)]


def test_a_last_line_without_a_newline_is_torn_too(tmp_path):
    path = tmp_path / "journal.jsonl"
    fill(path, [0, 2])
    path.write_text(path.read_text().rstrip("\n"))
    assert steps_and_losses(path) == [(0, 1)]


def test_an_absent_log_has_no_steps(tmp_path):
    assert read_metrics_log(tmp_path / "journal.jsonl") == []
