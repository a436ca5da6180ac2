"""Ours out: a denoiser with its card to the Hugging Face hub, from where ``mmspec.from_pretrained`` reads it."""

import tempfile
from pathlib import Path

from mmspec.diffusion.denoiser import FIRST_STAGE_WEIGHTS, WEIGHTS
from mmspec.errors import InputError
from mmspec.report.card import write_card
from mmspec.training.run import find_denoiser


def push_to_hub(
    source: str | Path, name: str, *, private: bool = False, token: str | None = None, licence: str | None = None
) -> str:
    """Publish the newest averaged weights of a run, or any saved denoiser, with a card.

    A repository of that name gets a commit. The card is `write_card`'s, which writes it into a folder to be looked at
    first: it holds commands as they were typed, paths included.

    Args:
        source: run, checkpoint or saved denoiser.
        name: "owner/name" on the hub.
        private: whether a new repository is.
        token: of the hub; None for the one that ``hf auth login`` left.
        licence: of the weights, as the hub spells it, such as "cc-by-4.0".

    Returns:
        The address of the commit.

    Raises:
        InputError: if there is no denoiser at ``source``, or the hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    found = Path(find_denoiser(source))
    if not (found / "config.json").is_file():
        raise InputError(f"{source} holds no denoiser: give a run, a checkpoint or a saved denoiser.")
    with tempfile.TemporaryDirectory() as folder:
        files = [found / file for file in ("config.json", WEIGHTS, FIRST_STAGE_WEIGHTS)]
        files += write_card(source, Path(folder), name, licence)
        added = [CommitOperationAdd(file.name, str(file)) for file in files if file.is_file()]
        api = HfApi(token=token)
        try:
            api.create_repo(name, private=private, exist_ok=True)
            return str(api.create_commit(name, added, commit_message=f"Add {found.parent.name}").commit_url)
        except Exception as error:
            raise InputError(
                f"{name} could not be written on the Hugging Face hub ({type(error).__name__}: {error}): log in by "
                "`hf auth login`, or give token=."
            ) from None
