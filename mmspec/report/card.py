"""The card of a model: what it is, what it learnt from, how good it is and by which commands, and how to use it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmspec.data import PackedDataset
from mmspec.diffusion import Denoiser
from mmspec.drawing.pictures import write_picture
from mmspec.drawing.tables import TextTable, markdown
from mmspec.errors import InputError
from mmspec.provenance import provenance
from mmspec.report.curves import spectrum_figures
from mmspec.report.metrics_table import MetricsTable, metrics_tables, short
from mmspec.report.runs import ReportedRun, read_runs
from mmspec.training.run import Run, find_denoiser

CARD, SPECTRA, SAMPLES = "README.md", "spectra.png", "samples.png"


@dataclass(frozen=True)
class Described:
    """What a card tells of.

    Attributes:
        denoiser: that is published.
        run: it is of, if any.
        name: by which it will be read, "owner/name".
    """

    denoiser: Denoiser
    run: ReportedRun | None
    name: str


def write_card(source: str | Path, folder: Path, name: str, licence: str | None = None) -> list[Path]:
    """Write ``README.md`` with the pictures that it shows, and of a run its ``evaluation.json``.

    Args:
        source: run, checkpoint or saved denoiser; a card of a run tells more.
        folder: is made; files of these names in it are replaced.
        name: by which the model will be read, "owner/name".
        licence: of the weights, as the hub spells it, such as "cc-by-4.0".

    Returns:
        The files.

    Raises:
        InputError: if there is no denoiser at ``source``, or a run's files cannot be read.
    """
    run = Run.around(Path(source))
    reported = read_runs([run.folder])[0] if run is not None else None
    described = Described(Denoiser.from_pretrained(find_denoiser(source)), reported, name)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = _pictures(described, folder)
    sections = [
        _front(described, licence),
        f"# {name.rpartition('/')[2]}",
        _what(described),
        *(f"![{text}]({file.name})" for file, text in pictures.items() if file.name == SAMPLES),
        _usage(described),
        _training(described),
        _metrics(described),
        *(f"![{text}]({file.name})" for file, text in pictures.items() if file.name == SPECTRA),
    ]
    card = folder / CARD
    card.write_text("\n\n".join(filter(None, sections)).rstrip() + "\n", encoding="utf-8")
    if run is None or not (reported and reported.evaluation):
        return [card, *pictures]
    return [card, *pictures, Path(shutil.copy(run.evaluation, folder))]


def _pictures(described: Described, folder: Path) -> dict[Path, str]:
    """Files that are written, and what they show."""
    run, shown = described.run, {}
    if run is not None and (grid := Run(run.folder).samples / "grid.png").is_file():
        shown[folder / SAMPLES] = "Samples"
        (folder / SAMPLES).write_bytes(grid.read_bytes())
    if run is not None and run.evaluation:
        figure = spectrum_figures([(1, run)])[0]
        (folder / SPECTRA).unlink(missing_ok=True)
        write_picture(folder / SPECTRA, figure)
        shown[folder / SPECTRA] = f"Mean power spectra of real and generated signals. {figure.caption}"
    return shown


def _front(described: Described, licence: str | None) -> str:
    """What the hub reads by machine."""
    from huggingface_hub import EvalResult, ModelCardData

    run, kind = described.run, "audio" if described.denoiser.sample_rate else "image"
    results = []
    if run is not None and run.evaluation:
        units = run.evaluation.get("units", {})
        results = [
            EvalResult(
                task_type=f"{kind}-generation",
                dataset_type=kind,
                dataset_name=Path(run.evaluation["reference"]["path"]).name or "held-out",
                metric_type=name,
                metric_value=value,
                metric_name=f"{name} ({units[name]})" if units.get(name) else name,
            )
            for name, value in run.evaluation["metrics"].items()
        ]
    data = ModelCardData(
        library_name="mmspec",
        license=licence,
        tags=["diffusion", kind],
        model_name=described.name.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _what(described: Described) -> str:
    denoiser = described.denoiser
    network, process = type(denoiser.network).__name__, type(denoiser.process).__name__
    weights = sum(parameter.numel() for parameter in denoiser.network.parameters())
    shape = " x ".join(map(str, denoiser.signal_shape or ())) or "any shape"
    rate = f" at {denoiser.sample_rate} Hz" if denoiser.sample_rate else ""
    stage = f", in the latents of {type(denoiser.first_stage).__name__}" if denoiser.first_stage is not None else ""
    classes = f" Classes: {', '.join(denoiser.classes)}." if denoiser.classes else ""
    return (
        f"A denoiser `D(x; sigma)` of signals of {shape}{rate}{stage}: {network} with {weights:,} parameters, process "
        f"{process}, written by mmspec {provenance()['versions']['mmspec']}.{classes}"
    )


def _usage(described: Described) -> str:
    shape = ", ".join(map(str, (4, *(described.denoiser.signal_shape or ("channels", "...")))))
    return f"""## Use

```python
import mmspec
from mmspec.diffusion import sample, seeded

denoiser = mmspec.from_pretrained("{described.name}")
samples = sample(denoiser, ({shape}), sampler="heun", steps=18, generator=seeded(range(4)))
```

```bash
mmspec sample from={described.name} out=samples num=64
mmspec train init_from={described.name} run_dir=exp/tuned data.train=PACKED
```"""


def _training(described: Described) -> str:
    run = described.run
    if run is None:
        return ""
    lines = ["## Training", "", f"Data: {_data(run.config.get('data.train'))}."]
    if command := run.provenance.get("command"):
        lines += ["", f"```bash\n{command}\n```"]
    versions = ", ".join(f"{name} {number}" for name, number in run.provenance.get("versions", {}).items())
    if versions:
        lines += ["", f"With {versions}."]
    return "\n".join(lines)


def _data(folder: Any) -> str:
    """What a packed set says of itself, if it is still there."""
    try:
        meta = PackedDataset(str(folder)).meta
    except InputError:
        return f"`{folder}`, which is not there any more"
    return f"{meta.source}, {meta.count:,} signals of {' x '.join(map(str, meta.shape))}"


def _metrics(described: Described) -> str:
    run = described.run
    if run is None or not run.evaluation:
        return ""
    tables = [_table(table) for table in metrics_tables([(1, run)])]
    warnings = "\n".join(f"- {warning}" for warning in run.evaluation.get("warnings", []))
    return "\n\n".join(filter(None, [*tables, warnings, _commands(run.commands)]))


def _table(table: MetricsTable) -> str:
    """A table of the report turned, a row a metric."""
    values = {row.name: row.values for row in table.rows}  # real signals first, the run last
    rows = [
        [f"{column.label} {column.unit} {column.arrow}".strip(), *(_number(of_row[i]) for of_row in values.values())]
        for i, column in enumerate(table.columns)
    ]
    definitions = [f"{column.label}: {column.definition}" for column in table.columns if column.definition]
    return "#" + markdown(TextTable(table.title, ["metric", *values], rows), definitions).rstrip()


def _commands(commands: Mapping[str, str]) -> str:
    made = [commands[verb] for verb in ("sample", "evaluate") if verb in commands]
    return "\n".join(["Made by", "", "```bash", *made, "```"]) if made else ""


def _number(value: float | None) -> str:
    return "-" if value is None else short(value)
