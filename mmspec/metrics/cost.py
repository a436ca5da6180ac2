"""What a network costs: parameters, multiply-accumulates, memory, and time on the machine at hand."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from mmspec.diffusion.conditions import kind
from mmspec.networks import Network

WARM_UP = 3  # runs before the first that is timed
CONVOLUTIONS = (torch.conv1d, torch.conv2d)
TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d)
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Cost:
    """What one forward pass of one signal takes.

    Args:
        parameters: numbers in the network.
        macs: multiply-accumulates of convolutions and linear layers, and an addition for each bias: what ptflops
            counts, and with it "Diffusion Probabilistic Model Made Slim".
        macs_with_attention: with the two products of attention, queries with keys and weights with values, as well.
        activation_bytes: what float32 training keeps of the pass until the gradients are there, parameters excepted.
    """

    parameters: int
    macs: int
    macs_with_attention: int
    activation_bytes: int


def count(network: nn.Module, shape: Sequence[int], context_length: int = 1) -> Cost:
    """The cost of a network for signals of a shape ``(C, *spatial)``, without computing or allocating anything.

    Args:
        network: on any device; it is left as it is.
        shape: of one signal.
        context_length: words in the context of a network that looks at one.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[_storage(tensor)] = tensor
        return tensor

    fake = FakeTensorMode(allow_non_fake_inputs=True)  # such as the filters of wavelets
    with fake, torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor), _Macs() as macs:
        tensors = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype, requires_grad=tensor.requires_grad)
            for name, tensor in [*network.named_parameters(), *network.named_buffers()]
        }
        arguments, conditions = example(network, shape, 1, "cpu", context_length)
        functional_call(network, tensors, arguments, conditions)
    own = {_storage(tensor) for tensor in tensors.values()}
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=macs.layers,
        macs_with_attention=macs.layers + macs.attention,
        activation_bytes=sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own),
    )


def short_count(number: int) -> str:
    """A count to three or four digits: 21.1M."""
    scale, unit = next((each for each in UNITS if number >= each[0]), (1.0, ""))
    return f"{number / scale:.1f}{unit}" if unit else str(number)


def measure(
    network: nn.Module,
    shape: Sequence[int],
    device: str | torch.device = "cpu",
    runs: int = 30,
    batch: int = 64,
    context_length: int = 1,
) -> dict[str, Any]:
    """Time forward passes in float32, eagerly, after a warm-up; the network ends on the device.

    Returns:
        ``device``, ``latency_ms`` (median over ``runs`` of one signal), ``latency_ms_p10`` and ``latency_ms_p90``,
        ``batch``, ``samples_per_second`` (at that batch, by the median) and, on a GPU, ``peak_memory_bytes`` there.
    """
    device = torch.device(device)
    network = network.to(device).eval()

    def call(samples: int) -> Callable[[], Any]:
        arguments, conditions = example(network, shape, samples, device, context_length)
        return lambda: network(*arguments, **conditions)

    one = _seconds(call(1), runs, device)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    many = _seconds(call(batch), runs, device)
    facts = {
        "device": torch.cuda.get_device_name(device) if cuda else f"{torch.get_num_threads()} CPU threads",
        "latency_ms": round(1e3 * statistics.median(one), 3),
        "latency_ms_p10": round(1e3 * one[len(one) // 10], 3),
        "latency_ms_p90": round(1e3 * one[len(one) * 9 // 10], 3),
        "batch": batch,
        "samples_per_second": round(batch / statistics.median(many), 2),
    }
    return facts | ({"peak_memory_bytes": torch.cuda.max_memory_allocated(device)} if cuda else {})


def example(
    network: nn.Module, shape: Sequence[int], batch: int, device: str | torch.device, context_length: int = 1
) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
    """Arguments of a network, noise at a middle level, and all that it is told besides.

    Shape: x ``[batch, *shape]``, c_noise ``[batch]``, conditions ``[batch, ...]``.
    """
    x = torch.randn(batch, *shape, device=device)
    told = network.conditions if isinstance(network, Network) else {}
    conditions = {name: kind(name).example(width, batch, shape, context_length) for name, width in told.items()}
    conditions = {name: value.to(device) for name, value in conditions.items()}
    return (x, torch.ones(batch, device=device)), conditions


class _Macs(TorchFunctionMode):
    """Counts the multiply-accumulates of what is called within, whoever calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = self.attention = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            query, key, value = args[:3]
            weights = query.numel() // query.shape[-1] * key.shape[-2]
            self.attention += weights * (query.shape[-1] + value.shape[-1])
            fused: Callable[..., Tensor] = _FusedAttention.apply
            return fused(*args[:3])
        out = func(*args, **(kwargs or {}))
        if func in CONVOLUTIONS or func is F.linear:
            self._layer(out.numel() * args[1][0].numel(), out, *args[2:3], **(kwargs or {}))
        elif func in TRANSPOSED:
            self._layer(args[0].numel() * args[1][0].numel(), out, *args[2:3], **(kwargs or {}))
        return out

    def _layer(self, products: int, out: Tensor, bias: Tensor | None = None, **_: Any) -> None:
        self.layers += products + (0 if bias is None else out.numel())


class _FusedAttention(torch.autograd.Function):
    """Keeps for the backward pass what fused kernels keep, in their layout, wherever it is counted.

    Shape: ``[B, heads, N, d]``, ``[B, heads, L, d]``, ``[B, heads, L, values]`` -> ``[B, heads, N, values]``.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        batch, heads, length, _ = query.shape
        out = query.new_empty(batch, length, heads, value.shape[-1]).transpose(1, 2)
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1]))
        return out


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


@torch.inference_mode()
def _seconds(call: Callable[[], Any], runs: int, device: torch.device) -> list[float]:
    """How long each of the calls took, in ascending order."""
    wait: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = []
    for run in range(WARM_UP + runs):
        wait()
        start = time.perf_counter()
        call()
        wait()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - start)
    return sorted(seconds)
