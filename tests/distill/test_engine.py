"""The engine of stage annotate."""

from datastill.project.image_sets import load
from datastill.project.profile import Profile
from datastill.project.row_models import row_metadata, teacher_inference
from datastill.stages import annotate


def test_ray_is_asked_where_the_params_say_so(profile, monkeypatch):
    asked = []
    monkeypatch.setattr(
        annotate, "find_on_cluster", lambda actor, shards, _: asked.append((actor, shards))
    )
    monkeypatch.setattr(annotate, "inference_code", lambda: "other, so that no shard is known")
    machine = profile.params.machine.model_copy(update={"engine": "ray"})
    other = Profile(profile.params.model_copy(update={"machine": machine}))
    images = load(profile, "unlabelled").images
    metadata = row_metadata(other, "student")
    inference = teacher_inference(other, "student", metadata)
    annotate.find(other, "teacher", metadata, inference, images)
    ((actor, shards),) = asked
    assert actor.weights == profile.weights("teacher").absolute()
    assert [image for shard in shards for image in shard.images] == images
