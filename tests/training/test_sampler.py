import pickle
from math import comb

import numpy as np
import pytest

from datastill.training.sampler import Draw, MixedSampler


def sources(sampler):
    return np.array([[draw.source for draw in sampler[i]] for i in range(len(sampler))])


def indices(sampler, source):
    """What is drawn from `source`, in the order of the training."""
    return [d.index for i in range(len(sampler)) for d in sampler[i] if d.source == source]


@pytest.mark.parametrize("share", [0.6, 0.25])
@pytest.mark.parametrize("seed", range(3))
def test_labelled_images_have_their_share_of_all_places(seed, share):
    drawn = sources(MixedSampler((700, 900), share, 10_000, 4, seed))
    error = (share * (1 - share) / drawn.size) ** 0.5
    assert (drawn == 0).mean() == pytest.approx(share, abs=3 * error)
    assert (drawn == 0).mean(axis=0) == pytest.approx([share] * 4, abs=6 * error)


def test_every_place_is_drawn_for_itself_so_that_counts_are_binomial():
    labelled = (sources(MixedSampler((700, 900), 0.6, 10_000, 4, 1)) == 0).sum(axis=1)
    expected = [comb(4, n) * 0.6**n * 0.4 ** (4 - n) for n in range(5)]
    assert np.bincount(labelled, minlength=5) / 10_000 == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("share", "source"), [(1.0, 0), (0.0, 1)])
def test_a_share_of_all_or_nothing_draws_from_one_set(share, source):
    assert (sources(MixedSampler((7, 9), share, 200, 4, 0)) == source).all()


@pytest.mark.parametrize("sizes", [(13, 29), (29, 13), (1, 2)])
@pytest.mark.parametrize("source", [0, 1])
def test_a_set_is_run_through_without_repetition_in_another_order_every_time(sizes, source):
    drawn, size = indices(MixedSampler(sizes, 0.6, 100, 4, 3), source), sizes[source]
    epochs = [drawn[i : i + size] for i in range(0, len(drawn), size)]
    assert len(epochs) > 4
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs[:-1])
    assert len(set(epochs[-1])) == len(epochs[-1])
    if size > 10:
        assert len(set(map(tuple, epochs[:-1]))) == len(epochs) - 1


def test_a_minibatch_is_the_same_in_whatever_order_and_however_often_it_is_asked_for():
    sampler = MixedSampler((3, 5), 0.6, 120, 4, 7)
    forward = [sampler[i] for i in range(120)]
    order = np.random.default_rng(0).integers(0, 120, 500)
    assert [sampler[i] for i in order] == [forward[i] for i in order]
    assert MixedSampler((3, 5), 0.6, 120, 4, 7)[97] == forward[97]


def test_a_longer_training_begins_as_a_shorter_one():
    short, long = (MixedSampler((3, 5), 0.6, n, 4, 7) for n in (50, 80))
    assert [short[i] for i in range(50)] == [long[i] for i in range(50)]


def test_a_set_alone_gives_every_place():
    sampler = MixedSampler((6,), 0.6, 30, 4, 2)
    assert (sources(sampler) == 0).all()
    assert np.bincount(indices(sampler, 0)).tolist() == [20] * 6


def test_another_seed_is_another_training():
    one, other = (MixedSampler((500, 800), 0.6, 50, 4, seed) for seed in (1, 2))
    assert (sources(one) != sources(other)).any()
    assert indices(one, 0)[:50] != indices(other, 0)[:50]
    assert indices(one, 1)[:50] != indices(other, 1)[:50]


def test_the_orders_of_two_sets_of_one_size_differ():
    sampler = MixedSampler((200, 200), 0.5, 150, 4, 0)
    assert indices(sampler, 0)[:200] != indices(sampler, 1)[:200]


def test_there_are_as_many_minibatches_as_asked_and_no_more():
    sampler = MixedSampler((3, 5), 0.6, 7, 2, 0)
    assert len(sampler) == 7
    assert {len(sampler[i]) for i in range(7)} == {2}
    assert isinstance(sampler[6][0], Draw)
    with pytest.raises(IndexError):
        sampler[7]


def test_a_sampler_can_be_sent_to_another_process():
    sampler = MixedSampler((3, 5), 0.6, 9, 4, 0)
    assert pickle.loads(pickle.dumps(sampler))[8] == sampler[8]
