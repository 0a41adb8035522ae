"""Which engine looks at unlabelled images is the params' choice."""

from datastill.project.image_sets import load
from datastill.project.profile import Profile
from datastill.stages import annotate


def test_ray_is_asked_where_the_params_say_so(profile, monkeypatch):
    asked = []
    monkeypatch.setattr(
        annotate, "find_on_cluster", lambda job, shards, _: asked.append((job, shards))
    )
    monkeypatch.setattr(annotate, "inference_code", lambda: "other, so that no shard is known")
    machine = profile.params.machine.model_copy(update={"engine": "ray"})
    other = Profile(profile.params.model_copy(update={"machine": machine}))
    images = load(profile, "unlabelled").images
    annotate.find(other, "student", images)
    ((job, shards),) = asked
    assert job.weights == profile.weights("teacher").absolute()
    assert [image for shard in shards for image in shard.images] == images
