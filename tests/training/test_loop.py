from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from portraittalk_core.config import TrainingConfig
from portraittalk_core.training.loop import train
from portraittalk_core.training.optimiser import MuonAdamW, orthogonalise


class Line(nn.Module):
    """Learns a matrix and a vector; `fixed` must stay as it is."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 3))
        self.bias = nn.Parameter(torch.zeros(4))
        self.fixed = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, batch, generator):
        noise = 0.01 * torch.randn(len(batch), 4, generator=generator)
        wanted = batch @ torch.arange(12.0).view(3, 4) / 10 + 1
        return {"loss": (batch @ self.weight.T + self.bias + noise - wanted).square().mean()}


def batches(first, rank, ranks, device):
    for step in range(first, 10_000):
        yield torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


CONFIG = TrainingConfig(minutes=5, rate=0.03, warmup=2, refs=16, targets=1, save_every_s=0.0)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    train(Line(), batches, CONFIG, tmp_path / "whole", max_steps=20)
    train(Line(), batches, CONFIG, tmp_path / "parts", max_steps=7)
    state = train(Line(), batches, CONFIG, tmp_path / "parts", max_steps=20)
    assert state.step == 20 and state.samples == 320
    for name in ("model", "last"):
        whole, parts = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "parts"))
        assert whole.keys() == {"weight", "bias"}
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_the_loss_falls_and_the_curve_says_so(tmp_path):
    train(Line(), batches, replace(CONFIG, rate=0.1), tmp_path, max_steps=200)  # Muon steps by a fifth of the rate
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "step,samples,seconds,loss" and len(lines) == 9
    assert float(lines[-1].split(",")[-1]) < 0.2 * float(lines[1].split(",")[-1])
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_an_interrupt_saves_and_passes_on(tmp_path):
    def stopping(*given):
        for step, batch in enumerate(batches(*given)):
            if step == 3:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        train(Line(), stopping, CONFIG, tmp_path, max_steps=9)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3
    assert not list(tmp_path.glob("*.part"))


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((6, 20), (20, 6)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonalise(matrix, steps=8))
        assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(24, 216), (216, 24), (24, 32)])
def test_matrices_are_orthogonalised_together_as_each_alone_and_as_by_the_definition(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    matrices[0, :, :4] *= 1e-3  # a gradient's singular values differ by orders of magnitude
    together = orthogonalise(matrices)
    for matrix, found in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalise(matrix), found, atol=1e-4, rtol=0)
        x = matrix.double() / matrix.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        torch.testing.assert_close(found.double(), x, atol=2e-3, rtol=0)


def test_convolutions_are_updated_as_matrices_and_vectors_by_adam():
    weight, bias = nn.Parameter(torch.zeros(8, 4, 3, 3)), nn.Parameter(torch.zeros(8))
    optimiser = MuonAdamW([weight, bias], 0.1, weight_decay=0.0)
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    bias.grad = torch.full((8,), 5.0)
    optimiser.step()
    assert (
        torch.linalg.svdvals(weight.detach().flatten(1)).std()
        < 0.25 * torch.linalg.svdvals(weight.grad.flatten(1)).std()
    )
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.2 * 0.1, rel=0.3)
    assert torch.allclose(bias.detach(), torch.full((8,), -0.1), rtol=1e-3)
