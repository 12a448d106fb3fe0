"""What a person can mend is said in a line, however deep it was wrapped; the rest is not."""

import pytest

from voicefile.chassis.wire import PortTaken
from voicefile.cli.engine_settings import SettingsRefused
from voicefile.cli.words import in_words, the_only
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.port import StoreBroken, StoreIsNewer, StoreUnavailable


class NotReached(StoreUnavailable):
    """An adapter's own word for it."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SettingsRefused("VOICEFILE_X is missing."), "VOICEFILE_X is missing."),
        (NotReached("mongodb://a:secret@b/"), "The document store can't be reached"),
        (RootUnavailable("secret"), "The root key can't be reached"),
        (PortTaken("port 1 on x is taken"), "port 1 on x is taken. Stop that"),
        (StoreIsNewer("step 3 is done, this code knows 2"), "step 3 is done"),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_one_thing_that_went_wrong_is_said(error, said, depth):
    for _ in range(depth):
        error = ExceptionGroup("unhandled errors in a TaskGroup", [error])
    line = in_words(error)
    assert line is not None
    assert said in line
    assert "secret" not in line
    assert "\n" not in line


def test_two_things_of_one_kind_are_one():
    assert in_words(ExceptionGroup("x", [RootUnavailable("a"), RootUnavailable("b")]))


@pytest.mark.parametrize(
    "error",
    [
        StoreBroken("x"),
        ValueError("x"),
        ExceptionGroup("x", [RootUnavailable("a"), ValueError("b")]),
        BaseExceptionGroup("x", [KeyboardInterrupt(), RootUnavailable("b")]),
    ],
)
def test_what_nobody_can_mend_is_not_explained_away(error):
    assert in_words(error) is None


def test_the_one_thing_is_found_in_any_depth():
    inner = ValueError("x")
    assert the_only(ExceptionGroup("a", [ExceptionGroup("b", [inner])])) is inner
