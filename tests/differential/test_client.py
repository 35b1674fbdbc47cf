"""The same mail to the same name server and mail servers, by Debian's Postfix and by us: outcomes must agree."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {
    "mydestination": "test.example", "inet_interfaces": "127.0.0.1", "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
    "smtp_randomize_addresses": "no", "smtputf8_enable": "no", "enable_long_queue_ids": "no",
    "transport_destination_rate_delay": "0s", "default_destination_concurrency_failed_cohort_limit": "0", "append_dot_mydomain": "no",
    "resolve_numeric_domain": "yes",
}

ZONE = {
    "up.example": {"MX": [(20, "live.example"), (10, "dead.example")]},
    "dead.example": {"A": ["127.0.0.2"]},
    "live.example": {"A": ["127.0.0.3"]},
    "plain.example": {"A": ["127.0.0.3"]},
    "six.example": {"AAAA": ["2001:db8::1"]},
    "alias.example": {"CNAME": ["up.example"]},
    "gone.example": {"CNAME": ["nothing.example"]},
    "self.example": {"MX": [(10, "own.example"), (20, "live.example")]},
    "own.example": {"A": ["127.0.0.1"]},
    "backup.example": {"MX": [(10, "dead.example"), (20, "own.example"), (30, "live.example")]},
    "null.example": {"MX": [(0, "")]},
    "sick.example": {"SERVFAIL": True},
    "empty.example": {"TXT": ["nothing"]},
    "lost.example": {"MX": [(10, "missing.example")]},
    "lost2.example": {"MX": [(10, "missing.example"), (20, "empty.example")]},
    "lost3.example": {"MX": [(10, "empty.example"), (20, "sick.example"), (30, "missing.example")]},
    "half.example": {"MX": [(10, "sick.example"), (20, "live.example")]},
    "odd.example": {"MX": [(10, "bad_name-.example")]},
    "numbers.example": {"MX": [(10, "127.0.0.3")]},
    "_under.example": {"A": ["127.0.0.3"]},
    "busy.example": {"A": ["127.0.0.4"]},
    "rude.example": {"A": ["127.0.0.5"]},
    "rudeup.example": {"MX": [(10, "rude.example"), (20, "live.example")]},
    "busyup.example": {"MX": [(10, "busy.example"), (20, "live.example")]},
    "closing.example": {"A": ["127.0.0.6"]},
    "closingup.example": {"MX": [(10, "closing.example"), (20, "live.example")]},
    "lateup.example": {"MX": [(10, "late.example"), (20, "live.example")]},
    "late.example": {"A": ["127.0.0.7"]},
    "mute.example": {"A": ["127.0.0.8"]},
    "oldest.example": {"A": ["127.0.0.9"]},
    "mirror.example": {"A": ["127.0.0.10"]},
}
DOMAINS = sorted(k for k in ZONE if k not in ("own.example", "missing.example")) + [
    "none.example", "none.up.example", "[127.0.0.3]", "[127.0.0.2]", "single", "a_b.example", "-bad.example"]


def run(kind, directory, main):
    servers = [
        postern.Sink("127.0.0.3", 25),
        postern.Sink("127.0.0.4", 25, rules={"CONNECT": "421 4.3.2 busy"}),
        postern.Sink("127.0.0.5", 25, rules={"CONNECT": "554 5.7.1 go away"}),
        postern.Sink("127.0.0.6", 25, rules={"MAIL": lambda line: None}),
        postern.Sink("127.0.0.7", 25, rules={"RCPT": "450 4.2.0 later"}),
        postern.Sink("127.0.0.8", 25, rules={"CONNECT": lambda line: None}),
        postern.Sink("127.0.0.9", 25, rules={"EHLO": "500 what", "HELO": "250 old"}),
        postern.Sink("127.0.0.10", 25, rules={"EHLO": "250 mail.test.example"}),
    ]
    dns = postern.Dns(ZONE)
    instance = kind(directory, dict(MAIN, **main))
    result = {}
    try:
        instance.start()
        for domain in DOMAINS:
            with instance.client() as c:
                c.expect(250, "EHLO client.example")
                c.expect(250, "MAIL FROM:<>")
                reply = c.command("RCPT TO:<u@%s>" % domain)
                if reply.startswith("250"):
                    c.data("Subject: x\r\n\r\nhello\r\n")
                else:
                    result[domain] = reply
        for domain in DOMAINS:
            if domain not in result:
                m = instance.wait_log(r"to=<u@%s>, relay=([^,]*), .*dsn=([\d.]+), status=(\w+) (\(.*\))\n" % re.escape(domain), 30)
                result[domain] = re.sub(r"mta\d+", "", " ".join(m.groups()))
    finally:
        instance.stop(check=False)
        dns.close()
        for server in servers:
            server.close()
    return result


@pytest.mark.parametrize("main", [
    {"inet_protocols": "ipv4"}, {"inet_protocols": "all"}, {"inet_protocols": "ipv4", "ignore_mx_lookup_error": "yes", "smtp_skip_5xx_greeting": "no"},
    {"inet_protocols": "ipv4", "smtp_defer_if_no_mx_address_found": "yes", "smtp_fallback_relay": "[live.example]"},
    {"inet_protocols": "ipv4", "smtp_host_lookup": "native", "smtp_mx_session_limit": "1"},
], ids=["ipv4", "all", "ignore", "fallback", "native"])
def test_outcomes(tmp_path, main):
    theirs = run(postfix.Instance, str(tmp_path / "theirs"), main)
    ours = run(postern.Instance, str(tmp_path / "ours"), main)
    differences = ["%s\n  %s\n  %s" % (d, theirs[d], ours[d]) for d in DOMAINS if theirs[d] != ours[d]]
    assert not differences, "\n".join(differences)


def dialogue(kind, directory, keywords, envelope):
    """What the mail server hears."""
    sink = postern.Sink(keywords=keywords)
    instance = kind(directory, dict(MAIN, relayhost="[127.0.0.1]:%d" % sink.port, inet_protocols="ipv4"))
    try:
        instance.start()
        with instance.client() as c:
            for line in envelope:
                c.expect(250, line)
            c.data("Subject: x\r\n\r\nhello\r\n.dot\r\n..\r\n" + "x" * 1200 + "\r\nend\r\n")
        mail = sink.wait()[0]
        body = mail["data"].split(b"\r\n\r\n", 1)[1]
        # Postfix leaves SIZE out where it might convert the content
        return [re.sub(r" SIZE=\d+", "", line) for line in mail["commands"]], body
    finally:
        instance.stop(check=False)
        sink.close()


@pytest.mark.parametrize("keywords", [("HELP",), ("PIPELINING", "SIZE", "8BITMIME", "DSN"), ("SIZE 100000", "DSN"), ("dsn", "size=9999999")],
                         ids=["bare", "usual", "unpipelined", "odd"])
@pytest.mark.parametrize("envelope", [
    ["HELO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<u@any.example>"],
    ["EHLO client.example", "MAIL FROM:<s@client.example> BODY=8BITMIME SIZE=2000", "RCPT TO:<\"a b\"@any.example>", "RCPT TO:<u+x@any.example>"],
    ["EHLO client.example", "MAIL FROM:<> BODY=7BIT RET=FULL ENVID=a+2Bb", "RCPT TO:<u@any.example> NOTIFY=NEVER ORCPT=rfc822;o+2Bp@q.example"],
    ["EHLO client.example", "MAIL FROM:<\"a@b\"@client.example> RET=HDRS", "RCPT TO:<u@any.example> NOTIFY=FAILURE,DELAY", "RCPT TO:<v@any.example>"],
], ids=["plain", "quoted", "dsn", "notify"])
def test_dialogues(tmp_path, keywords, envelope):
    theirs = dialogue(postfix.Instance, str(tmp_path / "theirs"), keywords, envelope)
    ours = dialogue(postern.Instance, str(tmp_path / "ours"), keywords, envelope)
    assert ours[0] == theirs[0], "\n%s\n%s" % (ours[0], theirs[0])
    assert ours[1] == theirs[1]
