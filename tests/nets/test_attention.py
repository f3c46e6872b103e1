"""Shared pieces: attention and the branch that adds it."""

import torch

from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.attention import KeyValue, TokenCross, attend
from portraittalk_core.sites import Site


def test_attend_is_the_textbook_formula(noise):
    query, key, value = (torch.randn(2, n, 12, generator=noise) for n in (5, 7, 7))
    heads = []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / 4**0.5
        heads.append(scores.softmax(-1) @ value[..., part])
    torch.testing.assert_close(attend(query, key, value, 3), torch.cat(heads, -1))


@torch.no_grad()
def test_the_scale_multiplies_what_is_added(noise):
    layer, query = KeyValue(6, 12), torch.randn(2, 5, 12, generator=noise)
    given, absent = torch.randn(1, 3, 6, generator=noise), torch.randn(1, 3, 6, generator=noise)
    call = Call(frames=torch.arange(2))
    whole, half = (
        TokenCross(Site("mid", 0, 0), layer, given, absent, "identity", s).cross(query, 3, call) for s in (1.0, 0.5)
    )
    torch.testing.assert_close(half, whole / 2)


@torch.no_grad()
def test_passes_that_do_not_see_the_condition_get_the_absent_tokens(noise):
    layer, query = KeyValue(6, 12), torch.randn(3, 5, 12, generator=noise)
    given, absent = torch.randn(9, 2, 6, generator=noise), torch.randn(1, 2, 6, generator=noise)
    branch = TokenCross(Site("mid", 0, 0), layer, given, absent, "audio", 1.0)
    passes = (Pass(), Pass(identity=False), Pass(audio=False))
    out = branch.cross(query, 3, Call(frames=torch.tensor([4]), passes=passes))
    for row, tokens in enumerate((given[4:5], given[4:5], absent)):
        torch.testing.assert_close(out[row : row + 1], attend(query[row : row + 1], *layer(tokens), 3))
