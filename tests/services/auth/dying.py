"""A process that ends at the n-th change it makes: for rehearsals of everything that is resumed."""

CHANGES = frozenset({"replace", "replace_many", "insert", "create_version", "destroy_version"})


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """A store and a root that kill their process at the n-th change; `lives` counts down."""

    def __init__(self, port, lives):
        self._port, self._lives = port, lives

    def __getattr__(self, name):
        found = getattr(self._port, name)
        if name not in CHANGES:
            return found

        async def dying(*args, **how):
            self._lives[0] -= 1
            if self._lives[0] == 0:
                raise Killed
            return await found(*args, **how)

        return dying
