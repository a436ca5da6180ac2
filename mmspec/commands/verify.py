"""``mmspec verify``: treatments of a run beside none and a placebo, and whether they helped."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.drawing.tables import markdown
from mmspec.experiment.verification import VerifyOptions, make_trial, run_arms
from mmspec.experiment.verified import check_outputs, gather, rows, write_outputs
from mmspec.interruption import kept
from mmspec.typed import read

OPTIONS = (VerifyOptions,)


def run(cfg: DictConfig) -> None:
    """Run the arms that conf/verify.yaml describes, those that are not there yet, and say what they show.

    Raises:
        InputError: for a key that cannot be used, a treatment that does not fit the run, or a folder of something else.
        Interrupted: after a signal to stop; arms that are finished stay, and a training saves its state.
    """
    trial = make_trial(read(VerifyOptions, plain(cfg)))
    check_outputs(trial.out)
    with kept(trial.out, "what is finished"):
        run_arms(trial)
        verification = gather(trial)
        page = write_outputs(verification)
    print(markdown(rows(verification.judgements), verification.sentences))
    print(page)
