"""Answers of name servers that others stumbled over: each test is the trigger of one."""
import re
import socketserver
import struct
import threading

import pytest

from postern import Dns, Sink
from test_smtp_client import CLIENT, outcome

@pytest.fixture(autouse=True)
def short_patience():
    """resolv.conf(5) is the namespace's own: where answers that do not count are all there is, they are not waited for long."""
    with open("/etc/resolv.conf") as f:
        before = f.read()
    with open("/etc/resolv.conf", "w") as f:
        f.write(re.sub("timeout:.*", "timeout:2 attempts:1", before))
    yield
    with open("/etc/resolv.conf", "w") as f:
        f.write(before)


ZONE = {"far.example": {"MX": [(10 + i, "mx%d.example" % i) for i in range(60)]}, "mx0.example": {"A": ["127.0.0.3"]}}


class OddDns(Dns):
    """UDP answers go through `change` before they are sent."""

    def __init__(self, change):
        self.change = change
        super().__init__(ZONE)

    def answer(self, packet):
        return self.change(super().answer(packet))


class TcpDns(socketserver.ThreadingTCPServer):
    """The same answers over TCP, as they are."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, dns):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while True:
                    head = self.rfile.read(2)
                    if len(head) < 2:
                        return
                    answer = Dns.answer(dns, self.rfile.read(struct.unpack(">H", head)[0]))
                    dns.over_tcp += 1
                    self.wfile.write(struct.pack(">H", len(answer)) + answer)
        dns.over_tcp = 0
        super().__init__(("127.0.0.1", 53), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def truncated(answer):
    """As much as fits into 512 bytes, marked as cut."""
    if len(answer) <= 512:
        return answer
    end = 12
    while answer[end]:
        end += 1 + answer[end]
    return answer[:2] + bytes([answer[2] | 2, answer[3]]) + answer[4:6] + b"\0" * 6 + answer[12:end + 5]


@pytest.mark.parametrize("tcp", [True, False])
def test_truncated_answer_is_asked_for_again(mta, tcp):
    """60 hosts do not fit: the whole answer comes over TCP, and without TCP the mail waits."""
    dns, far = OddDns(truncated), Sink("127.0.0.3", 25)
    server = TcpDns(dns) if tcp else None
    instance = mta(CLIENT).start()
    instance.send(recipients=["u@far.example"])
    found = outcome(instance, "u@far.example")
    assert found[1] == ("sent" if tcp else "deferred"), found
    assert tcp or found[0].startswith("4.4.")
    assert not tcp or (dns.over_tcp > 0 and len(far.wait()) == 1)
    if server:
        server.shutdown()
        server.server_close()
    dns.close()
    far.close()


CHANGES = {"nothing": lambda a: b"", "header": lambda a: a[:12], "cut": lambda a: a[:len(a) // 2], "one byte less": lambda a: a[:-1], "counts": lambda a: a[:6] + b"\xff\xff" + a[8:],
           "other id": lambda a: bytes([a[0] ^ 0xff]) + a[1:], "loop": lambda a: a[:12] + b"\xc0\x0c" + a[14:], "refused": lambda a: a[:3] + b"\x85" + a[4:12],
           "not a reply": lambda a: a[:2] + bytes([a[2] & 0x7f]) + a[3:], "long": lambda a: a[:12] + b"\0" * 4000}


@pytest.mark.parametrize("change", CHANGES)
def test_odd_answers_are_temporary_failures(mta, change):
    """Nothing, less, or something else than was asked for: the mail waits; no host is invented, none is said not to exist."""
    dns = OddDns(CHANGES[change])
    instance = mta(CLIENT).start()
    instance.send(recipients=["u@far.example"])
    dsn, status, text, _ = outcome(instance, "u@far.example")
    assert status == "deferred" and dsn.startswith("4."), (dsn, status, text)
    assert "warning: process" not in instance.log()
    dns.close()
