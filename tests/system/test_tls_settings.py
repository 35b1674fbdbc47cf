"""Settings of the TLS library: groups, options, keys of other kinds, its configuration file, and how a session ends.
tests/differential/test_tls_options.py asks Debian's Postfix the rows of the server."""
import re
import select
import socket
import ssl
import struct
import subprocess

import pytest

from postern import exercises
from test_smtp_client import dns, outcome  # noqa: F401
from test_smtp_tls import TAKEN, ZONE, TlsSink, run  # noqa: F401
from test_smtp_tls import keys as client_keys  # noqa: F401
from test_smtpd_tls import AES128, AES256, BOTH, MAIN, V12, keys, listeners, with_keys  # noqa: F401

ORDER = {"tls_medium_cipherlist": AES256 + ":" + AES128}
DHE = ["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"]
CURVE = {"tls_eecdh_auto_curves": "nonsense secp384r1, prime256v1"}
# Settings of a listener, arguments of openssl s_client, and what that says.
ROWS = [
    (ORDER, ["-tls1_2", "-cipher", BOTH], "Cipher is " + AES128),
    (dict(ORDER, tls_preempt_cipherlist="yes"), ["-tls1_2", "-cipher", BOTH], "Cipher is " + AES256),
    ({}, [], "Server Temp Key: X25519"),
    (CURVE, [], r"Server Temp Key: ECDH, (secp384r1|P-384|prime256v1|P-256)"),
    (dict(CURVE, tls_preempt_cipherlist="yes"), ["-groups", "P-384"], "Server Temp Key: ECDH, secp384r1"),
    (CURVE, ["-groups", "X25519"], "handshake failure"),
    ({"tls_eecdh_auto_curves": "prime256v1"}, ["-tls1_2", "-groups", "P-384:P-256"], "Server Temp Key: ECDH, prime256v1"),
    ({}, DHE, "Server Temp Key: DH, 2048 bits"),
    ({"smtpd_tls_dh1024_param_file": "auto"}, DHE, "Server Temp Key: DH, 2048 bits"),
    ({"smtpd_tls_dh1024_param_file": "$keys/dh.pem"}, DHE, "Server Temp Key: DH, 3072 bits"),
    ({"smtpd_tls_dcert_file": "$keys/dsa.pem", "smtpd_tls_dkey_file": "$keys/dsa.key", "tls_medium_cipherlist": "ALL"}, ["-tls1_2", "-cipher", "aDSS"], "Peer signature type: DSA"),
    ({"smtpd_tls_dcert_file": "$keys/dsa.pem", "smtpd_tls_dkey_file": "$keys/dsa.key"}, [], "Peer signature type: RSA-PSS"),
    ({}, ["-tls1_2"], "TLS session ticket:"),
    ({"tls_ssl_options": "no_ticket"}, ["-tls1_2"], "Session-ID: [0-9A-F]{64}(?!.*TLS session ticket:)"),
    ({"tls_ssl_options": "0x4000"}, ["-tls1_2"], "Session-ID: [0-9A-F]{64}(?!.*TLS session ticket:)"),
    ({"tls_ssl_options": "PRIORITIZE_CHACHA, no_compression", "tls_preempt_cipherlist": "yes"}, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"],
     "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
    ({"tls_preempt_cipherlist": "yes"}, ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"], "Cipher is TLS_AES_256_GCM_SHA384"),
    ({"tls_disable_workarounds": "0xFFFFFFFF"}, [], "Cipher is TLS_"),
    ({"tls_disable_workarounds": "CVE-2010-4180 cryptopro_tlsext_bug"}, [], "Cipher is TLS_"),
    ({"tls_disable_workarounds": "nonsense"}, [], "Cipher is TLS_"),
    ({"tls_ssl_options": "nonsense"}, [], "Cipher is TLS_"),
    ({"tls_config_file": "$keys/openssl.cnf"}, [], "Cipher is TLS_AES_256_GCM_SHA384"),
    ({"tls_config_file": "$keys/openssl.cnf", "tls_config_name": "postern"}, [], "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
    ({"tls_config_file": "none"}, [], "Cipher is TLS_AES_256_GCM_SHA384"),
    ({"tls_config_file": "/nonexistent"}, [], "(?!.*Cipher is TLS_)"),
]


@pytest.fixture(scope="session")
def more_keys(keys):  # noqa: F811
    """A DSA certificate, DH parameters, and a configuration of the library in two sections."""
    def openssl(*argv):
        subprocess.run(["openssl", *argv], cwd=keys, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    openssl("dsaparam", "-genkey", "-noout", "-out", "dsa.key", "2048")
    openssl("req", "-x509", "-new", "-key", "dsa.key", "-subj", "/CN=dsa", "-days", "3", "-out", "dsa.pem")
    openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072", "-out", "dh.pem")
    sections = "".join("[{0}]\nssl_conf = {0}_ssl\n[{0}_ssl]\nsystem_default = {0}_default\n[{0}_default]\nCiphersuites = {1}\n".format(name, cipher)
                       for name, cipher in (("all", "TLS_AES_256_GCM_SHA384"), ("ours", "TLS_CHACHA20_POLY1305_SHA256")))
    (keys / "openssl.cnf").write_text("openssl_conf = all\npostern = ours\n" + sections)
    return keys


def s_client(port, arguments):
    done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-starttls", "smtp", *arguments], input="QUIT\n", timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="latin1")
    return done.stdout.replace("\n", " ")


def wrong_rows(instance, rows, of_row):
    wrong = []
    for (options, arguments, expected), name in zip(rows, of_row):
        found = s_client(instance.ports[name], arguments)
        if not re.search(r"^(?:%s)" % expected if expected.startswith("(?!") else expected, found):
            wrong.append("%s %s: not %s:\n%s" % (options, arguments, expected, found[-3000:]))
    return "\n".join(wrong)


@exercises(*{p for options, _, _ in ROWS for p in options} - {"tls_medium_cipherlist"})
def test_rows(mta, more_keys):
    services, of_row = listeners(ROWS, more_keys)
    instance = mta(with_keys(MAIN, more_keys), services=services).start()
    wrong = wrong_rows(instance, ROWS, of_row)
    assert not wrong, wrong
    for parameter in ("tls_disable_workarounds", "tls_ssl_options", "tls_eecdh_auto_curves"):
        instance.wait_log('warning: %s: "nonsense" is unknown' % parameter)


@exercises("tls_ffdhe_auto_groups")
@pytest.mark.parametrize("options, arguments, expected", [
    ({"tls_eecdh_auto_curves": ""}, ["-groups", "X25519:ffdhe2048:ffdhe3072"], "Server Temp Key: DH, 2048 bits"),
    ({"tls_ffdhe_auto_groups": "ffdhe3072", "tls_eecdh_auto_curves": ""}, ["-groups", "X25519:ffdhe2048:ffdhe3072"], "Server Temp Key: DH, 3072 bits"),
    ({"tls_ffdhe_auto_groups": "", "tls_eecdh_auto_curves": "prime256v1"}, ["-groups", "ffdhe2048"], "handshake failure"),
    ({"tls_ffdhe_auto_groups": "", "tls_eecdh_auto_curves": "nonsense"}, [], "(?!.*Cipher is TLS_)"),
])
def test_finite_fields(mta, keys, options, arguments, expected):  # noqa: F811
    instance = mta(dict(with_keys(MAIN, keys), **options)).start()
    found = s_client(instance.port, arguments)
    assert re.match(expected if expected.startswith("(?!") else ".*" + expected, found), found


# ---- the client

class Eavesdropper(TlsSink):
    """Keeps the beginning of what the client says under TLS, and knows how its sessions end."""

    def __init__(self, *args, **keywords):
        self.hello, self.ends, self.answered = b"", [], []
        super().__init__(*args, **keywords)

    def secure(self, connection):
        self.hello = connection.recv(4096, socket.MSG_PEEK)
        return super().secure(connection)


def extensions(hello):
    """Types of the extensions of a ClientHello, RFC 8446 section 4.1.2."""
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + struct.unpack(">H", hello[at:at + 2])[0]
    at += 1 + hello[at]
    end = at + 2 + struct.unpack(">H", hello[at:at + 2])[0]
    at += 2
    found = []
    while at < end:
        kind, size = struct.unpack(">HH", hello[at:at + 4])
        found.append(kind)
        at += 4 + size
    return found


PADDING, TICKET, GROUPS = 21, 35, 10


@exercises("tls_disable_workarounds", "tls_ssl_options", "tls_eecdh_auto_curves")
@pytest.mark.parametrize("main, has, lacks", [
    ({}, [PADDING, TICKET], []),
    ({"tls_disable_workarounds": "TLSEXT_PADDING"}, [TICKET], [PADDING]),
    ({"tls_ssl_options": "NO_TICKET"}, [], [TICKET]),
])
def test_hello_of_the_client(mta, dns, client_keys, main, has, lacks):  # noqa: F811
    dns(ZONE)
    sink = Eavesdropper(client_keys)
    try:
        instance = run(mta, client_keys, smtp_tls_security_level="may", **main)
        instance.send(recipients=["u@dest.example"])
        assert outcome(instance, "u@dest.example")[:3] == TAKEN
    finally:
        sink.close()
    found = extensions(sink.hello)
    assert all(x in found for x in has) and not any(x in found for x in lacks)


@exercises("smtp_tls_dcert_file", "smtp_tls_dkey_file", "lmtp_tls_dcert_file", "lmtp_tls_dkey_file")
def test_other_key_of_the_client(mta, dns, client_keys, more_keys):  # noqa: F811
    dns(ZONE)
    sink = TlsSink(client_keys, versions=V12)
    sink.context.load_verify_locations(more_keys / "dsa.pem")
    sink.context.set_ciphers("ALL")
    try:
        instance = run(mta, client_keys, smtp_tls_security_level="may", smtp_tls_dcert_file=str(more_keys / "dsa.pem"), smtp_tls_dkey_file=str(more_keys / "dsa.key"))
        instance.send(recipients=["u@dest.example"])
        assert outcome(instance, "u@dest.example")[:3] == TAKEN
    finally:
        sink.close()
    assert sink.clients == [((("commonName", "dsa"),),)]


def has_ended(connection, seconds):
    """Whether the peer has closed the connection itself, below TLS."""
    ready = select.select([connection], [], [], seconds)[0]
    return bool(ready) and connection.recv(1, socket.MSG_PEEK) == b""


@exercises("tls_fast_shutdown_enable")
@pytest.mark.parametrize("fast", ["yes", "no"])
def test_end_of_a_session(mta, keys, fast):  # noqa: F811
    """Without haste, the server waits for the client's end of TLS before it ends the connection."""
    from postern import Client
    instance = mta(dict(with_keys(MAIN, keys), tls_fast_shutdown_enable=fast)).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Client(instance.port) as c:
        c.expect(250, "EHLO c.example")
        c.expect(220, "STARTTLS")
        plain = c.socket
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)

        def pump(action):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65536))

        pump(tls.do_handshake)
        tls.write(b"QUIT\r\n")
        assert pump(lambda: tls.read(100)).startswith(b"221")
        assert pump(lambda: tls.read(100)) == b""
        if fast == "no":
            assert not has_ended(plain, 0.5)
            try:
                tls.unwrap()
            except ssl.SSLError:
                pass
            plain.sendall(outgoing.read())
        assert has_ended(plain, 60)
