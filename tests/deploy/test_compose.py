"""What is in deploy/compose: tried as far as it can be without a container engine.

The file's own promises are held to it; each part that is a program or a server's configuration is
run here (Kafka, SeaweedFS and OpenBao start from these files in every test that uses them).
"""

import json
import os
import re
import shutil
import stat
import subprocess

import pytest
import yaml
from tests.engines.environment import ROOT, NotToBeHad, binary
from tests.engines.openbao import OpenBao
from tests.engines.provision import VOICEFILE

from voicefile.backup.settings import BackupSettings
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.engine_settings import SECRETS_DIR, SERVICES, EngineSettings
from voicefile.cli.prepare_plan import SPEAKS
from voicefile.cli.prepare_settings import PrepareSettings

BACKUP = "backup-1"
MADE_LATER = {"VOICEFILE_BACKUP_KEY", "VOICEFILE_BACKUP_FOLDER"}
"""What backup makes itself, in folders of its own."""
HERE = ROOT / "deploy" / "compose"
SETTINGS = {
    SECRETS_DIR,
    *(
        f"VOICEFILE_{name.upper()}"
        for kind in (DeploymentSettings, EngineSettings, PrepareSettings)
        for name in kind.model_fields
    ),
    *(f"VOICEFILE_BACKUP_{name.upper()}" for name in BackupSettings.model_fields),
}
SECRET = re.compile(r"(password|secret_key|token|pin|mongo_uri)$", re.IGNORECASE)


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((HERE / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What ./make-ready makes, and the commands after it."""
    folder = tmp_path_factory.mktemp("compose") / "made"
    make_ready(folder)
    return folder


def make_ready(folder):
    subprocess.run(
        [HERE / "make-ready", folder],
        env=os.environ | {"VOICEFILE": str(VOICEFILE)},
        check=True,
        capture_output=True,
        timeout=60,
    )


def ours(compose):
    """The services that run our image."""
    return {
        name: each for name, each in compose["services"].items() if each["image"] == "voicefile"
    }


def mounts(compose):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            yield name, source, target, mode


def test_each_service_runs_twice_but_for_backup(compose):
    commands = [tuple(each["command"]) for each in ours(compose).values()]
    for service in SERVICES:
        assert commands.count(("voicefile", "serve", service)) == 2 - (service == "backup")
    # Without recipients there is nothing for it to do but to fail.
    assert compose["services"][BACKUP]["profiles"] == ["backup"]


def test_every_variable_is_a_setting(compose):
    for name, service in ours(compose).items():
        unknown = set(service["environment"]) - SETTINGS
        assert not unknown, (name, unknown)


def test_every_service_is_told_what_it_needs(compose, made, tmp_path):
    """Its variables, and its files as they are after the engines were prepared."""
    made = shutil.copytree(made, tmp_path / "made")
    for service in SPEAKS:
        (made / "services" / service / "voicefile_mongo_uri").write_text("mongodb://x:y@z/")
    for service in ("auth", "audit"):
        (made / "services" / service / "voicefile_transit_token").write_text("x")
    for name, service in ours(compose).items():
        if service["command"][1] != "serve":
            continue
        told = dict(service["environment"])
        folder = next(source for each, source, *_ in mounts(compose) if each == name)
        for path in (made / folder.removeprefix("./made/")).iterdir():
            told[path.name.upper()] = path.read_text()
        settings = {key.removeprefix("VOICEFILE_").lower(): value for key, value in told.items()}
        EngineSettings(**settings).require(service["command"][2])


def test_no_secret_is_in_an_environment(compose):
    for name, service in compose["services"].items():
        for variable in service.get("environment", {}):
            assert not SECRET.search(variable), (name, variable)


def test_everything_that_is_mounted_is_there(compose, made):
    for name, source, _, _ in mounts(compose):
        assert source.startswith("./"), (name, source)
        place = made / source.removeprefix("./made/") if "/made/" in source else HERE / source
        assert place.exists(), (name, source)


def test_what_a_service_reads_it_can_not_write(compose):
    writable = {(name, source) for name, source, _, mode in mounts(compose) if mode != ["ro"]}
    assert writable == {
        *((name, f"./made/data/{name}") for name in ("kafka", "mongo", "s3", "openbao")),
        ("mongo", "./made/data/mongo-configuration"),
        (BACKUP, "./made/data/backup"),
        (BACKUP, "./made/target"),
        ("open-bao", "./made/keys"),
        ("open-bao", "./made/services"),
        ("prepare-mongo", "./made/services"),
    }


def test_every_file_a_variable_names_is_mounted(compose, made):
    for name, service in ours(compose).items():
        inside = {target: source for each, source, target, _ in mounts(compose) if each == name}
        for variable, value in service["environment"].items():
            if str(value).startswith("/") and variable not in {SECRETS_DIR, *MADE_LATER}:
                folder, _, file = value.rpartition("/")
                source = made / inside[folder].removeprefix("./made/")
                assert (source / file).exists(), (name, variable)


def test_a_service_has_its_own_folder_alone(compose):
    for name, source, _, mode in mounts(compose):
        if name[:-2] in SERVICES and mode == ["ro"]:
            assert source == f"./made/services/{name[:-2]}"


def test_one_port_is_published_and_all_addresses_are_https(compose):
    published = {
        name: each["ports"] for name, each in compose["services"].items() if "ports" in each
    }
    assert published == {"front": ["8443:8443"]}
    assert "listen 8443 ssl;" in (HERE / "front" / "nginx.conf").read_text()
    text = "".join(
        path.read_text() for path in HERE.rglob("*") if path.is_file() and "/made/" not in str(path)
    )
    assert "http://" not in text


def test_nothing_but_the_front_can_be_reached_from_outside(compose):
    assert compose["networks"]["inside"] == {"internal": True}
    for name, service in compose["services"].items():
        assert ("outside" in service["networks"]) == (name == "front"), name


def test_every_container_can_as_little_as_it_needs(compose):
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "VOICEFILE_USER" in service["user"], name
        assert "privileged" not in service, name


def test_every_address_inside_is_a_container(compose):
    names = set(compose["services"])
    for service in compose["services"].values():
        if isinstance(service["networks"], dict):
            names |= set(service["networks"]["inside"]["aliases"])
    told = json.dumps(compose["services"]) + "".join(
        (HERE / path).read_text() for path in ("front/nginx.conf", "mongo/replicate.js")
    )
    told += (HERE / "kafka" / "server.properties").read_text()
    for host in re.findall(r"(?:https://|server |@|CLIENTS://)([a-z0-9.-]+):\d+", told):
        assert host in names, host


def test_the_front_hands_everything_on_and_keeps_nothing():
    """With its own defaults a proxy puts an upload on its disk, in the clear, before it goes on."""
    front = (HERE / "front" / "nginx.conf").read_text()
    for line in (
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "proxy_max_temp_file_size 0;",
        "access_log off;",
        "proxy_ssl_verify on;",
    ):
        assert line in front
    named = dict(re.findall(r"location (\S+) \{\s+proxy_ssl_name (\S+);", front))
    assert named.pop("/") == "portal.voicefile.internal"
    assert named == {f"/{each}/": f"{each}.voicefile.internal" for each in set(SPEAKS) - {"backup"}}


def test_every_service_knows_that_it_is_behind_the_front(compose):
    serving = [each for each in ours(compose).values() if each["command"][1] == "serve"]
    assert len(serving) == 2 * len(SERVICES) - 1
    for service in serving:
        assert EngineSettings(fronted=service["environment"]["VOICEFILE_FRONTED"]).fronted


def test_every_file_the_front_reads_is_made(made):
    named = re.findall(r"/run/voicefile/(\S+);", (HERE / "front" / "nginx.conf").read_text())
    assert len(named) == 5
    for name in named:
        assert (made / "engines" / "front" / name).exists(), name


def test_visitors_are_shown_the_certificate_that_somebody_put_there(made, tmp_path):
    made = shutil.copytree(made, tmp_path / "made")
    shown, own = (made / "engines" / "front" / f"{each}.pem" for each in ("outside", "certificate"))
    assert shown.read_bytes() == own.read_bytes()
    # As after a renewal: what was ours follows.
    former = shown.read_bytes()
    (made / "certificates" / "front.pem").unlink()
    make_ready(made)
    assert shown.read_bytes() == own.read_bytes() != former
    shown.write_text("somebody's own")
    (made / "certificates" / "front.pem").unlink()
    make_ready(made)
    assert shown.read_text() == "somebody's own"
    assert own.read_bytes() == (made / "certificates" / "front.pem").read_bytes()


def test_mongod_asks_everybody_who_they_are_over_tls_alone(compose):
    command = compose["services"]["mongo"]["command"]
    assert {"--auth", "--tlsMode=requireTLS", "--keyFile=/run/voicefile/keyfile"} <= set(command)


def test_what_is_made_is_nobody_elses_and_stays(made):
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    for path in before:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    make_ready(made)
    assert {path: path.read_bytes() for path in before} == before
    assert not list(made.rglob("*.new"))


def test_a_secret_is_only_where_it_is_needed(made):
    keys = {each: made / "services" / each / "voicefile_s3_secret_key" for each in SPEAKS}
    assert [each for each, path in keys.items() if path.exists()] == [
        "ingest",
        "playback",
        "backup",
    ]
    assert len({keys[each].read_text() for each in ("ingest", "playback", "backup")}) == 3
    identities = json.loads((made / "engines" / "s3" / "identities.json").read_text())
    told = {each["name"]: each["credentials"][0]["secretKey"] for each in identities["identities"]}
    assert told["ingest"] == keys["ingest"].read_text()
    assert "@" not in (made / "engines" / "s3" / "security.toml").read_text()


def test_shell_scripts_parse():
    for script in ("make-ready", "kafka/start.sh", "openbao/open.sh"):
        shell = "bash" if script == "make-ready" else "sh"
        subprocess.run([shell, "-n", HERE / script], check=True)


def test_the_image_is_built_from_the_locks_and_runs_as_nobody():
    text = (HERE / "Dockerfile").read_text()
    assert "--require-hashes -r /tmp/cluster.lock" in text
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in copied.split():
            assert (ROOT / source).exists(), source


# ---- OpenBao, opened by the shipped script ----


class Sealed(OpenBao):
    """As it is after a start, until somebody opens it."""

    def furnish(self):
        pass


@pytest.fixture
def sealed(tmp_path):
    engine = Sealed(tmp_path / "openbao", tmp_path / "certificates")
    try:
        engine.start()
    except NotToBeHad as why:
        pytest.skip(f"no openbao: {why}")
    yield engine
    engine.stop()


@pytest.fixture
def open_it(sealed, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "bao").symlink_to(binary("bao"))
    (tmp_path / "keys").mkdir()

    def run():
        return subprocess.run(
            ["sh", HERE / "openbao" / "open.sh"],
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "BAO_ADDR": sealed.url,
                "BAO_CACERT": str(sealed.authority),
                "POLICY": str(HERE / "openbao" / "voicefile.hcl"),
                "KEYS": str(tmp_path / "keys"),
                "SERVICES": str(tmp_path / "services"),
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run


def test_openbao_is_opened_and_each_service_gets_a_mount_of_its_own(sealed, open_it, tmp_path):
    done = open_it()
    assert (done.returncode, done.stdout) == (0, "auth: transit-auth\naudit: transit-audit\n")
    tokens = {
        each: (tmp_path / "services" / each / "voicefile_transit_token").read_text().strip()
        for each in ("auth", "audit")
    }
    for service, token in tokens.items():
        assert stat.S_IMODE((tmp_path / "keys" / "openbao").stat().st_mode) == 0o600
        with sealed.client(token) as client:
            own, other = (f"/v1/transit-{each}/keys/x" for each in _own_first(service))
            assert client.post(own, json={"type": "aes256-gcm96"}).is_success
            assert client.post(other, json={"type": "aes256-gcm96"}).status_code == 403
            assert client.post("/v1/auth/token/renew-self").is_success
    # After a restart it is sealed, and opened again; nobody gets another token.
    sealed.kill()
    sealed.start()
    assert open_it().returncode == 0
    with sealed.client(tokens["auth"]) as client:
        assert client.get("/v1/transit-auth/keys/x").is_success


def _own_first(service):
    return (service, "audit" if service == "auth" else "auth")


def test_what_opens_another_openbao_is_not_written_over(open_it, tmp_path):
    (tmp_path / "keys" / "openbao").write_text("of another one")
    done = open_it()
    assert (done.returncode, done.stdout) == (1, "")
    assert "not written over" in done.stderr


def test_what_nobody_has_run_is_called_untried():
    assert "untried" in (HERE / "README.md").read_text()
