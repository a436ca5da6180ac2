"""Attention as one operator of ONNX Runtime's, which keeps no matrix of all pairs of tokens in memory."""

import torch
from torch import Tensor
from torch.export import ExportedProgram

ATTENTION = torch.ops.aten.scaled_dot_product_attention.default


def fused(graph: ExportedProgram) -> ExportedProgram:
    """The same graph, its attention by ``com.microsoft.MultiHeadAttention`` where none of it has a mask."""
    found = [node for node in graph.graph.nodes if node.target is ATTENTION]
    if not found or any(len(node.args) > 3 or node.kwargs for node in found):
        return graph
    decomposed: ExportedProgram = graph.run_decompositions({ATTENTION: _multi_head})
    return decomposed


def _multi_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """``[B, heads, L, D]`` each -> the same, by way of ``[B, L, heads D]``."""
    heads = query.shape[1]
    q, k, v = (each.transpose(1, 2).flatten(2) for each in (query, key, value))
    out: Tensor = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (q, k, v),
        {"num_heads": heads},
        dtype=q.dtype,
        shape=(*q.shape[:2], v.shape[2]),
        version=1,
    )
    return torch.unflatten(out, 2, (heads, -1)).transpose(1, 2)
