"""A form is small, ours, and sent from our own page."""

import pytest
from starlette.requests import Request

from voicefile.portal.forms import FormRefused, check_csrf, csrf_of, read_form

URLENCODED = "application/x-www-form-urlencoded"


def posted(body, **headers):
    given = {"host": "vault.test", "content-type": URLENCODED} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)] or [b""]

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    raw = [(name.encode(), value.encode()) for name, value in headers_of(given)]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def headers_of(given):
    return list(given.items())


async def test_fields_are_read_from_the_stream():
    form = await read_form(posted(b"access_id=1234+5678&pin=%31%32"), bytes_max=100)
    assert form == {"access_id": "1234 5678", "pin": "12"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "https://vault.test", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"content_type": "text/plain"},
    ],
)
async def test_a_form_of_somebody_else_is_refused(headers):
    with pytest.raises(FormRefused):
        await read_form(posted(b"a=b", **headers), bytes_max=100)


@pytest.mark.parametrize("body", [b"a=" + b"b" * 200, b"&".join([b"a=b"] * 13), "ä=ö".encode()])
async def test_a_form_that_is_too_large_or_strange_is_refused(body):
    with pytest.raises(FormRefused):
        await read_form(posted(body), bytes_max=100)


@pytest.mark.parametrize(
    "same",
    [
        {"origin": "null", "sec_fetch_site": "same-origin"},
        {"origin": "https://vault.test"},
        {},
    ],
)
async def test_our_own_page_may_post(same):
    assert await read_form(posted(b"a=b", **same), bytes_max=100) == {"a": "b"}


def test_a_page_made_for_another_session_can_not_act():
    check_csrf({"csrf": csrf_of("vs_one")}, "vs_one")
    for form in ({"csrf": csrf_of("vs_two")}, {}, {"csrf": "ä"}):
        with pytest.raises(FormRefused):
            check_csrf(form, "vs_one")
