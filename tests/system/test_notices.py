"""Notices to the postmaster about trouble in sessions: when, to whom, and what they tell."""
import base64
import re

import pytest

from postern import Sink, exercises, wait_for
from test_faults_client import scripted

MAIN = {"smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "mynetworks": "192.0.2.0/24", "local_recipient_maps": "inline:{{user=x}}",
        "transport_maps": "inline:{{test.example=discard:}}", "error_notice_recipient": "errors@pm.example", "bounce_notice_recipient": "bounces@pm.example"}
OPENING = ["EHLO client.example", "MAIL FROM:<s@client.example>"]
REFUSED, UNKNOWN, GOOD = "RCPT TO:<u@far.example>", "RCPT TO:<gone@test.example>", "RCPT TO:<user@test.example>"


@pytest.fixture
def noticed(mta):
    """Runs dialogues one after the other; returns what the postmaster got: [(recipient, text)]."""
    sinks = []

    def run(dialogues, **main):
        sink = Sink()
        sinks.append(sink)
        instance = mta(dict(MAIN, relayhost="[127.0.0.1]:%d" % sink.port, **main)).start()
        for lines in dialogues + [["QUIT"]]:
            mark = instance.log_size()
            with instance.client() as c:
                for line in lines:
                    if line == "cut":
                        break
                    c.command(line)
            instance.wait_log("disconnect from", since=mark)
        last = instance.send(recipients=["user@test.example"])  # a notice is in the queue before its session is over: this comes after all of them
        instance.wait_log("%s: removed" % last)
        wait_for(lambda: not instance.queued(), 10, "empty queue")
        return [(m["recipients"][0].split(">")[0].strip("<"), m["data"].decode()) for m in sink.mails]
    yield run
    for sink in sinks:
        sink.close()


@exercises("notify_classes", "error_notice_recipient", "double_bounce_sender")
def test_transcript(noticed):
    (recipient, text), = noticed([OPENING + [REFUSED, "RCPT TO:<user@test.example> " + "x" * 60 + " " + "y" * 60, "QUIT"]], notify_classes="policy")
    assert recipient == "errors@pm.example"
    header, body = text.split("\r\n\r\n", 1)
    assert "From: Mail Delivery System <MAILER-DAEMON@test.example>" in header and "\r\nTo: Postmaster <errors@pm.example>" in header
    assert "\r\nSubject: Postern SMTP server: errors from unknown[127.0.0.1]" in header
    body = re.sub(r"(?m)^ Out: 250-.*\r\n", "", body)
    assert body == ("Transcript of session follows.\r\n\r\n Out: 220 mail.test.example ESMTP Postern\r\n In:  EHLO client.example\r\n Out: 250 CHUNKING\r\n"
                    " In:  MAIL FROM:<s@client.example>\r\n Out: 250 2.1.0 Ok\r\n In:  RCPT TO:<u@far.example>\r\n"
                    " Out: 554 5.7.1 <u@far.example>: Relay access denied\r\n In:  RCPT TO:<user@test.example>\r\n     " + "x" * 60 + "\r\n     " + "y" * 60 +
                    "\r\n Out: 555 5.5.4 Unsupported option:\r\n     " + "x" * 60 + "\r\n In:  QUIT\r\n Out: 221 2.0.0 Bye\r\n\r\n\r\nFor other details, see the local mail logfile\r\n")


@exercises("bounce_notice_recipient")
def test_who_is_told(noticed):
    """Of a session that refused a recipient as unknown, the one who gets copies of reports."""
    got = noticed([OPENING + [UNKNOWN, "QUIT"], OPENING + [REFUSED, UNKNOWN, "QUIT"], OPENING + [REFUSED, "QUIT"]], notify_classes="bounce, policy")
    assert sorted(recipient for recipient, _ in got) == ["bounces@pm.example", "bounces@pm.example", "errors@pm.example"]


def test_what_is_no_trouble(noticed):
    """A class that is not asked for; trouble before a message that was accepted; a session that is cut; too many recipients."""
    accepted = ["DATA", "Subject: x\r\n\r\ny\r\n.", "QUIT"]
    assert noticed([OPENING + [UNKNOWN, "FOO", "QUIT"], OPENING + [REFUSED, GOOD] + accepted, OPENING + ["cut"], OPENING + [GOOD, GOOD, GOOD, "QUIT"]],
                   notify_classes="policy, resource, software, data", smtpd_recipient_limit="2") == []


def test_session_that_ends_badly(noticed):
    (_, text), = noticed([OPENING + [REFUSED, "cut"]], notify_classes="policy")
    assert "\r\n\r\nSession aborted, reason: lost connection\r\n\r\nFor other" in text


def test_passwords_are_left_out(noticed):
    (_, text), = noticed([["EHLO client.example", "AUTH PLAIN AHUAc2VjcmV0", "QUIT"]], notify_classes="protocol")
    assert " In:  AUTH PLAIN ...\r\n" in text and "AHUAc2VjcmV0" not in text


def test_long_sessions_keep_their_end(noticed):
    (_, text), = noticed([["EHLO client.example", "FOO first"] + ["NOOP %d %s" % (i, "x" * 300) for i in range(90)] + [UNKNOWN, "QUIT"]],
                         notify_classes="protocol", smtpd_junk_command_limit="1000")
    assert len(text) < 20000 and " (The beginning is left out.)\r\n" in text and "FOO first" not in text and "NOOP 89" in text


@pytest.mark.parametrize("line", ["FOO \xe4\xf6 \x01\x1b[2J", "FOO \xc3\xa4"])
def test_hostile_text_is_shown_harmless(noticed, line):
    (_, text), = noticed([[line.encode("latin1"), "QUIT"]], notify_classes="protocol")
    assert not re.search(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]", text) and " In:  FOO " in text
    assert ("charset=utf-8" in text) == (max(text) > "\x7f")


@exercises("notify_classes", "queue_minfree")
def test_lack_of_space_is_told_without_being_asked(mta):
    """The default classes are resource and software."""
    sink = Sink()
    instance = mta(dict(MAIN, relayhost="[127.0.0.1]:%d" % sink.port), services={"full": {"queue_minfree": "9000000000000000"}}).start()
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(452, "MAIL FROM:<s@client.example>")
        c.expect(221, "QUIT")
    assert b" Out: 452 4.3.1 Insufficient system storage\r\n" in sink.wait()[0]["data"]
    sink.close()


# ---- of the client

def test_server_out_of_protocol(mta):
    server, postmaster = scripted({"MAIL": "500 5.5.1 \x1b[2Jwhat"}), Sink()
    routes = "inline:{ {far.example=smtp:[127.0.0.1]:%d} {pm.example=smtp:[127.0.0.1]:%d} }" % (server.port, postmaster.port)
    instance = mta(dict(MAIN, mynetworks="127.0.0.0/8", transport_maps=routes, notify_classes="protocol", default_transport="discard:")).start()
    instance.send(recipients=["u@far.example"])
    mail, = postmaster.wait()
    text = mail["data"].decode()
    assert mail["sender"].startswith("<double-bounce@test.example>") and mail["recipients"][0].startswith("<errors@pm.example>")
    assert "\r\nSubject: Postern SMTP client: errors from 127.0.0.1[127.0.0.1]:%d\r\n" % server.port in text
    assert "\r\n\r\nUnexpected response from 127.0.0.1[127.0.0.1]:%d.\r\n\r\nTranscript of session follows.\r\n\r\n In:  220 raw ESMTP\r\n" % server.port in text
    assert " Out: MAIL FROM:<s@client.example>\r\n" in text and " In:  500 5.5.1 " in text and "\x1b" not in text
    postmaster.close()


def test_notices_cause_no_notices(mta):
    """The server that is out of the protocol is also the postmaster's."""
    server = scripted({"RCPT": "501 5.5.4 syntax"})
    instance = mta(dict(MAIN, mynetworks="127.0.0.0/8", relayhost="[127.0.0.1]:%d" % server.port, notify_classes="protocol, bounce, 2bounce")).start()
    instance.send(sender="", recipients=["u@far.example"])
    instance.wait_log("to=<errors@pm.example>.*status=bounced")
    instance.wait_log("to=<postmaster@test.example>|to=<bounces@pm.example>|to=<u@far.example>.*status=bounced")
    wait_for(lambda: not instance.queued(), 10, "empty queue")
    assert len(re.findall("to=<errors@pm.example>", instance.log())) == 1


def test_logins_are_left_out_of_transcripts(mta):
    server, postmaster = scripted({"EHLO": "250-raw\r\n250 AUTH PLAIN", "AUTH": "235 2.7.0 ok", "RCPT": "501 5.5.4 syntax"}), Sink()
    instance = mta(dict(MAIN, mynetworks="127.0.0.0/8", transport_maps="inline:{ {pm.example=smtp:[127.0.0.1]:%d} }" % postmaster.port, notify_classes="protocol",
                        relayhost="[127.0.0.1]:%d" % server.port, smtp_sasl_auth_enable="yes", smtp_sasl_security_options="", smtp_sasl_password_maps="static:user:secret")).start()
    instance.send(recipients=["u@far.example"])
    text = next(m["data"].decode() for m in postmaster.wait() if m["recipients"][0].startswith("<errors@"))
    login = base64.b64encode(b"\0user\0secret").decode()
    assert "AUTH PLAIN " + login in server.lines
    assert " Out: AUTH PLAIN ...\r\n" in text and login not in text
    postmaster.close()
