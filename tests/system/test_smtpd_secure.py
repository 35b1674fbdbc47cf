"""STARTTLS, implicit TLS and AUTH of the SMTP server."""
import base64
import os
import re
import socket
import ssl
import subprocess
import threading

import pytest

from postern import Client, exercises, stop_accepting


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=mail.test.example",
                    "-keyout", str(d / "key.pem"), "-out", str(d / "cert.pem")], check=True, stderr=subprocess.DEVNULL)
    return {"smtpd_tls_cert_file": str(d / "cert.pem"), "smtpd_tls_key_file": str(d / "key.pem"), "smtpd_tls_loglevel": "1"}


class TlsClient(Client):
    def __init__(self, port, implicit=False):
        super().__init__(port, greeting=not implicit)
        if implicit:
            self.wrap()
            self.greeting = self.reply()

    def wrap(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def starttls(self):
        self.expect(220, "STARTTLS")
        self.wrap()
        return self


class DovecotAuth:
    """The auth server of Dovecot, for PLAIN and LOGIN and one user."""

    def __init__(self, mechanisms=("PLAIN\tplaintext", "LOGIN\tplaintext")):
        self.mechanisms, self.requests, self.connections = mechanisms, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rwb")

        def say(*fields):
            stream.write("\t".join(fields).encode() + b"\n")
            stream.flush()
        for line in ("VERSION\t1\t2", *("MECH\t" + m for m in self.mechanisms), "SPID\t1", "CUID\t1", "COOKIE\t" + "0" * 32, "DONE"):
            say(line)
        names = {}
        for line in stream:
            f = line.decode().rstrip("\n").split("\t")
            self.requests.append(f)
            if f[0] == "AUTH" and f[2] == "LOGIN" and not any(x.startswith("resp=") for x in f):
                names[f[1]] = None
                say("CONT", f[1], base64.b64encode(b"Username:").decode())
            elif f[0] == "AUTH" and not any(x.startswith("resp=") for x in f):
                say("CONT", f[1], "")
            elif f[0] == "CONT" and names.get(f[1], "") is None:
                names[f[1]] = base64.b64decode(f[2]).decode()
                say("CONT", f[1], base64.b64encode(b"Password:").decode())
            elif f[0] in ("AUTH", "CONT"):
                data = base64.b64decode(f[-1][5:] if f[0] == "AUTH" else f[2]).decode()
                user, password = (names.pop(f[1]), data) if names.get(f[1]) else data.split("\0")[1:3]
                say(*(("OK", f[1], "user=" + user) if password == "secret" else ("FAIL", f[1], "user=" + user)))

    def close(self):
        stop_accepting(self.listener, self.thread)


@pytest.fixture
def sasl():
    server = DovecotAuth()
    yield {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:%d" % server.port}
    server.close()


def plain(user, password):
    return "AUTH PLAIN " + base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode()


@exercises("smtpd_tls_security_level", "smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_received_header", "smtpd_tls_loglevel", "smtpd_tls_wrappermode")
def test_tls(mta, certificate):
    services = {"may": {"smtpd_tls_security_level": "may", "smtpd_tls_received_header": "yes"}, "encrypt": {"smtpd_tls_security_level": "encrypt"},
                "wrapped": {"smtpd_tls_wrappermode": "yes"}}
    instance = mta(dict(certificate, mydestination="test.example"), services=services).start()
    with TlsClient(instance.ports["may"]) as c:
        assert "250-STARTTLS" in c.expect(250, "EHLO c")
        assert c.command("STARTTLS x") == "501 5.5.4 Syntax: STARTTLS"
        c.starttls()
        assert c.command("STARTTLS") == "554 5.5.1 Error: TLS already active"
        assert "STARTTLS" not in c.expect(250, "EHLO c")
        c.mail("a@b.example", ["nobody@test.example"], "Subject: x\r\n\r\ny\r\n")
    instance.wait_log(r"Anonymous TLS connection established from unknown\[127.0.0.1\]: TLSv1.3 with cipher \S+ \(\d+/\d+ bits\) key-exchange")
    with TlsClient(instance.ports["encrypt"]) as c:
        c.expect(250, "EHLO c")
        assert c.command("MAIL FROM:<a@b.example>") == "530 5.7.0 Must issue a STARTTLS command first"
        c.starttls()
        assert c.command("RCPT TO:<user@test.example>") == "503 5.5.1 Error: need MAIL command"
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
    with TlsClient(instance.ports["wrapped"], implicit=True) as c:
        assert c.greeting.startswith("220")
        assert "STARTTLS" not in c.expect(250, "EHLO c")


@exercises("smtpd_tls_security_level")
def test_commands_before_the_handshake(mta, certificate):
    """What was sent with STARTTLS in clear text is not run afterwards (CVE-2011-0411)."""
    instance = mta(dict(certificate, smtpd_tls_security_level="may")).start()
    with Client(instance.port) as c:
        c.expect(250, "EHLO c")
        c.raw("STARTTLS\r\nRSET\r\n")
        assert c.reply().startswith("554")
        assert c.reply() == ""


@exercises("smtpd_sasl_mechanism_filter")
def test_mechanisms(mta, sasl):
    """What is filtered is neither offered nor taken."""
    instance = mta(dict(sasl, smtpd_sasl_auth_enable="yes"), services={"a": {"smtpd_sasl_mechanism_filter": "!login, static:rest"}, "b": {}, "none": {
        "smtpd_sasl_mechanism_filter": "cram-md5"}, "broken": {"smtpd_sasl_mechanism_filter": "texthash:/nowhere"}}).start()
    with instance.client("a") as c:
        assert "250-AUTH PLAIN" in c.expect(250, "EHLO c").split("\n")
        assert c.command("AUTH LOGIN") == "535 5.7.8 Error: authentication failed: Invalid authentication mechanism"
        c.expect(235, plain("ann", "secret"))
    with instance.client("b") as c:
        assert "250-AUTH PLAIN LOGIN" in c.expect(250, "EHLO c").split("\n")
    for name in ("none", "broken"):
        with instance.client(name) as c:
            assert "AUTH" not in c.expect(250, "EHLO c")
            assert c.command(plain("ann", "secret")).startswith("535")
    instance.wait_log("smtpd_sasl_mechanism_filter: .*nowhere")


@exercises("smtpd_sasl_auth_enable", "smtpd_sasl_type", "smtpd_sasl_path", "smtpd_tls_auth_only", "broken_sasl_auth_clients", "smtpd_sasl_authenticated_header",
           "smtpd_sasl_exceptions_networks", "permit_sasl_authenticated")
def test_auth(mta, certificate, sasl):
    services = {"plain": {"broken_sasl_auth_clients": "yes", "smtpd_sasl_authenticated_header": "yes"},
                "tls": {"smtpd_tls_auth_only": "yes", "smtpd_tls_security_level": "may"}, "encrypt": {"smtpd_tls_security_level": "encrypt"},
                "except": {"smtpd_sasl_exceptions_networks": "127.0.0.0/8"}}
    instance = mta(dict(certificate, **sasl, mynetworks="192.0.2.1", smtpd_relay_restrictions="permit_sasl_authenticated, reject"), services=services).start()
    with instance.client("plain") as c:
        offered = c.expect(250, "EHLO c").split("\n")
        assert "250-AUTH PLAIN LOGIN" in offered and "250-AUTH=PLAIN LOGIN" in offered
        assert c.command(plain("ann", "wrong")) == "535 5.7.8 Error: authentication failed: (reason unavailable)"
        assert c.command("AUTH PLAIN") == "334 "
        assert c.command("*") == "501 5.7.0 Authentication aborted"
        assert c.command("AUTH FOO").startswith("535 5.7.8 Error: authentication failed: Invalid authentication mechanism")
        c.expect(250, "MAIL FROM:<a@b.example>")
        assert c.command(plain("ann", "secret")) == "503 5.5.1 Error: MAIL transaction in progress"
        assert c.command("RCPT TO:<x@elsewhere.example>").startswith("554 5.7.1")
        c.expect(250, "RSET")
        assert c.command("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert c.command("YW5u") == "334 UGFzc3dvcmQ6"
        assert c.command(base64.b64encode(b"secret").decode()) == "235 2.7.0 Authentication successful"
        assert c.command(plain("ann", "secret")) == "503 5.5.1 Error: already authenticated"
        c.mail("a@b.example", ["x@elsewhere.example"], "Subject: x\r\n\r\ny\r\n")
    instance.wait_log(r": client=unknown\[127.0.0.1\], sasl_method=LOGIN, sasl_username=ann\n")
    instance.wait_log(r"warning: unknown\[127.0.0.1\]: SASL PLAIN authentication failed: \(reason unavailable\), sasl_username=ann\n")
    with TlsClient(instance.ports["tls"]) as c:
        assert "AUTH" not in c.expect(250, "EHLO c")
        assert c.command(plain("ann", "secret")) == "503 5.5.1 Error: authentication not enabled"
        c.starttls()
        assert "AUTH PLAIN LOGIN" in c.expect(250, "EHLO c")
        assert c.command(plain("ann", "secret")) == "235 2.7.0 Authentication successful"
    for name in ("except", "encrypt"):
        with instance.client(name) as c:
            assert "AUTH" not in c.expect(250, "EHLO c")
    with instance.client("except") as c:
        c.expect(250, "EHLO c")
        c.expect(503, plain("ann", "secret"))


@exercises("smtpd_sasl_path")
def test_auth_server_is_away(mta):
    instance = mta({"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:1"}).start()
    with instance.client() as c:
        assert "AUTH" not in c.expect(250, "EHLO c")
        assert c.command(plain("ann", "secret")).startswith("454 4.7.0 Temporary authentication failure")
        c.mail("a@b.example", ["user@test.example"], "x\r\n")
