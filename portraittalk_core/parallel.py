"""Give every core something to do: make the next frames while the last ones are used, and share frames out.

Pictures of a few hundred pixels are too small for torch to split an operation well over several cores. But compositing
a frame needs nothing of the frames after it, which can be denoised meanwhile, and moving one nothing of any other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

_LOOKS_S = 0.05  # how often a thread that waits for room looks whether anybody still wants what it made
_PIXELS = 2**22  # of frames that are made together; twice as many if every core has one then
_NOTHING = object()  # in place of an item where there is none


@dataclass(frozen=True)
class _Made(Generic[T]):
    value: T


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


def ahead(items: Iterator[T], count: int = 1) -> Iterator[T]:
    """Iterate in another thread, some items ahead of whoever takes them.

    Where torch may use one thread only, nothing is made ahead. What `items` raises is raised here, after what it made
    before. Whoever closes this iterator, or leaves it with an exception, waits until the item that is being made is
    done; then `items` is closed, in its own thread.

    Args:
        items: What it shares with whoever takes them must bear two threads.
        count: Items that may wait to be taken, from 1.

    Yields:
        The same items in order.
    """
    threads = torch.get_num_threads()
    if threads < 2:
        yield from items
        return
    waiting: queue.Queue[_Made[T] | _Ended] = queue.Queue(count)
    unwanted, learns = threading.Event(), torch.is_grad_enabled()

    def hand_on(made: _Made[T] | _Ended) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put(made, timeout=_LOOKS_S)
            except queue.Full:
                continue

    def work() -> None:
        torch.set_num_threads(threads)  # a new thread would take what the environment says
        error: BaseException | None = None
        try:
            with torch.set_grad_enabled(learns):
                while not unwanted.is_set() and (made := next(items, _NOTHING)) is not _NOTHING:
                    hand_on(_Made(made))  # pyright: ignore[reportArgumentType]
        except BaseException as raised:  # an interrupt, too: it is raised where items are taken
            error = raised
        finally:
            if isinstance(items, Generator):
                items.close()
            hand_on(_Ended(error))

    worker = threading.Thread(target=work, name="portraittalk-ahead", daemon=True)
    worker.start()
    try:
        while isinstance(made := waiting.get(), _Made):
            yield made.value
        if made.error is not None:
            raise made.error
    finally:
        unwanted.set()
        worker.join()


def frames_at_once(pixels: int) -> int:
    """Return how many frames are made together: as many on every core, but of large ones no more than memory bears.

    Args:
        pixels: Of a frame.
    """
    threads, fit = torch.get_num_threads(), _PIXELS // pixels
    if fit >= threads:
        return fit // threads * threads
    return min(threads, max(2, 2 * fit))


def shared_out(work: Callable[[slice], T], count: int, device: torch.device) -> list[T]:
    """Do work on rows that need nothing of each other, as many of them on every core.

    Args:
        work: Takes rows; runs in several threads at once, each of which gives torch one core.
        count: How many rows there are.
        device: Where they lie: an accelerator takes all of them at once.

    Returns:
        What `work` returned for each share of the rows, in order. What it raises is raised here, when all have ended.
    """
    threads = torch.get_num_threads()
    shares = min(threads, count) if device.type == "cpu" else 1
    if shares < 2:
        return [work(slice(0, count))]
    learns, infers = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def share(rows: slice) -> T:
        torch.set_num_threads(1)
        with torch.inference_mode(infers), torch.set_grad_enabled(learns):
            return work(rows)

    ends = [count * k // shares for k in range(shares + 1)]
    try:
        with ThreadPoolExecutor(shares, "portraittalk-share") as pool:
            return list(pool.map(share, [slice(*pair) for pair in pairwise(ends)]))
    finally:
        torch.set_num_threads(threads)  # else threads that begin later would get one core
