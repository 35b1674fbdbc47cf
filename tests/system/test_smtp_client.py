"""Where the SMTP client takes mail: DNS, relay hosts, fallbacks, limits, and the connections it keeps."""
import os
import re
import socket
import threading

import pytest

from postern import Dns, Sink, exercises, wait_for

CLIENT = {"inet_protocols": "ipv4", "inet_interfaces": "127.0.0.1", "mydestination": "test.example", "smtpd_relay_restrictions": "permit_mynetworks, reject",
          "smtp_connect_timeout": "5s", "smtp_randomize_addresses": "no"}


@pytest.fixture
def dns():
    made = []

    def start(zone):
        made.append(Dns(zone))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def sink():
    made = []

    def start(*args, **keywords):
        made.append(Sink(*args, **keywords))
        return made[-1]

    yield start
    for server in made:
        server.close()


def outcome(instance, address, since=0, seconds=15):
    """(dsn, status, text, line) of the delivery line of address."""
    m = instance.wait_log(r"to=<%s>,.* dsn=([\d.]+), status=(\w+) \((.*)\)\n" % re.escape(address), seconds, since)
    return m.group(1), m.group(2), m.group(3), m.group(0)


def no_name(name, kind, why):
    return "Host or domain name not found. Name service error for name=%s type=%s: %s" % (name, kind, why)


ZONE = {
    "up.example": {"MX": [(20, "live.example"), (10, "dead.example")]},
    "dead.example": {"A": ["127.0.0.2"]},
    "live.example": {"A": ["127.0.0.3"]},
    "plain.example": {"A": ["127.0.0.3"]},
    "alias.example": {"CNAME": ["up.example"]},
    "self.example": {"MX": [(10, "own.example"), (20, "live.example")]},
    "own.example": {"A": ["127.0.0.1"]},
    "backup.example": {"MX": [(10, "dead.example"), (20, "own.example"), (30, "live.example")]},
    "null.example": {"MX": [(0, "")]},
    "sick.example": {"SERVFAIL": True},
    "empty.example": {"TXT": ["nothing"]},
    "lost.example": {"MX": [(10, "missing.example")]},
    "half.example": {"MX": [(10, "sick.example"), (20, "live.example")]},
}


@exercises("ignore_mx_lookup_error", "smtp_connect_timeout")
def test_names(mta, dns, sink):
    """What each kind of answer of the name server does to the mail."""
    dns(ZONE)
    live = sink("127.0.0.3", 25)
    instance = mta(CLIENT).start()
    nowhere = "Host found but no data record of requested type"
    cases = [
        ("up.example", "2.0.0", "sent", "250 2.0.0 queued"),
        ("plain.example", "2.0.0", "sent", "250 2.0.0 queued"),
        ("alias.example", "2.0.0", "sent", "250 2.0.0 queued"),
        ("half.example", "2.0.0", "sent", "250 2.0.0 queued"),
        ("self.example", "5.4.6", "bounced", "mail for self.example loops back to myself"),
        ("backup.example", "4.4.1", "deferred", "connect to dead.example[127.0.0.2]:25: Connection refused"),
        ("null.example", "5.1.0", "bounced", "Domain null.example does not accept mail (nullMX)"),
        ("sick.example", "4.4.3", "deferred", no_name("sick.example", "MX", "Host not found, try again")),
        ("empty.example", "5.4.4", "bounced", no_name("empty.example", "A", nowhere)),
        ("none.example", "5.4.4", "bounced", no_name("none.example", "A", "Host not found")),
        ("lost.example", "5.4.4", "bounced", no_name("missing.example", "A", "Host not found")),
    ]
    for domain, *_ in cases:
        instance.send("", ["u@" + domain])
    for domain, dsn, status, text in cases:
        assert outcome(instance, "u@" + domain)[:3] == (dsn, status, text), domain
    assert "connect to dead.example[127.0.0.2]:25: Connection refused" in instance.log()
    assert "relay=live.example[127.0.0.3]:25" in outcome(instance, "u@up.example")[3]
    assert "relay=none" in outcome(instance, "u@sick.example")[3]
    assert len(live.wait(4)) == 4


@exercises("ignore_mx_lookup_error", "smtp_defer_if_no_mx_address_found", "smtp_fallback_relay", "disable_dns_lookups", "smtp_host_lookup")
@pytest.mark.parametrize("main, domain, expected", [
    ({"ignore_mx_lookup_error": "yes"}, "sick.example", ("4.4.3", "deferred", no_name("sick.example", "A", "Host not found, try again"))),
    ({"smtp_defer_if_no_mx_address_found": "yes"}, "lost.example", ("4.4.4", "deferred", no_name("missing.example", "A", "Host not found"))),
    ({"smtp_fallback_relay": "live.example"}, "none.example", ("2.0.0", "sent", "250 2.0.0 queued")),
    ({"smtp_fallback_relay": "[live.example]"}, "sick.example", ("2.0.0", "sent", "250 2.0.0 queued")),
    # we are among its mail hosts: the relay would bring it back
    ({"smtp_fallback_relay": "[live.example]"}, "backup.example", ("4.4.1", "deferred", "connect to dead.example[127.0.0.2]:25: Connection refused")),
    ({"disable_dns_lookups": "yes", "transport_maps": "inline:{ { none.example = smtp:localhost } }"}, "none.example",
     ("5.4.6", "bounced", "mail for localhost loops back to myself")),
    ({"smtp_host_lookup": "dns, native", "transport_maps": "inline:{ { none.example = smtp:[localhost]:9 } }"}, "none.example",
     ("4.4.1", "deferred", "connect to localhost[127.0.0.1]:9: Connection refused")),
])
def test_lookup_settings(mta, dns, sink, main, domain, expected):
    dns(ZONE)
    sink("127.0.0.3", 25)
    instance = mta(dict(CLIENT, **main)).start()
    instance.send("", ["u@" + domain])
    assert outcome(instance, "u@" + domain)[:3] == expected


@exercises("relayhost", "transport_maps")
def test_relays(mta, dns, sink):
    dns(ZONE)
    relay, special = sink(), sink()
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % relay.port,
                        transport_maps="inline:{ { special.example = smtp:[127.0.0.1]:%d } }" % special.port)).start()
    instance.send(recipients=["a@any.example"])
    instance.send(recipients=["b@special.example"])
    assert relay.wait()[0]["recipients"] == ["<a@any.example> ORCPT=rfc822;a@any.example"]
    assert special.wait()[0]["recipients"] == ["<b@special.example> ORCPT=rfc822;b@special.example"]


@exercises("smtp_mx_address_limit", "smtp_mx_session_limit")
@pytest.mark.parametrize("addresses, sessions, connected, refused", [
    ("0", "0", 12, 12), ("5", "0", 5, 5), ("1", "0", 1, 1), ("0", "1", 1, 1), ("0", "2", 2, 2), ("5", "2", 2, 2)])
def test_mx_limits(mta, dns, sink, addresses, sessions, connected, refused):
    """Every host refuses the recipient for now: how many are asked."""
    zone = {"many.example": {"MX": [(10 + i, "mx%d.example" % i) for i in range(12)]}}
    zone.update({"mx%d.example" % i: {"A": ["127.0.1.%d" % (i + 1)]} for i in range(12)})
    dns(zone)
    sinks = [sink("127.0.1.%d" % (i + 1), 25, rules={"RCPT": "450 later"}) for i in range(12)]
    instance = mta(dict(CLIENT, smtp_mx_address_limit=addresses, smtp_mx_session_limit=sessions)).start()
    instance.send("", ["u@many.example"])
    assert outcome(instance, "u@many.example")[1] == "deferred"
    assert sum(s.connections for s in sinks) == connected
    assert len(re.findall(r"said: 450 later", instance.log())) == refused


@exercises("smtp_connection_cache_destinations", "smtp_connection_reuse_count_limit")
@pytest.mark.parametrize("lmtp", [False, True])
def test_kept_connections(mta, sink, lmtp):
    """Mail one after the other goes over one connection, which is used again so many times."""
    server = sink(lmtp=lmtp)
    prefix = "lmtp" if lmtp else "smtp"
    target = "lmtp:inet:127.0.0.1:%d" % server.port if lmtp else "smtp:[127.0.0.1]:%d" % server.port
    instance = mta(dict(CLIENT, default_transport=target, **{prefix + "_connection_cache_destinations": "static:all", prefix + "_connection_cache_time_limit": "20s",
                                                           prefix + "_connection_reuse_count_limit": "3"})).start()
    for i in range(6):
        instance.wait_handled(instance.send(recipients=["u%d@any.example" % i]))
        outcome(instance, "u%d@any.example" % i)
    assert server.connections == 2
    assert [bool(re.search(r"to=<u%d@.* conn_use=%d," % (i, i % 4 + 1), instance.log())) for i in range(6)] == [False, True, True, True, False, True]


def test_success_is_reported_once(mta, sink):
    """A server with DSN makes the report itself and is told what the sender asked for; without DSN we report."""
    with_dsn, without = sink(), sink(keywords=("PIPELINING",))
    instance = mta(dict(CLIENT, transport_maps="inline:{ { with.example = smtp:[127.0.0.1]:%d } { without.example = smtp:[127.0.0.1]:%d } }" % (
        with_dsn.port, without.port))).start()
    for domain in ("with.example", "without.example"):
        with instance.client() as c:
            c.expect(250, "EHLO client.example")
            c.expect(250, "MAIL FROM:<s@test.example> RET=HDRS ENVID=e+2B1")
            c.expect(250, "RCPT TO:<u@%s> NOTIFY=SUCCESS ORCPT=rfc822;first+2Blast@%s" % (domain, domain))
            queue_id = c.data("Subject: x\r\n\r\nhello\r\n")
        instance.wait_log(queue_id + ": removed")  # and what is to be reported is
    mail = with_dsn.wait()[0]
    assert mail["sender"].endswith("ENVID=e+2B1 RET=HDRS") and mail["recipients"] == ["<u@with.example> ORCPT=rfc822;first+2Blast@with.example NOTIFY=SUCCESS"]
    without.wait()
    assert len(re.findall(r"sender delivery status notification", instance.log())) == 1


class UnixLmtp(threading.Thread):
    """An LMTP server on a UNIX socket; counts its connections."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen(20)
        self.connections = self.open = 0
        self.lock = threading.Lock()
        self.start()

    def run(self):
        while True:
            connection = self.socket.accept()[0]
            with self.lock:
                self.connections += 1
                self.open += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        with self.lock:
            self.open -= 1
        connection.close()

    def serve(self, connection):
        stream = connection.makefile("rwb")

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        say("220 lmtp")
        recipients = 0
        for line in stream:
            verb = line[:4].upper()
            recipients = 0 if verb == b"MAIL" else recipients + (verb == b"RCPT")
            say("354 go" if verb == b"DATA" else "221 bye" if verb == b"QUIT" else "250 ok")
            if verb == b"QUIT":
                break
            if verb == b"DATA":
                while stream.readline() != b".\r\n":
                    pass
                for _ in range(recipients):
                    say("250 2.1.5 delivered")


@exercises("lmtp_connection_cache_destinations", "lmtp_assume_final")
def test_lmtp_over_unix_socket(mta):
    """Connections to a socket are found again; those that are not used end."""
    instance = mta(dict(CLIENT, default_transport="lmtp:unix:private/dovecot", lmtp_connection_cache_destinations="static:all",
                        lmtp_connection_cache_time_limit="3s", lmtp_assume_final="yes")).start()
    server = UnixLmtp(os.path.join(instance.queue, "private/dovecot"))
    for i in range(30):
        instance.wait_handled(instance.send(recipients=["u%d@any.example" % i, "v%d@any.example" % i]))
        outcome(instance, "v%d@any.example" % i)
    assert server.connections < 15  # one, if this machine does not pause
    assert re.search(r"relay=mail.test.example\[private/dovecot\], conn_use=\d+, .*status=sent \(250 2.1.5 delivered\)", instance.log())
    wait_for(lambda: server.open == 0, 5, "idle connections end")


def test_idle_connections_end_at_reload(mta, sink):
    server = sink()
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, smtp_connection_cache_destinations="static:all",
                        smtp_connection_cache_time_limit="60s")).start()
    instance.wait_handled(instance.send(recipients=["u@any.example"]))
    outcome(instance, "u@any.example")
    assert server.open == 1
    instance.reload()
    wait_for(lambda: server.open == 0, 5, "the connection ends with QUIT")
    instance.send(recipients=["v@any.example"])
    assert "conn_use" not in outcome(instance, "v@any.example")[3]


def test_server_dies_in_the_middle(mta, sink):
    """What was not acknowledged is tried again and arrives once."""
    lost = []

    def dot(argument):
        if len(lost) < 3:
            lost.append(1)
            return None
        return "250 2.0.0 queued"

    server = sink(rules={"DOT": dot})
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, minimal_backoff_time="1s", queue_run_delay="1s",
                        maximal_backoff_time="1s", default_destination_concurrency_failed_cohort_limit="0")).start()
    instance.send(recipients=["u@any.example"])
    instance.wait_log(r"lost connection with .* while sending end of data -- message may be sent more than once", 10, count=3)
    instance.wait_log(r"status=sent", 20)
    assert len(server.wait(1)) == 1


@exercises("enable_idna2003_compatibility")
@pytest.mark.parametrize("compatible, name", [("no", "xn--fa-hia.example"), ("yes", "fass.example")])
def test_names_of_older_standards(mta, sink, dns, compatible, name):
    """The sharp s of the German domain, which two standards write in ASCII differently."""
    server = sink()
    dns({name: {"A": ["127.0.0.1"]}})
    instance = mta({"enable_idna2003_compatibility": compatible, "transport_maps": "inline:{x.example=smtp:[fa\u00df.example]:%d}" % server.port}).start()
    instance.send(recipients=["u@x.example"])
    assert outcome(instance, "u@x.example")[1] == "sent"
    assert len(server.wait()) == 1


SUBJECT = "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n"


@exercises("smtputf8_autodetect_classes")
@pytest.mark.parametrize("classes, by_command, by_smtp, by_alias", [
    (None, "bounced", "sent", "sent"), ("smtpd", "sent", "bounced", "bounced"), ("forward", "sent", "sent", "bounced"), ("all", "bounced", "bounced", "bounced"), ("", "sent", "sent", "sent")])
def test_mail_that_needs_smtputf8(mta, sink, classes, by_command, by_smtp, by_alias):
    """A header beyond ASCII, and a server that does not know SMTPUTF8."""
    server = sink(keywords=["8BITMIME"])
    instance = mta({"smtputf8_autodetect_classes": classes, "transport_maps": "inline:{x.example=smtp:[127.0.0.1]:%d}" % server.port, "alias_maps": "inline:{list=alias@x.example}",
                    "owner_request_special": "no", "notify_classes": ""}).start()
    instance.command("sendmail", "-f", "s@test.example", "command@x.example", input=SUBJECT)
    for recipient in ("smtp@x.example", "list@test.example"):
        instance.send(sender="", recipients=[recipient], body=SUBJECT)
    for recipient, expected in (("command", by_command), ("smtp", by_smtp), ("alias", by_alias)):
        dsn, status, text, _ = outcome(instance, recipient + "@x.example")
        assert status == expected, (recipient, text)
        if status == "bounced":
            assert dsn == "5.6.7" and text.startswith("SMTPUTF8 is required, but was not offered by host 127.0.0.1"), text
