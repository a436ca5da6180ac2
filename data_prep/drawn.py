"""Data sets that are drawn and not read: what their programs have in common."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from data_prep.options import add_output_option, whole_number
from data_prep.packing import Plan, pack
from data_prep.preparation import run
from data_prep.samples import Sample
from data_prep.splitting import TEST, TRAIN, first_folder

Counts = dict[str, int]  # part -> how many samples


@dataclass(frozen=True)
class DrawnSet:
    """A program ``mmspec prepare NAME OUT``.

    Attributes:
        name: of the module in data_prep.
        does: how it makes samples, for its help.
        example: its own options, as an example.
        source: what meta.json calls the data.
        unit: what a sample is called.
        train, test: how many there are unless it is told.
    """

    name: str
    does: str
    example: str
    source: str
    unit: str = "pictures"
    train: int = 4096
    test: int = 1024

    def parser(self) -> argparse.ArgumentParser:
        """With what every such program is told; its own options are to be added."""
        program = f"mmspec prepare {self.name}"
        parser = argparse.ArgumentParser(
            program,
            description=f"{self.does}, into OUT/train and OUT/test.",
            epilog=f"example:\n  {program} data/{self.name} {self.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_output_option(parser)
        for part, count in ((TRAIN, self.train), (TEST, self.test)):
            parser.add_argument(
                f"--{part}", type=whole_number, default=count, metavar="N", help=f"{self.unit} (default: {count})"
            )
        return parser

    def prepare(
        self,
        options: argparse.Namespace,
        draw: Callable[[Counts], Iterable[tuple[str, Sample]]],
        own: dict[str, int | float],
        sample_rate: int | None = None,
    ) -> int:
        """Draw and pack; returns the exit status.

        Args:
            options: as parsed.
            draw: samples of "train" and of "test" with their names, so many of each.
            own: the program's own options, as they are kept beside the data.
            sample_rate: of sounds; None for pictures.
        """
        counts = {TRAIN: options.train, TEST: options.test}
        settings = {"program": f"data_prep.{self.name}", **own, **{f"--{part}": n for part, n in counts.items()}}
        modality = "image" if sample_rate is None else "audio"
        plan = Plan(modality, settings, source=self.source, sample_rate=sample_rate)
        return run(lambda: pack(options.out, draw(counts), first_folder, tuple(counts), plan))


def add_size_option(parser: argparse.ArgumentParser, default: int, of: str = "a picture") -> None:
    """``--size``, height and width."""
    parser.add_argument(
        "--size", type=whole_number, default=default, metavar="PIXELS", help=f"of {of} (default: {default})"
    )
