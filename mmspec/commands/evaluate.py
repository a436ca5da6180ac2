"""``mmspec evaluate``: how far samples are from held-out real data, as evaluation.json and a table."""

import json
import shutil

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mmspec.config import plain
from mmspec.errors import InputError
from mmspec.experiment.evaluation import Evaluation, EvaluationOptions, begun_features, evaluate, find_sources
from mmspec.files import replace_text
from mmspec.interruption import kept
from mmspec.typed import read

OPTIONS = (EvaluationOptions,)


def run(cfg: DictConfig) -> None:
    """Evaluate samples as conf/evaluate.yaml describes.

    Raises:
        InputError: if a folder is no packed data set, sets do not fit together, or a key cannot be used; once the file
            is written, if a measure of a plug-in failed.
        Interrupted: after a signal to stop, where features are kept with which the same command goes on.
    """
    options = read(EvaluationOptions, plain(cfg))
    sources = find_sources(options)
    begun = begun_features(options, sources)
    with kept(begun, "what was found"):
        evaluation = evaluate(options, sources)
    replace_text(sources.out, json.dumps(evaluation.write(), indent=1) + "\n")
    if begun is not None:
        shutil.rmtree(begun, ignore_errors=True)
    _print(evaluation)
    if evaluation.failures:
        raise InputError(
            f"{sources.out} lacks metrics of {len(evaluation.failures)} measure(s): {evaluation.failures[0]}"
        )


def _print(evaluation: Evaluation) -> None:
    console, sources = Console(highlight=False), evaluation.sources
    console.print(f"{sources.samples} against {sources.reference}", soft_wrap=True, markup=False)
    table = Table()
    table.add_column("metric")
    table.add_column("generated", justify="right")
    other = {metric.name: f"{metric.value:.4g}" for metric in evaluation.of_train or []}
    if other:
        table.add_column("real (train)", justify="right")
    for metric in evaluation.metrics:
        table.add_row(metric.name, f"{metric.value:.4g}", *([other.get(metric.name, "")] if other else []))
    console.print(table)
    for warning in evaluation.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    console.print(f"{sources.out}", soft_wrap=True, markup=False)
