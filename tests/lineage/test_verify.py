"""Digests of folders, as DVC takes them."""

import pytest
import yaml

from datastill.lineage.dvc_lock import File
from datastill.lineage.verify import verify


@pytest.mark.slow
def test_a_folder_that_is_a_git_clone_has_the_digest_that_dvc_takes(bare):
    folder = bare.root / "mine"
    (folder / ".git").mkdir(parents=True)
    for name in ("a.json", "b.json", ".git/config"):
        (folder / name).write_text(name)
    assert bare.run("dvc", "add", "mine").returncode == 0
    (out,) = yaml.safe_load((bare.root / "mine.dvc").read_text())["outs"]
    (verdict,) = verify([File(str(folder), out["md5"])], bare.root / "nowhere")
    assert verdict.state == "same"
