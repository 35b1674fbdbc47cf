"""TLS towards servers: levels, policies, certificates, and what happens when it cannot be had."""
import re
import socket
import ssl
import subprocess
import threading

import pytest

from postern import Dns, exercises, stop_accepting, wait_for
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """An authority, server certificates by it for several names, one that signed itself, and one for clients."""
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o755)

    def run(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def key(name):
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")

    key("ca")
    run("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=Test Authority", "-days", "3", "-out", "ca.pem")
    for name, names in {"mx": "DNS:mx.example", "wild": "DNS:*.hosts.example", "domain": "DNS:dest.example", "client": "DNS:client.example"}.items():
        key(name)
        (folder / "ext").write_text("subjectAltName=" + names)
        run("req", "-new", "-key", name + ".key", "-subj", "/CN=" + name, "-out", "csr")
        run("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3", "-extfile", "ext", "-out", name + ".pem")
    key("self")
    run("req", "-x509", "-new", "-key", "self.key", "-subj", "/CN=mx.example", "-addext", "subjectAltName=DNS:mx.example", "-days", "3", "-out", "self.pem")
    return folder


class TlsSink(threading.Thread):
    """A server with STARTTLS (or TLS at once). trick: what it does wrong."""

    def __init__(self, keys, name="mx", host="127.0.0.3", port=25, wrapped=False, trick="", offer=True, versions=None):
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(keys / (name + ".pem"), keys / (name + ".key"))
        self.context.load_verify_locations(keys / "ca.pem")
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.context.sni_callback = lambda s, server_name, context: self.names.append(server_name)
        if versions:
            self.context.minimum_version = self.context.maximum_version = versions
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.wrapped, self.trick, self.offer = wrapped, trick, offer
        self.names, self.mails, self.commands, self.clients, self.connections = [], [], [], [], 0
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(20)
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def close(self):
        stop_accepting(self.socket, self)

    def one(self, connection):
        try:
            if self.wrapped:
                connection = self.secure(connection)
            self.serve(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def secure(self, connection):
        connection = self.context.wrap_socket(connection, server_side=True)
        self.clients.append((connection.getpeercert() or {}).get("subject"))
        return connection

    def serve(self, connection):
        secure, stream = self.wrapped, connection.makefile("rb")

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        say("220 sink ESMTP")
        while True:
            line = stream.readline()
            if not line:
                return
            verb = line[:4].upper()
            self.commands.append(("tls " if secure else "") + line.decode().strip())
            if verb == b"EHLO":
                say("250-sink\r\n" + ("250-STARTTLS\r\n" if self.offer and not secure else "") + ("250 SIZE" if secure or self.wrapped else "250 PIPELINING") + ("\r\n250 2.1.0 ok\r\n354 go" if secure and self.trick == "early" else ""))
            elif verb == b"STAR":
                if self.trick == "refuse":
                    say("454 4.7.0 not now")
                    continue
                if self.trick == "inject":
                    connection.sendall(b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n")
                elif self.trick == "garbage":
                    connection.sendall(b"220 go\r\n")
                    connection.recv(1)
                    connection.sendall(b"this is not TLS\r\n" * 10)
                    return
                else:
                    say("220 go")
                connection = self.secure(connection)
                stream, secure = connection.makefile("rb"), True
            elif verb == b"DATA":
                say("354 go")
                while stream.readline() not in (b".\r\n", b""):
                    pass
                self.mails.append(secure)
                say("250 2.0.0 taken")
            else:
                say("250 ok")
                if verb == b"QUIT":
                    return


@pytest.fixture
def server(keys):
    made = []

    def start(*args, **keywords):
        made.append(TlsSink(keys, *args, **keywords))
        return made[-1]

    yield start
    for s in made:
        s.close()


ZONE = {"dest.example": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.3"]},
        "wild.example": {"MX": [(10, "mx.hosts.example")]}, "mx.hosts.example": {"A": ["127.0.0.3"]}}
TAKEN = ("2.0.0", "sent", "250 2.0.0 taken")
SAID = "host mx.example[127.0.0.3]"


def run(mta, keys, **main):
    return mta(dict(dict(CLIENT, smtp_tls_CAfile=str(keys / "ca.pem"), smtp_tls_loglevel="1"), **main)).start()


def fingerprint(keys, name, public=False):
    if public:
        text = subprocess.run("openssl x509 -in %s.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -c" % name, shell=True, cwd=keys,
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    else:
        text = subprocess.run(["openssl", "x509", "-in", name + ".pem", "-noout", "-fingerprint", "-sha256"], cwd=keys, stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.search(r"((?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})", text).group(1)


UNTRUSTED, UNVERIFIED = ("4.7.5", "deferred", "Server certificate not trusted"), ("4.7.5", "deferred", "Server certificate not verified")


@exercises("smtp_tls_security_level", "smtp_tls_CAfile", "smtp_tls_verify_cert_match", "smtp_tls_secure_cert_match", "smtp_tls_fingerprint_cert_match",
           "smtp_tls_loglevel", "smtp_use_tls", "smtp_enforce_tls", "smtp_tls_enforce_peername")
@pytest.mark.parametrize("main, certificate, expected, kind", [
    ({"smtp_tls_security_level": "none"}, "mx", TAKEN, None),
    ({"smtp_use_tls": "yes"}, "self", TAKEN, "Untrusted"),
    ({"smtp_enforce_tls": "yes"}, "self", UNTRUSTED, "Untrusted"),
    ({"smtp_enforce_tls": "yes", "smtp_tls_enforce_peername": "no"}, "self", TAKEN, "Untrusted"),
    ({"smtp_tls_security_level": "may"}, "self", TAKEN, "Untrusted"),
    ({"smtp_tls_security_level": "encrypt"}, "mx", TAKEN, "Trusted"),
    ({"smtp_tls_security_level": "verify"}, "mx", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "verify"}, "wild", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "verify"}, "domain", UNVERIFIED, "Trusted"),
    ({"smtp_tls_security_level": "verify"}, "self", UNTRUSTED, "Untrusted"),
    ({"smtp_tls_security_level": "verify", "smtp_tls_verify_cert_match": "other.example, nexthop"}, "domain", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "secure"}, "mx", UNVERIFIED, "Trusted"),
    ({"smtp_tls_security_level": "secure"}, "domain", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "secure", "smtp_tls_secure_cert_match": ".example"}, "mx", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "fingerprint", "smtp_tls_fingerprint_cert_match": "cert"}, "self", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "fingerprint", "smtp_tls_fingerprint_cert_match": "key"}, "self", TAKEN, "Verified"),
    ({"smtp_tls_security_level": "fingerprint", "smtp_tls_fingerprint_cert_match": "other"}, "self", UNVERIFIED, "Untrusted"),
])
def test_levels(mta, dns, keys, server, main, certificate, expected, kind):
    dns(ZONE)
    sink = server(certificate)
    prints = {"cert": fingerprint(keys, certificate), "key": fingerprint(keys, certificate, True).lower(), "other": fingerprint(keys, "mx")}
    if "smtp_tls_fingerprint_cert_match" in main:
        main = dict(main, smtp_tls_fingerprint_cert_match=prints[main["smtp_tls_fingerprint_cert_match"]])
    instance = run(mta, keys, **main)
    recipient = "u@wild.example" if certificate == "wild" else "u@dest.example"
    instance.send(recipients=[recipient])
    assert outcome(instance, recipient)[:3] == expected
    found = re.search(r"(\w+) TLS connection established to mx[.a-z]*.example\[127.0.0.3\]:25: TLSv1.3 with cipher", instance.log())
    assert (found and found.group(1)) == kind
    assert sink.mails == ([kind is not None] if expected == TAKEN else [])


@exercises("smtp_tls_protocols", "smtp_tls_mandatory_protocols", "smtp_tls_exclude_ciphers",
           "smtp_tls_mandatory_exclude_ciphers")
@pytest.mark.parametrize("main, how, expected, mails", [
    ({"smtp_tls_security_level": "may"}, {"offer": False}, TAKEN, [False]),
    ({"smtp_tls_security_level": "encrypt"}, {"offer": False}, ("4.7.4", "deferred", "TLS is required, but was not offered by " + SAID), []),
    ({"smtp_tls_security_level": "may"}, {"trick": "refuse"}, TAKEN, [False]),
    ({"smtp_tls_security_level": "encrypt"}, {"trick": "refuse"},
     ("4.7.0", "deferred", "TLS is required, but " + SAID + " refused to start TLS: 454 4.7.0 not now"), []),
    ({"smtp_tls_security_level": "may"}, {"trick": "garbage"}, ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    ({"smtp_tls_security_level": "may"}, {"trick": "inject"}, ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    *(({"smtp_tls_security_level": level}, {"versions": ssl.TLSVersion.TLSv1}, TAKEN, [True]) for level in ("may", "encrypt")),
    ({"smtp_tls_security_level": "verify"}, {"versions": ssl.TLSVersion.TLSv1}, ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    ({"smtp_tls_security_level": "may", "smtp_tls_protocols": ">=TLSv1.3"}, {"versions": ssl.TLSVersion.TLSv1_2}, ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    ({"smtp_tls_security_level": "encrypt", "smtp_tls_mandatory_protocols": "!TLSv1.3"}, {"versions": ssl.TLSVersion.TLSv1_3},
     ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    ({"smtp_tls_security_level": "may", "smtp_tls_protocols": "TLSv1.2", "smtp_tls_exclude_ciphers": "ECDHE, DHE"}, {}, ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
    ({"smtp_tls_security_level": "encrypt", "smtp_tls_mandatory_protocols": "TLSv1.2", "smtp_tls_mandatory_ciphers": "high", "smtp_tls_mandatory_exclude_ciphers": "aECDSA"}, {},
     ("4.7.5", "deferred", "Cannot start TLS: handshake failure"), []),
])
def test_conditions(mta, dns, keys, server, main, how, expected, mails):
    dns(ZONE)
    sink = server(**how)
    instance = run(mta, keys, **main)
    instance.send(recipients=["u@dest.example"])
    assert outcome(instance, "u@dest.example")[:3] == expected
    assert sink.mails == mails


@exercises("minimal_backoff_time")
@pytest.mark.parametrize("level", ["may", "encrypt"])
def test_broken_tls(mta, dns, keys, server, level):
    """Where TLS is a wish only, mail that waited for the least back-off time goes without it."""
    dns(ZONE)
    sink = server(trick="garbage")
    instance = run(mta, keys, smtp_tls_security_level=level, minimal_backoff_time="1s", maximal_backoff_time="1s", queue_run_delay="1s")
    instance.send(recipients=["u@dest.example"])
    assert outcome(instance, "u@dest.example")[:3] == ("4.7.5", "deferred", "Cannot start TLS: handshake failure")
    if level == "may":
        instance.wait_log(r"status=sent \(250 2.0.0 taken\)", 15)
    else:
        instance.wait_log(r"status=deferred \(Cannot start TLS: handshake failure\)", 15, count=2)
    assert sink.mails == ([False] if level == "may" else [])


@exercises("smtp_tls_servername", "smtp_tls_cert_file", "smtp_tls_key_file")
def test_dialogue(mta, dns, keys, server):
    """What was announced before TLS counts no more; the name and our certificate reach the server."""
    dns(ZONE)
    sink = server()
    instance = run(mta, keys, smtp_tls_security_level="encrypt", smtp_tls_servername="hostname", smtp_tls_cert_file=str(keys / "client.pem"),
                   smtp_tls_key_file=str(keys / "client.key"))
    instance.send(recipients=["u@dest.example"])
    outcome(instance, "u@dest.example")
    wait_for(lambda: "tls QUIT" in sink.commands, what="the client's farewell")
    assert re.sub(r"SIZE=\d+", "SIZE=N", "|".join(sink.commands)) == (
        "EHLO mail.test.example|STARTTLS|tls EHLO mail.test.example|tls MAIL FROM:<s@client.example> SIZE=N|tls RCPT TO:<u@dest.example>|tls DATA|tls QUIT")
    assert sink.names == ["mx.example"] and sink.clients == [((("commonName", "client"),),)]


@exercises("smtp_tls_wrappermode")
def test_wrapped(mta, dns, keys, server):
    dns(ZONE)
    sink = server(port=465, wrapped=True)
    instance = run(mta, keys, smtp_tls_security_level="encrypt", smtp_tls_wrappermode="yes", relayhost="[mx.example]:465")
    instance.send(recipients=["u@dest.example"])
    assert outcome(instance, "u@dest.example")[:3] == TAKEN
    assert sink.mails == [True]


@exercises("smtp_tls_policy_maps")
@pytest.mark.parametrize("entry, certificate, expected", [
    ("dest.example = none", "mx", [False]),
    ("dest.example = encrypt protocols=TLSv1.2 ciphers=high", "self", [True]),
    (".example = verify match=nexthop", "mx", UNVERIFIED),
    ("dest.example = secure match=other.example:.example", "mx", [True]),
    ("dest.example = fingerprint match=PRINT", "self", [True]),
    ("dest.example = fingerprint match=00:11 match=22:33", "self", UNVERIFIED),
    ("dest.example = nonsense", "mx", ("4.7.5", "deferred", "client TLS configuration problem")),
    ("dest.example = may foo=bar", "mx", ("4.7.5", "deferred", "client TLS configuration problem")),
    ("other.example = none", "mx", [True]),
])
def test_policies(mta, dns, keys, server, entry, certificate, expected):
    dns(ZONE)
    sink = server(certificate)
    instance = run(mta, keys, smtp_tls_security_level="may", smtp_tls_policy_maps="inline:{ { %s } }" % entry.replace("PRINT", fingerprint(keys, certificate)))
    instance.send(recipients=["u@dest.example"])
    if isinstance(expected, tuple):
        assert outcome(instance, "u@dest.example")[:3] == expected
    else:
        assert outcome(instance, "u@dest.example")[:3] == TAKEN and sink.mails == expected


def test_failing_policy_table_defers(mta, dns, keys, server):
    dns(ZONE)
    sink = server()
    instance = run(mta, keys, smtp_tls_security_level="may", smtp_tls_policy_maps="fail:temporary")
    instance.send(recipients=["u@dest.example"])
    assert outcome(instance, "u@dest.example")[:3] == ("4.7.5", "deferred", "client TLS configuration problem")
    assert sink.connections == 0


def test_reuse_respects_policy(mta, dns, keys, server):
    """A connection over TLS is used again, but never for mail that demands something else of it."""
    dns(dict(ZONE, **{"strict.example": {"MX": [(10, "mx.example")]}}))
    sink = server("self")
    instance = run(mta, keys, smtp_tls_security_level="may", smtp_connection_cache_destinations="static:all", smtp_connection_cache_time_limit="20s",
                   smtp_tls_policy_maps="inline:{ { strict.example = verify } }")
    for i, domain in enumerate(("dest.example", "dest.example", "strict.example")):
        instance.wait_handled(instance.send(recipients=["u%d@%s" % (i, domain)]))
        found = outcome(instance, "u%d@%s" % (i, domain))
        assert found[:3] == (UNTRUSTED if domain == "strict.example" else TAKEN)
        assert ("conn_use=2" in found[3]) == (i == 1)
    assert sink.connections == 2 and sink.mails == [True, True]


class SecureDns(Dns):
    """A validating resolver: {"SECURE": True} in a name's records sets the AD bit; TLSA records are hexadecimal; NOTLSA fails questions for them."""
    TYPES = dict(Dns.TYPES, TLSA=52)

    def data(self, kind, value):
        return bytes.fromhex(value) if kind == "TLSA" else super().data(kind, value)

    def answer(self, packet):
        reply = bytearray(super().answer(packet))
        name = self.queries[-1][0]
        if self.zone.get(name, {}).get("SECURE"):
            reply[3] |= 0x20
        return bytes(reply)


def tlsa(keys, name, usage=3, selector=1, kind=1):
    fingerprints = {(0, 1): fingerprint(keys, name), (1, 1): fingerprint(keys, name, True)}
    return "%02x%02x%02x%s" % (usage, selector, kind, fingerprints[selector, kind].replace(":", ""))


def lookup_error(name="mx.example"):
    return "4.7.5", "deferred", "TLSA lookup error for %s:25" % name


@exercises("smtp_tls_security_level", "smtp_dns_support_level", "smtp_tls_dane_insecure_mx_policy")
@pytest.mark.parametrize("records, certificate, expected, verified", [
    ("3-1-1", "self", TAKEN, "Verified"),
    ("3-0-1", "self", TAKEN, "Verified"),
    ("2-0-1 ca", "mx", TAKEN, "Verified"),
    ("2-0-1 ca", "other", UNVERIFIED, "Untrusted"),
    ("3-1-1 wrong", "self", UNTRUSTED, "Untrusted"),
    ("unusable", "self", TAKEN, "Untrusted"),
    ("short", "self", TAKEN, "Untrusted"),
    ("short and good", "self", TAKEN, "Verified"),
    ("none", "self", TAKEN, "Untrusted"),
    ("fails", "self", lookup_error(), None),
    ("insecure", "self", TAKEN, "Untrusted"),
    ("wrong, insecure host", "self", TAKEN, "Untrusted"),
    ("wrong, insecure mx", "self", UNTRUSTED, "Untrusted"),
    ("3-1-1, insecure mx", "self", TAKEN, "Trusted"),
    ("only, 3-1-1, insecure mx", "self", ("4.7.5", "deferred", "non DNSSEC destination"), None),
    ("only, 3-1-1, insecure mx, dane", "self", ("4.7.5", "deferred", "non DNSSEC destination"), None),
    ("wrong, insecure mx, may", "self", TAKEN, "Untrusted"),
    ("wrong, insecure mx, encrypt", "self", TAKEN, "Untrusted"),
    ("only, none", "self", ("4.7.5", "deferred", "no TLSA records found for mx.example:25"), None),
    ("only, unusable", "self", ("4.7.5", "deferred", "no usable TLSA records for mx.example:25"), None),
    ("only, 3-1-1", "self", TAKEN, "Verified"),
    ("wrong, not asked", "self", TAKEN, "Untrusted"),
    ("alias", "self", TAKEN, "Verified"),
])
def test_dane(mta, keys, server, records, certificate, expected, verified):
    wrong = "030101" + "00" * 32
    base = "_25._tcp.mx.example"
    zone = {"dest.example": {"MX": [(10, "mx.example")], "SECURE": True}, "mx.example": {"A": ["127.0.0.3"], "SECURE": True},
            base: {"TLSA": [], "SECURE": True}}
    if "3-1-1" in records and "wrong" not in records:
        zone[base]["TLSA"] = [tlsa(keys, "self")]
    elif "3-0-1" in records:
        zone[base]["TLSA"] = [tlsa(keys, "self", selector=0)]
    elif "2-0-1" in records:
        zone[base]["TLSA"] = [tlsa(keys, "ca", usage=2, selector=0)]
    elif "wrong" in records:
        zone[base]["TLSA"] = [wrong]
    elif "unusable" in records:
        zone[base]["TLSA"] = ["010101" + "11" * 32, "030101" + "11" * 31, "030109" + "11" * 32, "030501" + "11" * 32]
    elif "short" in records:
        zone[base]["TLSA"] = ["", "03", "0301", "030101"] + ([tlsa(keys, "self")] if "good" in records else [])
    elif records == "none":
        del zone[base]
    elif records == "fails":
        zone[base] = {"SERVFAIL": True}
    elif records == "insecure":
        zone[base] = {"TLSA": [wrong]}
    elif records == "alias":
        zone["mx.example"] = {"CNAME": ["real.example"], "SECURE": True}
        zone.update({"real.example": {"A": ["127.0.0.3"], "SECURE": True}, "_25._tcp.real.example": {"TLSA": [tlsa(keys, "self")], "SECURE": True}})
    if "insecure host" in records:
        del zone["mx.example"]["SECURE"]
    if "insecure mx" in records:
        del zone["dest.example"]["SECURE"]
    main = {"smtp_dns_support_level": "" if "not asked" in records else "dnssec", "smtp_tls_security_level": "dane-only" if "only" in records else "dane"}
    if records.endswith((", may", ", encrypt", ", dane")):
        main["smtp_tls_dane_insecure_mx_policy"] = records.split()[-1]
    resolver = SecureDns(zone)
    try:
        sink = server("wild" if certificate == "other" else certificate)
        instance = run(mta, keys, **dict(main, smtp_tls_CAfile=""))
        instance.send(recipients=["u@dest.example"])
        assert outcome(instance, "u@dest.example")[:3] == expected
        found = re.search(r"(\w+) TLS connection established to mx.example", instance.log())
        assert (found and found.group(1)) == verified
        assert sink.mails == ([True] if expected == TAKEN else [])
    finally:
        resolver.close()
