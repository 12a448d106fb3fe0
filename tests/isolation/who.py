"""Who asks: everybody who may stand at a door of the vault, and what they have in hand."""

from enum import StrEnum


class Who(StrEnum):
    """One asker of the matrix, always seen from one tenant, their home."""

    NOBODY = "nobody"
    PARTNER = "partner"
    OTHER_PARTNER = "another partner of the tenant"
    CUSTOMER = "customer"
    OTHER_CUSTOMER = "another customer of the tenant"
    CALLER = "customer on the telephone"
    """With what playback shows for them: at a door it is the bearer of nobody."""
    CARE = "care"
    ADMIN = "tenant admin"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    INGEST = "peer ingest"
    AUTH = "peer auth"
    PLAYBACK = "peer playback"
    AUDIT = "peer audit"
    PORTAL = "peer portal"
    BACKUP = "peer backup"
    EDGE = "telephone edge"
    STRANGER = "peer of another name"
    FORGER = "nobody with forged headers"
    FORGING_CARE = "care with forged headers"


PARTNERS = frozenset({Who.PARTNER, Who.OTHER_PARTNER})
CUSTOMERS = frozenset({Who.CUSTOMER, Who.OTHER_CUSTOMER})
CALLERS = frozenset({Who.CALLER})
AGENTS = frozenset({Who.CARE, Who.FORGING_CARE})
ADMINS = frozenset({Who.ADMIN})
AUDITORS = frozenset({Who.AUDITOR})
OPERATORS = frozenset({Who.OPERATOR})
EVERYBODY = frozenset(Who)
HOLDERS = PARTNERS | CUSTOMERS | CALLERS | AGENTS | ADMINS | AUDITORS | OPERATORS
"""Those who hold a token or a session of their own."""
PEERS = {
    Who.INGEST: "ingest",
    Who.AUTH: "auth",
    Who.PLAYBACK: "playback",
    Who.AUDIT: "audit",
    Who.PORTAL: "portal",
    Who.BACKUP: "backup",
    Who.EDGE: "edge-1",
    # Whole subjects count: this one only begins like one of ours.
    Who.STRANGER: "playback,O=elsewhere",
}
"""The name in the certificate at the other end."""
FORGED = frozenset({Who.FORGER, Who.FORGING_CARE})
ROLES = {
    "partner": PARTNERS,
    "customer": CUSTOMERS,
    "care": AGENTS,
    "tenant_admin": ADMINS,
    "auditor": AUDITORS,
    "operator": OPERATORS,
}
"""Askers by the role that a route's rule names."""


def forged_headers(tenant: str) -> dict[str, str]:
    """What proxies, gateways and other products put into headers: none of it is believed here."""
    subject = "CN=playback"
    return {
        "X-Forwarded-Client-Cert": f'Subject="{subject}";URI=spiffe://vault/playback',
        "X-SSL-Client-S-DN": subject,
        "X-Client-Cert-Name": subject,
        "Client-Cert": subject,
        "Voicefile-Peer": "playback",
        "Voicefile-Tenant": tenant,
        "X-Tenant": tenant,
        "X-Role": "operator",
        "X-User": "admin",
        "X-Original-URL": "/auth/internal/v1/releases",
        "X-Rewrite-URL": "/auth/internal/v1/releases",
        "X-HTTP-Method-Override": "GET",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Prefix": "/auth/internal",
        "Forwarded": "for=127.0.0.1;host=vault.internal;proto=https",
        "Voicefile-Client-Address": "198.51.100.7",
    }
