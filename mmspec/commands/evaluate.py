"""``mmspec evaluate``: how far samples are from held-out real data, as evaluation.json and a table."""

import json
import shutil

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.drawing.tables import TextTable, columns
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
    sources, of_train = evaluation.sources, {metric.name: f"{metric.value:.4g}" for metric in evaluation.of_train or []}
    headings = ["metric", "generated", *(["real (train)"] if of_train else [])]
    found = [
        [f"{each.name} ({each.unit})" if each.unit else each.name, f"{each.value:.4g}", of_train.get(each.name, "")]
        for each in evaluation.metrics
    ]
    table = columns(TextTable("", headings, [row[: len(headings)] for row in found]))
    warnings = [f"warning: {warning}" for warning in evaluation.warnings]
    heading, ending = f"{sources.samples} against {sources.reference}", f"{sources.out} says what each is"
    print("\n".join([heading, "", table, *warnings, ending]))
