"""What the served model accepts, and what it answers to the rest."""

import base64
import io

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from datastill.tracking import pyfunc


class Model:
    """Sees in an image its size alone."""

    def predict(self, images, views):
        return [[{"height": image.shape[1], "views": views}] for image in images]


@pytest.fixture
def answer():
    served = pyfunc.Served()
    served._model = Model()
    return lambda *images, **params: served.predict(
        None, pd.DataFrame({"image": [*images]}), params or None
    )


def png(width=8, height=6):
    content = io.BytesIO()
    Image.new("1", (width, height)).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def test_base64_may_be_wrapped_or_in_a_data_url(answer):
    wrapped = "\n".join(png()[i : i + 20] for i in range(0, len(png()), 20))
    expected = [[{"height": 6, "views": 1}]] * 3
    assert answer(png(), wrapped, f"data:image/png;base64,{png()}") == expected
    assert answer(png(), views=0) == [[{"height": 6, "views": None}]]


@pytest.mark.parametrize(
    "wrong", ["no base64!", "/etc/passwd", "http://127.0.0.1/a.png", "é", None]
)
def test_what_is_no_image_is_refused_by_a_sentence(answer, wrong):
    with pytest.raises(MlflowException, match="image 0: expected a file in base64") as refusal:
        answer(wrong)
    assert refusal.value.get_http_status_code() == 400


def test_images_beside_one_that_cannot_be_read_are_answered(answer):
    seen = [{"height": 6, "views": 1}]
    torn = base64.b64encode(base64.b64decode(png())[:40]).decode()
    first, second, third, last = answer(png(), "/etc/passwd", torn, png())
    assert (first, last) == (seen, seen)
    assert second["error"].startswith("image 1: expected a file in base64")
    assert third["error"].startswith("image 2: no readable image")
    assert "/" not in third["error"]


def test_pixels_are_counted_over_the_whole_request_before_any_are_decoded(answer, monkeypatch):
    with pytest.raises(MlflowException, match=r"image 0: .*20,000 x 20,000 pixels, more than"):
        answer(png(20_000, 20_000))
    monkeypatch.setattr(pyfunc, "_MOST_PIXELS", 100)
    assert len(answer(png(), png())) == 2
    with pytest.raises(MlflowException, match="the images have 144 pixels together, more than 100"):
        answer(png(), png(), png())


def test_too_long_a_field_is_not_decoded(answer, monkeypatch):
    monkeypatch.setattr(pyfunc, "_MOST_TEXT", 10)
    with pytest.raises(MlflowException, match=r"image 0: .* of at most 10 characters"):
        answer(png())
