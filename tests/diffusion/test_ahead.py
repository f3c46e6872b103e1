"""Items made ahead in another thread: the same ones, and nothing is lost when something goes wrong."""

import threading
import time

import pytest
import torch

from portraittalk_core.diffusion.ahead import ahead


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_same_items_come_in_order():
    assert list(ahead(iter(range(20)), count=3)) == list(range(20))
    assert list(ahead(iter(()))) == [] and list(ahead(iter([None, False]))) == [None, False]


def test_the_next_item_is_made_while_the_last_is_used():
    begun = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in ahead(items()):
        assert all(event.wait(5) for event in begun[: number + 2])


def test_no_more_wait_than_is_asked_for():
    made = []
    taken = ahead(iter(made.append(k) or k for k in range(50)), count=2)
    assert next(taken) == 0
    time.sleep(0.3)
    assert len(made) <= 4  # taken, two that wait, and one for which there is no room yet
    taken.close()


def test_an_error_comes_after_what_was_made_before():
    def items():
        yield 1
        raise ValueError("no more")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="no more"):
        next(taken)


def test_an_interrupt_of_the_other_thread_is_not_swallowed():
    def items():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ahead(items()))


@pytest.mark.parametrize("leave", ["close", "error"])
def test_who_leaves_closes_what_is_iterated(leave):
    """In the thread that ran it, and before the iterator is left: a context that it holds is over then."""
    closed = []

    def items():
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread().name)

    taken = ahead(items())
    next(taken)
    if leave == "close":
        taken.close()
    else:
        with pytest.raises(RuntimeError):
            taken.throw(RuntimeError("enough"))
    assert closed == ["portraittalk-ahead"]
    assert not [thread for thread in threading.enumerate() if thread.name == "portraittalk-ahead"]


def test_one_thread_is_one_thread():
    torch.set_num_threads(1)
    assert list(ahead(threading.current_thread() for _ in range(2))) == [threading.main_thread()] * 2


def test_the_other_thread_works_as_this_one_does():
    def items():
        yield torch.is_grad_enabled(), torch.get_num_threads()

    with torch.no_grad():
        assert list(ahead(items())) == [(False, 2)]
    assert list(ahead(items())) == [(True, 2)]
