"""TLS sessions that are taken up again: by clients of ours, in every process of a service and after a reload, and by our client, which never does so
where more is demanded of a server than was when the session was made. tests/differential/test_session_resumption.py asks Debian's Postfix the rows."""
import glob
import os
import re
import ssl

import pytest

from postern import Client, exercises, wait_for
from test_smtp_client import dns, outcome  # noqa: F401
from test_smtp_tls import TAKEN, UNTRUSTED, UNVERIFIED, ZONE, SecureDns, TlsSink, run, tlsa
from test_smtp_tls import keys as client_keys  # noqa: F401
from test_smtpd_tls import MAIN, V12, V13, keys, listeners, with_keys  # noqa: F401

CACHE = {"smtpd_tls_session_cache_database": "btree:$data_directory/smtpd_scache"}
OLD, OLD_IDS, NEW = {"max": V12}, {"max": V12, "tickets": False}, {}
# Settings of a listener, what the client can do, and: it got an id or a ticket, and it is known again.
ROWS = [
    ({}, NEW, (True, True)),
    ({}, OLD, (True, True)),
    ({}, OLD_IDS, (True, False)),
    (CACHE, NEW, (True, True)),
    (CACHE, OLD, (True, True)),
    (CACHE, OLD_IDS, (True, True)),
    ({"smtpd_tls_always_issue_session_ids": "no"}, OLD_IDS, (True, False)),
    (dict(CACHE, smtpd_tls_always_issue_session_ids="no"), OLD_IDS, (True, True)),
    ({"smtpd_tls_always_issue_session_ids": "no"}, OLD, (True, True)),
    ({"tls_session_ticket_cipher": "", "smtpd_tls_always_issue_session_ids": "no"}, OLD, (False, False)),
    ({"tls_session_ticket_cipher": "", "smtpd_tls_always_issue_session_ids": "no"}, OLD_IDS, (False, False)),
    ({"tls_session_ticket_cipher": ""}, OLD_IDS, (True, False)),
    (dict(CACHE, tls_session_ticket_cipher=""), OLD, (True, True)),
    (dict(CACHE, tls_session_ticket_cipher=""), NEW, (True, True)),
    ({"tls_session_ticket_cipher": "aes-128-cbc"}, NEW, (True, True)),
    ({"tls_session_ticket_cipher": "camellia-256-cbc"}, OLD, (True, True)),
]


class Caller:
    """A client that shows each listener the session it got there last."""

    def __init__(self, keys, max=V13, tickets=True, certificate=None, curve=None):  # noqa: F811
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.load_verify_locations(keys / "ca.pem")
        self.context.maximum_version = max
        if not tickets:
            self.context.options |= ssl.OP_NO_TICKET
        if curve:
            self.context.set_ecdh_curve(curve)
        if certificate:
            self.context.load_cert_chain(keys / (certificate + ".chain"), keys / (certificate + ".key"))
        self.session = None

    def call(self, port, command=None):
        """Whether the session of the call before was taken up again, and the reply to the command."""
        with Client(port) as c:
            c.expect(250, "EHLO c.example")
            c.expect(220, "STARTTLS")
            c.socket = self.context.wrap_socket(c.socket, session=self.session)
            c.expect(250, "EHLO c.example")
            reply = c.command(command) if command else ""
            self.session = c.socket.session or self.session
            reused = c.socket.session_reused
            c.expect(221, "QUIT")
        return reused, reply


def wrong_rows(instance, rows, of_row, keys, calls=2):  # noqa: F811
    wrong = []
    for (options, client, expected), name in zip(rows, of_row):
        caller = Caller(keys, **client)
        assert not caller.call(instance.ports[name])[0]
        given = bool(caller.session and (caller.session.id or caller.session.has_ticket))
        reused = {caller.call(instance.ports[name])[0] for _ in range(calls)}
        if (given, *reused) != expected:
            wrong.append("%s %s: %s, expected %s" % (options, client, (given, *reused), expected))
    return "\n".join(wrong)


@exercises("smtpd_tls_session_cache_database", "smtpd_tls_always_issue_session_ids", "tls_session_ticket_cipher")
def test_rows(mta, keys):  # noqa: F811
    """In any of three processes."""
    services, of_row = listeners(ROWS, keys)
    instance = mta(dict(with_keys(MAIN, keys), worker_processes="3"), services=services).start()
    wrong = wrong_rows(instance, ROWS, of_row, keys, calls=6)
    assert not wrong, wrong


@exercises("smtpd_tls_session_cache_timeout")
@pytest.mark.parametrize("cache", [{}, CACHE])
@pytest.mark.parametrize("client", [NEW, OLD, OLD_IDS])
def test_no_time_no_sessions(mta, keys, cache, client):  # noqa: F811
    instance = mta(dict(with_keys(MAIN, keys), smtpd_tls_session_cache_timeout="0", **cache)).start()
    caller = Caller(keys, **client)
    assert [caller.call(instance.port)[0] for _ in range(2)] == [False, False]


def test_processes_that_follow_know_sessions(mta, keys):  # noqa: F811
    instance = mta(dict(with_keys(MAIN, keys), **CACHE)).start()
    callers = [Caller(keys, **client) for client in (NEW, OLD, OLD_IDS)]
    for caller in callers:
        caller.call(instance.port)
    instance.set(smtpd_banner="later ESMTP")

    def renewed():
        with Client(instance.port, greeting=False) as c:
            return c.reply().startswith("220 later")

    instance.reload()
    wait_for(renewed, what="new processes")
    assert [caller.call(instance.port)[0] for caller in callers] == [True] * 3


def test_sessions_stay_with_their_listener(mta, keys):  # noqa: F811
    """Neither another service's nor one of other settings: who was let in here without a certificate is nobody there."""
    ask = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": str(keys / "ca.pem"), **CACHE}
    instance = mta(with_keys(MAIN, keys), services={"one": dict(CACHE), "two": dict(CACHE), "asking": ask}).start()
    for client in (NEW, OLD, OLD_IDS):
        caller = Caller(keys, **client)
        caller.call(instance.ports["one"])
        assert caller.call(instance.ports["one"])[0]
        kept = caller.session
        for other in ("two", "asking"):
            caller.session = kept
            assert not caller.call(instance.ports[other])[0]


@exercises("permit_tls_all_clientcerts")
def test_a_certificate_counts_again(mta, keys):  # noqa: F811
    main = {"smtpd_tls_ask_ccert": "yes", "smtpd_tls_CAfile": str(keys / "ca.pem"), "smtpd_client_restrictions": "permit_tls_all_clientcerts, reject",
            "smtpd_delay_reject": "yes", "smtpd_sender_restrictions": "", **CACHE}
    instance = mta(dict(with_keys(MAIN, keys), **main)).start()
    for client in (NEW, OLD, OLD_IDS):
        for certificate, word in (("client", "Trusted"), ("alone", "Untrusted")):
            mark = instance.log_size()
            caller = Caller(keys, certificate=certificate, **client)
            assert [caller.call(instance.port)[0] for _ in range(2)] == [False, True]
            instance.wait_log(r"smtpd\[\d+\]: %s TLS connection established from" % word, since=mark, count=2)


# ---- the client

class CountingSink(TlsSink):
    """Knows which of its sessions were taken up again."""

    def __init__(self, *args, **keywords):
        self.reused = []
        super().__init__(*args, **keywords)

    def secure(self, connection):
        connection = super().secure(connection)
        self.reused.append(connection.session_reused)
        return connection

    def known(self, count):
        """Of the first sessions, whether they were taken up again. Our client may be done with one, and its outcome told, before we are."""
        wait_for(lambda: len(self.reused) >= count, what="%d sessions" % count)
        return self.reused[:]


@pytest.fixture
def server(client_keys):  # noqa: F811
    made = []

    def start(*args, **keywords):
        made.append(CountingSink(client_keys, *args, **keywords))
        return made[-1]

    yield start
    for s in made:
        s.close()


KEPT = {"smtp_tls_session_cache_database": "btree:$data_directory/smtp_scache", "smtp_tls_security_level": "may"}


def deliver(instance, *domains):
    """The outcome of a message to each, one after the other."""
    found = []
    for domain in domains:
        mark = instance.log_size()
        queue_id = instance.send(recipients=["u@" + domain])
        found.append(outcome(instance, "u@" + domain, since=mark)[:3])
        wait_for(lambda: "%s: removed" % queue_id in instance.log() or queue_id in instance.queued("deferred"), what="the end of the attempt")
    return found


def kinds(instance):
    return re.findall(r"(\w+) TLS connection established to", instance.log())


@exercises("smtp_tls_session_cache_database", "smtp_tls_session_cache_timeout", "lmtp_tls_session_cache_database", "lmtp_tls_session_cache_timeout")
@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("main, reused", [({}, True), ({"smtp_tls_session_cache_database": ""}, False), ({"smtp_tls_session_cache_timeout": "0"}, False),
                                          ({"smtp_tls_session_cache_timeout": "1s"}, True)])
def test_client(mta, dns, client_keys, server, version, main, reused):  # noqa: F811
    """A session is known to all processes, and after a restart."""
    dns(ZONE)
    sink = server(versions=version)
    instance = run(mta, client_keys, **dict(KEPT, worker_processes="3", **main))
    assert deliver(instance, *["dest.example"] * 3) == [TAKEN] * 3
    instance.stop()
    instance.start()
    assert deliver(instance, "dest.example") == [TAKEN]
    assert sink.reused == [False] + [reused] * 3
    assert kinds(instance) == ["Trusted"] * 4
    files = glob.glob(instance.data + "/smtp_scache*")
    assert bool(files) == reused and all(os.stat(f).st_mode & 0o077 == 0 for f in files)


@pytest.mark.parametrize("version", [V12, V13])
def test_demands_are_met_anew(mta, dns, client_keys, server, version):  # noqa: F811
    """A session that was made with less demanded is not taken up, one that did not meet the demand is not kept."""
    names = ["may.example", "verify.example", "secure.example", "print.example"]
    dns(dict(ZONE, **{name: {"MX": [(10, "mx.example")]} for name in names}))
    sink = server("mx", versions=version)
    instance = run(mta, client_keys, smtp_tls_policy_maps="inline:{ {verify.example = verify} {secure.example = secure} {print.example = fingerprint match=00:11} }", **KEPT)
    assert deliver(instance, "may.example", "verify.example", "secure.example", "print.example") == [TAKEN, TAKEN, UNVERIFIED, UNVERIFIED]
    assert sink.known(4) == [False] * 4
    instance.command("postsuper", "-d", "ALL")
    assert deliver(instance, "may.example", "verify.example", "secure.example", "print.example") == [TAKEN, TAKEN, UNVERIFIED, UNVERIFIED]
    assert sink.known(8)[4:] == [True, True, False, False]
    assert kinds(instance) == ["Trusted", "Verified", "Trusted", "Trusted"] * 2


def test_a_certificate_nobody_vouches_for(mta, dns, client_keys, server):  # noqa: F811
    dns(dict(ZONE, **{"strict.example": {"MX": [(10, "mx.example")]}}))
    sink = server("self")
    instance = run(mta, client_keys, smtp_tls_policy_maps="inline:{ {strict.example = verify} }", **KEPT)
    assert deliver(instance, "dest.example", "dest.example", "strict.example") == [TAKEN, TAKEN, UNTRUSTED]
    assert sink.known(3) == [False, True, False]
    assert kinds(instance) == ["Untrusted"] * 3


def test_changed_authorities(mta, dns, client_keys, server):  # noqa: F811
    """Who is no longer trusted must show its certificate again."""
    dns(ZONE)
    sink = server()
    instance = run(mta, client_keys, **dict(KEPT, smtp_tls_security_level="verify"))
    assert deliver(instance, "dest.example", "dest.example") == [TAKEN] * 2
    instance.set(smtp_tls_CAfile=str(client_keys / "self.pem"))
    instance.reload()
    wait_for(lambda: deliver(instance, "dest.example") == [UNTRUSTED], 30, "new processes")
    sessions = len(kinds(instance))
    assert sink.known(sessions)[:2] == [False, True] and not sink.reused[sessions - 1]


@pytest.mark.parametrize("version", [V12, V13])
def test_dane(mta, client_keys, server, version):  # noqa: F811
    """A session counts for the records that it was made under."""
    zone = {"dest.example": {"SECURE": True, "MX": [(10, "mx.example")]}, "mx.example": {"SECURE": True, "A": ["127.0.0.3"]},
            "_25._tcp.mx.example": {"SECURE": True, "TLSA": [tlsa(client_keys, "mx")]}}
    resolver = SecureDns(zone)
    sink = server("mx", versions=version)
    instance = run(mta, client_keys, **dict(KEPT, smtp_tls_security_level="dane", smtp_dns_support_level="dnssec"))
    try:
        assert deliver(instance, "dest.example", "dest.example") == [TAKEN] * 2
        zone["_25._tcp.mx.example"]["TLSA"] = [tlsa(client_keys, "self")]
        assert deliver(instance, "dest.example") == [UNTRUSTED]
    finally:
        resolver.close()
    assert sink.known(3)[:2] == [False, True] and True not in sink.reused[2:]
    assert kinds(instance)[:2] == ["Verified", "Verified"]


def test_file_elsewhere(mta, dns, client_keys, server, tmp_path):  # noqa: F811
    """Root's directories are not written to: data_directory is used instead, as it was when caches moved there."""
    dns(ZONE)
    sink = server()
    instance = run(mta, client_keys, **dict(KEPT, smtp_tls_session_cache_database="btree:%s/odd_cache" % tmp_path))
    assert deliver(instance, "dest.example", "dest.example") == [TAKEN] * 2
    assert sink.reused == [False, True]
    if os.geteuid() == 0:
        instance.wait_log(r"warning: smtp_tls_session_cache_database: the directory of btree:%s/odd_cache is not .* is used instead" % tmp_path)
        assert os.path.exists(instance.data + "/odd_cache.db") and not os.path.exists("%s/odd_cache.db" % tmp_path)


def test_a_cache_that_cannot_be_used(mta, dns, client_keys, server):  # noqa: F811
    dns(ZONE)
    sink = server()
    instance = mta(dict(KEPT, smtp_tls_CAfile=str(client_keys / "ca.pem"), inet_protocols="ipv4", inet_interfaces="127.0.0.1", mydestination="test.example",
                        smtp_tls_loglevel="1"))
    with open(instance.data + "/smtp_scache.db", "w") as f:
        f.write("this is no cache" * 1000)
    instance.start()
    assert deliver(instance, "dest.example", "dest.example") == [TAKEN] * 2
    assert sink.reused == [False, False]
    instance.wait_log("warning: TLS session cache .*smtp_scache.db: ")
