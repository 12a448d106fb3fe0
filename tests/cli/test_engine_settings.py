"""What a service apart is told: from where, what it can't do without, and that nothing is shown."""

import inspect
import re
from pathlib import Path

import pytest

from voicefile.chassis.settings import DeploymentSettings
from voicefile.chassis.telemetry import TelemetrySettings
from voicefile.cli.apart.engines import Token
from voicefile.cli.engine_settings import (
    SERVICES,
    EngineSettings,
    SettingsRefused,
    read,
    read_settings,
    variable,
)

GUIDE = Path(__file__).parents[2] / "docs" / "operations" / "cluster.md"
SECRET = "the-words-are-secret"
NOT_APART = {"data_dir"}
"""Of the embedded vault alone."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    def tell(**settings: str) -> EngineSettings:
        for name, value in settings.items():
            monkeypatch.setenv(variable(name), value)
        return read_settings()[1]

    return tell


def test_secrets_come_from_files_of_the_same_names(told, tmp_path: Path):
    (tmp_path / "VOICEFILE_MONGO_URI").write_text(f"mongodb://a:{SECRET}@b/\n")
    (tmp_path / "voicefile_s3_secret_key").write_text(SECRET)
    (tmp_path / "unrelated").write_text("x")
    found = told(secrets_dir=str(tmp_path))
    assert found.mongo_uri.get_secret_value() == f"mongodb://a:{SECRET}@b/"
    assert found.s3_secret_key.get_secret_value() == SECRET


def test_the_environment_goes_before_the_files(told, tmp_path: Path):
    (tmp_path / "voicefile_s3_bucket").write_text("of-the-file")
    assert told(secrets_dir=str(tmp_path)).s3_bucket == "of-the-file"
    assert told(secrets_dir=str(tmp_path), s3_bucket="of-the-words").s3_bucket == "of-the-words"


def test_what_is_set_to_nothing_is_not_set(told):
    found = told(mongo_uri="", audit_url=" , ", tls_certificate="")
    assert (found.mongo_uri, found.audit_url) == (None, ())


def test_a_folder_that_is_not_there_is_refused(told):
    with pytest.raises(SettingsRefused, match="VOICEFILE_SECRETS_DIR"):
        told(secrets_dir="/nowhere")


def test_addresses_are_used_in_turn_and_each_by_https(told):
    found = told(auth_url="https://a:8445, https://10.0.0.2:8445,")
    assert found.auth_url == ("https://a:8445", "https://10.0.0.2:8445")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("auth_url", f"http://{SECRET}:1"),
        ("auth_url", f"https://{SECRET}"),
        ("audit_url", f"https://x:1,https://{SECRET}@y:2"),
        ("playback_url", f"https://x:1/{SECRET}"),
        ("s3_endpoint", f"http://{SECRET}:1"),
        ("transit_url", f"https://{SECRET}"),
        ("root", SECRET),
        ("mongo_database", f"../{SECRET}"),
        ("transit_mount", f"{SECRET}?"),
        ("internal_port", SECRET),
        ("drain_s", SECRET),
        ("deployment", SECRET.upper()),
    ],
)
def test_what_does_not_fit_is_named_and_not_shown(told, setting, value):
    with pytest.raises(SettingsRefused) as refused:
        told(**{setting: value})
    assert str(refused.value) == f"What is set does not fit: {variable(setting)}."
    assert refused.value.__suppress_context__


def test_secrets_do_not_show_themselves(told):
    found = told(
        mongo_uri=SECRET,
        kafka_password=SECRET,
        s3_secret_key=SECRET,
        transit_token=SECRET,
        pkcs11_pin=SECRET,
    )
    assert SECRET not in repr(found)
    assert SECRET not in str(found.model_dump())


NEEDED = {
    "auth": {"MONGO_URI", "KAFKA_BOOTSTRAP", "AUDIT_URL", "ROOT_DIR"},
    "audit": {"MONGO_URI", "KAFKA_BOOTSTRAP", "AUTH_URL", "ROOT_DIR"},
    "ingest": {"MONGO_URI", "KAFKA_BOOTSTRAP", "AUTH_URL", "S3_BUCKET", "S3_SECRET_KEY"},
    "playback": {"MONGO_URI", "KAFKA_BOOTSTRAP", "AUTH_URL", "S3_BUCKET", "S3_SECRET_KEY"},
    "portal": {"AUTH_URL", "PLAYBACK_URL"},
    "backup": {"MONGO_URI", "KAFKA_BOOTSTRAP", "AUTH_URL", "AUDIT_URL", "INGEST_URL", "S3_BUCKET"},
}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_can_not_do_without_is_named_together(told, service):
    with pytest.raises(SettingsRefused) as refused:
        told().require(service)
    named = set(re.findall(r"VOICEFILE_(\w+)", str(refused.value)))
    assert named >= NEEDED[service] | {"SERVICE_CERTIFICATE", "SERVICE_CA"}
    if service in {"portal", "ingest", "playback", "backup"}:
        assert not {name for name in named if name.startswith(("ROOT", "TRANSIT", "PKCS11"))}


@pytest.mark.parametrize(
    ("root", "needed"),
    [
        ("file", {"ROOT_DIR"}),
        ("transit", {"TRANSIT_URL", "TRANSIT_TOKEN"}),
        ("pkcs11", {"PKCS11_MODULE", "PKCS11_TOKEN", "PKCS11_PIN"}),
    ],
)
def test_each_kind_of_root_key_needs_its_own(told, root, needed):
    with pytest.raises(SettingsRefused) as refused:
        told(root=root, mongo_uri="mongodb://x/").require_store("auth")
    assert set(re.findall(r"VOICEFILE_(\w+)", str(refused.value))) == needed


def test_a_token_is_shown_its_pin_by_one_object_however_often_a_start_is_tried(told):
    """A token counts wrong PINs, and a start that waits for other engines is tried for ever."""
    token = Token()
    settings = told(pkcs11_module="/nowhere.so", pkcs11_token="a", pkcs11_pin="0000")
    assert token.root(settings) is token.root(settings)


def test_each_service_has_a_database_of_its_own(told):
    assert told().database("auth") == "voicefile_auth"
    assert told(mongo_database="elsewhere").database("auth") == "elsewhere"


@pytest.mark.parametrize("kind", [EngineSettings, DeploymentSettings])
def test_every_setting_has_a_sentence(kind):
    source = inspect.getsource(kind)
    for name in kind.model_fields:
        after = source.split(f"    {name}:", 1)[1]
        assert '"""' in after.split("\n\n")[0], name


def test_a_rule_over_several_settings_is_refused_in_a_sentence_too(monkeypatch):
    from voicefile.auth.settings import AuthSettings  # noqa: PLC0415 only here

    monkeypatch.setenv("VOICEFILE_AUTH_EPOCH_GRACE_S", "1")
    with pytest.raises(SettingsRefused, match="VOICEFILE_AUTH_…"):
        read(AuthSettings)


def test_the_guide_names_exactly_the_settings_there_are():
    there = {
        variable(name)
        for kind in (DeploymentSettings, EngineSettings, TelemetrySettings)
        for name in kind.model_fields
        if name not in NOT_APART
    }
    table = re.findall(r"^\| `(VOICEFILE_\w+)`", GUIDE.read_text(), re.MULTILINE)
    assert sorted(table) == sorted(there | {"VOICEFILE_SECRETS_DIR"})
