"""Parameters of the SMTP server that no other test is about, each shown by a listener that has it set."""
import base64
import re

import pytest

from postern import Client, Sink, exercises
from test_smtpd_secure import DovecotAuth, TlsClient, certificate, plain  # noqa: F401


@pytest.fixture
def auth():
    server = DovecotAuth(("PLAIN\tplaintext", "LOGIN\tplaintext", "CRAM-MD5\tdictionary\tactive", "ANONYMOUS\tanonymous"))
    yield server
    server.close()


def login_of(auth):
    return {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:%d" % auth.port}


@exercises("smtpd_starttls_timeout")
def test_handshake_that_does_not_come(mta, certificate):  # noqa: F811
    instance = mta(dict(certificate, smtpd_tls_security_level="may", smtpd_starttls_timeout="1s")).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(220, "STARTTLS")
        assert c.line() is None
    instance.wait_log(r"SSL_accept error from unknown\[127.0.0.1\]")


def proxied(instance, listener, address):
    """A client whose address is what the test says."""
    c = Client(instance.ports[listener], greeting=False)
    c.raw("PROXY TCP%d %s %s 1 25\r\n" % ((6, address, "2001:db8::1") if ":" in address else (4, address, "192.0.2.1")))
    c.greeting = c.reply()
    return c


@exercises("smtpd_client_ipv6_prefix_length", "smtpd_client_ipv4_prefix_length")
def test_what_counts_as_one_client(mta):
    common = {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_client_connection_rate_limit": "1"}
    services = {"four": dict(common, smtpd_client_ipv4_prefix_length="24"), "six": dict(common, smtpd_client_ipv6_prefix_length="64"),
                "exact": dict(common, smtpd_client_ipv6_prefix_length="128")}
    instance = mta({"smtpd_client_event_limit_exceptions": "", "anvil_rate_time_unit": "600s"}, services=services).start()
    for listener, first, same, other in (("four", "192.0.2.1", "192.0.2.99", "192.0.3.1"), ("six", "2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
                                         ("exact", "2001:db8::1", "2001:db8::1", "2001:db8::2")):
        assert [proxied(instance, listener, a).greeting[:3] for a in (first, same, other)] == ["220", "421", "220"], listener


@exercises("smtpd_client_auth_rate_limit", "smtpd_client_new_tls_session_rate_limit")
def test_rates_of_logins_and_handshakes(mta, auth, certificate):  # noqa: F811
    services = {"auth": {"smtpd_client_auth_rate_limit": "2"}, "tls": {"smtpd_client_new_tls_session_rate_limit": "2", "smtpd_tls_security_level": "may"}}
    instance = mta(dict(certificate, **login_of(auth), smtpd_client_event_limit_exceptions="", anvil_rate_time_unit="600s"), services=services).start()
    with instance.client("auth") as c:
        c.expect(250, "EHLO c")
        replies = [c.command(plain("ann", "wrong")) for _ in range(3)]
    assert [r[:3] for r in replies] == ["535", "535", "450"] and replies[2] == "450 4.7.1 Error: too many AUTH commands from 127.0.0.1"
    for _ in range(2):
        with TlsClient(instance.ports["tls"]) as c:
            c.expect(250, "EHLO c")
            c.starttls()
            c.expect(250, "EHLO c")
    with TlsClient(instance.ports["tls"]) as c:
        c.expect(250, "EHLO c")
        assert c.command("STARTTLS").startswith("454 4.7.0 Error: too many new TLS sessions from unknown[127.0.0.1]")


@exercises("smtpd_sasl_security_options", "smtpd_sasl_tls_security_options", "smtpd_sasl_service", "smtpd_sasl_response_limit")
def test_logins(mta, auth, certificate):  # noqa: F811
    services = {"plain": {"smtpd_sasl_service": "submission", "smtpd_sasl_response_limit": "40"}, "anonymous": {"smtpd_sasl_security_options": ""},
                "secret": {"smtpd_sasl_security_options": "noplaintext, noanonymous"},
                "after": {"smtpd_sasl_security_options": "noplaintext, noanonymous", "smtpd_sasl_tls_security_options": "noanonymous"}}
    instance = mta(dict(certificate, **login_of(auth), smtpd_tls_security_level="may"), services=services).start()

    def offered(listener, tls=False):
        with TlsClient(instance.ports[listener]) as c:
            if tls:
                c.expect(250, "EHLO c")
                c.starttls()
            found = re.search(r"250[- ]AUTH (.*)", c.expect(250, "EHLO c"))
            return found.group(1) if found else ""
    assert offered("plain") == "PLAIN LOGIN CRAM-MD5"
    assert offered("anonymous") == "PLAIN LOGIN CRAM-MD5 ANONYMOUS"
    assert offered("secret") == "CRAM-MD5" and offered("secret", tls=True) == "CRAM-MD5"
    assert offered("after") == "CRAM-MD5" and offered("after", tls=True) == "PLAIN LOGIN CRAM-MD5"
    with instance.client("plain") as c:
        c.expect(250, "EHLO c")
        assert c.command("AUTH PLAIN") == "334 "
        c.expect(235, base64.b64encode(b"\0ann\0secret").decode())
    assert [r for r in auth.requests if "service=submission" in r] and not [r for r in auth.requests if "service=smtp" in r]
    with instance.client("plain") as c:
        c.expect(250, "EHLO c")
        assert c.command("AUTH PLAIN") == "334 "
        reply = c.command(base64.b64encode(b"\0ann\0" + b"x" * 60).decode())
        assert reply.startswith("5") and not reply.startswith("535"), reply


@exercises("max_use")
@pytest.mark.parametrize("limit, renewed", [("1", True), ("100", False)])
def test_slots_are_renewed(mta, auth, limit, renewed):
    """A slot keeps its connection to the authentication server for as long as it lives."""
    instance = mta(dict(login_of(auth), max_use=limit, worker_processes="1", default_process_limit="1")).start()
    for _ in range(4):
        with instance.client() as c:
            c.expect(250, "EHLO c")
            c.expect(235, plain("ann", "secret"))
            c.expect(221, "QUIT")
    assert auth.connections > 2 if renewed else auth.connections == 1


@exercises("alias_maps", "local_recipient_maps")
def test_aliases_are_recipients(mta):
    instance = mta({"alias_maps": "inline:{ {team=user} }", "local_recipient_maps": "$alias_maps"}).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
        c.expect(250, "RCPT TO:<Team@test.example>")
        c.expect(550, "RCPT TO:<other@test.example>")


@exercises("local_header_rewrite_clients", "check_address_map", "permit_tls_all_clientcerts")
def test_whose_headers_are_completed(mta):
    sink = Sink()
    services = {"known": {"local_header_rewrite_clients": "check_address_map inline:{ {127.0.0.1=x} }"},
                "strange": {"local_header_rewrite_clients": "check_address_map inline:{ {127.0.0.2=x} }, permit_tls_all_clientcerts"}}
    instance = mta({"relayhost": "[127.0.0.1]:%d" % sink.port}, services=services).start()
    for listener in services:
        instance.send(recipients=["u@far.example"], name=listener, body="From: me\r\nSubject: %s\r\n\r\nx\r\n" % listener)
    found = {re.search(rb"Subject: (\w+)", m["data"]).group(1): b"From: me@test.example" in m["data"] for m in sink.wait(2)}
    assert found == {b"known": True, b"strange": False}
    sink.close()


@exercises("mynetworks_style", "mynetworks")
def test_networks_by_style(mta):
    for style in ("host", "class"):
        instance = mta({"mynetworks": None, "mynetworks_style": style, "smtpd_authorized_xclient_hosts": "127.0.0.1", "inet_interfaces": "127.0.0.1"}).start()
        with instance.client() as c:
            c.expect(220, "XCLIENT ADDR=127.9.9.9 NAME=[UNAVAILABLE]")
            c.expect(250, "EHLO c")
            c.expect(250, "MAIL FROM:<a@b.example>")
            assert c.command("RCPT TO:<x@far.example>")[:3] == ("250" if style == "class" else "454")


@exercises("process_id", "process_name", "service_name", "mail_version")
def test_names_of_the_process(mta):
    instance = mta({"smtpd_banner": "$myhostname $process_name $service_name $mail_version $process_id", "mail_version": "9.9", "worker_processes": "1"}).start()
    with instance.client() as c:
        found = re.fullmatch(r"220 mail.test.example smtpd 127.0.0.1:%d 9.9 (\d+)" % instance.port, c.greeting)
    assert found, c.greeting
    instance.wait_log(r"/smtpd\[%s\]: connect from" % found.group(1))
    instance.wait_log(r"daemon started -- version 9.9,")


MUST_SAY = "553 5.6.7 Must declare SMTPUTF8 to send unicode address"


@exercises("strict_smtputf8", "smtputf8_enable")
def test_addresses_beyond_ascii(mta):
    """Without SMTPUTF8, and commands that are not UTF-8."""
    instance = mta({"local_recipient_maps": "", "smtpd_hard_error_limit": "100"}, services={"strict": {"strict_smtputf8": "yes"}, "lax": {}, "off": {"strict_smtputf8": "yes", "smtputf8_enable": "no"}}).start()
    for listener, plain_path, utf8_path in (("strict", MUST_SAY, "250"), ("lax", "250", "250"), ("off", MUST_SAY, None)):
        with instance.client(listener) as c:
            c.expect(250, "EHLO c")
            assert c.command("MAIL FROM:<\u00fc@x.example>").startswith(plain_path)
            assert c.command("VRFY \u00fc@test.example").startswith(plain_path.replace("250", "252"))
            c.command("RSET")
            c.expect(250, "MAIL FROM:<>")
            assert c.command("RCPT TO:<\u00fc@test.example>").startswith(plain_path)
            c.expect(250, "RSET")
            if utf8_path:
                c.expect(250, "MAIL FROM:<\u00fc@x.example> SMTPUTF8")
                c.expect(250, "RCPT TO:<\u00fc@test.example>")
                assert c.command(b"NOOP \xfc") == "500 5.5.2 Error: bad UTF-8 syntax"
            else:
                c.expect(250, "NOOP \u00fc")
                c.expect(250, b"NOOP \xfc")


@exercises("queue_file_attribute_count_limit")
def test_attributes_of_a_message(mta):
    instance = mta(services={"few": {"queue_file_attribute_count_limit": "1"}, "many": {}}).start()
    for listener, code in (("few", "451"), ("many", "250")):
        with instance.client(listener) as c:
            c.expect(250, "EHLO c")
            c.expect(250, "MAIL FROM:<a@b.example>")
            c.expect(250, "RCPT TO:<user@test.example>")
            c.expect(354, "DATA")
            assert c.command("Subject: x\r\n\r\nx\r\n.").startswith(code)
