"""FSDP2: weights, gradients and what the optimizer keeps in shards, one a process, and whole tensors from and to them.

Zhao et al. 2023, "PyTorch FSDP"; torch's `torch.distributed.fsdp.fully_shard`. What is written is whole, so that one
process, or any number of them, reads it.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mmspec.networks import Network


def shard(network: Network, device: torch.device) -> None:
    """Leave to this process its share of a network, which all hold whole; its blocks are put together in their turn."""
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for part in (*network.blocks(), network):
        fully_shard(part, mesh=mesh)


def sync_gradients(network: Network, sync: bool) -> None:
    """Whether the next backward pass of a network in shards shares gradients with other processes."""
    if isinstance(network, FSDPModule):
        network.set_requires_gradient_sync(sync)


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor of any shape."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def host_copy(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors in the host's memory, of their shape, contiguous; where ``keep`` is false they are dropped one by
    one. All processes call it.
    """
    copies: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            copies[name] = whole.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    return copies


def laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, if ``like``, of the same shape, is in shards."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def load_whole(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """As ``load_state_dict``, of a module that may be in shards; raises as that does."""
    own = module.state_dict()
    module.load_state_dict({name: laid_out(tensor, own.get(name, tensor)) for name, tensor in tensors.items()})


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm ``[]`` of all gradients together, of shards too; all processes call it."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    sharded = [local(gradient) for gradient in gradients if isinstance(gradient, DTensor)]
    norm = nn.utils.get_total_norm([gradient for gradient in gradients if not isinstance(gradient, DTensor)])
    if sharded:
        square = nn.utils.get_total_norm(sharded).square()
        torch.distributed.all_reduce(square)
        norm = (square + norm.to(square.device).square()).sqrt()
    return norm
