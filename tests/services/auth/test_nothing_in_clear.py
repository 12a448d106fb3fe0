"""No PIN, name or number of a customer lies in any file of auth: with a control that would."""

import base64
import json

from tests.services.auth.issuing_world import Upload, an_auth, metadata

from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import ACCESS
from voicefile.docstore.port import Document

CUSTOMER = {
    "name": "Kanariengelb Zitronenfalter",
    "phone": "+49 30 90210777",
    "email": "kanarien.vogel@example.org",
    "customer_number": "KANARIE-998877",
    "birth_date": "1961-08-13",
    "address": {"street": "Kanarienallee 17", "city": "Vogelsang"},
}
SAID = ("V-KANARIE-2027", "Tarif Kanarie", "agent-kanarie", "+493090210777", "493090210777")

PROMPT = "Wie viele Kanarien haben Sie?"


def _forms(text):
    """How a value could stand somewhere."""
    plain = text.encode()
    yield plain
    yield plain.lower()
    yield text.encode("utf-16-le")
    yield plain.hex().encode()
    yield json.dumps(text)[1:-1].encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\x00" * shift + plain)
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]


def _found(directory, values):
    content = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    return {value for value in values for form in _forms(value) if form and form in content}


def _leaves(value):
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [value]


async def test_no_value_of_a_customer_is_in_any_file(tmp_path):
    async with an_auth(tmp_path) as world:
        partner = await world.partner(await world.tenant())
        staff = await world.staff(partner.tenant, handle="kanarien.agentin")
        upload = Upload(
            partner,
            metadata=metadata(
                contract_reference=SAID[0],
                contract_parts=[SAID[1]],
                agent=SAID[2],
                customer=CUSTOMER,
                sensitive=True,
                question={"kind": "digits", "answer": "90217777", "prompt": PROMPT},
            ),
        )
        answer = (await world.issue(partner, upload)).json()
        values = [
            *_leaves(CUSTOMER),
            *SAID,
            "90217777",
            PROMPT,
            answer["pin"],
            answer["access_id"],
            answer["receipt"],
            upload.idempotency_key,
            upload.body["media"]["sha256"],
            upload.key.expose().decode("latin-1"),
            partner.secret,
            staff.username,
            staff.password.expose(),
            staff.totp_secret.expose(),
            "Anna Beispiel",
        ]
        assert _found(tmp_path, values) == set()

        # The control: what is planted is found, so the search can see.
        body = {name: str(value) for name, value in enumerate_named(values)}
        await world.docs.insert(ACCESS, Document("planted", partner.tenant, body))
        assert _found(tmp_path, values) >= set(values) - {upload.key.expose().decode("latin-1")}


def enumerate_named(values):
    return [(f"v{n}", value) for n, value in enumerate(values)]


async def test_log_lines_and_problems_hold_nothing_of_an_upload(tmp_path, capfd):
    async with an_auth(tmp_path) as world:
        partner = await world.partner(await world.tenant())
        answer = await world.issued(partner, customer=CUSTOMER)
        refused = await world.issue(partner, customer=CUSTOMER, retention_class="nope")
        upload = await world.prepared(Upload(partner, metadata=metadata(customer=CUSTOMER)))
        broken = {**upload.body, "recording_id": answer["pin"]}
        invalid = await world.call("POST", "/internal/v1/issues", json=broken, peer="ingest")
    told = capfd.readouterr()
    everything = told.out + told.err + refused.text + invalid.text
    for value in (*_leaves(CUSTOMER), answer["pin"], answer["access_id"], answer["receipt"]):
        assert value not in everything


async def test_nothing_secret_shows_in_a_repr(tmp_path):
    async with an_auth(tmp_path) as world:
        partner = await world.partner(await world.tenant())
        upload = await world.prepared(Upload(partner, metadata=metadata(customer=CUSTOMER)))
        body = IssueBody.model_validate(upload.body)
        shown = repr(body) + str(body) + repr(body.metadata) + repr(body.metadata.customer)
        for value in (*_leaves(CUSTOMER), upload.idempotency_key):
            assert value not in shown
