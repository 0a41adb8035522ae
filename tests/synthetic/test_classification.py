import numpy as np
import pytest

from datastill.synthetic.classification import (
    QUESTIONS,
    UNASKED,
    draw_picture,
    draw_pictures,
)
from datastill.synthetic.drawing.viewpoints import visible_side

COUNT, SIDE = 300, 48


@pytest.fixture(scope="module")
def drawn():
    heard = []
    pictures, answers = draw_pictures(COUNT, SIDE, seed=3, advance=heard.append)
    assert heard == [1] * COUNT
    return pictures, answers


def test_a_picture_follows_from_its_index_and_seed_whatever_the_workers(drawn):
    for index in (0, 7, COUNT - 1):
        picture, answer = draw_picture(index, SIDE, seed=3)
        assert np.array_equal(picture, drawn[0][index])
        assert np.array_equal(answer, drawn[1][index])
    assert not np.array_equal(draw_picture(0, SIDE, seed=4)[0], drawn[0][0])


def test_every_question_is_answered_for_people_and_only_the_first_for_things(drawn):
    _, answers = drawn
    people = answers[:, 0] == QUESTIONS["what"].index("person")
    assert (answers[people] >= 0).all()
    assert (answers[~people, 1:] == UNASKED).all()
    assert (answers < [len(words) for words in QUESTIONS.values()]).all()
    assert 0.7 < people.mean() < 0.9


def test_every_word_is_the_answer_to_something(drawn):
    _, answers = drawn
    for column, words in enumerate(QUESTIONS.values()):
        rare = {"crouch"}  # nobody does: its share of the poses is 0
        assert set(words) - {words[a] for a in answers[:, column] if a >= 0} <= rare


@pytest.mark.parametrize(
    ("degrees", "side"),
    [(0, "front"), (-30, "front"), (90, "right"), (-90, "left"), (180, "back"), (210, "back")],
)
def test_the_visible_side_follows_from_the_direction(degrees, side):
    assert visible_side(np.radians(degrees)) == side
