"""Write a small convolutional network as an ONNX file, weights as half precision.

`torch.onnx` needs packages that the rest of the project does not; a dozen operators are quickly written down, and
the file then holds nothing but what insightface's loader expects: opset 13, float32 arithmetic, and no node whose
name starts with "Sub" or "Mul" among the first eight (it would change how pictures are normalised).
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def export_onnx(
    net: nn.Module, path: Path, *, shape: tuple[int | str, int, int, int], outputs: Mapping[str, Sequence[str | int]]
) -> None:
    """Write a network as an ONNX file.

    Args:
        net: Traced by torch.fx, its batch normalisations folded.
        path: Of the file, which appears whole or not at all.
        shape: Of the input; a string where it is free.
        outputs: Shapes by name, in order.

    Raises:
        NotImplementedError: When the network has an operation that is not written down here.
    """
    import onnx
    from onnx import TensorProto, helper

    writer = _Writer(fx.symbolic_trace(fold_normalisation(net)))
    nodes = writer.write(list(outputs))
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        writer.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="portraittalk")
    model.ir_version = 8
    onnx.checker.check_model(model)
    partial = path.with_suffix(".part")
    onnx.save_model(model, str(partial))
    partial.replace(path)


def fold_normalisation(net: nn.Module) -> nn.Module:
    """Return a copy in eval mode whose batch normalisations are folded into the convolutions before them.

    Args:
        net: Stays as it is.
    """
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            first, second = module[i], module[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[i], module[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return net


@torch.no_grad()
def start_from_onnx(net: nn.Module, path: Path, example: Tensor) -> None:
    """Give a network the weights of a file that `export_onnx` wrote, to train it further.

    The file has its batch normalisations folded. They are unfolded so that on the example, and on what is like it, the
    network computes in training what the file's does.

    Args:
        net: Of the same shape; changed.
        path: The file.
        example: A batch of its inputs.

    Raises:
        ValueError: When the file is of another network.
    """
    import onnx
    from onnx import numpy_helper

    values = [numpy_helper.to_array(value) for value in onnx.load(str(path)).graph.initializer]
    writer = _Writer(fx.symbolic_trace(fold_normalisation(net)))
    places: list[str] = []
    for node in writer.traced.graph.nodes:
        if node.op in ("placeholder", "output"):
            node.meta["onnx"] = "input"
            continue
        before = len(writer.constants)
        node.meta["onnx"] = writer.operation(node)
        ends = ("",) if node.op == "get_attr" else (".weight", ".bias")
        places += [f"{node.target}{end}" for _, end in zip(writer.constants[before:], ends, strict=False)]
        places += [""] * (len(writer.constants) - len(places))
    if [tuple(value.dims) for value in writer.constants] != [value.shape for value in values]:
        raise ValueError(f"{path.name} is of another network: its weights have other shapes")
    held = dict(net.named_parameters()) | dict(net.named_buffers())
    biases: dict[str, Tensor] = {}
    for place, value in zip(places, values, strict=True):
        if place in held:
            held[place].copy_(torch.from_numpy(value.astype(np.float32)))
        elif place.endswith(".bias"):
            biases[place.removesuffix(".bias")] = torch.from_numpy(value.astype(np.float32))
    _unfold(net, biases, example)


def _unfold(net: nn.Module, biases: dict[str, Tensor], example: Tensor) -> None:
    """Let normalisations pass on what they get, with the folded bias, as long as batches are like the example."""

    def adopt(module: nn.Module, inputs: tuple[Tensor], bias: Tensor) -> None:
        assert isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        module.running_mean.copy_(mean)
        module.running_var.copy_(variance)
        module.weight.copy_((variance + module.eps).sqrt())
        module.bias.copy_(mean + bias)

    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            head, _, number = name.rpartition(".")
            bias = biases[f"{head}.{int(number) - 1}"]
            hooks.append(module.register_forward_pre_hook(partial(adopt, bias=bias)))
    state = net.training
    net.eval()(example)
    net.train(state)
    for hook in hooks:
        hook.remove()


class _Writer:
    """Walk a traced network and write one ONNX node an operation."""

    def __init__(self, traced: fx.GraphModule):
        self.traced = traced
        self.modules: dict[str, Any] = dict(traced.named_modules())
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def write(self, outputs: list[str]) -> list[Any]:
        for node in self.traced.graph.nodes:
            if node.op == "placeholder":
                node.meta["onnx"] = "input"
            elif node.op == "output":
                results = node.args[0] if isinstance(node.args[0], tuple) else (node.args[0],)
                for result, name in zip(results, outputs, strict=True):
                    self.add("Identity", [result.meta["onnx"]], name)
            else:
                node.meta["onnx"] = self.operation(node)
        return self.nodes

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n{len(self.nodes)}_{kind}", **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        """Store an array; weights become half precision and are cast back when the session loads."""
        from onnx import TensorProto, numpy_helper

        name = f"c{len(self.constants)}"
        half = value.dtype == np.float32 and value.size > 8
        self.constants.append(numpy_helper.from_array(value.astype(np.float16) if half else value, name))
        return self.add("Cast", [name], to=TensorProto.FLOAT) if half else name

    def operation(self, node: fx.Node) -> str:
        if node.op == "get_attr":
            return self.constant(operator.attrgetter(str(node.target))(self.traced).detach().numpy())
        target = type(self.modules[str(node.target)]) if node.op == "call_module" else node.target
        if target not in _OPERATIONS:
            raise NotImplementedError(f"no ONNX operator is written down for {target}")
        return _OPERATIONS[target](self, node)


def _name(node: Any) -> str:
    return node.meta["onnx"]


def _conv(w: _Writer, node: Any) -> str:
    conv = w.modules[str(node.target)]
    assert conv.bias is not None
    inputs = [_name(node.args[0]), *(w.constant(p.detach().numpy()) for p in (conv.weight, conv.bias))]
    pads = [*conv.padding, *conv.padding]
    return w.add("Conv", inputs, kernel_shape=[*conv.kernel_size], strides=[*conv.stride], pads=pads, group=conv.groups)


def _linear(w: _Writer, node: Any) -> str:
    linear = w.modules[str(node.target)]
    inputs = [_name(node.args[0]), *(w.constant(p.detach().numpy()) for p in (linear.weight, linear.bias))]
    return w.add("Gemm", inputs, transB=1)


def _simple(kind: str) -> Callable[[_Writer, Any], str]:
    return lambda w, node: w.add(kind, [_name(a) for a in node.args if isinstance(a, fx.Node)])


def _resize(w: _Writer, node: Any) -> str:
    scales = w.constant(np.array([1, 1, 2, 2], np.float32))
    modes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    return w.add("Resize", [_name(node.args[0]), "", scales], **modes)


def _slice(w: _Writer, node: Any) -> str:
    """`x[:, a:b]`: the only indexing the networks use."""
    part = node.args[1][1]
    bounds = [w.constant(np.array([v], np.int64)) for v in (part.start, part.stop, 1)]
    return w.add("Slice", [_name(node.args[0]), *bounds])


def _cat(w: _Writer, node: Any) -> str:
    return w.add("Concat", [_name(a) for a in node.args[0]], axis=node.args[1])


def _reshape(w: _Writer, node: Any) -> str:
    return w.add("Reshape", [_name(node.args[0]), w.constant(np.array(node.args[1:], np.int64))])


def _flatten(w: _Writer, node: Any) -> str:
    """`x.flatten(n)`: keep the first n axes."""
    sizes = np.array([0] * int(node.args[1]) + [-1], np.int64)
    return w.add("Reshape", [_name(node.args[0]), w.constant(sizes)])


def _pad(w: _Writer, node: Any) -> str:
    """`F.pad(x, (before, 0))` of a matrix: zeros before each row."""
    before, after = node.args[1]
    return w.add("Pad", [_name(node.args[0]), w.constant(np.array([0, before, 0, after], np.int64))], mode="constant")


_OPERATIONS: dict[Any, Callable[[_Writer, Any], str]] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.Identity: lambda w, node: _name(node.args[0]),
    nn.ReLU: _simple("Relu"),
    F.relu: _simple("Relu"),
    F.pad: _pad,
    operator.add: _simple("Add"),
    torch.matmul: _simple("MatMul"),
    torch.softmax: lambda w, node: w.add("Softmax", [_name(node.args[0])], axis=node.args[1]),
    torch.cat: _cat,
    F.interpolate: _resize,
    operator.getitem: _slice,
    "sigmoid": _simple("Sigmoid"),
    "exp": _simple("Exp"),
    "permute": lambda w, node: w.add("Transpose", [_name(node.args[0])], perm=list(node.args[1:])),
    "reshape": _reshape,
    "flatten": _flatten,
}
