"""The same dialogues with Debian's Postfix and ours, once for each class of notify_classes: for which of them the postmaster gets a notice."""
import base64
import os
import re
import socket
import sys
import threading

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import Sink, exercises, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

CLASSES = ["bounce", "data", "policy", "protocol", "resource", "software"]
TABLE = "{rej@test.example=REJECT no}, {def@test.example=DEFER later}, {tmp@test.example=450 4.7.0 x}, {drop@test.example=421 4.7.1 go}"
MAIN = {
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination", "mynetworks": "192.0.2.0/24", "local_transport": "discard:",
    "local_recipient_maps": "inline:{ {user=x} {rej=x} {def=x} {tmp=x} {drop=x} }", "smtpd_recipient_restrictions": "check_recipient_access inline:{ %s }, permit" % TABLE,
    "smtpd_helo_restrictions": "check_helo_access inline:{{badhelo=REJECT}}", "smtpd_hard_error_limit": "5", "message_size_limit": "5000", "line_length_limit": "600",
    "smtpd_recipient_limit": "3", "smtpd_sasl_type": "dovecot", "smtpd_client_event_limit_exceptions": "", "maximal_queue_lifetime": "0",
}
H, M, R, BYE = "EHLO c.example", "MAIL FROM:<a@c.example>", "RCPT TO:<user@test.example>", "QUIT"
REFUSED = "RCPT TO:<rej@test.example>"
TEXT = ["DATA", "Subject: x\r\n\r\ny\r\n.", BYE]
DIALOGUES = {  # name: (parameters of the listener, lines; "cut" ends the connection)
    "clean": ({}, [H, M, R] + TEXT), "relay": ({}, [H, M, "RCPT TO:<u@far.example>", BYE]), "unknown": ({}, [H, M, "RCPT TO:<gone@test.example>", BYE]),
    "rejected": ({}, [H, M, REFUSED, BYE]), "deferred": ({}, [H, M, "RCPT TO:<def@test.example>", BYE]), "code": ({}, [H, M, "RCPT TO:<tmp@test.example>", BYE]),
    "dropped": ({}, [H, M, "RCPT TO:<drop@test.example>"]), "helo": ({}, ["EHLO badhelo", M, R, BYE]), "word": ({}, [H, "FOO bar", BYE]),
    "verify": ({}, [H, "VRFY x", BYE]), "syntax": ({}, [H, "MAIL FROM a@b", BYE]), "address": ({}, [H, "MAIL FROM:<a b>", BYE]),
    "order": ({}, [H, "RCPT TO:<user@test.example>", "DATA", BYE]), "nested": ({}, [H, M, M, BYE]), "no-name": ({}, ["HELO", "EHLO", BYE]),
    "big": ({}, [H, M, R, "DATA", "Subject: x\r\n\r\n" + "y\r\n" * 3000 + ".", BYE]), "size": ({}, [H, M + " SIZE=100000", BYE]),
    "bad-size": ({}, [H, M + " SIZE=x", BYE]), "option": ({}, [H, M + " FOO=1", BYE]), "long": ({}, [H, M + " " + "x" * 3000, BYE]),
    "recipients": ({}, [H, M] + [R] * 5 + [BYE]), "many-errors": ({}, [H] + ["FOO"] * 5), "web": ({}, ["GET / HTTP/1.0"]), "cut": ({}, [H, M, "cut"]),
    "auth-off": ({}, [H, "AUTH PLAIN", BYE]), "no-tls": ({}, [H, "STARTTLS", BYE]), "none-left": ({}, [H, M, "DATA", BYE]), "reset": ({}, [H, "RSET x", BYE]),
    "proxy": ({}, [H, "XCLIENT ADDR=192.0.2.1", BYE]), "chunk": ({}, [H, "BDAT 4\r\nxxxx", BYE]), "three": ({}, [H, M, REFUSED, "FOO", "RCPT TO:<gone@test.example>", BYE]),
    "made-good": ({}, [H, "FOO", M, REFUSED, R] + TEXT), "after": ({}, [H, M, R] + TEXT[:2] + ["FOO", BYE]), "reset-again": ({}, [H, M, REFUSED, "RSET", M, BYE]),
    "refused-cut": ({}, [H, M, REFUSED, "cut"]),
    "table": ({"smtpd_recipient_restrictions": "check_recipient_access fail:x"}, [H, M, R, BYE]), "accounts": ({"local_recipient_maps": "fail:x"}, [H, M, R, BYE]),
    "space": ({"queue_minfree": "9000000000000000"}, [H, M, BYE]), "mistake": ({"smtpd_recipient_restrictions": "no_such_restriction"}, [H, M, R, BYE]),
    "early": ({"smtpd_delay_reject": "no"}, ["EHLO badhelo", M, BYE]), "end": ({"smtpd_end_of_data_restrictions": "reject"}, [H, M, R] + TEXT),
    "data": ({"smtpd_data_restrictions": "reject"}, [H, M, R, "DATA", BYE]), "etrn": ({"smtpd_etrn_restrictions": "reject"}, [H, "ETRN x.example", BYE]),
    "hops": ({"cleanup_service_name": "hops"}, [H, M, R, "DATA", "Received: a\r\n" * 4 + "Subject: x\r\n\r\ny\r\n.", BYE]),
    "content": ({"cleanup_service_name": "check"}, [H, M, R, "DATA", "X-Rej: 1\r\n\r\ny\r\n.", BYE]),
    "sender": ({"smtpd_reject_unlisted_sender": "yes"}, [H, "MAIL FROM:<gone@test.example>", R, BYE]),
    "warned": ({"smtpd_recipient_restrictions": "warn_if_reject, reject"}, [H, M, R, BYE]), "rate": ({"smtpd_client_message_rate_limit": "1"}, [H, M, "RSET", M, BYE]),
    "soft": ({"soft_bounce": "yes"}, [H, M, REFUSED, BYE]), "password": ({"smtpd_sasl_auth_enable": "yes"}, [H, "AUTH PLAIN " + base64.b64encode(b"\0u\0x").decode(), BYE]),
    "bad-auth": ({"smtpd_sasl_auth_enable": "yes"}, [H, "AUTH", BYE]), "tls-first": ({"smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": "/nonexistent"}, [H, M, BYE]),
}
MASTER = "hops unix n - n - 0 cleanup\n  -o { hopcount_limit = 2 }\ncheck unix n - n - 0 cleanup\n  -o { header_checks = regexp:{{/^X-Rej/ REJECT content}} }\n"


def answer(connection):
    """Dovecot's authentication server, which knows nobody."""
    connection.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t%s\nDONE\n" % (b"0" * 32))
    for line in connection.makefile("rb"):
        if line[:4] == b"AUTH":
            connection.sendall(b"FAIL\t%s\n" % line.split(b"\t")[1])


def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def services(authentication):
    found = {}
    for name, (parameters, _) in DIALOGUES.items():
        for kind in CLASSES if parameters else []:
            found["%s-%s" % (name, kind)] = dict(parameters, **told(kind, name), smtpd_sasl_path="inet:127.0.0.1:%d" % authentication)
    for kind in CLASSES:
        found["plain-" + kind] = told(kind, "plain")
    return found


def told(kind, name):
    return {"notify_classes": kind, "error_notice_recipient": "%s@%s.pm.example" % (kind, name), "bounce_notice_recipient": "%s@%s.pm.example" % (kind, name)}


def play(instance, listener, lines):
    mark = instance.log_size()
    with instance.client(listener) as c:
        for line in lines:
            if line == "cut":
                break
            c.command(line)
    instance.wait_log("disconnect from", since=mark)


def notices(sink):
    """(class, name of the listener) of every notice so far."""
    with sink.condition:
        addresses = [m["recipients"][0].split(">")[0].strip("<") for m in sink.mails]
    return {tuple(a.split(".pm.example")[0].split("@")) for a in addresses if a.endswith(".pm.example")}


def outcomes(kind, directory, authentication):
    sink = Sink()
    instance = kind(directory, dict(MAIN, relayhost="[127.0.0.1]:%d" % sink.port), services(authentication), master=MASTER)
    found = {}
    try:
        instance.start()
        for name, (parameters, lines) in DIALOGUES.items():
            for each in CLASSES:
                play(instance, "%s-%s" % (name if parameters else "plain", each), lines)
            if not parameters:
                settled(instance)
                found[name] = sorted(kind for kind, listener in notices(sink) if listener == "plain")
                sink.mails.clear()
        settled(instance)
        for name in (n for n, d in DIALOGUES.items() if d[0]):
            found[name] = sorted(kind for kind, listener in notices(sink) if listener == name)
        return found
    finally:
        instance.stop(check=False)
        sink.close()


def settled(instance):
    """Whatever the sessions so far put into the queue has gone: a message that came after it has."""
    with instance.client("plain-data") as c:
        last = c.mail("a@c.example", ["user@test.example"], "Subject: last\r\n\r\nx\r\n")
    instance.wait_handled(last)
    wait_for(lambda: not instance.queued(), 10, "empty queue")


@exercises("notify_classes", "error_notice_recipient", "bounce_notice_recipient")
def test_when_the_postmaster_hears(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    authentication = listener.getsockname()[1]
    theirs = outcomes(postfix.Instance, str(tmp_path / "theirs"), authentication)
    ours = outcomes(postern.Instance, str(tmp_path / "ours"), authentication)
    assert {n: (theirs[n], ours[n]) for n in DIALOGUES if theirs[n] != ours[n]} == {}
    assert any(theirs.values())


HISTORY = {  # dialogues at a server that keeps few lines
    "none": [H, "FOO", "NOOP", BYE], "reset": [H, "FOO", "RSET", "BAR", BYE], "hello": [H, "FOO", H, "FOO", "FOO", "HELO c.example", BYE], "short": ["HELO c.example", "FOO", "RSET", BYE],
    "clean": [H, "RSET", "FOO", BYE], "again": [H, "FOO", "RSET", "RSET", M, "RSET x", "RSET", "NOOP", BYE], "syntax": [H, "FOO", "EHLO", "RSET x", BYE],
    "mail": [H, "FOO", M, R] + TEXT[:2] + ["FOO", BYE], "refused": [H, M, R.replace("user", "end")] + TEXT[:2] + ["NOOP", BYE], "bad-name": [H, "FOO", "EHLO badhelo", "NOOP", BYE],
    "cut": [H, "FOO", "RSET", M, "cut"], "content": [H, M, R, "DATA", "X-Rej: 1\r\n\r\ny\r\n.", "NOOP", BYE],
}


def transcripts(kind, directory):
    """The notices about each dialogue, as lists of lines that were said and heard."""
    sink = Sink()
    services = {name: dict(notify_classes="policy, protocol", error_notice_recipient="%s@history.pm.example" % name, smtpd_history_flush_threshold="14", cleanup_service_name="check",
                           smtpd_end_of_data_restrictions="check_recipient_access inline:{{end@test.example=REJECT}}", smtpd_delay_reject="no") for name in HISTORY}
    instance = kind(directory, dict(MAIN, relayhost="[127.0.0.1]:%d" % sink.port, local_recipient_maps="", smtpd_banner="sink ESMTP"), dict(services, **{"plain-data": told("data", "plain")}), master=MASTER)
    found = {name: [] for name in HISTORY}
    try:
        instance.start()
        for name, lines in HISTORY.items():
            play(instance, name, lines)
            settled(instance)
            for mail in sink.mails:
                found[name].append([re.sub("queued as .*", "queued", line) for line in mail["data"].decode().split("\r\n") if line.startswith((" In: ", " Out: ", "Session")) and " Out: 250-" not in line])
            found[name].sort()  # they are delivered at once
            sink.mails.clear()
        return found
    finally:
        instance.stop(check=False)
        sink.close()


@exercises("smtpd_history_flush_threshold")
def test_long_histories(tmp_path):
    theirs, ours = transcripts(postfix.Instance, str(tmp_path / "theirs")), transcripts(postern.Instance, str(tmp_path / "ours"))
    differences = ["%s\n  theirs %s\n  ours   %s" % (n, theirs[n], ours[n]) for n in HISTORY if theirs[n] != ours[n]]
    assert any(theirs.values()) and not differences, "\n".join(differences)
