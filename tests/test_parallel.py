"""Items made ahead in another thread, rows shared out: the same ones, and nothing is lost when something goes wrong."""

import threading
import time

import pytest
import torch

from portraittalk_core.parallel import ahead, frames_at_once, shared_out


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


CPU = torch.device("cpu")


def test_rows_are_shared_out_in_order():
    meet = threading.Barrier(2)

    def work(rows):
        meet.wait(5)  # both shares are under way at once
        return [*range(50)[rows]]

    assert shared_out(work, 5, CPU) == [[0, 1], [2, 3, 4]]
    assert shared_out(lambda rows: rows, 1, CPU) == [slice(0, 1)] and shared_out(lambda rows: rows, 0, CPU) == [
        slice(0, 0)
    ]
    assert shared_out(lambda rows: rows, 7, torch.device("cuda")) == [slice(0, 7)], "an accelerator takes all at once"


def test_each_share_has_one_core_and_the_modes_of_whoever_shares():
    def work(rows):
        return torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with torch.no_grad():
        assert shared_out(work, 2, CPU) == [(1, False, False)] * 2
    with torch.inference_mode():
        assert shared_out(work, 2, CPU) == [(1, False, True)] * 2
    assert shared_out(work, 2, CPU) == [(1, True, False)] * 2
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == 2 and later == [2], "threads of others have all cores"


def test_what_goes_wrong_in_a_share_is_raised_when_all_have_ended():
    ended, meet = [], threading.Barrier(2)

    def work(rows):
        meet.wait(5)
        if rows.start == 0:
            raise KeyboardInterrupt
        time.sleep(0.1)
        ended.append(rows)

    with pytest.raises(KeyboardInterrupt):
        shared_out(work, 4, CPU)
    assert ended == [slice(2, 4)] and torch.get_num_threads() == 2


def test_every_core_has_as_many_frames_but_of_large_ones_only_some_have_one(monkeypatch):
    for threads, side, frames in ((1, 256, 64), (3, 256, 63), (2, 1024, 4), (3, 1024, 3), (16, 1024, 8), (16, 2560, 2)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert frames_at_once(side**2) == frames, (threads, side)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert frames_at_once(3840**2) == 1, "a single core makes one after the other"
