"""What a verifier found wrong: in which file, where in it, and what."""


class Refuted(Exception):
    """One thing that is wrong. Nothing else may be concluded from what it is about."""

    def __init__(self, file: str, place: str, what: str) -> None:
        super().__init__(f"{file}: {place}: {what}")
        self.file = file
        self.place = place
        self.what = what
