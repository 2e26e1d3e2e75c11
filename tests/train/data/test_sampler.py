import numpy as np
import pytest

from components.common.errors import InventoryError
from components.train.data.sampler import Layout, balanced_rows, plan_epoch, steps_in_epoch
from components.train.engine.workers import Workers
from tests.train.fitting import fast


def everybody(hosts: int, processes: int) -> list[Workers]:
    world = hosts * processes
    return [Workers(rank, world, rank % processes, processes) for rank in range(world)]


def shown(bins: int, hosts: int, processes: int, layouts=(), take: int | None = None, epoch: int = 1):
    """All workers' places in order, for the first ``take`` steps."""
    settings = fast(batch_size=12)
    plans = [plan_epoch(np.arange(bins), settings, epoch, w, layouts) for w in everybody(hosts, processes)]
    return plans, np.concatenate([place for plan in plans for place in plan.parts[:take]] or [[]])


@pytest.mark.parametrize(("hosts", "processes"), [(1, 1), (1, 3), (2, 2), (3, 1)])
@pytest.mark.parametrize("bins", [24, 97, 1000])
def test_every_bin_is_shown_exactly_once_an_epoch(bins: int, hosts: int, processes: int) -> None:
    plans, places = shown(bins, hosts, processes)
    assert sorted(places) == list(range(bins))
    assert all(len(plan.parts) == steps_in_epoch(bins, 12) for plan in plans)
    sizes = np.array(plans[0].sizes)
    assert sizes.sum() == bins
    assert np.ptp(sizes) <= hosts
    assert list(sizes) == [sum(len(plan.parts[step]) for plan in plans) for step in range(len(sizes))]


def test_the_order_changes_with_epoch_and_not_with_the_number_of_processes() -> None:
    one = shown(100, 1, 1, take=1)[1]
    assert set(one) == set(shown(100, 1, 4, take=1)[1])
    assert set(one) != set(shown(100, 1, 1, take=1, epoch=2)[1])


def test_a_host_reads_only_its_own_range_of_rows() -> None:
    plans, _ = shown(100, 2, 2)
    for plan, worker in zip(plans, everybody(2, 2), strict=True):
        places = np.concatenate(plan.parts)
        assert places.min() >= 50 * worker.host
        assert places.max() < 50 * (worker.host + 1)


@pytest.mark.parametrize("then", [(1, 1), (1, 4), (2, 2), (3, 1)])
def test_an_epoch_continued_with_other_workers_shows_every_remaining_bin_once(then: tuple[int, int]) -> None:
    _, first = shown(200, 2, 1, take=5)
    plans, second = shown(200, *then, layouts=[Layout(2, 5)])
    assert sorted(np.concatenate([first, second])) == list(range(200))
    assert len(plans[0].parts) == steps_in_epoch(200, 12) - 5
    assert max(plans[0].sizes) <= 12 + then[0]


def test_a_second_interruption_is_no_different() -> None:
    layouts = [Layout(2, 5), Layout(3, 4)]
    _, first = shown(200, 2, 1, take=5)
    _, second = shown(200, 3, 1, layouts=layouts[:1], take=4)
    _, third = shown(200, 1, 2, layouts=layouts)
    assert sorted(np.concatenate([first, second, third])) == list(range(200))


def test_with_as_many_hosts_the_interrupted_order_goes_on() -> None:
    whole = shown(200, 2, 1)[0][1]
    rest = shown(200, 2, 1, layouts=[Layout(2, 5)])[0][1]
    assert all(np.array_equal(left, right) for left, right in zip(whole.parts[5:], rest.parts, strict=True))


def test_a_worker_without_images_is_refused() -> None:
    with pytest.raises(InventoryError, match="leaves a worker without an image"):
        shown(10, 1, 12)


def test_balanced_drawing_shows_rare_counts_as_often_as_common_ones() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    rows = balanced_rows(labels, seed=1, epoch=0)
    assert len(rows) == 1000
    assert np.bincount(labels[rows]).min() > 280
    assert not np.array_equal(rows, balanced_rows(labels, seed=1, epoch=1))


def test_an_epoch_that_was_interrupted_after_its_last_step_has_none_left_for_any_number_of_hosts() -> None:
    plans, places = shown(96, 3, 1, layouts=[Layout(2, steps_in_epoch(96, 12))])
    assert len(places) == 0
    assert all(plan.parts == [] for plan in plans)
