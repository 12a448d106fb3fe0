"""Settings come from the environment, and a wrong one is not printed."""

import pytest
from pydantic import ValidationError

from voicefile.chassis.settings import DeploymentSettings


def test_the_defaults_are_the_embedded_vault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VOICEFILE_PORT", raising=False)
    settings = DeploymentSettings()
    assert (settings.host, settings.port) == ("localhost", 8443)
    assert settings.deployment_bytes == b"local"
    assert str(settings.tls_dir) == "var/tls"


def test_opening_the_public_port_to_the_world_leaves_health_at_home(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("VOICEFILE_HOST", "0.0.0.0")
    settings = DeploymentSettings()
    assert (settings.host, settings.health_host) == ("0.0.0.0", "localhost")


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VOICEFILE_PORT", "9443")
    monkeypatch.setenv("VOICEFILE_DEPLOYMENT", "vault.example-1")
    settings = DeploymentSettings()
    assert (settings.port, settings.deployment) == (9443, "vault.example-1")


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "hunter2hunter2"), ("DEPLOYMENT", "Geheim! 84751023")]
)
def test_a_wrong_setting_is_not_printed(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"VOICEFILE_{name}", value)
    with pytest.raises(ValidationError) as refused:
        DeploymentSettings()
    assert value not in str(refused.value)


def test_every_setting_has_a_sentence():
    source = DeploymentSettings.__annotations__
    text = open_source()
    for name in source:
        if name != "model_config":
            assert f"    {name}:" in text
            after = text.split(f"    {name}:", 1)[1]
            assert '"""' in after.split("\n\n")[0], name


def open_source() -> str:
    import inspect  # noqa: PLC0415 only here

    return inspect.getsource(DeploymentSettings)
