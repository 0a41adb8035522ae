import pytest

from datastill.errors import DataError
from datastill.report.readme_blocks import update_block

PAGE = (
    "# Title\n\n<!-- generated: table -->\nold\n<!-- /generated -->\n\nWords.\n\n"
    "<!-- generated: other -->\n<!-- /generated -->\n"
)


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(PAGE)
    return path


def test_only_the_named_block_changes(page):
    assert update_block(page, "table", "| new | \\1 ± 2 |\n") is True
    assert page.read_text() == PAGE.replace("old", "| new | \\1 ± 2 |")


def test_the_same_content_again_changes_nothing(page):
    assert update_block(page, "other", "text") is True
    assert update_block(page, "other", "text\n") is False


def test_a_file_without_the_block_stays_as_it_is(page):
    assert update_block(page, "absent", "text") is False
    assert page.read_text() == PAGE


def test_a_block_left_open_does_not_swallow_the_next(page):
    page.write_text(PAGE.replace("old\n<!-- /generated -->", "old"))
    with pytest.raises(DataError, match="not closed"):
        update_block(page, "table", "new")
