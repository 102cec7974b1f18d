"""The one error of bad input: what was wrong, what was got, what was expected, on one line."""


class InputError(ValueError):
    """Something handed in from outside is not what it should be.

    The command line prints the message as one line and exits with code 2.

    Parameters
    ----------
    what:
        The argument, file or field that is wrong, as the user named it.
    got:
        What was found there.
    expected:
        What would have been right, or what to do about it.

    Examples
    --------
    >>> str(InputError("speech.wav", "44100 Hz", "16000 Hz; add --convert to resample"))
    'speech.wav: got 44100 Hz, expected 16000 Hz; add --convert to resample'
    """

    def __init__(self, what: object, got: object, expected: object) -> None:
        self.what, self.got, self.expected = str(what), str(got), str(expected)
        super().__init__(" ".join(f"{what}: got {got}, expected {expected}".split()))

    def __reduce__(self):
        return type(self), (self.what, self.got, self.expected)
