"""Faults that SMTP clients of others have had: each test is the trigger of one."""
import os
import re
import socket
import threading

import pytest

from postern import processes, wait_for
from test_smtp_client import CLIENT, dns, outcome, sink  # noqa: F401
from test_smtp_sasl import AuthSink, deliver, run as run_sasl
from test_smtp_tls import TlsSink, keys  # noqa: F401


class Raw(threading.Thread):
    """A server that says what it likes: serve(connection, stream, number of the connection)."""

    def __init__(self, serve):
        super().__init__(daemon=True)
        self.serve, self.connections, self.lines = serve, 0, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection = self.socket.accept()[0]
            self.connections += 1
            threading.Thread(target=self.one, args=(connection, self.connections), daemon=True).start()

    def one(self, connection, number):
        try:
            self.serve(self, connection, connection.makefile("rb"), number)
        except (OSError, ValueError):
            pass
        connection.close()


def scripted(replies):
    """A server with these replies by command word; the rest as usual."""
    usual = {"": "220 raw ESMTP", "EHLO": "250-raw\r\n250 PIPELINING", "DATA": "354 go", ".": "250 2.0.0 taken", "QUIT": "221 bye"}

    def serve(server, connection, stream, number):
        def say(key):
            text = replies.get(key, usual.get(key, "250 2.0.0 ok"))
            connection.sendall(text.encode("latin1", "surrogateescape") + (b"\r\n" if text else b""))
        say("")
        for line in stream:
            word = line[:4].decode("latin1").strip().upper()
            server.lines.append(line.decode("latin1").rstrip("\r\n"))
            say(word)
            if word == "QUIT":
                return
            if word == "DATA" and replies.get("DATA", "354")[:3] == "354":
                while stream.readline() not in (b".\r\n", b""):
                    pass
                say(".")
    return Raw(serve)


def relayed(mta, server, **main):
    return mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, **main)).start()


# ---- replies

@pytest.mark.parametrize("reply", ["550", "450", "55", "5", "550x", "550 ", "5505.7.1", "250 5.7.1", "999 what", "000", "-", "550-only"])
def test_status_comes_from_the_reply_itself(mta, reply):
    """A long EHLO and MAIL reply with a status in it, then RCPT is answered with next to nothing."""
    server = scripted({"EHLO": "250-2.1.0 " + "x" * 200 + "\r\n250-5.9.9 secret text of EHLO\r\n250 SIZE", "MAIL": "250 2.1.0 text of MAIL", "RCPT": reply})
    instance = relayed(mta, server, smtp_rcpt_timeout="300s" if reply.strip() in ("550", "450", "250 5.7.1") else "1s")
    instance.send(recipients=["u@far.example"])
    dsn, status, text, line = outcome(instance, "u@far.example")
    assert "text of" not in line and "9.9" not in line and "2.1.0" not in line
    if reply.startswith("550") and reply[3:4] in ("", " "):
        assert (dsn, status) == ("5.0.0", "bounced")
    elif reply[:3] == "450":
        assert (dsn, status) == ("4.0.0", "deferred")
    elif reply.startswith("250"):
        assert status == "sent" and dsn == "2.0.0"
    else:
        assert status in ("deferred", "bounced")


@pytest.mark.parametrize("replies, first", [
    ({"MAIL": "250 ok\r\n250 extra"}, "sent|deferred|bounced"), ({"RCPT": "250 ok\r\n550 no such thing"}, "sent|deferred|bounced"), ({"DATA": "554 no"}, "bounced"),
    ({"DATA": "999 what"}, "deferred|bounced"), ({".": "250 ok\r\n550 and a late answer"}, "sent"), ({".": "\xff\xfe"}, "deferred|bounced"),
    ({"MAIL": "hello"}, "deferred|bounced"), ({"EHLO": "250-x\r\n"}, "deferred"),
    ({"": "220 raw ESMTP\r\n250 early"}, "sent|deferred|bounced"), ({"DATA": "354 go\r\n554 no"}, "sent|deferred|bounced"),
    ({"EHLO": "250-raw\r\n250 SIZE\r\n250 again"}, "sent|deferred|bounced")])
def test_server_out_of_step_is_left(mta, replies, first):
    """Replies too many or garbled: the next message gets a fresh connection, and no reply is taken for that of another command."""
    server = scripted(replies)
    good = scripted({})
    limit = "3s" if replies in ({".": "\xff\xfe"}, {"EHLO": "250-x\r\n"}) else "300s"  # these wait for more
    instance = relayed(mta, server, smtp_connection_cache_destinations="static:all", smtp_connection_cache_time_limit="30s", smtp_helo_timeout=limit, smtp_data_done_timeout=limit,
                       transport_maps="inline:{ {good.example=smtp:[127.0.0.1]:%d} }" % good.port)
    instance.send("", ["one@far.example"])  # nobody is told of failures: what connects later is the next message
    assert re.fullmatch(first, outcome(instance, "one@far.example")[1])
    before = server.connections
    instance.send("", ["two@far.example"])
    instance.send(recipients=["three@good.example"])
    assert outcome(instance, "three@good.example")[1] == "sent"
    instance.wait_log(r"to=<two@far.example>")
    if replies.get("DATA", "")[:3] != "554":
        assert server.connections > before or "delivery temporarily suspended" in instance.log()


@pytest.mark.parametrize("text", ["550 5.1.1 caf\xe9 \x1b[2J\tgone", "550 5.1.1 a\rb\x00c", "550 5.1.1 " + "x" * 2000, "550-5.1.1 a\r\n550-5.1.1 b: c\r\n550 5.1.1 \xc3"])
def test_text_of_replies_is_cleaned(mta, text):
    """Control bytes, Latin-1 and long lines in a refusal: log, listing and report stay clean text."""
    server = scripted({"RCPT": text})
    instance = relayed(mta, server)
    instance.send(recipients=["u@far.example"])
    line = outcome(instance, "u@far.example")[3]
    assert "dsn=5.1.1, status=bounced" in line and len(line) < 3000
    with open(instance.logfile, "rb") as f:
        data = f.read()
    data.decode("utf-8")
    assert not re.search(rb"[\0-\x08\v-\x1f\x7f]", data)


def test_listing_of_hostile_text_is_clean(mta):
    """What a server said is told again by the queue listing, as text and as JSON."""
    import json
    server = scripted({"RCPT": '450 4.2.0 "quote" back\\slash \x1b[2J caf\xe9 \x7f'})
    instance = relayed(mta, server)
    instance.send(recipients=['"a\\"b"@far.example'])
    instance.wait_log("status=deferred")
    wait_for(lambda: instance.queued("deferred"))
    text = instance.command("postqueue", "-j").stdout
    listed, = [json.loads(line) for line in text.splitlines()]
    assert '"quote" back\\slash' in listed["recipients"][0]["delay_reason"]
    for output in (text, instance.command("postqueue", "-p").stdout):
        assert not re.search(r"[\0-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", output)


# ---- what is sent

@pytest.mark.parametrize("envid, orcpt", [("a+2Bb+3Dc", "rfc822;u+2Bext@x+3Dy"), ("id", "rfc822;plain@x"), ("x.y", "X-Odd;a+20b+2Bc")])
def test_values_are_encoded_again(mta, sink, envid, orcpt):
    """Plus and equals signs in ENVID and ORCPT: the next decoder gets the bytes that ours got."""
    server = sink()
    instance = relayed(mta, server)
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<a+b=c@b.example> ENVID=%s" % envid)
        c.expect(250, "RCPT TO:<u+ext@far.example> ORCPT=%s" % orcpt)
        c.data("Subject: x\r\n\r\ny\r\n")
    mail = server.wait()[0]
    assert "ENVID=%s" % envid in mail["sender"] and mail["sender"].startswith("<a+b=c@b.example>")
    assert mail["recipients"] == ["<u+ext@far.example> ORCPT=%s" % orcpt]


def test_long_login_goes_in_an_answer(mta):
    """A first response that makes the command longer than 512 bytes is held back until the server has asked."""
    server = AuthSink(mechanisms="PLAIN")
    password = "p" * 600
    import test_smtp_sasl
    test_smtp_sasl.USERS["long"] = password
    instance = run_sasl(mta, server, "{ HERE = long:%s }" % password)
    assert deliver(instance)[1] == "sent"
    assert "AUTH PLAIN" in server.commands and not any(c.startswith("AUTH PLAIN ...") for c in server.commands)


@pytest.mark.parametrize("main", [{"smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "fail:x"}, {"smtp_generic_maps": "fail:x"},
                                  {"smtp_tls_policy_maps": "fail:x", "smtp_tls_security_level": "may"}, {"sender_dependent_relayhost_maps": "fail:x"},
                                  {"transport_maps": "fail:x"}], ids=lambda m: next(iter(m)))
def test_failing_table_never_means_not_found(mta, sink, main):
    """Without its table a message is not sent at all: not in clear text, not without login, not another way."""
    server = sink()
    instance = relayed(mta, server, **main)
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@client.example>")
        if not c.command("RCPT TO:<u@far.example>").startswith("250"):
            return
        queue_id = c.data("Subject: x\r\n\r\ny\r\n")
    wait_for(lambda: queue_id in instance.queued("deferred"))
    instance.wait_log(r"%s: to=<u@far.example>, .*status=deferred" % queue_id)
    assert not server.mails


# ---- where to

def test_short_list_holds_both_families(mta, dns, sink):
    """The best ten hosts have IPv6 addresses that do not answer; those with IPv4 come after; five addresses may be tried."""
    zone = {"far.example": {"MX": [(i, "six%d.example" % i) for i in range(1, 11)] + [(20 + i, "four%d.example" % i) for i in range(3)]}}
    zone.update({"six%d.example" % i: {"AAAA": ["2001:db8::%d" % i]} for i in range(1, 11)})
    zone.update({"four%d.example" % i: {"A": ["127.0.0.3"]} for i in range(3)})
    dns(zone)
    server = sink("127.0.0.3", 25)
    instance = mta(dict(CLIENT, inet_protocols="all", smtp_mx_address_limit="5", smtp_connect_timeout="1s")).start()
    instance.send(recipients=["u@far.example"])
    assert outcome(instance, "u@far.example")[1] == "sent" and len(server.wait()) == 1


@pytest.mark.parametrize("main, expected", [({"smtp_bind_address": "192.0.2.1", "smtp_bind_address_enforce": "yes"}, "deferred"), ({"smtp_bind_address": "192.0.2.1"}, "sent"),
                                            ({"smtp_bind_address": "[127.0.0.1]", "smtp_bind_address_enforce": "yes"}, "sent")])
def test_source_address_that_we_do_not_have(mta, sink, main, expected):
    """Enforced: the mail waits and the socket is closed each time; else a warning and delivery."""
    server = sink()
    instance = relayed(mta, server, worker_processes="1", default_destination_concurrency_failed_cohort_limit="0", **main)

    def descriptors():
        return sum(len(os.listdir("/proc/%d/fd" % p)) for p in processes(instance, "smtp"))
    instance.send(recipients=["first@far.example"])
    instance.wait_log(r"status=%s" % expected)
    before = descriptors()
    for i in range(20):
        instance.send(recipients=["u%d@far%d.example" % (i, i)])
    instance.wait_log(r"status=%s" % expected, count=21)
    wait_for(lambda: descriptors() <= before + 5, what="sockets closed")
    if "[" not in main["smtp_bind_address"]:
        assert re.search(r"192\.0\.2\.1.*(Cannot assign|not available)|Cannot assign", instance.log())


def test_cached_connection_lacks_a_feature(mta, dns, sink):
    """ASCII mail leaves a connection to a host without SMTPUTF8; mail that needs it goes to the other host and does not bounce."""
    dns({"far.example": {"MX": [(10, "a.example"), (20, "b.example")]}, "a.example": {"A": ["127.0.0.3"]}, "b.example": {"A": ["127.0.0.4"]}})
    plain, modern = sink("127.0.0.3", 25), sink("127.0.0.4", 25, keywords=("PIPELINING", "8BITMIME", "SMTPUTF8"))
    instance = mta(dict(CLIENT, smtp_connection_cache_destinations="static:all", smtp_connection_cache_time_limit="30s")).start()
    instance.send(recipients=["one@far.example"])
    outcome(instance, "one@far.example")
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<\u00fc@b.example> SMTPUTF8")
        c.expect(250, "RCPT TO:<two@far.example>")
        c.data("Subject: \u00fc\r\n\r\ny\r\n")
    assert outcome(instance, "two@far.example")[1] == "sent"
    instance.send(recipients=["three@far.example"])
    assert outcome(instance, "three@far.example")[1] == "sent"
    assert "SMTPUTF8" in modern.wait()[0]["sender"] and len(modern.mails + plain.mails) == 3


def test_failed_handshakes_do_not_kill_the_destination(mta, keys):
    """Opportunistic TLS to a server whose handshake always fails, with a queue of mail for it: all goes out in clear text."""
    server = TlsSink(keys, host="127.0.0.1", port=0, trick="garbage")
    instance = relayed(mta, server, smtp_tls_security_level="may", minimal_backoff_time="1s", queue_run_delay="1s", maximal_backoff_time="1s")
    for i in range(20):
        instance.send(recipients=["u%d@far.example" % i])
    instance.wait_log(r"status=sent", 20, count=20)
    assert "delivery temporarily suspended" not in instance.log()
    server.close()


def test_line_ends_are_crlf_only(mta, sink):
    """Stray CR and LF in headers and body from SMTP: one form goes out."""
    server = sink()
    instance = relayed(mta, server, smtpd_forbid_bare_newline="no")
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@client.example>")
        c.expect(250, "RCPT TO:<u@far.example>")
        content = "Subject: a\rb\r\nX-A: c\r\r\n\r\nd\re\nf\r\r\ng\n\rh\r\n.\r\nMAIL FROM:<>\r\n"
        c.raw("BDAT %d LAST\r\n%s" % (len(content), content))
        assert c.reply().startswith("250")
    data = server.wait()[0]["data"]
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data) and b"\r\nSubject: a" in data
    assert len(server.mails) == 1


def test_line_ends_with_another_cr(mta, sink):
    """Some clients end lines with CR CR LF: the header ends where they meant it to, and nothing but a dot line of its own ends the message."""
    server = sink()
    instance = relayed(mta, server)
    with instance.client() as c:
        for line in ("EHLO c", "MAIL FROM:<s@client.example>", "RCPT TO:<u@far.example>"):
            c.expect(250, line)
        c.expect(354, "DATA")
        c.raw("From: a@x.example\r\r\nDate: d\r\r\r\nMessage-Id: <m>\r\r\n\r\r\nX: body\r\r\n.\r\r\n..\r\r\n\r\nend\r\n.\r\n")
        assert c.reply().startswith("250")
    assert server.wait()[0]["data"].endswith(b"\r\nFrom: a@x.example\r\nDate: d\r\nMessage-Id: <m>\r\n\r\nX: body\r\n\r\n.\r\n\r\nend\r\n")
