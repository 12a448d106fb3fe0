"""The telephone edge's configuration: what was found out about FreeSWITCH the hard way, held to.

No switch runs here. Each test is one thing that went wrong somewhere, or would have.
"""

import re
import xml.etree.ElementTree as ET

import pytest
from tests.deploy.switch import CONF, EDGE, Configuration, actions, told
from tests.telephony.profile import Profile

FORWARDER = "http://127.0.0.1:8470/playback/v1/telephone"
MODULES = {
    "mod_logfile", "mod_sofia", "mod_httapi", "mod_dptools", "mod_dialplan_xml", "mod_sndfile",
}  # fmt: skip


@pytest.fixture(scope="module")
def conf():
    return Configuration()


@pytest.fixture(scope="module")
def httapi(conf):
    return conf.configuration("httapi").findall("profiles/profile")


@pytest.fixture(scope="module")
def params(httapi):
    given = [(each.get("name"), each.get("value")) for each in httapi[0].findall("params/param")]
    return {name: value for name, value in given if name != "enable-post-var"}


@pytest.fixture(scope="module")
def sip(conf):
    profiles = conf.configuration("sofia").findall("profiles/profile")
    assert len(profiles) == 1
    return told(profiles[0])


@pytest.fixture(scope="module")
def switch(conf):
    return told(conf.configuration("switch"))


@pytest.fixture(scope="module")
def dialogue(conf):
    """What the dialplan does with a caller."""
    found = conf.context("provider").findall("extension[@name='telephone']")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.xml")), ids=lambda path: path.name)
def test_every_file_is_xml_by_itself(path):
    ET.parse(path)


def test_no_file_is_left_out(conf):
    names = {path.stem for path in (CONF / "autoload_configs").iterdir()}
    assert names == {each.get("name") for each in conf.root.iter("configuration")}


# ---- the dialogue with the service ----


def test_a_pin_is_never_part_of_an_address(params):
    assert params["method"] == "POST"


def test_the_service_is_reached_over_the_forwarder_on_this_machine_alone(params):
    assert params["gateway-url"] == FORWARDER
    assert f"listen {FORWARDER.split('/')[2]};" in (EDGE / "nginx.conf").read_text()


def test_no_address_for_httapi_has_an_at_sign(params, httapi):
    """Credentials in it end in a crash at the end of the call."""
    assert "@" not in ET.tostring(httapi[0], encoding="unicode").replace('No "@" in here', "")
    assert "gateway-credentials" not in params


def test_documents_are_not_written_to_the_log(conf):
    assert told(conf.configuration("httapi").find("settings"))["debug"] == "false"


def test_nothing_comes_out_of_a_cache_and_no_store_is_obeyed(conf):
    settings = told(conf.configuration("httapi").find("settings"))
    assert settings["file-cache-ttl"] == "0"
    assert "abs-file-cache-ttl" not in settings


def test_audio_is_fetched_with_the_profile_of_the_dialogue(httapi, dialogue):
    """The first profile of the file serves all audio, whatever profile a call has."""
    assert len(httapi) == 1
    name = httapi[0].get("name")
    assert ("httapi", f"{{httapi_profile={name}}}") in actions(dialogue)


def test_who_waits_for_the_service_hears_the_forwarders_refusal_first(params):
    nginx = (EDGE / "nginx.conf").read_text()
    named = re.findall(r"proxy_(?:connect|send|read)_timeout (\d+)s;", nginx)
    assert len(named) == 3
    assert sum(map(int, named)) < int(params["timeout"]) <= 30
    assert int(params["connect-timeout"]) <= 2


def test_only_what_the_service_reads_is_sent():
    assert Profile.shipped().fields == {
        "session_id",
        "Caller-Caller-ID-Number",
        "Caller-Destination-Number",
        "exiting",
        "input_type",
        "playback_last_offset_pos",
        "id",
        "pin",
        "key",
        "answer",
        "confirm",
    }


def test_a_document_may_play_ask_and_hand_on_and_nothing_else(httapi):
    """What isn't named may be allowed; "none" with "true" allows everything."""
    allowed = told(httapi[0].find("permissions"), "permission")
    assert {name for name, value in allowed.items() if value == "true"} == {"get-vars", "dial"}
    assert set(allowed) == {
        "set-params",
        "set-vars",
        "get-vars",
        "extended-data",
        "execute-apps",
        "expand-vars",
        "dial",
        "dial-set-context",
        "dial-set-dialplan",
        "dial-set-cid-name",
        "dial-set-cid-number",
        "dial-full-originate",
        "conference",
        "conference-set-profile",
    }
    assert Profile.shipped().variables == {"playback_last_offset_pos"}
    assert httapi[0].find(".//variable-list").get("default") == "deny"


# ---- the dialplan ----


def test_digits_are_kept_from_the_log_before_the_call_is_answered(dialogue):
    done = actions(dialogue)
    assert done.index(("set", "sensitive_dtmf=true")) < done.index(("answer", ""))


def test_the_dialplan_answers_as_a_document_can_not(dialogue):
    done = [name for name, _ in actions(dialogue)]
    assert done.index("answer") < done.index("httapi")


def test_a_service_that_is_not_understood_ends_in_the_apology(dialogue):
    done = actions(dialogue)
    assert done[-3][0] == "httapi"
    assert done[-2:] == [
        ("playback", "/sounds/apology.wav"),
        ("hangup", "NORMAL_TEMPORARY_FAILURE"),
    ]
    assert (EDGE / "sounds" / "apology.wav").exists()


SUITES = {
    "AEAD_AES_256_GCM": True,
    "AES_CM_128_HMAC_SHA1_80": True,
    "AES_256_CM_HMAC_SHA1_80": True,
    "AES_CM_128_HMAC_SHA1_32": False,
    "AEAD_AES_128_GCM_8": False,
    "AES_CM_128_NULL_AUTH": False,
    "": False,
}


@pytest.mark.parametrize("suite", SUITES)
def test_a_call_that_is_not_encrypted_well_is_refused(conf, dialogue, suite):
    """`rtp_secure_media=mandatory` alone let plain calls in."""
    first = dialogue.find("condition")
    assert first.get("field") == "${rtp_has_crypto}"
    assert bool(re.search(first.get("expression"), suite)) == SUITES[suite]
    assert actions(first, "anti-action") == [("respond", "488 Not Acceptable Here")]
    assert actions(first) == []
    offered = conf.variables["rtp_secure_media_suites"].split(":")
    assert SUITES.get(suite) == (suite in offered)


def test_the_dialplan_sees_what_was_agreed_on(sip):
    """With late negotiation nothing is agreed on by then, and every call was refused."""
    assert sip["inbound-late-negotiation"] == "false"


def test_a_call_is_handed_on_to_operators_of_this_edge_alone(conf):
    handed, *_ = conf.context("provider").findall("extension")
    assert handed.find("condition").get("field") == "${voicefile_dialogue}"
    assert actions(handed) == [("transfer", "${destination_number} XML operators")]
    operator, nobody = conf.context("operators").findall("extension")
    assert operator.find("condition").get("expression") == "^(?:nobody)$"
    assert actions(nobody) == [("hangup", "CALL_REJECTED")]
    assert ("export", "nolocal:rtp_secure_media=mandatory") in actions(operator)
    assert ("export", "nolocal:sensitive_dtmf=true") in actions(operator)
    (bridge,) = (data for name, data in actions(operator) if name == "bridge")
    assert bridge.endswith(";transport=tls")


def test_a_dialogue_is_marked_before_the_service_is_asked(dialogue):
    done = actions(dialogue)
    marked = done.index(("set", "voicefile_dialogue=true"))
    assert marked < [name for name, _ in done].index("httapi")


# ---- the switch ----


def test_only_what_a_call_needs_is_loaded(conf):
    """No call records, no mod_curl, no caching of audio, no event socket, no commands."""
    assert conf.modules() == MODULES


def test_every_application_is_named_and_no_other_is_there(conf):
    allowed = {
        each.get("name") for each in conf.configuration("switch").find("interface-allowlist")
    }
    used = {name for section in conf.root.iter("context") for name, _ in actions(section)}
    used |= {
        name for section in conf.root.iter("context") for name, _ in actions(section, "anti-action")
    }
    assert allowed == {"mod_httapi.httapi.app"} | {
        f"mod_dptools.{name}.app" for name in used - {"httapi"}
    }


def test_the_log_begins_at_warnings(conf, switch):
    """Callers' numbers are written at NOTICE, digits at INFO, keys of SRTP at DEBUG."""
    assert switch["loglevel"] == "warning"
    mapped = told(conf.configuration("logfile").find("profiles/profile/mappings"), "map")
    assert set(mapped) == {"all"}
    assert not {"debug", "info", "notice", "all", "console"} & set(mapped["all"].split(","))


def test_no_crash_leaves_the_memory_of_calls_behind(switch):
    assert switch["dump-cores"] == "no"
    assert "ulimit -c 0" in (EDGE / "start").read_text()


def test_calls_are_as_many_as_were_measured_and_ports_suffice(switch):
    calls = int(switch["max-sessions"])
    assert calls == 150
    assert int(switch["rtp-end-port"]) - int(switch["rtp-start-port"]) >= 4 * calls


# ---- SIP ----


def test_there_is_no_plain_sip(sip):
    assert (sip["tls"], sip["tls-only"], sip["tls-bind-params"]) == (
        "true",
        "true",
        "transport=tls",
    )
    assert sip["tls-version"] == "tlsv1.2"
    assert "sip-port" not in sip
    assert not {name for name in sip if name.startswith(("ws", "wss"))}


def test_the_carrier_shows_a_certificate_unless_somebody_decides_otherwise(conf, sip):
    assert conf.variables["verify"] == sip["tls-verify-policy"] == "in"
    assert int(sip["tls-verify-depth"]) >= 1
    assert sip["tls-verify-date"] == "true"


def test_calls_of_strangers_are_not_taken(conf, sip):
    lists = {each.get("name"): each for each in conf.configuration("acl").iter("list")}
    assert sip["apply-inbound-acl"] in lists
    for each in lists.values():
        assert each.get("default") == "deny"
        assert not list(each)
    assert sip["auth-calls"] == "false"
    assert sip["disable-register"] == "true"
    assert sip["disable-transfer"] == "true"


def test_digits_are_taken_however_they_come(sip):
    """What is not taken is written to the log, as a warning, with the digit."""
    assert sip["liberal-dtmf"] == "true"
    assert sip["dtmf-type"] == "rfc2833"


def test_speech_is_what_recordings_are(sip):
    assert sip["inbound-codec-prefs"] == sip["outbound-codec-prefs"] == "PCMA,PCMU"


def test_messages_are_not_traced(sip):
    assert (sip["debug"], sip["sip-trace"], sip["sip-capture"]) == ("0", "no", "no")


def test_no_secret_is_in_the_configuration():
    text = "".join(
        path.read_text() for path in EDGE.rglob("*") if path.suffix != ".wav" and path.is_file()
    )
    assert not re.search(r"password|passphrase|BEGIN [A-Z ]*KEY|secret", text, re.IGNORECASE)
