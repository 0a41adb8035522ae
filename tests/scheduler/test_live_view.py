"""What a terminal shows of running stages."""

from datastill.scheduler.jobs import Job
from datastill.scheduler.live_view import LiveView


def test_a_terminal_shows_how_far_stages_are_and_what_they_said_last(tmp_path, monkeypatch, capsys):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "a.log"
    log.write_bytes(b"began\n12 of 30\r13 of 30 \xff\n\n")
    with LiveView(4) as view:
        view.show(1, [Job("supervised@co-35", log, "3", None)])
    told = capsys.readouterr().err
    assert all(part in told for part in ("1 of 4 stages", "supervised@co-35", "gpu 3", "13 of 30"))
    assert "12 of 30" not in told
