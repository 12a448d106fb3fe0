"""Asking a row's question, and comparing what was told byte for byte."""

import re

from tests.isolation.rows import Ask, Cell, Row
from tests.isolation.who import PEERS

PARAMETER = re.compile(r"\{(\w+)(:\w+)?\}")
OF_EACH_REQUEST = {"date", "voicefile-request-id"}
DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


def told(answer):
    """All that an answer tells: status, headers, bytes."""
    headers = sorted(
        (name, DATE.sub("a date", value))
        for name, value in answer.headers.items()
        if name not in OF_EACH_REQUEST
    )
    return answer.status_code, tuple(headers), answer.content


def plain(path: str) -> str:
    """The template without convertors: as the table writes it."""
    return PARAMETER.sub(r"{\1}", path)


def filled(row: Row, cell: Cell, ask: Ask) -> str:
    """The path: what is not said otherwise is the thing."""
    return PARAMETER.sub(lambda found: ask.path.get(found[1], cell.value), row.path)


async def bearer_of(row: Row, cell: Cell) -> str | None:
    """What is sent along, where it is not the asker's own; a new one if it is going to end."""
    passed_on = row.inside and cell.who in PEERS
    whose = row.on_behalf_of if passed_on else cell.who
    if row.spends and row.thing is None and cell.who in row.may:
        return await cell.home.fresh_session(whose)
    return cell.home.bearers[whose] if passed_on else None


async def send(client, row, cell, ask, headers):
    return await client.request(
        row.method,
        filled(row, cell, ask),
        params=ask.params,
        json=ask.json,
        data=ask.data,
        files=ask.files,
        headers=headers,
    )
