"""What many GPUs make of a training step, on paper: the share of its time that they compute.

A step of one GPU takes as long as its operations at the stated utilization. Data parallelism (DDP) sends the gradients
through a ring, of which all that the backward pass leaves time for is hidden: two thirds of the step. Shards of weights
(FSDP2) are gathered twice and gradients scattered once, hidden behind all of the step. What is not hidden is added,
with a latency for each doubling of the number of GPUs and each bucket of gradients. Within a node of eight GPUs the
ring runs over NVLink; as soon as there is a second node, at the speed of what a node's links to others carry together
(a ring passes each node once), or of NVLink where that is less. Stragglers, reading data and saving are left out, so
that this is what can be reached at best.
"""

import math
from dataclasses import dataclass

import torch

from benchmarks.gating import build
from benchmarks.record import Table
from mmspec.metrics.cost import count
from mmspec.training.utilization import flops_of

PEAK, UTILIZATION = 989e12, 0.3  # operations a second of an H100 in bf16; of which a UNet reaches this share
GRADIENT, WEIGHT = 4, 2  # bytes of a number, as it is sent
STATE = 20  # bytes a parameter: weight, gradient, two moments and the average, in float32
NODE, LATENCY, BUCKET = 8, 20e-6, 25e6  # GPUs; seconds; bytes that DDP sends at a time
NVLINK = 450e9  # bytes a second, one way
LINKS = {"InfiniBand or Ethernet, 400 Gbit/s a GPU": NODE * 50e9, "Ethernet, 100 Gbit/s a node": 12.5e9}  # of a node
NETWORKS, SHAPE = ("sd_ffhq", "ldm_ffhq"), (3, 64, 64)
BATCH = 32  # pictures a GPU
COUNTS = (8, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Step:
    """Of one GPU.

    Attributes:
        seconds: that it computes.
        parameters: of the network.
    """

    seconds: float
    parameters: float

    def ddp(self, gpus: int, bandwidth: float, hidden: float = 2 / 3, latency: float = LATENCY) -> float:
        """The share of time that each of so many GPUs computes, gradients averaged by a ring."""
        size = GRADIENT * self.parameters
        sent = 2 * (gpus - 1) / gpus * size / bandwidth + math.ceil(size / BUCKET) * math.log2(gpus) * latency
        return self._share(sent - hidden * self.seconds)

    def fsdp(self, gpus: int, bandwidth: float, latency: float = LATENCY) -> float:
        """The same with weights in shards."""
        size = (2 * WEIGHT + GRADIENT) * self.parameters
        sent = (gpus - 1) / gpus * size / bandwidth + 3 * math.ceil(size / BUCKET) * math.log2(gpus) * latency
        return self._share(sent - self.seconds)

    def _share(self, waited: float) -> float:
        return self.seconds / (self.seconds + max(0.0, waited))


def table() -> Table:
    """Efficiency and memory over GPUs, links and networks."""
    rows = []
    for name in NETWORKS:
        with torch.device("meta"):
            network = build(name)
        cost = count(network, SHAPE)
        step = Step(flops_of(cost) * BATCH / (PEAK * UTILIZATION), cost.parameters)
        for link, between in LINKS.items():
            shares = []
            for gpus in COUNTS:
                bandwidth = NVLINK if gpus <= NODE else min(NVLINK, between)
                shares.append(f"{step.ddp(gpus, bandwidth):.0%}, {step.fsdp(gpus, bandwidth):.0%}")
            rows.append([f"{name}, {1e3 * step.seconds:.0f} ms", link, *shares])
        memory = [
            f"{STATE * cost.parameters / 1e9:.2f}, {STATE * cost.parameters / gpus / 1e9:.3f} GB" for gpus in COUNTS
        ]
        rows.append([name, "weights and their state", *memory])
    return Table([f"on paper: DDP, FSDP2; {BATCH} pictures a GPU", "between nodes", *map(str, COUNTS)], rows)
