"""The one exception for what a user can mend."""


class InputError(ValueError):
    """A file, key or value that mmspec was given cannot be used.

    Its message is one sentence that names the thing, says what was expected and how to mend it. The commands
    print it without a traceback and exit with status 2.
    """
