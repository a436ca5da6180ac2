"""Which text each sample is to show."""

from mmspec.data import open_dataset
from mmspec.errors import InputError


def texts_of(text: str | None, captions: str | None, otherwise: str | None, num: int) -> list[str]:
    """A text for each of ``num`` samples, or else the captions of a data set in turn.

    Args:
        text: of all samples.
        captions: packed data set.
        otherwise: the one that is taken where neither is given.

    Raises:
        InputError: if there is no text, or both are given.
    """
    if text is not None and captions is not None:
        raise InputError(f"text={text} and captions={captions} both say what samples show: give one of them.")
    folder = captions or otherwise
    texts = [text] if text is not None else open_dataset(folder).captions if folder else None
    if texts is None:
        raise InputError(
            "this denoiser looks at a text: give text=, what its samples shall show, or captions=, a packed data set "
            "that was prepared with --captions."
        )
    return [texts[i % len(texts)] for i in range(num)]
