"""The prober of ports finds what speaks in plain, and clears what speaks TLS alone."""

import http.server
import socketserver
import ssl
import struct
import threading
from contextlib import contextmanager

import pytest
from tests.engines import running
from tests.engines.certificates import certificate
from tests.engines.fleet import engines
from tests.engines.plaintext import KAFKA, MONGO, probe, probe_family


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"plain")

    def log_message(self, *_):
        pass


def broker(question, answer):
    """Answers one question as a server of that protocol would, and nothing else."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self):
            if self.request.recv(4096) == question:
                self.request.sendall(answer)

    return Answering


class Deaf(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)


@contextmanager
def serving(handler, tls=None):
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self):
            taken, address = super().get_request()
            if tls is not None:
                taken = tls.wrap_socket(taken, server_side=True)
            return taken, address

        def handle_error(self, *_):
            pass  # who speaks another language here hears nothing; the tests look at that

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def tls(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, "web"))
    return context


KAFKAS_ANSWER = struct.pack(">iih", 6, 1, 0)
MONGOS_ANSWER = struct.pack("<iiii", 21, 1, 2013, 2013) + bytes(5)


@pytest.mark.parametrize(
    ("handler", "spoken"),
    [
        (Web, "HTTP"),
        (broker(KAFKA, KAFKAS_ANSWER), "Kafka"),
        (broker(MONGO, MONGOS_ANSWER), "MongoDB"),
    ],
)
def test_a_planted_plain_server_is_found(handler, spoken):
    with serving(handler) as port:
        found = probe(port)
    assert not found.safe
    assert found.tls is None
    assert found.plain == (spoken,)


def test_a_port_that_says_nothing_at_all_is_no_tls_either():
    with serving(Deaf) as port:
        assert not probe(port).safe


def test_a_server_that_speaks_tls_alone_passes(tls):
    with serving(Web, tls) as port:
        found = probe(port)
    assert found.safe
    assert found.tls == "TLSv1.3"


def test_a_server_that_wants_our_certificate_passes(tls, tmp_path):
    tls.load_verify_locations(tmp_path / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(Web, tls) as port:
        assert probe(port).safe


@pytest.mark.parametrize("name", ["kafka", "mongo", "s3", "openbao", "collector"])
def test_every_port_of_every_engine_speaks_tls_alone(name):
    running.engine(name)
    found = probe_family(engines()[name].pid)
    assert found
    assert [each for each in found if not each.safe] == []
