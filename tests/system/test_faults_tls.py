"""Faults that TLS and DANE of others have had: each test is the trigger of one."""
import os
import re
import ssl
import subprocess

import pytest

from postern import SLOW, processes, wait_for
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401
from test_smtp_tls import TAKEN, SecureDns, keys, run, server, tlsa  # noqa: F401


def wrap(client, version=None, name=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if version:
        context.maximum_version = version
    client.socket = context.wrap_socket(client.socket, server_hostname=name)
    return client


# ---- key and certificate files

def pem(keys, *names):
    return "".join((keys / name).read_text() for name in names)


def shown(instance):
    """The certificate that a client gets to see, or None."""
    with instance.client() as c:
        c.expect(250, "EHLO c")
        if not c.command("STARTTLS").startswith("220"):
            return None
        return wrap(c).socket.getpeercert(True)


@pytest.mark.parametrize("order", [("mx.key", "mx.pem"), ("mx.pem", "mx.key"), ("parameters", "mx.key", "mx.pem"), ("mx.key", "parameters", "mx.pem"),
                                   ("mx.pem", "parameters", "mx.key"), ("mx.pem", "ca.pem", "mx.key"), ("request", "mx.pem", "mx.key")], ids="-".join)
def test_key_and_certificate_in_one_file(mta, keys, tmp_path, order):
    """Whichever comes first, with blocks of other kinds between."""
    parameters = subprocess.run(["openssl", "ecparam", "-name", "prime256v1"], stdout=subprocess.PIPE, check=True, text=True).stdout
    extra = {"parameters": parameters, "request": "-----BEGIN SOMETHING ELSE-----\nAAAA\n-----END SOMETHING ELSE-----\n"}
    both = tmp_path / "both.pem"
    both.write_text("some text\n" + "\n".join(extra.get(name) or pem(keys, name) for name in order))
    instance = mta({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(both), "smtpd_tls_key_file": "$smtpd_tls_cert_file"}).start()
    assert shown(instance) == ssl.PEM_cert_to_DER_cert(pem(keys, "mx.pem"))


def test_chain_file_with_two_keys(mta, keys, tmp_path):
    """Two pairs in a file are two pairs; a key without its certificate is a mistake that is named, and TLS is not to be had."""
    both, bad = tmp_path / "both.pem", tmp_path / "bad.pem"
    both.write_text(pem(keys, "mx.key", "mx.pem", "ca.pem") + pem(keys, "self.key", "self.pem"))
    bad.write_text(pem(keys, "mx.key", "self.key", "self.pem"))
    instance = mta({"smtpd_tls_security_level": "may"}, services={"good": {"smtpd_tls_chain_files": str(both)}, "bad": {"smtpd_tls_chain_files": str(bad)}}).start()
    assert shown(instance) in [ssl.PEM_cert_to_DER_cert(pem(keys, name)) for name in ("mx.pem", "self.pem")]
    with instance.client("bad") as c:
        c.expect(250, "EHLO c")
        assert not c.command("STARTTLS").startswith("220")
    instance.wait_log(re.escape(str(bad)))


def test_pair_that_does_not_fit(mta, keys, tmp_path):
    """The key of another certificate, on a reload: the file is named, and mail still arrives."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(pem(keys, "mx.pem"))
    key.write_text(pem(keys, "mx.key"))
    instance = mta({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(cert), "smtpd_tls_key_file": str(key)}).start()
    assert shown(instance)
    key.write_text(pem(keys, "self.key"))
    mark = instance.log_size()
    instance.reload()
    wait_for(lambda: shown(instance) is None or re.search(re.escape(str(key)), instance.log(mark)), 10, "the mistake is found")
    instance.wait_log(r"warning.*(%s|%s)" % (re.escape(str(key)), re.escape(str(cert))), since=mark)
    instance.send(recipients=["nobody@test.example"])


# ---- handshakes

@pytest.mark.parametrize("name", ["mx.example", "unknown.example", "x" * 200 + ".example", "-..-", "1.2.3.4"])
def test_second_hello_with_a_server_name(mta, keys, name):
    """The first key share is of a group that the server does not take, so the client says hello twice, with a name each time."""
    instance = mta({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(keys / "mx.pem"), "smtpd_tls_key_file": str(keys / "mx.key")}).start()
    hellos = []
    # ffdhe8192 comes first in the client's list, and is not in ours; the client may write several lines about a hello
    for groups in ("P-256", "ffdhe8192:P-256"):
        output = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % instance.port, "-starttls", "smtp", "-state", "-tls1_3", "-groups", groups,
                                 "-servername", name], input=b"Q\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * SLOW).stdout.decode("latin1")
        assert "subject=CN = mx\n" in output
        hellos.append(output.count("write client hello"))
    assert hellos[0] > 0 and hellos[1] == 2 * hellos[0]
    instance.wait_log(r"disconnect from .* starttls=1 ", count=2)


@pytest.mark.parametrize("system, ours, version, expected", [
    ("MinProtocol = TLSv1.3", ">=TLSv1.2", ssl.TLSVersion.TLSv1_2, True), ("MinProtocol = TLSv1.2", ">=TLSv1.3", ssl.TLSVersion.TLSv1_2, False),
    ("MaxProtocol = TLSv1.2", ">=TLSv1.2", ssl.TLSVersion.TLSv1_3, True), ("MinProtocol = TLSv1.3", "<=TLSv1.2", ssl.TLSVersion.TLSv1_3, False)])
def test_protocols_are_ours_to_set(mta, keys, tmp_path, system, ours, version, expected):
    """What the machine's configuration of the library says does not matter, with a server name as without."""
    conf = tmp_path / "openssl.cnf"
    conf.write_text("openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = all\n[all]\n%s\n" % system)
    environment = "MAIL_CONFIG TZ LANG=C OPENSSL_CONF=%s ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS" % conf
    instance = mta({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(keys / "mx.pem"), "smtpd_tls_key_file": str(keys / "mx.key"),
                    "smtpd_tls_protocols": ours, "import_environment": environment}).start()
    for name in (None, "mx.example"):
        with instance.client() as c:
            c.expect(250, "EHLO c")
            c.expect(220, "STARTTLS")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            try:
                c.socket = context.wrap_socket(c.socket, server_hostname=name)
                got = True
            except (ssl.SSLError, ConnectionError):
                got = False
        assert got == expected, name


def test_handshakes_that_do_not_end(mta, keys):
    """Half a hello and silence, garbage, and leaving in the middle: each ends once, with one line, without using the processor."""
    instance = mta({"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": str(keys / "mx.pem"), "smtpd_tls_key_file": str(keys / "mx.key"),
                    "smtpd_starttls_timeout": "5s", "worker_processes": "1"}).start()
    pid, = wait_for(lambda: processes(instance, "smtpd"))

    def used():
        fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors():
        return len(os.listdir("/proc/%d/fd" % pid))
    assert shown(instance)
    instance.wait_log(r"disconnect from .* starttls=1 ")
    before, held, mark = used(), descriptors(), instance.log_size()
    silent = []
    for i in range(30):
        c = instance.client()
        c.expect(250, "EHLO c")
        c.expect(220, "STARTTLS")
        c.raw([b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 50, b""][i % 3])
        if i % 3:
            c.close()
        else:
            silent.append(c)
    for c in silent:
        assert c.reply() == ""
        c.close()
    instance.wait_log(r"SSL_accept error from|TLS handshake failed|lost connection after STARTTLS", count=30)
    instance.wait_log(r"disconnect from .* starttls=0/1", count=30)
    assert instance.log(mark).count("lost connection after STARTTLS") <= 30
    assert used() - before < 2 * SLOW
    wait_for(lambda: descriptors() <= held + 2, 10, "descriptors given back")


# ---- what the log calls a server

def word(instance, mark=0):
    return instance.wait_log(r"(\w+) TLS connection established to", since=mark).group(1)


@pytest.mark.parametrize("certificate, level, expected", [("mx", "verify", "Verified"), ("mx", "may", "Trusted"), ("domain", "may", "Trusted"), ("self", "may", "Untrusted")])
def test_words_for_servers(mta, dns, keys, server, certificate, level, expected):
    """A valid chain and the right name, a valid chain, none. The second session gets the word of the first."""
    dns({"dest.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.3"]}})
    server(certificate)
    instance = run(mta, keys, smtp_tls_security_level=level)
    for i in range(2):
        mark = instance.log_size()
        instance.send(recipients=["u%d@dest.example" % i])
        assert word(instance, mark) == expected
        outcome(instance, "u%d@dest.example" % i)


def test_word_for_anonymous_servers(mta, keys):
    ciphers = {"tls_medium_cipherlist": "aNULL:ALL:@SECLEVEL=0"}
    sink = mta(dict(ciphers, smtpd_tls_security_level="may", smtpd_tls_cert_file="none", smtpd_tls_protocols="<=TLSv1.2", mydestination="far.example",
                    transport_maps="inline:{far.example=discard:}", myhostname="sink.example")).start()
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % sink.port, smtp_tls_security_level="may", smtp_tls_loglevel="1", **ciphers)).start()
    instance.send(recipients=["u@far.example"])
    assert word(instance) == "Anonymous"


# ---- DANE

RECORDS = ["", "03", "0301", "030101", "03010100", "030101" + "00" * 16, "030101" + "00" * 17, "030101" + "00" * 31, "030101" + "00" * 33, "030102" + "00" * 63, "030100",
           "030102" + "00" * 65, "020001" + "00" * 31, "ff" * 35, "030101" + "00" * 700]


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_tlsa_records_of_any_length(mta, keys, server, number, good):
    """Alone, such a record makes TLS mandatory and checks nothing; beside a good one, the good one counts."""
    zone = {"dest.example": {"MX": [(10, "mx.example")], "SECURE": True}, "mx.example": {"A": ["127.0.0.3"], "SECURE": True},
            "_25._tcp.mx.example": {"TLSA": [RECORDS[number]] + ([tlsa(keys, "self")] if good else []), "SECURE": True}}
    resolver = SecureDns(zone)
    try:
        sink = server("self")
        instance = run(mta, keys, smtp_dns_support_level="dnssec", smtp_tls_security_level="dane", smtp_tls_CAfile="")
        instance.send(recipients=["u@dest.example"])
        assert outcome(instance, "u@dest.example")[:3] == TAKEN
        assert word(instance) == ("Verified" if good else "Untrusted") and sink.mails == [True]
        assert ("warning: _25._tcp.mx.example: truncated TLSA record" in instance.log()) == (len(RECORDS[number]) <= 6)
    finally:
        resolver.close()


@pytest.mark.parametrize("where", ["real.example", "mx.example"])
@pytest.mark.parametrize("certificate, trusted", [("mx", True), ("domain", True), ("wild", False)])
def test_names_of_an_alias(mta, keys, server, where, certificate, trusted):
    """The host is an alias; its TLSA records stand at one end. The name in SNI is that end, and the certificate may have the next hop's name too."""
    zone = {"dest.example": {"MX": [(10, "mx.example")], "SECURE": True}, "mx.example": {"CNAME": ["real.example"], "SECURE": True},
            "real.example": {"A": ["127.0.0.3"], "SECURE": True}, "_25._tcp." + where: {"TLSA": [tlsa(keys, "ca", usage=2, selector=0)], "SECURE": True}}
    resolver = SecureDns(zone)
    try:
        sink = server(certificate)
        instance = run(mta, keys, smtp_dns_support_level="dnssec", smtp_tls_security_level="dane", smtp_tls_CAfile="")
        instance.send(recipients=["u@dest.example"])
        found = outcome(instance, "u@dest.example")
        assert sink.names and set(sink.names) == {where}
        assert (found[1] == "sent") == trusted, found
    finally:
        resolver.close()


def test_full_handshake_without_a_session_cache(mta, dns, keys, server, tmp_path):
    """A session cache of another program, or of nobody, is not read: neither its lookups nor its contents matter."""
    dns({"dest.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.3"]}})
    sink = server("mx")
    (tmp_path / "cache.lmdb").write_bytes(b"\0" * 100)
    instance = run(mta, keys, smtp_tls_security_level="encrypt", smtp_tls_session_cache_database="lmdb:%s" % (tmp_path / "cache"), smtp_connection_cache_on_demand="no")
    for i in range(2):
        instance.send(recipients=["u%d@dest.example" % i])
        assert outcome(instance, "u%d@dest.example" % i)[1] == "sent"
    assert sink.mails == [True, True] and (tmp_path / "cache.lmdb").read_bytes() == b"\0" * 100
