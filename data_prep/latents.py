"""A packed data set -> the latents that a first stage makes of it, packed, for latent diffusion without encoding."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.options import add_output_option, whole_number
from data_prep.preparation import run
from data_prep.progress import progress
from mmspec.data import DatasetMeta, StoredDataset, open_dataset
from mmspec.data.packed import DataFile, complete, refuse_other_content
from mmspec.errors import InputError
from mmspec.files import staged


def main(arguments: list[str] | None = None) -> int:
    """Encode a data set; returns the exit status."""
    parser = argparse.ArgumentParser(
        "mmspec prepare latents",
        description="Encode a packed data set. What is kept of each signal is what its latents are drawn from: "
        "training draws anew each time. The set remembers its first stage; training with another refuses it.",
        epilog="example:\n  mmspec prepare latents data/ffhq data/ffhq-latents --first-stage vq-f4/model.ckpt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a packed data set of pictures or sound")
    add_output_option(parser)
    parser.add_argument(
        "--first-stage",
        type=Path,
        required=True,
        metavar="PATH",
        help="CompVis's checkpoint of a first stage or of a whole model, one of TAESD's two files, a folder of "
        "diffusers or `mmspec convert`, a run or a saved denoiser",
    )
    parser.add_argument(
        "--scale-factor", type=float, metavar="X", help="of the latents (default: as the first stage says, else 1)"
    )
    parser.add_argument("--batch-size", type=whole_number, default=8, metavar="N", help="(default: 8)")
    options = parser.parse_args(arguments)
    return run(lambda: _prepare(options))


def _prepare(options: argparse.Namespace) -> str:
    from mmspec.pretrained import load_first_stage
    from mmspec.training.run import find_denoiser

    dataset = open_dataset(options.source)
    stage = load_first_stage(find_denoiser(options.first_stage), options.scale_factor)
    if dataset.meta.modality == "latent":
        raise InputError(f"{options.source} holds latents already: give the pictures or the sound that they are of.")
    if dataset.meta.shape[0] != stage.in_channels or len(dataset.meta.shape) != 1 + stage.dims:
        raise InputError(
            f"{options.source} holds signals of shape {list(dataset.meta.shape)}, the first stage takes "
            f"{stage.in_channels} channels and {stage.dims} axes: prepare the data for it."
        )
    meta = DatasetMeta(
        modality="latent",
        source=dataset.meta.source,
        sample_rate=dataset.meta.sample_rate,
        classes=dataset.meta.classes,
        preparation={"program": "data_prep.latents"},
        count=len(dataset),
        shape=(stage.moment_channels, *stage.latent_shape(dataset.meta.shape)[1:]),
        first_stage=stage.sha256(),
        encoded=dataset.meta.sha256,
    )
    if _up_to_date(options.out, meta):
        return f"{options.out} is up to date: {meta.count:,} latents"
    refuse_other_content(options.out)
    with staged(options.out) as folder:
        statistics = _encode(dataset, stage, folder, meta, options.batch_size)
        labels = None if dataset.labels is None else np.array(dataset.labels)
        complete(folder, labels, meta=DatasetMeta(**{**vars(meta), "statistics": statistics}))
    deviation = statistics["sigma_data"]
    return f"{options.out}: {meta.count:,} latents {list(meta.shape)}, standard deviation {deviation:.3g}"


def _up_to_date(folder: Path, meta: DatasetMeta) -> bool:
    if not (folder / "meta.json").is_file():
        return False
    found = DatasetMeta.read(folder)
    return (found.first_stage, found.encoded, found.preparation) == (meta.first_stage, meta.encoded, meta.preparation)


def _encode(dataset: StoredDataset, stage: Any, folder: Path, meta: DatasetMeta, batch_size: int) -> dict[str, Any]:
    """Write the moments of all latents; returns mean and standard deviation of latents drawn from them."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stage, generator = stage.to(device), torch.Generator(device).manual_seed(0)
    sums, count = torch.zeros(2, dtype=torch.float64), 0
    with DataFile(folder, meta, new=True) as file, progress(dataset.folder.name, len(dataset)) as report:
        for start in range(0, len(dataset), batch_size):
            rows = np.arange(start, min(start + batch_size, len(dataset)))
            with torch.no_grad():
                moments = stage.moments(dataset.batch(rows)[0].to(device))
                latents = stage.draw(moments, generator).double()
            if not moments.isfinite().all():
                raise InputError(f"the first stage makes NaN or infinity of samples from {start} on: it is damaged.")
            sums += torch.stack([latents.sum(), latents.square().sum()]).cpu()
            count += latents.numel()
            file.write(start, moments.movedim(1, -1).float().cpu().numpy())
            report(int(rows[-1]) + 1, int(rows[-1]) + 1, 0)
    mean, square = (sums / count).tolist()
    deviation = round(max(0.0, square - mean**2) ** 0.5, 6)
    return {"mean": round(mean, 6), "std": deviation, "sigma_data": deviation}


if __name__ == "__main__":
    sys.exit(main())
