"""Debian's Postfix as the host that sends to us and as the host that we send to."""
import os
import sys

import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peers"))
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

BODY = "Subject: between neighbours\r\n\r\n.dot\r\nna\u00efve 8-bit\r\n" + "x" * 900 + "\r\nlast\r\n"


@pytest.fixture
def neighbour(tmp_path):
    made = []

    def make(main):
        instance = postfix.Instance(str(tmp_path / "neighbour"), main)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.stop(check=False)


@exercises("relayhost", "mydestination")
def test_postfix_sends_to_us(mta, neighbour):
    ours = mta().start()
    theirs = neighbour({"relayhost": "[127.0.0.1]:%d" % ours.port, "mydestination": ""}).start()
    user = postern.owner()
    for i in range(20):
        theirs.send(recipients=["%s@test.example" % user], body=BODY.replace("neighbours", "neighbours %d" % i))
    theirs.wait_log(r"status=sent \(250 2\.0\.0 Ok: queued as", count=20)
    ours.wait_log(r"status=sent \(delivered to maildir\)", count=20)
    mails = ours.maildir(user)
    assert sorted({m.split(b"Subject: ")[1].split(b"\n")[0] for m in mails}) == sorted(b"between neighbours %d" % i for i in range(20))
    for mail in mails:
        assert mail.split(b"\n\n", 1)[1] == BODY.split("\r\n\r\n", 1)[1].replace("\r\n", "\n").encode()


@exercises("relayhost")
def test_we_send_to_postfix(mta, neighbour):
    theirs = neighbour({"mydestination": "theirs.example"}).start()
    ours = mta({"relayhost": "[127.0.0.1]:%d" % theirs.port}).start()
    ours.send(recipients=["root@theirs.example", "nobody@theirs.example"], body=BODY)
    theirs.wait_log(r"status=sent", count=2)
    ours.wait_log(r"status=sent \(250 2\.0\.0 Ok: queued as", count=2)
    for user in ("root", "nobody"):
        mail, = theirs.maildir(user)
        assert mail.split(b"\n\n", 1)[1] == BODY.split("\r\n\r\n", 1)[1].replace("\r\n", "\n").encode()


def test_refused_by_postfix_returns_to_the_sender(mta, neighbour):
    theirs = neighbour({"mydestination": "theirs.example", "smtpd_recipient_restrictions": "reject"}).start()
    ours = mta({"transport_maps": "inline:{theirs.example=smtp:[127.0.0.1]:%d}" % theirs.port}).start()
    user = postern.owner()
    ours.send(sender="%s@test.example" % user, recipients=["who@theirs.example"], body=BODY)
    ours.wait_log(r"status=bounced \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 554 5\.7\.1 .* \(in reply to RCPT TO command\)\)")
    ours.wait_log(r"status=sent \(delivered to maildir\)")
    report, = ours.maildir(user)
    assert b"Final-Recipient: rfc822; who@theirs.example" in report and b"Action: failed" in report and b"Status: 5.7.1" in report
