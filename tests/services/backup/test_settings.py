"""What can be set is written down where somebody looks for it."""

from pathlib import Path

import pytest

from voicefile.backup.settings import BackupSettings
from voicefile.dumps.settings import DumpSettings

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "backup.md"


@pytest.mark.parametrize("kind", [DumpSettings, BackupSettings])
def test_every_setting_is_on_the_page(kind):
    page = PAGE.read_text()
    missing = [
        name
        for name in kind.model_fields
        if f"VOICEFILE_BACKUP_{name.upper()}`" not in page
        and f"…_{name.upper().removeprefix('S3_')}`" not in page
    ]
    assert missing == []


def test_keys_are_never_kept_longer_than_is_promised():
    with pytest.raises(ValueError, match="keys_max_s"):
        BackupSettings(keys_max_s=28 * 86_400 + 1)
