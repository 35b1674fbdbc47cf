"""Policy servers beside Debian's Postfix: the attributes of every request, in their order, and what becomes of each answer."""
import os
import re
import ssl
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from policy_server import PolicyServer  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

STAGES = ("client", "helo", "sender", "recipient", "data", "end_of_data", "etrn")
MAIN = {
    "mydestination": "test.example, localhost", "local_transport": "discard:", "default_transport": "discard:", "notify_classes": "",
    "disable_vrfy_command": "no", "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "smtpd_policy_service_retry_delay": "1s", "smtpd_client_connection_rate_limit": "0",
    "enable_long_queue_ids": "no", "mail_name": "Postfix", "smtpd_banner": "$myhostname ESMTP", "inet_protocols": "all", "smtpd_hard_error_limit": "100", "fast_flush_domains": "test.example", "smtpd_sasl_auth_enable": "no",
}
VARIES = ("instance", "client_port", "queue_id", "server_port")
HELLO, FROM, TO = "EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<u@test.example>"
MESSAGE = "Subject: x\r\n\r\n..dots\r\nbody\r\n.\r\n"


def certificates(directory):
    """An authority, a server, a client that it vouches for, and one that it does not."""
    def run(*argv):
        subprocess.run(["openssl", *argv], cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/O=Org/CN=Test CA x=y")
    for name, subject in (("server", "/CN=mail.test.example"), ("client", "/O=O/CN=Cli\xe9nt \xc4 one=two")):
        run("req", "-newkey", "rsa:2048", "-nodes", "-utf8", "-keyout", name + ".key", "-out", name + ".csr", "-subj", subject)
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem", "-days", "30")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-out", "other.pem", "-days", "30", "-subj", "/CN=other")


def services(policy, keys):
    every = {"smtpd_%s_restrictions" % s: "check_policy_service " + policy.endpoint for s in STAGES}
    tls = {"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": keys + "/server.pem", "smtpd_tls_key_file": keys + "/server.key",
           "smtpd_tls_CAfile": keys + "/ca.pem", "smtpd_tls_ask_ccert": "yes", "smtpd_tls_fingerprint_digest": "sha256"}
    return {
        "every": dict(every, smtpd_delay_reject="no"),
        "delayed": dict(every, stress="yes", smtpd_policy_service_policy_context="all of them"),
        "tls": dict(tls, smtpd_recipient_restrictions="check_policy_service { %s, policy_context=submission }" % policy.endpoint),
        "answers": {"smtpd_recipient_restrictions": "check_policy_service %s, permit" % policy.endpoint},
        "impatient": {"smtpd_recipient_restrictions": "check_policy_service %s, permit" % policy.endpoint, "smtpd_policy_service_timeout": "2s"},
    }


class Side:
    def __init__(self, module, directory, keys):
        self.policy = PolicyServer()
        self.instance = module.Instance(directory, MAIN, services(self.policy, keys)).start()

    def close(self):
        self.instance.stop(check=False)
        self.policy.close()

    def talk(self, listener, lines):
        """Replies, and the requests without what must differ."""
        before, replies = len(self.policy.requests), []
        with self.instance.client(listener) as client:
            for line in lines:
                client.raw(line if line.endswith("\r\n") else line + "\r\n")
                replies.append(re.sub(r"queued as \w+", "queued as ID", client.reply()))
                if not replies[-1]:
                    break
        return replies[1:], [self.normal(request) for _, request in self.policy.requests[before:]]

    @staticmethod
    def normal(request):
        return [(name, "set" if name in VARIES and value not in ("", "0") else value) for name, value in request]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    keys = str(tmp_path_factory.mktemp("keys"))
    os.chmod(keys, 0o755)
    certificates(keys)
    with postfix.beside(Side, tmp_path_factory, keys) as pair:
        yield pair


DIALOGUES = {
    "helo": ["HELO client.example", FROM, TO, "DATA", MESSAGE, "QUIT"],
    "ehlo": [HELLO, FROM + " SIZE=2000 BODY=8BITMIME", TO, "RCPT TO:<v+x@test.example>", "RCPT TO:<\"q r\"@test.example>", "DATA", MESSAGE, "QUIT"],
    "twice": [HELLO, FROM, TO, "RSET", "MAIL FROM:<>", "RCPT TO:<u>", "RCPT TO:<postmaster>", "RCPT TO:<@a.example:u@test.example>", "DATA", MESSAGE,
              FROM, TO, "QUIT"],
    "bdat": [HELLO, FROM, TO, "BDAT 13\r\nSubject: x\r\n\r", "BDAT 9 LAST\r\n\n.dots\r\nx", "QUIT"],
    "verify": [HELLO, "VRFY u@test.example", "ETRN test.example", "QUIT"],
    "xclient": [HELLO, "XCLIENT NAME=h.example REVERSE_NAME=r.example ADDR=192.0.2.9 PORT=4000 LOGIN=bob PROTO=ESMTP HELO=x.example",
                "EHLO y.example", FROM, TO, "QUIT"],
    "xclient-unknown": [HELLO, "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::9", HELLO, FROM, TO, "QUIT"],
    "xclient-local": [HELLO, "XCLIENT ADDR=192.0.2.9 DESTADDR=192.0.2.25 DESTPORT=587", HELLO, FROM, TO, "QUIT"],
    "xclient-nothing": [HELLO, "XCLIENT NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE]", HELLO, FROM, TO, "QUIT"],
    "odd-names": ["EHLO a=b<c>", "MAIL FROM:<\"a=b c\"@client.example>", "RCPT TO:<\"x\\\"y\"@test.example>", "QUIT"],
}


@exercises("check_policy_service", "smtpd_policy_service_policy_context")
@pytest.mark.parametrize("listener", ["every", "delayed"])
@pytest.mark.parametrize("name", DIALOGUES)
def test_attributes(sides, name, listener):
    (our_replies, ours), (their_replies, theirs) = [side.talk(listener, DIALOGUES[name]) for side in sides]
    assert our_replies == their_replies
    assert ours == theirs


@pytest.mark.parametrize("certificate", [None, "client", "other"])
def test_attributes_of_tls(sides, certificate, tmp_path_factory):
    keys = sides[0].instance.services["tls"]["smtpd_tls_cert_file"].rsplit("/", 1)[0]
    asked = []
    for side in sides:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain("%s/%s.pem" % (keys, certificate), "%s/%s.key" % (keys, certificate))
        before = len(side.policy.requests)
        with side.instance.client("tls") as client:
            client.expect(250, HELLO)
            client.expect(220, "STARTTLS")
            client.socket = context.wrap_socket(client.socket)
            for line in (HELLO, FROM, TO):
                client.expect(250, line)
        asked.append([side.normal(request) for _, request in side.policy.requests[before:]])
    assert len(asked[0]) == 1 and asked[0] == asked[1]


ANSWERS = [
    "DUNNO", "OK", "RELAY", "200", "REJECT", "REJECT some  reason", "550 5.7.1 custom text", "550 5.1.1 address", "550 4.7.1 mixed", "450 4.7.1 later",
    "DEFER_IF_PERMIT Greylisted", "DEFER_IF_REJECT later", "DEFER", "DEFER 4.2.0 down", "PREPEND X-Test: yes", "PREPEND bad header", "HOLD", "HOLD why",
    "DISCARD", "DISCARD why", "REDIRECT other@test.example", "REDIRECT nowhere", "FILTER discard:x", "FILTER nowhere", "BCC copy@test.example",
    "WARN noted", "INFO noted", "421 4.7.0 closing", "521 5.7.1 closing", "250 2.1.0 no error", "999 nonsense", "NOSUCHACTION x", "", " ", "dunno",
    "reject_unauth_destination", "permit_mynetworks, reject", "reject a=b", "450-4.7.1 multi", "5.7.1 x", "550 5.7", "REJECT \x01\x7f",
    "check_policy_service inet:127.0.0.1:1", "check_client_access hash:/nowhere",
]
WHOLE = {
    "extra line after": b"action=REJECT text\nextra=1\n\n",
    "extra line before": b"extra=1\naction=REJECT text\n\n",
    "two answers": b"action=REJECT two\n\naction=REJECT three\n\n",
    "no action": b"foo=bar\n\n",
    "empty": b"\n",
    "no name": b"garbage\n\n",
    "blank before =": b"action =REJECT\n\n",
    "capitals": b"ACTION=REJECT\n\n",
    "left over": b"action=REJECT\n\nleft over",
    "not UTF-8": b"action=REJECT \xff\xfe\n\n",
    "ends": None,
    "without end": b"action=REJECT\n",
}


@exercises("check_policy_service", "smtpd_policy_service_default_action")
@pytest.mark.parametrize("answer", ANSWERS + list(WHOLE))
def test_answers(sides, answer):
    got = []
    for side in sides:
        side.policy.answer = WHOLE[answer] if answer in WHOLE else b"action=%s\n\n" % answer.encode()
        mark = side.instance.log_size()
        replies, _ = side.talk("impatient" if answer == "without end" else "answers", [HELLO, FROM, TO, "NOOP"])
        side.policy.answer = b"action=DUNNO\n\n"
        side.instance.wait_log(r"disconnect from", since=mark)
        got.append((replies, [re.sub(r"postfix/smtpd\[\d+\]: [^:]*: ", "", line.split(" ", 4)[-1]) for line in side.instance.log(mark).splitlines()
                              if re.search(r"(reject|hold|discard|redirect|filter|bcc|warn|info): RCPT", line)]))
    ours, theirs = got
    assert ours == theirs
