"""Faults that SMTP servers of others have had: each test is the trigger of one."""
import base64
import json
import os
import re
import socket
import ssl
import subprocess
import threading

import pytest

from postern import PATIENCE, SLOW, Client, Sink, processes, wait_for

PEER = {"smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_authorized_xforward_hosts": "127.0.0.1"}
FREE = {"smtpd_hard_error_limit": "10000", "smtpd_soft_error_limit": "10000"}
STORED = {"transport_maps": "inline:{ {test.example=discard:kept} }"}


def begin(c, sender="a@b.example", recipients=("user@test.example",)):
    c.expect(250, "EHLO c.example")
    c.expect(250, "MAIL FROM:<%s>" % sender)
    for recipient in recipients:
        c.expect(250, "RCPT TO:<%s>" % recipient)


def resident(instance):
    """kB of memory of the SMTP servers of this instance."""
    return sum(int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % pid).read()).group(1)) for pid in processes(instance, "smtpd"))


@pytest.fixture
def sink():
    server = Sink()
    yield server
    server.close()


# ---- results of access tables

def test_results_of_several_tables_add_up(mta):
    """Copies asked for by two restrictions and twice by one, PREPEND twice, HOLD besides."""
    lists = ("check_client_access inline:{ {127.0.0.1=BCC one@test.example} }, check_sender_access inline:{ {a@b.example=BCC two@test.example} }, "
             "check_sender_access inline:{ {b.example=BCC three@test.example} }, check_client_access inline:{ {127.0.0.1=PREPEND X-One: 1} }, "
             "check_recipient_access inline:{ {user@test.example=PREPEND X-Two: 2} }, check_client_access inline:{ {127.0.0.1=HOLD} }")
    instance = mta({"smtpd_recipient_restrictions": lists}).start()
    queue_id = instance.send("a@b.example")
    wait_for(lambda: queue_id in instance.queued("hold"))
    text = instance.command("postcat", "-c", instance.config, "-q", queue_id).stdout
    assert re.findall(r"(?m)^recipient: (\w+)@", text) == ["user", "one", "two", "three"]
    assert "X-One: 1\n" in text and "X-Two: 2\n" in text


def test_sender_of_the_message_takes_part_in_the_route(mta):
    """Remote mail is refused unless the sender has a relay of its own; asked in turns, so that a cache would mix them up."""
    instance = mta({"default_transport": "error:5.1.2 no remote mail", "smtpd_recipient_restrictions": "reject_unlisted_recipient, permit",
                    "sender_dependent_default_transport_maps": "inline:{ {a@b.example=smtp:[127.0.0.1]} }"}).start()
    for _ in range(3):
        for sender, code in (("a@b.example", "250"), ("other@b.example", "550")):
            with instance.client() as c:
                begin(c, sender, ())
                assert c.command("RCPT TO:<x@far.example>").startswith(code), sender


def test_parameters_of_a_command_hold_for_its_own_restrictions(mta):
    """SMTPUTF8 with restrictions that run at once and look the sender up."""
    instance = mta({"smtpd_delay_reject": "no", "smtpd_sender_restrictions": "check_sender_access inline:{ {\u00fc@b.example=REJECT found it} }"}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        assert c.command("MAIL FROM:<\u00fc@b.example> SMTPUTF8").endswith("Sender address rejected: found it")
        c.expect(250, "MAIL FROM:<\u00e4@b.example> SMTPUTF8")
        c.expect(250, "RCPT TO:<\u00fc@test.example>")


@pytest.mark.parametrize("literal, code", [("[999.1.1.1]", "501"), ("[]", "501"), ("[IPv6:2001:db8::1]", "554"), ("[IPv6:zz]", "501"), ("[192.0.2.1]", "554")])
def test_address_literals_in_restrictions_on_hosts(mta, literal, code):
    """The table is asked for the address; a bad literal is no error of the whole list."""
    table = "inline:{ {192.0.2.1=REJECT} {2001:db8::1=REJECT} }"
    instance = mta({"smtpd_recipient_restrictions": "check_sender_ns_access %s, check_sender_a_access %s" % (table, table)}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        reply = c.command("MAIL FROM:<a@%s>" % literal)
        if reply.startswith("250"):
            reply = c.command("RCPT TO:<user@test.example>")
        assert reply.startswith(code) and "451" not in reply, reply


# ---- sessions and what is left of them

def test_refused_client_has_no_counters_of_another(mta):
    """A busy session ends; the next client is turned away before its first command."""
    instance = mta({"smtpd_client_connection_rate_limit": "1", "smtpd_client_event_limit_exceptions": ""}).start()
    with instance.client() as c:
        begin(c)
        for _ in range(7):
            c.expect(250, "NOOP")
        c.expect(221, "QUIT")
    instance.wait_log(r"disconnect from .* quit=1")
    mark = instance.log_size()
    with instance.client() as c:
        assert c.greeting.startswith("421")
    line = instance.wait_log(r"disconnect from .*\n", since=mark).group(0)
    assert line.endswith("commands=0/0\n") and "noop" not in line


def test_new_identity_meets_its_own_login_rules(mta):
    """A proxy has said EHLO for itself; the client that it then names may not log in."""
    instance = mta(dict(PEER, smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot", smtpd_sasl_path="inet:127.0.0.1:1",
                        smtpd_sasl_exceptions_networks="192.0.2.0/24")).start()
    login = "AUTH PLAIN " + base64.b64encode(b"\0ann\0secret").decode()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(454, login)
        c.expect(220, "XCLIENT ADDR=192.0.2.1 NAME=x.example")
        c.expect(250, "EHLO c")
        c.expect(503, login)
    with instance.client() as c:
        c.expect(220, "XCLIENT ADDR=198.51.100.1 NAME=x.example LOGIN=ann")
        c.expect(250, "EHLO c")
        c.expect(503, login)


def test_address_of_the_proxy_header_has_one_form(mta):
    """IPv4 addresses written as IPv6, IPv6 with zeros and capitals, forms that look octal, ports out of range."""
    instance = mta({"smtpd_upstream_proxy_protocol": "haproxy", "inet_protocols": "all",
                    "smtpd_client_restrictions": "check_client_access inline:{ {2001:db8::1=REJECT short} {10.0.0.1=REJECT mapped} }"}).start()

    def ask(header):
        with Client(instance.port, greeting=False) as c:
            c.raw(header + "\r\n")
            greeting = c.reply()
            if not greeting.startswith("220"):
                return greeting[:3]
            c.expect(250, "HELO c")
            c.expect(250, "MAIL FROM:<>")
            return c.command("RCPT TO:<user@test.example>").rsplit(" ", 1)[-1]
    assert ask("PROXY TCP6 2001:DB8:0:0::1 ::2 77 25") == "short"
    assert ask("PROXY TCP6 ::FFFF:10.0.0.1 ::2 77 25") == "mapped"
    for bad in ("TCP4 010.000.000.001 10.0.0.2 1 25", "TCP4 10.1 10.0.0.2 1 25", "TCP4 10.0.0.1 10.0.0.2 65536 25", "TCP4 ::1 ::1 1 25", "TCP4 10.0.0.1 10.0.0.2 1",
                "TCP4", "", "TCP4 10.0.0.1", "TCP4 10.0.0.1 ", "TCP5 10.0.0.1 10.0.0.2 1 25", "x" * 105):
        assert ask("PROXY " + bad) == "421", bad
    instance.wait_log(r"warning: .*haproxy", count=9)


@pytest.mark.parametrize("how", ["cut", "silence", "errors", "cut early"])
def test_abnormal_end_names_the_message(mta, how):
    """The log of a message whose client goes away is complete: JSON lines have its id; the text lines are those that log tools know."""
    for form in ("json", "classic"):
        instance = mta({"log_format": form, "smtpd_timeout": "4s" if how == "silence" else "300s", "smtpd_hard_error_limit": "3", "transport_maps": "inline:{test.example=discard:}"}).start()
        mark = instance.log_size()
        with instance.client() as c:
            c.expect(250, "EHLO c")
            if how != "cut early":
                begin(c, recipients=["user@test.example"])
            if how == "errors":
                for _ in range(3):
                    c.expect(500, "FOO")
                assert c.reply().startswith("421")
            elif how != "cut early":
                c.expect(354, "DATA")
                c.raw("line\r\n" * 10)
            if how == "silence":
                assert c.reply().startswith("421")
        instance.wait_log("disconnect", since=mark)
        if form == "classic":
            instance.wait_log(r"smtpd\[\d+\]: (lost connection|timeout|too many errors) after [A-Z]+( \(60 bytes\))? from unknown\[127\.0\.0\.1\]\n", since=mark)
            continue
        events = [json.loads(line) for line in instance.log(mark).splitlines()]
        lost, = [e for e in events if "where" in e and "what" in e]
        begun = [e["qid"] for e in events if e.get("qid") not in (None, "NOQUEUE") and e is not lost]
        assert lost["qid"] == (begun[0] if begun else "NOQUEUE") and bool(begun) == (how != "cut early")


# ---- TLS

@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=mail.test.example",
                    "-keyout", str(d / "key.pem"), "-out", str(d / "cert.pem")], check=True, stderr=subprocess.DEVNULL)
    return {"smtpd_tls_cert_file": str(d / "cert.pem"), "smtpd_tls_key_file": str(d / "key.pem")}


def wrap(c, version=None, context=None):
    context = context or ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.maximum_version = version
    c.socket = context.wrap_socket(c.socket)
    return c


def test_greeting_after_xclient_comes_inside_implicit_tls(mta, certificate):
    """The proxy names the client after the handshake: the second greeting needs no second handshake."""
    instance = mta(dict(certificate, **PEER, smtpd_tls_wrappermode="yes")).start()
    with Client(instance.port, greeting=False) as c:
        wrap(c)
        assert c.reply().startswith("220")
        c.expect(220, "XCLIENT ADDR=192.0.2.1 NAME=x.example")
        c.expect(250, "EHLO c")


def test_client_without_certificate_is_refused_at_once(mta, certificate):
    """Implicit TLS and a certificate is wanted: the client hears so before it has said anything."""
    instance = mta(dict(certificate, smtpd_tls_wrappermode="yes", smtpd_tls_req_ccert="yes", smtpd_tls_security_level="encrypt")).start()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with Client(instance.port, greeting=False) as c:
            wrap(c, version)
            assert c.reply() == "421 4.7.1 mail.test.example Error: No client certificate presented"
            assert c.reply() == ""
    instance.wait_log("NOQUEUE: abort: TLS from .*: No client certificate presented", count=2)


def test_connection_that_ends_without_a_tls_farewell(mta, certificate):
    """TCP is cut after QUIT, and in the middle of DATA."""
    instance = mta(dict(certificate, smtpd_tls_security_level="may", **STORED)).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(220, "STARTTLS")
        wrap(c)
        c.mail("a@b.example", ["user@test.example"], "Subject: x\r\n\r\ny\r\n")
        c.expect(221, "QUIT")
    mark = instance.log_size()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(220, "STARTTLS")
        wrap(c)
        begin(c)
        c.expect(354, "DATA")
        c.raw("half\r\n.")
        os.close(c.socket.detach())
    instance.wait_log(r"lost connection after DATA", since=mark)
    instance.wait_log(r"disconnect from", since=mark)
    instance.wait_log(r"status=sent")
    wait_for(lambda: not instance.queued(), what="empty queue")
    assert instance.log().count("from=<a@b.example>, size") == 1


def test_renegotiation_is_refused(mta, certificate):
    """A client of TLS 1.2 asks for a new handshake."""
    instance = mta(dict(certificate, smtpd_tls_wrappermode="yes", smtpd_timeout="%ds" % PATIENCE)).start()
    with subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % instance.port, "-tls1_2", "-crlf"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as client:
        output = client.stdout.readline()
        while not output.endswith(b"Postern\r\n"):  # the greeting would be out of place in a handshake
            line = client.stdout.readline()
            assert line, output
            output += line
        client.stdin.write(b"R\n")
        client.stdin.flush()  # and not closed: the client would not wait for the answer
        output = client.stdout.read()
    assert re.search(rb"RENEGOTIATING\n.*:no renegotiation:", output), output
    with Client(instance.port, greeting=False) as c:
        wrap(c)
        assert c.reply().startswith("220")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_session_of_one_listener_is_not_resumed_at_a_stricter_one(mta, certificate, version):
    """A ticket of a listener that wants no client certificate is worth nothing where one is required."""
    instance = mta(dict(certificate, smtpd_tls_wrappermode="yes"), services={"free": {}, "strict": {"smtpd_tls_req_ccert": "yes", "smtpd_tls_security_level": "encrypt"}}).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, version

    def greeted(name, session=None):
        with Client(instance.ports[name], greeting=False) as c:
            try:
                c.socket = context.wrap_socket(c.socket, session=session)
                reply = c.reply() and c.command("EHLO c")
                return reply[:3], c.socket.session, c.socket.session_reused
            except (ssl.SSLError, ConnectionError):
                return "", None, False
    reply, session, _ = greeted("free")
    assert reply == "250" and session
    reply, _, reused = greeted("strict", session)
    assert not reused and reply != "250"


# ---- sizes

def test_chunks_that_were_refused_are_not_read_for_ever(mta):
    """A chunk of nine gigabytes, and chunk after chunk when the first was refused."""
    instance = mta(dict(FREE, message_size_limit="100000")).start()
    for chunk in (9000000000, 50000):
        with instance.client() as c:
            begin(c)
            sent = 0
            try:
                for _ in range(1000):
                    c.raw("BDAT %d\r\n" % chunk if chunk < 100000 or not sent else "")
                    c.raw(b"x" * 50000)
                    sent += 50000
            except OSError:
                pass
            assert sent < 30 << 20
    wait_for(lambda: not instance.queued(), what="empty queue")


@pytest.mark.skipif(os.environ.get("POSTERN_SANITIZER") == "address", reason="freed memory is kept for a while, to find its users")
@pytest.mark.parametrize("chunk", [1, 100])
def test_many_small_chunks_and_commands_use_no_memory(mta, chunk):
    """The server's memory does not grow with the number of chunks or of refused recipients."""
    instance = mta(dict(FREE, local_recipient_maps="inline:{ {user=x} }", smtpd_junk_command_limit="1000000", notify_classes="protocol, policy, resource",
                        smtpd_error_sleep_time="0")).start()
    with instance.client() as c:
        begin(c)
        before = resident(instance)
        for _ in range(20):
            c.raw("BDAT %d\r\n%s" % (chunk, "x" * chunk) * 500)
            for _ in range(500):
                assert c.reply().startswith("250")
        c.expect(250, "RSET")
        c.expect(250, "MAIL FROM:<a@b.example>")
        for _ in range(6):
            c.raw("RCPT TO:<gone@test.example>\r\n" * 500)
            for _ in range(500):
                assert c.reply().startswith("550")
        assert resident(instance) - before < 6000 * SLOW


def test_chunk_without_any_line_end(mta):
    """Chunks cut between CR and LF, at the length of a line and one more, with a dot first: the same lines come out."""
    instance = mta({"line_length_limit": "512"}).start()
    content = b"Subject: s\r\n\r\n" + b"a" * 511 + b"\r\n" + b"b" * 512 + b"\r\n" + b".c\r\n" + b"d" * 5000
    for size in (13, 14, 525, 526, 527, 528, 4000, 9000):
        with instance.client() as c:
            begin(c, recipients=["nobody@test.example"])
            for at in range(0, len(content), size):
                part = content[at:at + size]
                c.raw(b"BDAT %d%s\r\n" % (len(part), b" LAST" if at + size >= len(content) else b"") + part)
                assert c.reply().startswith("250")
    mails = wait_for(lambda: len(instance.maildir("nobody")) == 8 and instance.maildir("nobody"))
    for mail in mails:
        body = mail.split(b"\n\n", 1)[1]
        assert body == content.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n") + b"\n"


def test_long_login_answer_is_bounded(mta):
    """An answer of AUTH longer than the limit is refused once; elsewhere such lines are too long already."""
    def serve(listener):
        connection, _ = listener.accept()
        connection.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t%s\nDONE\n" % (b"0" * 32))
        for line in connection.makefile("rb"):
            number = line.split(b"\t")[1]
            connection.sendall({b"AUTH": b"CONT\t%s\t\n", b"CONT": b"FAIL\t%s\n"}[line[:4]] % number if line[:4] in (b"AUTH", b"CONT") else b"")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    instance = mta({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:%d" % listener.getsockname()[1]}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        for length, reply in ((12288, "535"), (12292, "500")):
            c.expect(334, "AUTH PLAIN")
            assert c.command("QUJD" * (length // 4)).startswith(reply)
        assert c.command("NOOP " + "x" * 12000)[:3] in ("500", "521", "")
    listener.close()


# ---- text from the network

@pytest.mark.parametrize("bad", [b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\xff", b"\xc3", b"\xc2\x9b31m", b"\x1b[2J", b"\x7f\x08", b"\r", b"\xe2\x80"])
def test_log_and_replies_are_clean_text(mta, bad):
    """Overlong forms, surrogates, cut characters, C1 and C0 controls in each command."""
    instance = mta(FREE).start()
    with instance.client() as c:
        for line in (b"HELO a%sb", b"EHLO a%sb", b"MAIL FROM:<a%sb@c.example>", b"MAIL FROM:<a%sb@c.example> SMTPUTF8", b"MAIL FROM:<a@b.example> X=%s", b"FOO %s"):
            c.raw(line % bad + b"\r\n")
            data = b""
            while not re.search(rb"(?m)^\d{3} .*\r\n", data):
                more = c.socket.recv(4096)
                assert more, data
                data += more
            data.decode("utf-8")
            assert not re.search(rb"[\0-\t\v\f\x0e-\x1f\x7f]|\xc2[\x80-\x9f]", data), data
        c.command("RSET")
        c.command(b"MAIL FROM:<a%sb@c.example> SMTPUTF8" % bad)
        c.command(b"RCPT TO:<a%sb@far.example.invalid.>" % bad)
    instance.wait_log("disconnect from .*rset=")
    with open(instance.logfile, "rb") as f:
        text = f.read()
    text.decode("utf-8")
    assert not re.search(rb"[\0-\x08\v-\x1f\x7f]|\xc2[\x80-\x9f]", text)


@pytest.mark.parametrize("first", [b"From a b\r\n", b">From a b\r\n", b"\r\n", b" folded\r\n", b"no colon here\r\n", b".\x20\r\n", b":\r\n", b"\r", b"F", b"From", b"From ", b">",
                                   b"", b"Subject: x\r\nhello world\r\n\r\nbody\r\n", b"a\x01b: c\r\n", b"a\xe9: c\r\n", b"   \r\nX: y\r\n", b"Foo bar: baz\r\n"])
def test_where_the_header_ends(mta, sink, first):
    """Odd first lines, and headers that end without an empty line: what we add stays in the header, and the next host sees one message."""
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port, "header_checks": "pcre:{ {/^X-Seen/ IGNORE} }"}).start()
    for extended in (False, True):
        content = first + (b"" if first in (b"F", b"From", b"From ", b">", b"") else b"X-Later: 1\r\n\r\nbody\r\n")
        with instance.client() as c:
            begin(c, recipients=["x@far.example"])
            if extended:
                c.raw(b"BDAT %d LAST\r\n" % len(content) + content)
            else:
                c.expect(354, "DATA")
                c.raw(re.sub(rb"(?m)^\.", b"..", content) + (b"\r\n.\r\n" if content and not content.endswith(b"\r\n") else b".\r\n"))
            assert c.reply().startswith("250")
    plain, chunked = [m["data"] for m in sink.wait(2)]
    for data in (plain, chunked):
        header = data.split(b"\r\n\r\n", 1)[0].removesuffix(b"\r\n")
        assert header.startswith(b"Received: ") and b"\r\nMessage-Id: " in header and b"\r\nFrom: " in header
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
        assert all(re.match(rb"[!-9;-~]+[ \t]*:|[ \t]", line) for line in header.split(b"\r\n")), header
        assert header.count(b"Subject:") <= 1
    assert plain.split(b"\r\n\r\n", 1)[1:] == chunked.split(b"\r\n\r\n", 1)[1:]


def test_encoded_controls_are_treated_alike_everywhere(mta, sink):
    """An encoded TAB in ENVID: refused at the door, or good for every later stage, a requeue too."""
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port, "defer_transports": "smtp"}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        if c.command("MAIL FROM:<a@b.example> ENVID=a+09b").startswith("501"):
            return
        c.expect(250, "RCPT TO:<x@far.example>")
        queue_id = c.data("Subject: x\r\n\r\ny\r\n")
    wait_for(lambda: queue_id in instance.queued("deferred"))
    instance.restart(defer_transports="")
    instance.command("postsuper", "-c", instance.config, "-r", queue_id)
    assert "ENVID=a+09b" in sink.wait()[0]["sender"]


def test_the_last_line_may_be_a_dot_and_anything(mta, sink):
    """Lines that start with a dot go out with a second one, whatever follows, wherever chunks were cut: always exactly one message arrives."""
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port}).start()
    evil = b"\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<x@far.example>\r\nDATA\r\nSubject: two\r\n\r\n.\r\n"
    accepted = 0
    for dot in (b".\r\r\n", b".\rx", b".\r\n", b". \r\n", b"..\r\n", b".", b".\n"):
        content = b"Subject: one\r\n\r\n" + dot + evil
        for cut in range(14, 22):
            with instance.client() as c:
                begin(c, recipients=["x@far.example"])
                c.raw(b"BDAT %d\r\n" % cut + content[:cut] + b"BDAT %d LAST\r\n" % (len(content) - cut) + content[cut:])
                assert c.reply().startswith("250")
                accepted += c.reply().startswith("250")
    mails = sink.wait(accepted)
    wait_for(lambda: not instance.queued(), what="empty queue")
    assert len(sink.mails) == accepted and all("evil" not in m["sender"] for m in mails)
    assert all(b"MAIL FROM:<evil" in m["data"] for m in mails)
