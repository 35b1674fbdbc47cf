"""Sessions with STARTTLS before Debian's Postfix and ours: handshakes that fail, clients without the certificate that is demanded, commands before TLS and after
it. Replies, log lines and what Received says must agree."""
import os
import re
import ssl
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402
from test_smtpd_secure import DovecotAuth  # noqa: E402
from test_smtpd_tls import ANCIENT, ASK, DEMAND, NO_CERTIFICATE, OLD, keys, with_keys  # noqa: E402, F401

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {"smtpd_tls_cert_file": "$keys/rsa.pem", "smtpd_tls_key_file": "$keys/rsa.key", "smtpd_tls_loglevel": "1", "smtpd_tls_security_level": "may", "smtpd_tls_received_header": "yes",
        "mynetworks": "192.0.2.1", "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_banner": "$myhostname ESMTP", "mail_name": "Postfix", "notify_classes": "",
        "smtputf8_enable": "no", "enable_long_queue_ids": "no", "smtpd_sasl_type": "dovecot"}
ENCRYPT = {"smtpd_tls_security_level": "encrypt"}
SERVICES = {
    "may": {}, "encrypt": ENCRYPT, "demand": DEMAND, "quiet": dict(DEMAND, smtpd_tls_loglevel="0"), "ask": ASK, "slow": {"smtpd_starttls_timeout": "1s"}, "wrapped": {"smtpd_tls_wrappermode": "yes"},
    "none": NO_CERTIFICATE, "wrong": {"smtpd_tls_key_file": "$keys/ec.key"}, "wrong-encrypt": dict(ENCRYPT, smtpd_tls_key_file="$keys/ec.key"), "sasl": {"smtpd_sasl_auth_enable": "yes"},
    "auth-only": {"smtpd_sasl_auth_enable": "yes", "smtpd_tls_auth_only": "yes"}, "sni": {"tls_server_sni_maps": "inline:{b.example=$keys/ec.all}", "smtpd_tls_loglevel": "0"},
    "unasked": {"smtpd_recipient_restrictions": "permit_tls_clientcerts, permit_tls_all_clientcerts, check_ccert_access inline:{x=OK}, reject"},
    "hidden": {"smtpd_discard_ehlo_keywords": "starttls"},
}
HELLO, TLS, QUIT = "EHLO c.example", "<TLS>", "QUIT"
FROM, TO, FAR, LOGIN = "MAIL FROM:<s@x.example>", "RCPT TO:<u@test.example>", "RCPT TO:<u@far.example>", "AUTH PLAIN AHUAc2VjcmV0"
BEGIN, MAIL = [HELLO, TLS], [FROM, TO, "DATA", "Subject: x\r\n\r\nx\r\n.", QUIT]
# The listener, the client, what it says: a line each, <TLS> for STARTTLS with a handshake, or bytes after which it waits for the end.
ROWS = [
    *((name, client, BEGIN + ["EHLO d.example", QUIT]) for name in ("demand", "quiet", "ask") for client in (
        {}, OLD, *(dict(old, certificate=c) for old in ({}, OLD) for c in ("client", "alone", "expired", "deep")))),
    *((name, client, BEGIN + ["EHLO d.example"] + MAIL) for name in ("ask", "may") for client in ({}, OLD, {"certificate": "client"}, {"certificate": "alone"}, dict(OLD, certificate="client"))),
    *(("may", {}, [HELLO, "STARTTLS", end]) for end in (b"NOOP\r\n", bytes(range(200)) * 5, b"\x15\x03\x01\x00\x02\x02\x28", bytes.fromhex("160300002f0100002b0300") + b"a" * 32 + bytes.fromhex("000004002f00350100"))),
    ("may", {}, [HELLO, "STARTTLS"]), ("slow", {}, [HELLO, "STARTTLS", b""]), ("none", {}, BEGIN), ("demand", ANCIENT, BEGIN), ("may", ANCIENT, BEGIN + [QUIT]),
    *((name, {}, [HELLO, "STARTTLS", HELLO, FROM, TO, LOGIN, QUIT]) for name in ("wrong", "wrong-encrypt", "hidden")),
    ("may", {}, BEGIN + ["STARTTLS", "STARTTLS now", HELLO, "STARTTLS", QUIT]), ("may", {}, ["STARTTLS now", "starttls now", TLS, QUIT]), ("wrapped", {}, [TLS, HELLO, "STARTTLS", *MAIL]),
    # What was said before TLS is forgotten, but that the client speaks ESMTP.
    *(("may", {}, words + [TLS] + more + [FROM, FAR, FAR]) for words in ([], [HELLO], ["HELO c.example"], [HELLO, FROM, TO]) for more in ([], [HELLO], ["HELO d.example"])),
    ("may", {}, [HELLO, "HELO d.example", FROM, FAR]), ("may", {}, BEGIN + ["RCPT TO:<u@test.example>", "DATA", QUIT]), ("may", {}, [HELLO, TLS, FROM + "\r\n" + FAR + "\r\nNOOP", "", "", QUIT]),
    *((name, {}, [HELLO, LOGIN, TLS] + more + [LOGIN, FROM, TO]) for name in ("sasl", "auth-only") for more in ([], [HELLO])),
    # Commands that need TLS are as if they had not been said.
    *(("encrypt", {}, words) for words in ([FROM], [HELLO, FROM], [HELLO, "AUTH PLAIN"], ["RSET"], ["NOOP", "DATA", "FOO", "RCPT"], [HELLO, "VRFY a"], [HELLO, "FOO", FROM], [HELLO, " "],
                                           [HELLO, FROM + "\r\n" + TO, "", QUIT], ["HELP", QUIT])),
    *(("sni", {"name": name}, BEGIN + [QUIT]) for name in ("b.example", "B.Example", "c.example", "a_b.example", "b.example.")),
    ("unasked", {}, [HELLO, FROM, FAR, TLS, HELLO, FROM, FAR, QUIT]),
]


def normal(text):
    text = re.sub(r"\b[0-9A-F]{9,15}\b", "ID", text)
    text = re.sub(r"(:SSL routines::[^:]*):.*", r"\1", text)
    return re.sub(r"(?m)^(250[- ]SIZE) \d+", r"\1 N", text)


class Talk:
    def __init__(self, port, keys, client, words):  # noqa: F811
        self.client, self.keys, self.replies = client, keys, []
        self.connection = postern.Client(port, greeting=not client.get("wrapped"))
        with self.connection:
            for word in words:
                if not self.say(word):
                    break

    def say(self, word):
        if word == TLS:
            return self.secure()
        try:
            if isinstance(word, bytes):
                self.connection.raw(word)
                self.connection.socket.recv(3)
                return False
            self.replies.append(normal(self.connection.command(word) if word else self.connection.reply()))
        except OSError:
            return False
        return bool(self.replies[-1])

    def secure(self):
        if not self.client.get("wrapped"):
            self.replies.append(self.connection.command("STARTTLS"))
            if not self.replies[-1].startswith("220"):
                return True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if "max" in self.client:
            context.minimum_version = context.maximum_version = self.client["max"]
        if "ciphers" in self.client:
            context.set_ciphers(self.client["ciphers"])
        if "certificate" in self.client:
            context.load_cert_chain(*(self.keys / (self.client["certificate"] + end) for end in (".chain", ".key")))
        try:
            self.connection.socket = context.wrap_socket(self.connection.socket, server_hostname=self.client.get("name"))
        except OSError as e:
            self.replies.append(getattr(e, "reason", "gone"))
            return False
        if self.client.get("wrapped"):
            self.replies.append(self.connection.reply())
        return True


class Side:
    def __init__(self, module, directory, keys):  # noqa: F811
        self.sink, self.auth, self.keys = postern.Sink(), DovecotAuth(), keys
        main = dict(MAIN, worker_processes="" if module is postfix else "1", local_transport="smtp:[127.0.0.1]:%d" % self.sink.port, smtpd_sasl_path="inet:127.0.0.1:%d" % self.auth.port)
        self.instance = module.Instance(directory, with_keys(main, keys), {name: with_keys(dict({"smtpd_helo_required": "no"}, **options), keys) for name, options in SERVICES.items()})
        self.instance.start()

    def close(self):
        self.instance.stop(check=False)
        self.sink.close()
        self.auth.close()

    def session(self, listener, client, words):
        mark, before = self.instance.log_size(), len(self.sink.mails)
        talk = Talk(self.instance.ports[listener], self.keys, dict(client, wrapped=True) if listener == "wrapped" else client, words)
        self.instance.wait_log(r"disconnect from", since=mark)
        lines = [normal(line) for line in re.findall(r"smtpd\[\d+\]: (.*)", self.instance.log(mark))]
        received = []
        if any("queued as" in str(reply) for reply in talk.replies):
            mail = self.sink.wait(before + 1)[-1]["data"].decode()
            received = [normal(re.sub(r";\s.*", "", mail[:mail.index("\r\nMessage-Id")], flags=re.S))]
        return talk.replies, [line for line in lines if not re.match(r"warning: (No server certs|RSA private key|Need a server|TLS is not available|\S+ restrictions)", line)], received


@pytest.fixture(scope="module")
def sides(tmp_path_factory, keys):  # noqa: F811
    with postfix.beside(Side, tmp_path_factory, keys) as pair:
        yield pair


@exercises("smtpd_tls_security_level", "smtpd_tls_req_ccert", "smtpd_tls_ask_ccert", "smtpd_tls_received_header", "smtpd_tls_loglevel", "smtpd_tls_auth_only", "smtpd_starttls_timeout",
           "smtpd_tls_wrappermode", "tls_server_sni_maps", "permit_tls_clientcerts", "permit_tls_all_clientcerts", "check_ccert_access")
def test_sessions(sides):
    wrong = []
    for row in ROWS:
        ours, theirs = (side.session(*row) for side in sides)
        if ours != theirs:
            wrong.append("%s %s %s\n  is       %s\n  is to be %s" % (*row, ours, theirs))
    assert not wrong, "%d\n%s" % (len(wrong), "\n".join(wrong))
