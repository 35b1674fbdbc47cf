"""smtpd_proxy_filter: the whole way through a filter and back, smuggling, sizes, filters that hang or lie, and where they listen."""
import os
import pwd
import re
import socket
import threading

import pytest

from postern import ROOT_USER, Client, Sink, exercises, free_port, stop_accepting, wait_for

HELLO, FROM, TO = "EHLO c.example", "MAIL FROM:<s@x.example>", "RCPT TO:<u@test.example>"
TROUBLE = "451 4.3.0 Error: queue file write error"
BASIC = {"smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "", "smtpd_proxy_timeout": "2s",
         "smtpd_forbid_bare_newline_exclusions": ""}


class Relay(threading.Thread):
    """A filter that passes every byte on to the listener behind it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.socket = port, socket.create_server(("127.0.0.1", 0))
        self.own = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                near, _ = self.socket.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        stop_accepting(self.socket, self)


@pytest.fixture
def through(mta, request):
    """A listener before a filter, one behind it, and where the mail ends."""
    sink, back = Sink(), free_port()
    relay = Relay(back)
    instance = mta(dict(BASIC, local_transport="smtp:[127.0.0.1]:%d" % sink.port, message_size_limit="200000"), {
        "front": {"smtpd_proxy_filter": "127.0.0.1:%d" % relay.own},
        "late": {"smtpd_proxy_filter": "127.0.0.1:%d" % relay.own, "smtpd_proxy_options": "speed_adjust"},
    }, master="127.0.0.1:%d inet n - n - - smtpd\n  -o smtpd_authorized_xforward_hosts=127.0.0.0/8\n  -o smtpd_forbid_bare_newline=no\n" % back)
    instance.ports["back"] = back
    instance.start()
    yield instance, sink
    relay.close()


def only_mail(instance, sink):
    """The content of the one message that came through, when both listeners are done with their sessions and the queue with what they took."""
    instance.wait_log(r" disconnect from| lost connection", count=2)
    wait_for(lambda: not instance.queued(), what="an empty queue")
    mail, = sink.wait()
    return mail["data"]


@exercises("smtpd_proxy_filter", "smtpd_proxy_options")
@pytest.mark.parametrize("name", ["front", "late"])
def test_there_and_back(through, name):
    """The second server knows the first one's client, and the client its queue id."""
    instance, sink = through
    with instance.client(name) as c:
        queue_id = c.mail("s@x.example", ["u@test.example", "v@test.example"], "Subject: x\r\n\r\n.dot\r\n" + "line\r\n" * 20000)
        port = c.socket.getsockname()[1]
    message = sink.wait()[0]
    assert message["data"].endswith(b"\r\n\r\n.dot\r\n" + b"line\r\n" * 20000)
    assert [r.split(">")[0] for r in message["recipients"]] == ["<u@test.example", "<v@test.example"]
    assert message["data"].count(b"Received:") == 2
    instance.wait_log(r"%s: client=unknown\[127.0.0.1\], orig_client=unknown\[127.0.0.1\]" % queue_id)
    instance.wait_log(r"proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as %s; from=<s@x.example> to=<u@test.example>" % queue_id)
    assert port and not os.listdir(instance.queue + "/hold")


@exercises("smtpd_proxy_filter")
@pytest.mark.parametrize("name", ["front", "late"])
@pytest.mark.parametrize("end", [b".\r\r\n", b".\n", b".\rx\r\n", b"\n.\n", b"\r.\r", b". \r\n", b"\n.\r\n", b"\r\n.\n"], ids=repr)
def test_smuggling(through, name, end):
    """R229, R231: whatever stands for an end elsewhere, one message goes through, and only CR LF ends its lines."""
    instance, sink = through
    payload = b"Subject: x\r\n\r\nfirst\r\n" + end + b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<u@test.example>\r\nDATA\r\nSubject: second\r\n\r\nx\r\n.\r\n"
    with instance.client(name) as c:
        for line in (HELLO, FROM, TO):
            c.expect(250, line)
        c.expect(354, "DATA")
        c.raw(payload)
        assert c.reply().startswith("250")
        c.expect(221, "QUIT")
    data = only_mail(instance, sink)
    assert b"evil" in data and b"Subject: second" in data
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)


@exercises("smtpd_proxy_filter")
@pytest.mark.parametrize("name", ["front", "late"])
def test_smuggling_by_chunks(through, name):
    instance, sink = through
    content = b"Subject: x\r\n\r\n.\r\r\nMAIL FROM:<evil@x.example>\r\n.\r\nx\r\n"
    with instance.client(name) as c:
        for line in (HELLO, FROM, TO):
            c.expect(250, line)
        for i in range(len(content)):
            c.raw(b"BDAT 1\r\n" + content[i:i + 1])
            assert c.reply().startswith("250")
        assert c.command("BDAT 0 LAST").startswith("250")
        c.expect(221, "QUIT")
    data = only_mail(instance, sink)
    assert b"evil" in data and data.endswith(b"\r\n.\r\nx\r\n")


@exercises("smtpd_proxy_filter")
@pytest.mark.parametrize("name", ["front", "late"])
@pytest.mark.parametrize("line", ["From a b\r\n", ">From a b\r\n", "y" * 990 + "\r\n", "y" * 100000 + "\r\n"], ids=["from", "quoted from", "lines", "long lines"])
def test_too_big(through, name, line):
    """R194: every line counts; what is too big is not passed on."""
    instance, sink = through
    with instance.client(name) as c:
        for command in (HELLO, FROM, TO):
            c.expect(250, command)
        c.expect(354, "DATA")
        c.raw("Subject: x\r\n\r\n" + line * (210000 // len(line) + 1) + ".\r\n")
        assert c.reply() == "552 5.3.4 Error: message file too big"
        c.expect(250, "NOOP")
        c.mail("s@x.example", ["u@test.example"], "Subject: small\r\n\r\nx\r\n", hello="NOOP")
    assert b"Subject: small" in sink.wait()[0]["data"]


@exercises("smtpd_proxy_timeout")
@pytest.mark.parametrize("options", ["", "speed_adjust"])
@pytest.mark.parametrize("greeting", ["", "220 hello\r\n", "220-\r\n" * 100000, "junk\r\n", "554 no\r\n", "220 x\r\n250-XFORWARD NAME ADDR\r\n250 x\r\n599 odd\r\n"],
                         ids=["silence", "one word", "no end", "noise", "refusal", "odd answer"])
def test_filters_that_misbehave(mta, options, greeting):
    """Silence, noise, an early end: the client hears of trouble, and nothing else."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
                held.append(connection)
                connection.sendall(greeting.encode())
            except OSError:
                return
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    instance = mta(BASIC, {"a": {"smtpd_proxy_filter": "127.0.0.1:%d" % server.getsockname()[1], "smtpd_proxy_options": options}}).start()
    with instance.client() as c:
        c.expect(250, HELLO)
        c.expect(250, FROM)
        reply = c.command(TO)
        if options:
            c.expect(354, "DATA")
            c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
            reply = c.reply()
        assert reply == TROUBLE
        c.expect(250, "NOOP")
    stop_accepting(server, thread)


@exercises("smtpd_proxy_filter")
def test_filter_that_ends_in_the_content(mta):
    sink = Sink(keywords=("XFORWARD NAME ADDR",), rules={"DOT": None})

    def end(_):
        raise ConnectionError("end")
    sink.rules["DATA"] = lambda _: "354 go ahead"
    sink.rules["DOT"] = end
    instance = mta(BASIC, {"plain": {"smtpd_proxy_filter": "127.0.0.1:%d" % sink.port},
                           "late": {"smtpd_proxy_filter": "127.0.0.1:%d" % sink.port, "smtpd_proxy_options": "speed_adjust"}}).start()
    for name in ("plain", "late"):
        with instance.client(name) as c:
            for line in (HELLO, FROM, TO):
                c.expect(250, line)
            c.expect(354, "DATA")
            c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
            assert c.reply() == TROUBLE
            c.expect(250, FROM)
    assert not instance.queued()


@exercises("smtpd_proxy_filter")
def test_abandoned_content(mta):
    """A client that goes away in its content leaves nothing at the filter."""
    sink = Sink(keywords=("XFORWARD NAME ADDR",))
    instance = mta(BASIC, {"plain": {"smtpd_proxy_filter": "127.0.0.1:%d" % sink.port},
                           "late": {"smtpd_proxy_filter": "127.0.0.1:%d" % sink.port, "smtpd_proxy_options": "speed_adjust"}}).start()
    for name in ("plain", "late"):
        with instance.client(name) as c:
            for line in (HELLO, FROM, TO):
                c.expect(250, line)
            c.expect(354, "DATA")
            c.raw("Subject: x\r\n\r\nhalf a message\r\n")
    instance.wait_log(r"lost connection after DATA", count=2)
    wait_for(lambda: sink.open == 0, what="the end of the connections")
    assert sink.mails == [] and sink.connections == 1
    left = [name for folder, _, names in os.walk(instance.queue + "/incoming") for name in names if "proxy" in name]
    assert not left


class UnixSink(Sink):
    """The same on a UNIX-domain socket, by way of a relay."""

    def __init__(self, path):
        super().__init__(keywords=("XFORWARD NAME ADDR",))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        os.chmod(path, 0o666)
        threading.Thread(target=self.relay, daemon=True).start()

    def relay(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.port))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=Relay.copy, args=(a, b), daemon=True).start()


@exercises("smtpd_proxy_filter")
@pytest.mark.parametrize("columns", ["n - n - -", "n - y - -"])
def test_endpoints(mta, columns):
    if columns.split()[2] == "y" and not ROOT_USER:
        pytest.skip("chroot needs root")
    sink = Sink(keywords=("XFORWARD NAME ADDR",))
    filters = {"host": "127.0.0.1:%d", "inet": "inet:127.0.0.1:%d", "port": "%d", "colon": ":%d", "unix": "unix:private/filter"}
    instance = mta(BASIC, {name: {"smtpd_proxy_filter": text % sink.port if "%" in text else text, "smtpd_proxy_options": options}
                           for name, text in filters.items() for options in [""]}, listener_columns=columns)
    os.makedirs(instance.queue + "/private", exist_ok=True)
    unix = UnixSink(instance.queue + "/private/filter")
    if ROOT_USER:
        os.chown(instance.queue + "/private", pwd.getpwnam(instance.main["mail_owner"]).pw_uid, -1)
    instance.start()
    for name in filters:
        with Client(instance.ports[name]) as c:
            c.mail("s@x.example", ["u@test.example"], "Subject: x\r\n\r\nx\r\n")
    sink.wait(4)
    unix.wait(1)
