"""Jobs here and on a Ray cluster: each result as it comes, a dead worker costs its job alone."""

import os
import sys
from functools import partial

import cv2
import pytest

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.evaluation import engine as engines
from portraittalk_core.evaluation.engine import TRIES, Engine, Lost


class Squares:
    """Squares numbers; dies at 3 the first time, at 5 always; refuses 8."""

    def __init__(self, notes):
        self.notes = notes

    def __call__(self, number):
        with (self.notes / f"begun_{number}").open("a") as file:
            file.write("x")
        if number == 5 or (number == 3 and (self.notes / "begun_3").read_text() == "x"):
            os._exit(9)
        if number == 8:
            raise BadInput("`number` must not be 8, but got 8. Try 7.")
        return number * number


def test_here(tmp_path):
    built = []

    def build():
        built.append(1)
        return Squares(tmp_path)

    assert list(Engine().run([1, 2, 4], build)) == [(1, 1), (2, 4), (4, 16)] and built == [1]
    assert list(Engine().run([], build)) == [] and built == [1]


def test_results_before_an_error_are_handed_back(tmp_path):
    seen = []
    with pytest.raises(BadInput, match="must not be 8"):
        for job, _ in Engine().run([1, 2, 8, 4], partial(Squares, tmp_path)):
            seen.append(job)
    assert seen == [1, 2]


@pytest.mark.parametrize("given, text", [({"name": "slurm"}, "local or ray"), ({"workers": 0}, "1 or more")])
def test_wrong_engines(given, text):
    with pytest.raises(BadInput, match=text):
        Engine(**given)


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"`--engine ray` needs ray.*pip install ray"):
        Engine("ray").check()


class SmallCluster:
    """Stands for Ray on a machine of two cores."""

    def __init__(self):
        self.begun, self.cpus = [], 2

    def is_initialized(self):
        return False

    def init(self, address=None, num_cpus=None, **_):
        self.begun.append((address, num_cpus))
        self.cpus = num_cpus or self.cpus

    def cluster_resources(self):
        return {"CPU": float(self.cpus)}

    def shutdown(self):
        pass


@pytest.mark.parametrize("address, wanted, asked, count", [(None, 4, 4, 4), (None, 1, 2, 1), ("a:1", 4, None, 2)])
def test_no_worker_waits_for_a_core_that_is_not_there(monkeypatch, caplog, address, wanted, asked, count):
    """Of a cluster of its own a run takes as many as were asked for; elsewhere as many as there are, and says so."""
    ray, counts = SmallCluster(), []
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(engines, "_ray", lambda: ray)
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 2)

    class Pool:
        def __init__(self, _ray, _jobs, _build, workers):
            counts.append(workers)

        def results(self):
            return iter(())

    monkeypatch.setattr(engines, "_Pool", Pool)
    assert list(Engine("ray", wanted, address).run(range(9), Squares)) == []
    assert ray.begun == [(address, asked)] and counts == [count]
    assert ("2 workers instead of 4" in caplog.text) == (address is not None)


def test_a_worker_has_one_thread_of_opencvs_too(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", asked.append)
    assert engines._Actor(lambda: lambda job: job + 1).work(1) == 2 and asked == [1]


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="NOT TESTED: --engine ray, for ray is not installed. Run: pip install ray")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    known = {"env_vars": engines._environment()}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=known)
    yield Engine("ray", workers=2)
    ray.shutdown()


@pytest.mark.slow
def test_a_dead_worker_loses_no_other_job(cluster, tmp_path, caplog):
    found = dict(cluster.run(list(range(8)), partial(Squares, tmp_path)))
    assert set(found) == set(range(8))
    lost = found.pop(5)
    assert isinstance(lost, Lost) and f"died {TRIES} times" in lost.reason
    assert found == {n: n * n for n in found}
    assert (tmp_path / "begun_5").read_text() == "x" * TRIES and (tmp_path / "begun_3").read_text() == "xx"
    assert all((tmp_path / f"begun_{n}").read_text() == "x" for n in (0, 1, 2, 4, 6, 7))
    assert "A worker died at 3 (try 1 of 3)" in caplog.text


@pytest.mark.slow
def test_what_a_worker_raises_is_what_arrives(cluster, tmp_path):
    with pytest.raises(BadInput) as caught:
        list(cluster.run([8], partial(Squares, tmp_path)))
    assert type(caught.value) is BadInput and str(caught.value) == "`number` must not be 8, but got 8. Try 7."
