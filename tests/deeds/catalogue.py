"""The catalogue: whatever acts, and which deeds it writes; or why it writes none.

`done` and `refused` are the deeds of one success and of one refusal of somebody who is known. What
is refused to nobody in particular (no token, a token of nobody, an address that is too quick) is
counted by route and status, not written down: a log must not grow at the will of strangers.
"""

from dataclasses import dataclass
from typing import Final

PUBLIC: Final = "public, and the same for everybody"
PROBE: Final = "a machine asks whether something works, and learns nothing of anybody"
PASSES_ON: Final = "passes on to the service whose deed it is"
ELSEWHERE: Final = "runs at whoever checks us, with nothing but what we publish or handed out"
NOBODYS: Final = "tends what is kept and shows nothing to anybody"


@dataclass(frozen=True)
class Writes:
    """The deeds of one thing that acts, as words of the contract."""

    done: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """What a refusal writes, of somebody known who asks for what is not there, or not theirs."""
    exempt: str = ""
    """Why it writes nothing."""
    note: str = ""

    def __post_init__(self) -> None:
        written = bool(self.done or self.refused)
        assert written != bool(self.exempt), "either it writes, or it says why not"


def exempt(why: str) -> Writes:
    return Writes(exempt=why)


EVIDENCE: Final = Writes(
    ("proof-read", "recording-downloaded"),
    ("proof-read",),
    note="if it begins a listening: `release-granted` as well",
)

DUMP: Final = Writes(
    ("documents-dumped",), note="sealed, to backup's certificate; without recipients it gives none"
)

ROUTES: Final[dict[str, Writes]] = {
    # auth: signing in
    "GET /auth/v1/openapi.json": exempt(PUBLIC),
    "GET /auth/v1/keys": exempt(PUBLIC),
    "GET /auth/v1/tenants/{tenant}/receipt-keys": exempt(PUBLIC),
    "POST /auth/v1/token": Writes(
        ("token-issued",), ("token-issued",), note="a client id that is nobody's is counted only"
    ),
    "POST /auth/v1/staff-sessions": Writes(("staff-signed-in",), ("staff-signed-in",)),
    "POST /auth/v1/customer-sessions": Writes(
        ("customer-signed-in",),
        ("customer-signed-in",),
        note="with a question `question-asked` instead; too many failures: `credential-frozen`; a "
        "mistyped access ID is nobody's and counted only",
    ),
    "POST /auth/v1/customer-sessions/answers": Writes(
        ("question-answered", "customer-signed-in"),
        ("question-answered",),
        note="too many failures: `credential-frozen`; a challenge that is nobody's is counted only",
    ),
    "DELETE /auth/v1/customer-sessions/current": Writes(("customer-signed-out",)),
    # auth: administration
    "GET /auth/v1/tenant": Writes(("administration-read",)),
    "PUT /auth/v1/policy": Writes(("tenant-changed", "administration-read")),
    "POST /auth/v1/scopes": Writes(("scope-added", "administration-read")),
    "PUT /auth/v1/letter-shop": Writes(("tenant-changed",)),
    "GET /auth/v1/principals": Writes(("administration-read",)),
    "POST /auth/v1/principals": Writes(("principal-added",)),
    "DELETE /auth/v1/principals/{principal}": Writes(
        ("principal-removed",), ("principal-removed",)
    ),
    "POST /auth/v1/tenant/restoration": Writes(("tenant-changed",)),
    "POST /auth/v1/retention-previews": Writes(("administration-read",)),
    "GET /auth/v1/retention/{listing}": Writes(("administration-read",)),
    # auth: erasing
    "PUT /auth/v1/recordings/{recording}/hold": Writes(("recording-held",), ("recording-held",)),
    "DELETE /auth/v1/recordings/{recording}/hold": Writes(("hold-lifted",), ("hold-lifted",)),
    "GET /auth/v1/recordings/{recording}/shred-certificate": Writes(
        ("certificate-read",), ("certificate-read",)
    ),
    "POST /auth/v1/erasures": Writes(("erasure-asked",), ("erasure-asked",)),
    "GET /auth/v1/erasures": Writes(("administration-read",)),
    "POST /auth/v1/erasures/{erasure}/confirmation": Writes(
        ("recording-erased", "customer-erased"),
        ("recording-erased",),
        note="one for each recording, one if it was the customer's last; a tenant's: "
        "`tenant-closed` instead",
    ),
    "DELETE /auth/v1/erasures/{erasure}": Writes(("erasure-withdrawn",), ("erasure-withdrawn",)),
    "GET /auth/v1/tenants/{tenant}/shred-certificate": exempt(PUBLIC),
    # auth: care and partners
    "POST /auth/v1/customer-searches": Writes(
        ("customers-searched", "customers-searched"),
        ("customers-searched",),
        note="one for the search, one for each customer shown",
    ),
    "POST /auth/v1/credentials/{credential}/reissue": Writes(
        ("credential-reissued",), ("credential-reissued",)
    ),
    "POST /auth/v1/credentials/{credential}/state": Writes(
        ("credential-undelivered",),
        ("credential-undelivered",),
        note="or `credential-frozen`, `-revoked`, `-restored`, as was asked",
    ),
    "POST /auth/v1/credentials/{credential}/letter": Writes(
        ("letter-changed",),
        ("letter-changed",),
        note="a letter that came back: `credential-undelivered`",
    ),
    "GET /auth/v1/recordings/{recording}/objection": Writes(
        ("recordings-listed",), ("recordings-listed",)
    ),
    "DELETE /auth/v1/recordings/{recording}/objection": Writes(
        ("objection-settled",), ("objection-settled",)
    ),
    # auth, inside
    "POST /auth/internal/v1/issues": Writes(
        ("access-issued",), note="a join: `recording-joined` as well; a refusal is ingest's deed"
    ),
    "POST /auth/internal/v1/issues/{recording}/answer": exempt(
        "ingest's `recording-read`: the answer leaves once more"
    ),
    "POST /auth/internal/v1/manifests": exempt("ingest's `manifest-read`"),
    "POST /auth/internal/v1/blobs/known": exempt(PROBE),
    "GET /auth/internal/v1/recordings/{recording}": exempt("ingest's `recording-read`"),
    "POST /auth/internal/v1/hearable": Writes(("recordings-listed",), ("recordings-listed",)),
    "POST /auth/internal/v1/hearings": Writes(("hearings-read",), ("hearings-read",)),
    "POST /auth/internal/v1/papers": Writes(("proof-read",), ("proof-read",)),
    "POST /auth/internal/v1/recordings/{recording}/objection": Writes(
        ("recording-held",), ("recording-held",), note="said again: nothing, it is held already"
    ),
    "POST /auth/internal/v1/telephone-logins": exempt("nothing is tried before there is a PIN"),
    "POST /auth/internal/v1/telephone-logins/{login_id}/pin": Writes(
        ("customer-signed-in",),
        ("customer-signed-in",),
        note="with a question `question-asked` instead; too many failures: `credential-frozen`; a "
        "login that is over or nobody's is counted only",
    ),
    "POST /auth/internal/v1/telephone-logins/{login_id}/answer": Writes(
        ("question-answered", "customer-signed-in"),
        ("question-answered",),
        note="too many failures: `credential-frozen`; a login that is over or nobody's is counted "
        "only",
    ),
    "DELETE /auth/internal/v1/telephone-sessions/current": Writes(("customer-signed-out",)),
    "POST /auth/internal/v1/releases": Writes(
        ("release-granted",),
        ("release-granted",),
        note="another instance of the same listening: `release-joined`",
    ),
    "POST /auth/internal/v1/releases/{release_id}/renewals": exempt(
        "the release that it renews is the deed"
    ),
    "POST /auth/internal/v1/releases/{release_id}/end": Writes(
        ("release-returned",), note="by each instance that has the key; beside playback's deed"
    ),
    # audit
    "GET /audit/v1/openapi.json": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/checkpoint": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/checkpoint/cosigned": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/timestamps": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/key": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/tile/{tile}": exempt(PUBLIC),
    "GET /audit/v1/logs/{log}/entries": Writes(("log-read",), ("log-read",)),
    "GET /audit/v1/logs/{log}/deeds": Writes(("log-read",), ("log-read",)),
    "GET /audit/v1/logs/{log}/export": Writes(("log-exported",), ("log-exported",)),
    "GET /audit/v1/recordings/{recording_id}/deeds": Writes(("log-read",), ("log-read",)),
    "GET /audit/v1/recordings/{recording_id}/proof": Writes(("proof-read",), ("proof-read",)),
    "GET /audit/internal/v1/recordings/{recording_id}/hearings": exempt("auth's `hearings-read`"),
    "GET /audit/internal/v1/recordings/{recording_id}/papers": exempt("auth's `proof-read`"),
    "GET /audit/internal/v1/appendable": exempt(PROBE),
    # ingest
    "GET /ingest/v1/openapi.json": exempt(PUBLIC),
    "POST /ingest/v1/recordings": Writes(
        ("access-issued", "recording-stored"),
        ("upload-refused",),
        note="a join: `recording-joined` as well; the same once more: `recording-read`",
    ),
    "GET /ingest/v1/recordings/{recording_id}": Writes(("recording-read",), ("recording-read",)),
    "GET /ingest/v1/changes": Writes(("changes-read",)),
    "GET /ingest/v1/manifests": Writes(("manifest-read",), ("manifest-read",)),
    # playback
    "GET /playback/v1/openapi.json": exempt(PUBLIC),
    "GET /playback/v1/recordings": Writes(("recordings-listed",), ("recordings-listed",)),
    "GET /playback/v1/recordings/{recording_id}/audio": Writes(
        ("release-granted",),
        ("release-granted",),
        note="once for a listening; a file: `recording-downloaded`; its end: `listening-ended`; "
        "what does not open: `integrity-failed`",
    ),
    "GET /playback/v1/recordings/{recording_id}/peaks": Writes(
        ("release-granted",), ("release-granted",), note="once for a listening, with its audio"
    ),
    "GET /playback/v1/recordings/{recording_id}/evidence": EVIDENCE,
    "POST /playback/internal/v1/telephone": Writes(
        ("call-answered",),
        note="once for a call; its end: `call-ended`, refused if somebody keyed an access ID and "
        "was not let in; handed over to people: `call-transferred`; a PIN and an answer: auth's "
        "deeds; an access ID that is nobody's: counted, and told by the call's end; nothing "
        "keyed at all: counted; a key while it plays: exempt, the listening is the deed",
    ),
    "GET /playback/internal/v1/telephone/sounds/{call_id}/{file}": exempt(
        "the listening that it belongs to is the deed"
    ),
    "GET /playback/v1/recordings/{recording_id}/hearings": Writes(
        ("hearings-read",), ("hearings-read",)
    ),
    # for backup
    "POST /auth/internal/v1/dumps": DUMP,
    "POST /auth/internal/v1/key-backups": DUMP,
    "POST /ingest/internal/v1/dumps": DUMP,
    "POST /ingest/internal/v1/canaries": DUMP,
    "POST /playback/internal/v1/dumps": DUMP,
    "POST /audit/internal/v1/dumps": DUMP,
    # portal
    "GET /portal/": exempt("a form"),
    "GET /portal/care": exempt("a form"),
    "GET /portal/static/{name}": exempt(PUBLIC),
    "POST /portal/language": exempt("the browser keeps it"),
    "POST /portal/sign-in": Writes(("customer-signed-in",), ("customer-signed-in",)),
    "POST /portal/answer": Writes(("question-answered", "customer-signed-in")),
    "POST /portal/sign-out": Writes(("customer-signed-out",)),
    "GET /portal/recordings": Writes(("recordings-listed",)),
    "GET /portal/recordings/{recording_id}": Writes(("recordings-listed",)),
    "GET /portal/recordings/{recording_id}/heard": Writes(("hearings-read",), ("hearings-read",)),
    "GET /portal/recordings/{recording_id}/evidence": EVIDENCE,
    "GET /portal/recordings/{recording_id}/{part}": Writes(
        ("release-granted",), ("release-granted",), note="once for a listening"
    ),
    "POST /portal/care/sign-in": Writes(("staff-signed-in",), ("staff-signed-in",)),
    "POST /portal/care/sign-out": exempt("the browser forgets a token that goes on for minutes"),
    "POST /portal/care/search": Writes(
        ("customers-searched", "customers-searched"), ("customers-searched",)
    ),
    "GET /portal/care/recordings/{recording_id}": Writes(
        ("recordings-listed",), ("recordings-listed",)
    ),
    "GET /portal/care/recordings/{recording_id}/objection": Writes(
        ("recordings-listed",), ("recordings-listed",)
    ),
    "POST /portal/care/recordings/{recording_id}/objection": Writes(
        ("objection-settled",),
        ("objection-settled",),
        note="the page that follows is one to look at",
    ),
    "GET /portal/care/erasures": Writes(("administration-read",)),
    "GET /portal/care/erasures/asked/{erasure_id}": Writes(("administration-read",)),
    "POST /portal/care/erasures/asked/{erasure_id}/approval": Writes(
        ("recording-erased", "customer-erased"),
        ("recording-erased",),
        note="one for each recording, one if it was the customer's last; a tenant's: "
        "`tenant-closed` instead; refused, what waits is read once more",
    ),
    "POST /portal/care/erasures/asked/{erasure_id}/rejection": Writes(
        ("erasure-withdrawn", "administration-read"), ("erasure-withdrawn",)
    ),
    "GET /portal/care/erasures/rules": Writes(("administration-read",)),
    "POST /portal/care/erasures/rules": Writes(("administration-read", "administration-read")),
    "GET /portal/care/erasures/{listing}": Writes(("administration-read",)),
    "GET /portal/care/certificates/{recording_id}": Writes(
        ("certificate-read",), ("certificate-read",)
    ),
    "GET /portal/care/recordings/{recording_id}/evidence": EVIDENCE,
    "GET /portal/care/recordings/{recording_id}/{part}": Writes(
        ("release-granted",), ("release-granted",), note="once for a listening"
    ),
}

COMMANDS: Final[dict[str, Writes]] = {
    "voicefile serve": exempt("whoever is served does the deeds"),
    "voicefile demo": Writes(
        ("tenant-opened", "principal-added"), note="and those of storing a recording"
    ),
    "voicefile certificates": exempt("makes files on the operator's machine"),
    "voicefile migrate": exempt("changes the form of what is kept, as each start does"),
    "voicefile tenant open": Writes(("tenant-opened", "principal-added")),
    "voicefile tenant list": Writes(("administration-read",)),
    "voicefile tenant close": Writes(
        ("tenant-closed",), note="a tenant that is not there: nothing was asked of anybody"
    ),
    "voicefile keys show": Writes(("administration-read",)),
    "voicefile keys try-other-root": exempt("uses the other root with a key that it throws away"),
    "voicefile keys change-root": Writes(
        ("root-changed", "keys-rewrapped", "epoch-opened"),
        note="once, then for each tenant; taken up again, it goes on where it was",
    ),
    "voicefile keys destroy-old-root": Writes(("root-destroyed",)),
    "voicefile keys change-signing": Writes(("signing-key-added",), note="for each key"),
    "voicefile tenant prompt": Writes(("tenant-changed",), note="before the file is put in place"),
    "voicefile tenant restore": Writes(("tenant-changed",)),
    "voicefile tenant preview": Writes(("administration-read",)),
    "voicefile prepare kafka": exempt("before there is a vault to have a log"),
    "voicefile prepare mongo": exempt("before there is a vault to have a log"),
    "voicefile prepare s3": exempt("before there is a vault to have a log"),
    "voicefile prompts build": exempt("makes files of our own texts on the operator's machine"),
    "voicefile prompts missing": exempt("reads those files"),
    "voicefile verify": exempt(ELSEWHERE),
    "voicefile audit fsck": exempt(ELSEWHERE),
    "voicefile witness begin": exempt(ELSEWHERE),
    "voicefile witness trust": exempt(ELSEWHERE),
    "voicefile witness show": exempt(ELSEWHERE),
    "voicefile witness serve": exempt(ELSEWHERE),
    "voicefile backup ceremony": exempt("makes a key on a machine apart; no vault is near"),
    "voicefile backup join": exempt("the same"),
    "voicefile backup drill-key": exempt("the same"),
    "voicefile backup key": exempt("prints a public key"),
    "voicefile backup run": Writes(("backup-taken", "documents-dumped")),
    "voicefile backup list": exempt(ELSEWHERE),
    "voicefile backup verify": exempt(ELSEWHERE),
    "voicefile backup drill": exempt("leaves a signed report, of which backup makes the deed"),
    "voicefile backup restore": Writes(
        ("backup-restored",), note="in the log of the vault that is restored, when it is started"
    ),
    "voicefile events dead": exempt("ids, places and reasons; changes nothing"),
    "voicefile events replay": Writes(
        ("event-replayed",), note="for each event, before the first is published"
    ),
}

LOOPS: Final[dict[str, Writes]] = {
    "auth.app._housekeeping": Writes(
        (
            "epoch-opened",
            "epoch-destroyed",
            "integrity-failed",
            "recording-erased",
            "customer-erased",
            "tenant-erased",
            "retention-applied",
        ),
        note="rotation opens and destroys epochs of keys; the scrub tells of forged records; what "
        "is due is erased, each recording for itself; what has lapsed (sessions, answers kept for "
        "retries, claims, erasures that nobody confirmed) is swept without a deed",
    ),
    "backup.app._working": Writes(
        ("backup-taken", "backup-drilled"),
        note="`failed`: a backup that is missed, partial, or of what is not sealed; a drill that "
        "found something. Single copies and tombstones: exempt, others' deeds tell of them",
    ),
    "backup.orders.Orders.give": exempt("waits for the backup that it ordered, which is the deed"),
    "auth.app._forgetting": exempt("keys leave this process's memory"),
    "auth.listening.audit_gate.AuditGate._keep_asking": exempt(PROBE),
    "ingest.app._leading": exempt(
        "blobs that belong to no recording, or to one whose erasing is auth's deed"
    ),
    "ingest.manifests.Manifests.keep_signing": Writes(
        ("manifest-signed",), note="for every partner, once a day"
    ),
    "ingest.issue._Asking.ask": exempt("the same question to auth, until it answers"),
    "ingest.media.decode_job.DecodeJob.run": exempt("the upload that it is part of is the deed"),
    "ingest.media.decoder.Decoders._keep_alive": exempt(NOBODYS),
    "ingest.media.decoding._Decoding.run": exempt("the upload that it is part of is the deed"),
    "playback.listenings.Listenings.keep": Writes(
        ("listening-ended",), note="what is over or idle; at a stop all that is open"
    ),
    "playback.app._sweeping": Writes(
        ("listening-ended", "call-ended"),
        note="`failed`: the process that served it has died; a call: its edge has",
    ),
    "audit.releases.ReleaseWatch.run": exempt(
        "looks for releases without an outcome, and tells the operator"
    ),
    "audit.collect.Collector.run": exempt("shows heads to witnesses, and keeps what they sign"),
    "audit.stamp_day.DayStamps.run": exempt("has the day's heads time-stamped"),
    "audit.append.Sequencer.run": exempt("puts deeds into the log"),
    "audit.checkpoint.Publisher.run": exempt("signs the log"),
    "audit.gaps.GapWatch.run": exempt("looks for deeds that are missing, and tells the operator"),
    "audit.indexing.Indexer.run": exempt(NOBODYS),
    "audit.lead.Lead._recovered": exempt("reads its own state, until it can"),
    "audit.pulse.Pulse.beat_while": exempt(PROBE),
}

HANDLERS: Final[dict[str, Writes]] = {
    "audit hears events": exempt("puts deeds into the log"),
    "backup hears events": exempt("notes what there is to copy, and what was erased"),
    "ingest hears events": exempt("notes what auth has recorded: tenants, states of recordings"),
}

ALSO: Final[dict[str, str]] = {
    "door-refused": "any route with a role, when somebody known has another one",
    "integrity-failed": "whoever meets a record or a blob that nobody of ours has written",
    "void": "a number whose write lost its race; it says that no deed is missing",
}
"""What no single route writes."""

NOT_WRITTEN_YET: Final[dict[str, str]] = {}
"""In the contract, for what does not exist yet."""

OBJECTS: Final[dict[str, str]] = {
    "void": "none",
    "recording-stored": "the recording",
    "upload-refused": "the id the recording would have had, if it came so far",
    "access-issued": "the recording; the commitment is its receipt's",
    "recording-joined": "the recording; the commitment is its receipt's",
    "token-issued": "the partner",
    "staff-signed-in": "the staff member; none if nobody is called so",
    "customer-signed-in": "the credential; none if there is none",
    "customer-signed-out": "the credential",
    "question-asked": "the credential",
    "question-answered": "the credential",
    "recordings-listed": "the credential; refused: what was asked for",
    "release-granted": "the recording; related: the release",
    "release-joined": "the recording; related: the release",
    "listening-ended": "the release; with the bytes sent",
    "release-returned": "the release; with the bytes sent, as auth was told",
    "manifest-signed": "the partner; commitment: the manifest",
    "call-answered": "the call, by a hash of its id",
    "call-ended": "the same",
    "call-transferred": "the same",
    "signing-key-added": "the key; commitment: its public half",
    "root-changed": "the root version that lasting keys hang on from now on",
    "keys-rewrapped": "the tenant",
    "root-destroyed": "the root version",
    "documents-dumped": "none",
    "backup-taken": "the manifest; commitment: its hash; failed: why",
    "backup-drilled": "the manifest that was drilled; commitment: the report",
    "backup-restored": "the manifest",
    "recording-downloaded": "the recording",
    "customers-searched": "none for the search, the credential for each customer shown",
    "credential-reissued": "the credential",
    "credential-frozen": "the credential",
    "credential-revoked": "the credential",
    "credential-undelivered": "the credential",
    "credential-restored": "the credential",
    "letter-changed": "the credential",
    "tenant-opened": "the tenant",
    "tenant-changed": "the tenant or reseller",
    "tenant-closed": "the tenant; related: the request that was confirmed",
    "scope-added": "the tenant or reseller",
    "principal-added": "the principal",
    "principal-removed": "the principal",
    "epoch-opened": "the tenant",
    "epoch-destroyed": "the tenant",
    "recording-read": "the recording",
    "changes-read": "none",
    "log-read": "the log; the recording, where deeds about one were read",
    "log-exported": "the log",
    "proof-read": "the recording",
    "recording-held": "the recording",
    "objection-settled": "the recording",
    "recording-erased": "the recording; related: the request that was confirmed, if there was one; "
    "commitment: the certificate",
    "hold-lifted": "the recording",
    "erasure-asked": "the recording, credential or tenant; related: the request",
    "erasure-withdrawn": "the same; related: the request",
    "customer-erased": "the credential; related: the request",
    "tenant-erased": "the tenant; commitment: the certificate",
    "retention-applied": "the tenant",
    "certificate-read": "the recording",
    "integrity-failed": "the record or recording",
    "administration-read": "the tenant; none for the list of all",
    "event-replayed": "the event",
    "hearings-read": "the recording",
    "door-refused": "the id that was asked for, if there is one",
    "manifest-read": "none",
}
"""What `object_id` is, for every action there is."""
