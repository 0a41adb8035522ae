import pytest
from PIL import Image

from datastill.errors import DataError
from datastill.images.folders import Folder
from datastill.images.load import load_image
from datastill.sources.linked_folders import link_folder


@pytest.fixture
def cached(tmp_path):
    """A folder as `dvc checkout` leaves it with cache.type symlink: one image, one name."""
    file = tmp_path / "repo/.dvc/cache/files/md5/0a" / ("b" * 30)
    file.parent.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(file, "PNG")
    (tmp_path / "repo/photos/sub").mkdir(parents=True)
    (tmp_path / "repo/photos/sub/a.png").symlink_to(file)
    return Folder(tmp_path / "repo/photos", "photos")


def load(images):
    return load_image(images, {"file_name": "photos/sub/a.png", "width": 8, "height": 6})


@pytest.mark.parametrize("one_file_system", [True, False])
def test_images_in_the_cache_of_dvc_are_read_under_their_own_names(
    cached, tmp_path, monkeypatch, one_file_system
):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    if not one_file_system:
        monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    images = tmp_path / "work/images"
    link_folder(cached, images)
    assert load(images).shape == (3, 6, 8)
    inode = (images / "photos/sub/a.png").stat().st_ino
    shared = inode == (cached.path / "sub/a.png").stat().st_ino
    assert shared == one_file_system
    link_folder(cached, images)
    assert (images / "photos/sub/a.png").stat().st_ino == inode, "what is there stays"


def test_another_version_in_the_cache_replaces_the_first(cached, tmp_path):
    images, link = tmp_path / "images", cached.path / "sub/a.png"
    link_folder(cached, images)
    other = link.resolve().with_name("c" * 30)
    Image.new("RGB", (8, 6), "white").save(other, "PNG")
    link.unlink()
    link.symlink_to(other)
    link_folder(cached, images)
    assert load(images).min() == 255


def test_a_folder_without_links_into_the_cache_is_linked_itself(tmp_path):
    (tmp_path / "photos").mkdir()
    link_folder(Folder(tmp_path / "photos", "photos"), tmp_path / "images")
    assert (tmp_path / "images/photos").resolve() == tmp_path / "photos"
    link_folder(Folder(tmp_path / "absent", "absent"), tmp_path / "images")
    assert [each.name for each in (tmp_path / "images").iterdir()] == ["photos"]


def test_a_real_folder_of_that_name_is_left_as_it_is(tmp_path):
    for name in ("photos", "images/photos"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected a link to .*photos, found a folder"):
        link_folder(Folder(tmp_path / "photos", "photos"), tmp_path / "images")
