"""Mail from programs that nobody here wrote, and mail as it really is: through the whole system, byte for byte."""
import email
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys

import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peers"))
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import Sink, exercises, wait_for  # noqa: E402


def body_of(data):
    return re.split(rb"\r?\n\r?\n", data, maxsplit=1)[1]


@pytest.fixture
def relay(mta):
    """An instance that sends everything to a sink."""
    sink = Sink()
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port, "message_size_limit": "20000000"})
    instance.sink = sink
    yield instance.start()
    sink.close()


@exercises("relayhost", "mynetworks")
def test_swaks(relay):
    body = "Subject: from swaks\n\nfirst\n.leading dot\n..two\nlast\n"
    for options in ([], ["--pipeline"], ["--protocol", "SMTP"]):
        subprocess.run(["swaks", "-s", "127.0.0.1", "-p", str(relay.port), "-f", "s@client.example", "-t", "r@far.example", "--helo", "client.example",
                        "--data", body, *options], check=True, stdout=subprocess.PIPE, timeout=60)
    for mail in relay.sink.wait(3):
        assert mail["sender"].startswith("<s@client.example>") and mail["recipients"][0].startswith("<r@far.example>")
        assert body_of(mail["data"]).rstrip() == b"first\r\n.leading dot\r\n..two\r\nlast"


@exercises("relayhost")
def test_curl_with_two_recipients(relay, tmp_path):
    (tmp_path / "mail").write_bytes(b"From: s@client.example\r\nSubject: from curl\r\n\r\n.\r\nbody\r\n")
    subprocess.run(["curl", "-sS", "smtp://127.0.0.1:%d/client.example" % relay.port, "--mail-from", "s@client.example", "--mail-rcpt", "a@far.example",
                    "--mail-rcpt", "b@far.example", "-T", str(tmp_path / "mail")], check=True, timeout=60)
    mail, = relay.sink.wait(1)
    assert len(mail["recipients"]) == 2
    assert body_of(mail["data"]) == b".\r\nbody\r\n"


def test_smtp_source_many_sessions(relay):
    source, environment = postfix.tool("smtp-source")
    subprocess.run(source + ["-s", "20", "-m", "300", "-l", "4096", "-f", "s@client.example", "-t", "r@far.example", "127.0.0.1:%d" % relay.port],
                   env=environment, check=True, timeout=120)
    mails = relay.sink.wait(300, 60)
    assert len(mails) == 300
    relay.wait_log(": removed", count=300, seconds=30)
    assert relay.queued() == []


CONTENT = {
    "eight-bit": "Subject: gr\u00fc\u00dfe\r\n\r\nz\u00e9ro \u20ac\r\n".encode(),
    "latin1": b"Subject: x\r\n\r\n\xe9\xe8\xff\x80\r\n",
    "dots": b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\n",
    "blank-lines": b"Subject: x\r\n\r\n\r\n\r\n   \r\n\t\r\n\r\n",
    "no-body": b"Subject: x\r\n\r\n",
    "long-line": b"Subject: x\r\n\r\n" + b"x" * 900 + b"\r\n" + b"y" * 989 + b"\r\n",
}


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_content_arrives_unchanged(relay, name):
    relay.send(recipients=["r@far.example"], body=CONTENT[name])
    mail, = relay.sink.wait(1)
    assert body_of(mail["data"]) == body_of(CONTENT[name])


@exercises("smtp_line_length_limit")
def test_very_long_line_is_folded_and_not_lost(relay):
    relay.send(recipients=["r@far.example"], body=b"Subject: x\r\n\r\n" + b"z" * 50000 + b"\r\n")
    mail, = relay.sink.wait(1)
    body = body_of(mail["data"])
    assert body.replace(b"\r\n ", b"") == b"z" * 50000 + b"\r\n"
    assert max(len(line) for line in body.split(b"\r\n")) <= 998


STRANGER = {"smtpd_forbid_bare_newline_exclusions": ""}


@exercises("smtpd_forbid_bare_newline", "smtpd_forbid_bare_newline_exclusions")
def test_bare_newlines_never_end_a_message(mta):
    sink = Sink()
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port},
                   services={"default": STRANGER, "normalize": dict(STRANGER, smtpd_forbid_bare_newline="normalize"),
                             "reject": dict(STRANGER, smtpd_forbid_bare_newline="reject")}).start()
    smuggled = b"Subject: one\r\n\r\ntext\n.\nMAIL FROM:<evil@client.example>\nRCPT TO:<x@far.example>\nDATA\nSubject: two\n\nevil\r\n.\r\n"
    for name in ("default", "normalize", "reject"):
        with instance.client(name) as client:
            client.expect(250, "EHLO client.example")
            client.expect(250, "MAIL FROM:<s@client.example>")
            client.expect(250, "RCPT TO:<r@far.example>")
            client.expect(354, "DATA")
            client.raw(smuggled)
            reply = client.reply()
            assert reply.startswith("550" if name == "reject" else "250"), (name, reply)
    sink.wait(2)
    instance.wait_log(r" disconnect from| lost connection", count=3)
    wait_for(lambda: not instance.queued(), what="an empty queue")
    assert len(sink.mails) == 2
    for mail in sink.mails:
        assert b"\n" not in mail["data"].replace(b"\r\n", b"")
        assert b"evil@client.example" in mail["data"]
    sink.close()


def test_ten_megabytes(relay):
    rows = [("%016x" % random.getrandbits(64)) * 4 for _ in range(160000)]
    content = ("Subject: large\r\n\r\n" + "\r\n".join(rows) + "\r\n").encode()
    assert len(content) > 10_000_000
    relay.send(recipients=["r@far.example"], body=content)
    mail, = relay.sink.wait(1, 60)
    assert hashlib.sha256(body_of(mail["data"])).digest() == hashlib.sha256(body_of(content)).digest()


@exercises("smtpd_recipient_limit", "smtp_destination_recipient_limit")
def test_thousand_recipients(relay):
    recipients = ["user%04d@far.example" % i for i in range(1000)]
    relay.send(recipients=recipients)
    wait_for(lambda: sum(len(m["recipients"]) for m in relay.sink.wait(1)) == 1000, 60, "all recipients")
    got = [re.match(r"<([^>]*)>", r).group(1) for m in relay.sink.mails for r in m["recipients"]]
    assert sorted(got) == recipients
    assert max(len(m["recipients"]) for m in relay.sink.mails) <= 50
    relay.wait_log(r"status=sent", count=1000, seconds=30)


@exercises("mydestination", "mail_spool_directory")
def test_local_mail_arrives_in_the_maildir(mta):
    instance = mta().start()
    user = postern.owner()
    instance.send(recipients=["%s@test.example" % user], body="Subject: local\r\n\r\n.dot\r\nend\r\n")
    instance.wait_log(r"status=sent \(delivered to maildir\)")
    message = email.message_from_bytes(wait_for(lambda: instance.maildir(user))[0])
    assert message["Subject"] == "local" and message["Return-Path"] == "<s@client.example>" and message["Delivered-To"] == "%s@test.example" % user
    assert message.get_payload() == ".dot\nend\n"


def counts(report):
    found = {}
    for number, unit, label in re.findall(r"^ *(\d+)([km]?) +([a-z][^(\n]*)", report, re.M):
        found[label.strip()] = int(number) * {"": 1, "k": 1024, "m": 1 << 20}[unit]
    return found


@pytest.mark.skipif(not shutil.which("pflogsumm"), reason="pflogsumm is not installed")
@exercises("syslog_name", "maillog_file")
def test_pflogsumm_counts_our_log(mta):
    sink = Sink(rules={"RCPT": lambda text: "550 5.1.1 no such user" if "bad" in text else "250 ok"})
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port, "relay_domains": ""},
                   services={"in": {}, "out": {"mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"}}).start()
    for i in range(5):
        instance.send(sender="one@client.example", recipients=["a%d@far.example" % i, "b@other.example"], name="in")
    instance.send(sender="two@client.example", recipients=["bad@far.example"], name="in")
    with instance.client("out") as client:
        client.expect(250, "EHLO client.example")
        client.expect(250, "MAIL FROM:<three@client.example>")
        client.expect(554, "RCPT TO:<r@far.example>")
        client.expect(221, "QUIT")
    instance.wait_log(r"sender non-delivery notification")
    instance.wait_log(r": removed", count=7)  # with the report
    report = subprocess.run(["pflogsumm", instance.logfile], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = counts(report)
    assert found["received"] == 6 and found["bounced"] == 1 and found["rejected"] == 1, report
    assert found["senders"] >= 2 and found["delivered"] >= 10, report
    assert re.search(r"^\s+5\s+b@other\.example", report, re.M), report
    assert re.search(r"^\s+5\s+one@client\.example", report, re.M), report
    sink.close()
