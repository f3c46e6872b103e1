"""Run many jobs: one after the other here, or spread over a Ray cluster. What is finished is handed back at once.

A worker is built once where it runs and then called with one job after the other. Only the caller writes results down,
as each arrives, so that a worker which dies takes with it no more than the job that it was at.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..errors import BadInput, MissingExtra
from ..media.target import RUN_VARIABLE

logger = logging.getLogger(__name__)

J = TypeVar("J")
R = TypeVar("R")

ENGINES = ("local", "ray")
"""local: in this process, one job after the other; ray: on all CPUs or a cluster."""

TRIES = 3
"""How often a job is begun whose worker dies under it."""


@dataclass(frozen=True)
class Lost:
    """A job that killed its worker each time it was tried."""

    reason: str
    """One line."""


@dataclass(frozen=True)
class Engine:
    """Where jobs run. A value that cannot be is refused by `BadInput`."""

    name: str = "local"
    """One of `ENGINES`."""

    workers: int | None = None
    """How many work at once; None for as many as the cluster has CPUs."""

    address: str | None = None
    """Of a Ray cluster; None for that which RAY_ADDRESS names, else a cluster of this machine alone."""

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise BadInput(f"`--engine` must be {' or '.join(ENGINES)}, but got {self.name!r}. Try local.")
        if self.workers is not None and self.workers < 1:
            raise BadInput(f"`--workers` must be 1 or more, but got {self.workers}. Leave it out for all CPUs.")

    def check(self) -> None:
        """Make sure that the engine can be had, before anything slow begins.

        Raises:
            MissingExtra: When Ray is asked for and cannot be imported.
        """
        if self.name == "ray":
            _ray()

    def run(
        self, jobs: Sequence[J], build: Callable[[], Callable[[J], R]]
    ) -> Generator[tuple[J, R | Lost], None, None]:
        """Do jobs. What a worker raises ends the run, after the results that were there.

        Args:
            jobs: Anything; picklable for Ray.
            build: Makes a worker; picklable for Ray.

        Yields:
            Every job with its result as it is finished, in any order.
        """
        if not jobs:
            return
        if self.name == "local":
            worker = build()
            for job in jobs:
                yield job, worker(job)
            return
        yield from self._spread(jobs, build)

    def _spread(self, jobs: Sequence[J], build: Callable[[], Callable[[J], R]]) -> Iterator[tuple[J, R | Lost]]:
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            alone = self.address is None and not os.environ.get("RAY_ADDRESS")
            cores = {"num_cpus": max(self.workers or 1, os.cpu_count() or 1)} if alone else {}
            ray.init(address=self.address, **cores, **_QUIET, runtime_env={"env_vars": _environment()})
        try:
            yield from _Pool(ray, jobs, build, min(self._count(ray), len(jobs))).results()
        finally:
            if ours:
                ray.shutdown()

    def _count(self, ray: Any) -> int:
        """Return how many workers the cluster has room for: one too many would wait for ever, and its job with it."""
        room = max(1, int(ray.cluster_resources().get("CPU", 1)))
        if self.workers and self.workers > room:
            logger.warning("The cluster has %d CPUs: %d workers instead of %d.", room, room, self.workers)
        return min(self.workers or room, room)


_QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}


def _ray() -> Any:
    # Ray warns of a change to come in how it hides GPUs from workers that ask for none; it does not concern us.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra(
            f"`--engine ray` needs ray, but {error.name} cannot be imported. Run: pip install ray"
        ) from error
    return ray


def _environment() -> dict[str, str]:
    """Return what workers of this machine need to find the package where it is not installed; one thread each."""
    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "")
    ours = {name: os.environ[name] for name in (RUN_VARIABLE,) if name in os.environ}
    return {"PYTHONPATH": os.pathsep.join(part for part in (root, known) if part), "OMP_NUM_THREADS": "1", **ours}


class _Actor:
    """A worker in a process of its own, built for its first job, so that what goes wrong then is that job's error."""

    def __init__(self, build: Callable[[], Callable[[Any], Any]]) -> None:
        import cv2

        cv2.setNumThreads(1)  # it does not read OMP_NUM_THREADS
        self._build = build
        self._worker: Callable[[Any], Any] | None = None

    def work(self, job: Any) -> Any:
        self._worker = self._worker or self._build()
        return self._worker(job)


class _Pool(Generic[J, R]):
    """Keeps `count` workers busy and replaces those that die."""

    def __init__(self, ray: Any, jobs: Sequence[J], build: Callable[[], Callable[[J], R]], count: int) -> None:
        self._ray, self._build = ray, build
        self._actor = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._waiting = [(job, 1) for job in reversed(jobs)]
        self._idle = [self._new() for _ in range(count)]
        self._busy: dict[Any, tuple[Any, J, int]] = {}

    def _new(self) -> Any:
        return self._actor.remote(self._build)

    def results(self) -> Iterator[tuple[J, R | Lost]]:
        """Yield results as they come; hand out what waits."""
        try:
            while self._waiting or self._busy:
                while self._waiting and self._idle:
                    (job, turn), actor = self._waiting.pop(), self._idle.pop()
                    self._busy[actor.work.remote(job)] = (actor, job, turn)
                (reference, *_), _ = self._ray.wait(list(self._busy), num_returns=1)
                actor, job, turn = self._busy.pop(reference)
                found = self._result(reference, actor, job, turn)
                if found is not None:
                    yield job, found[0]
        finally:
            for actor in (*self._idle, *(actor for actor, _, _ in self._busy.values())):
                self._ray.kill(actor)

    def _result(self, reference: Any, actor: Any, job: J, turn: int) -> tuple[R | Lost] | None:
        """Return the result in a tuple; None where the job is to be tried again."""
        try:
            value = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._idle.append(self._new())
            logger.warning("A worker died at %s (try %d of %d).", getattr(job, "label", job), turn, TRIES)
            if turn < TRIES:
                self._waiting.append((job, turn + 1))
                return None
            return (Lost(f"its worker died {TRIES} times. Run it again, or with --engine local to see why."),)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(actor)
            raise _cause(error) from None
        self._idle.append(actor)
        return (value,)


def _cause(error: Any) -> BaseException:
    """Return what was raised in the worker, without Ray's wrapping."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error
