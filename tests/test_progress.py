"""What a log says of how long a stage still takes."""

from types import SimpleNamespace

from datastill.progress import Steps, escaped


def test_what_an_earlier_run_has_done_is_not_taken_for_speed(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr("datastill.progress.time", SimpleNamespace(monotonic=lambda: clock[0]))
    with Steps("training", 1000) as steps:
        steps.start_at(900)
        clock[0] = 20.0
        steps.advance(10)
    assert "training: 910 of 1000, about 180 s left" in capsys.readouterr().err


def test_control_characters_and_half_characters_are_shown_and_not_obeyed():
    assert escaped("a\x1b[31m\r\ud800é 😀\n\tb") == "a\\x1b[31m\\r\\ud800é 😀\n\tb"


def test_a_label_is_no_markup(capsys):
    with Steps("opening x[/bold][red]", 1) as steps:
        steps.advance()
    assert "opening x[/bold][red]: 1 of 1" in capsys.readouterr().err
