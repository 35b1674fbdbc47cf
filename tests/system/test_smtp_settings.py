"""What the client does under its settings: servers behind firewalls, replies and outcomes that are changed, XFORWARD, mail that would come back."""
import contextlib
import re
import socket
import time

import pytest

from postern import Sink, exercises
from test_smtp_client import CLIENT, ZONE, dns, outcome, sink  # noqa: F401
from test_smtp_sasl import AuthSink

HOW = {"mydestination": "test.example", "smtpd_relay_restrictions": "permit_mynetworks, reject", "smtpd_authorized_xforward_hosts": "127.0.0.1"}


@pytest.fixture
def sending(mta):
    """A function that sends one message to a server of the given rules and keywords, and returns (instance, sink)."""
    sinks = []

    def send(rules=None, keywords=("PIPELINING", "8BITMIME"), lmtp=False, before="", **main):
        sink = Sink(rules=rules, keywords=keywords, lmtp=lmtp)
        sinks.append(sink)
        way = ("lmtp:inet:127.0.0.1:%d" if lmtp else "smtp:[127.0.0.1]:%d") % sink.port
        instance = mta(main=dict(HOW, default_transport=way, **main)).start()
        with instance.client() as c:
            c.expect(250, "EHLO client.example")
            if before:
                c.expect(250, before)
            c.mail("s@client.example", ["u@any.example"], "X: y\r\n\r\nb\r\n", hello="NOOP")
        instance.wait_log("to=<u@any.example>.*status=")
        return instance, sink

    yield send
    for sink in sinks:
        sink.close()


@exercises("smtp_pix_workarounds", "smtp_pix_workaround_threshold_time", "smtp_pix_workaround_delay_time")
def test_firewall_that_makes_stars(sending):
    start = time.monotonic()
    instance, sink = sending({"CONNECT": "220 **2****0*"}, smtp_pix_workaround_threshold_time="0", smtp_pix_workaround_delay_time="2s")
    assert time.monotonic() - start >= 2
    assert sink.mails[0]["commands"][0].startswith("HELO ")
    assert "enabling PIX workarounds: disable_esmtp delay_dotcrlf for 127.0.0.1[127.0.0.1]:%d\n" % sink.port in instance.log()


@exercises("smtp_pix_workarounds", "smtp_pix_workaround_threshold_time", "smtp_pix_workaround_maps", "lmtp_pix_workaround_maps")
@pytest.mark.parametrize("settings,esmtp,said", [
    ({}, False, "disable_esmtp for"), ({"smtp_pix_workarounds": "delay_dotcrlf"}, True, None), ({"smtp_pix_workarounds": "unheard_of"}, True, "unknown workaround"),
    ({"smtp_pix_workaround_maps": "inline:{127.0.0.1=delay_dotcrlf}, static:disable_esmtp"}, True, None),
    ({"smtp_pix_workaround_maps": "inline:{127.0.0.1=disable_esmtp}", "smtp_pix_workarounds": ""}, False, "disable_esmtp for")])
def test_choice_of_workarounds(sending, settings, esmtp, said):
    instance, sink = sending({"CONNECT": "220 *****"}, **settings)
    assert sink.mails[0]["commands"][0].startswith("EHLO " if esmtp else "HELO ")
    log = instance.log()
    assert said in log if said else "workarounds:" not in log


@exercises("smtp_pix_workaround_maps", "smtp_discard_ehlo_keyword_address_maps")
@pytest.mark.parametrize("greeting, parameter", [("220 *****", "smtp_pix_workaround_maps"), ("220 hello", "smtp_discard_ehlo_keyword_address_maps")])
def test_table_of_addresses_that_fails(sending, greeting, parameter):
    instance, sink = sending({"CONNECT": greeting}, **{parameter: "fail:x"})
    assert re.search(r"warning: \w+: %s: fail:x lookup error" % parameter, instance.log())
    assert not sink.mails and "dsn=4.3.0, status=deferred (local data error while talking to 127.0.0.1[127.0.0.1])" in instance.log()


FORWARD = "XFORWARD NAME=far.example ADDR=192.0.2.7 PORT=77 PROTO=SMTP HELO=a+3Db IDENT=abc SOURCE=REMOTE"


@exercises("smtp_send_xforward_command", "lmtp_send_xforward_command")
@pytest.mark.parametrize("agent", ["smtp", "lmtp"])
def test_xforward(sending, agent):
    keywords = ("XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", "8BITMIME")
    _, sink = sending(keywords=keywords, before=FORWARD, lmtp=agent == "lmtp", **{agent + "_send_xforward_command": "yes"})
    assert sink.mails[0]["commands"][1:3] == ["XFORWARD NAME=far.example ADDR=192.0.2.7 PORT=77", "XFORWARD PROTO=SMTP HELO=a+3Db IDENT=abc SOURCE=REMOTE"]
    _, sink = sending(keywords=("XFORWARD HELO",), before=FORWARD, lmtp=agent == "lmtp", **{agent + "_send_xforward_command": "yes"})
    assert sink.mails[0]["commands"][1] == "XFORWARD HELO=a+3Db" and sink.mails[0]["commands"][2].startswith("MAIL")
    _, sink = sending(keywords=keywords, before=FORWARD, lmtp=agent == "lmtp")
    assert sink.mails[0]["commands"][1].startswith("MAIL")


@exercises("smtp_send_xforward_command", "smtp_xforward_timeout")
def test_xforward_refused_lost_and_late(sending):
    instance, sink = sending({"XFOR": "501 no"}, ("XFORWARD HELO",), before=FORWARD, smtp_send_xforward_command="yes")
    assert sink.mails and "warning: host 127.0.0.1[127.0.0.1] said: 501 no (in reply to XFORWARD command)" in instance.log()
    instance, sink = sending({"XFOR": lambda line: None}, ("XFORWARD HELO",), before=FORWARD, smtp_send_xforward_command="yes")
    assert not sink.mails and "status=deferred (lost connection with 127.0.0.1[127.0.0.1] while sending XFORWARD command)" in instance.log()
    instance, sink = sending({"XFOR": lambda line: time.sleep(60)}, ("XFORWARD HELO",), before=FORWARD, smtp_send_xforward_command="yes", smtp_xforward_timeout="1s")
    assert not sink.mails and "status=deferred (conversation with 127.0.0.1[127.0.0.1] timed out while sending XFORWARD command)" in instance.log()


@exercises("smtp_reply_filter", "lmtp_reply_filter")
@pytest.mark.parametrize("agent", ["smtp", "lmtp"])
def test_replies_replaced(sending, agent):
    instance, sink = sending({"RCPT": "550 5.1.1 no such"}, lmtp=agent == "lmtp", **{agent + "_reply_filter": "regexp:{{/^550 5.1.1 (.*)/ 450 4.7.1 later $$1}}"})
    assert "dsn=4.7.1, status=deferred (host 127.0.0.1[127.0.0.1] said: 450 4.7.1 later no such (in reply to RCPT TO command))" in instance.log()
    assert '127.0.0.1[127.0.0.1]:%d: replacing server reply "550 5.1.1 no such" with "450 4.7.1 later no such"' % sink.port in instance.log()


@exercises("smtp_reply_filter")
def test_lines_that_are_no_replies(sending):
    """Garbage is made a line of the reply that follows it."""
    instance, sink = sending({"MAIL": "garbage\r\nmore\r\n250 2.1.0 fine"}, smtp_reply_filter="regexp:{{!/^[2-5][0-9][0-9]/ 250-filler}}")
    assert sink.mails and instance.log().count("replacing server reply") == 2
    instance, sink = sending(smtp_reply_filter="fail:x")
    assert not sink.mails and "dsn=4.3.0, status=deferred (local data error while talking to 127.0.0.1[127.0.0.1])" in instance.log()


@exercises("smtp_delivery_status_filter", "lmtp_delivery_status_filter", "default_delivery_status_filter")
@pytest.mark.parametrize("settings,lmtp,answer,logged", [
    ({"smtp_delivery_status_filter": "regexp:{{/^5.1.1 (.*)/ 4.7.1 later}}"}, False, "550 5.1.1 no such", r"dsn=4.7.1, status=deferred \(later\)"),
    ({"default_delivery_status_filter": "regexp:{{/^4.1.1 (.*) (.*)/ 5.7.9 never}}"}, False, "450 4.1.1 not yet", r"dsn=5.7.9, status=bounced \(never\)"),
    ({"lmtp_delivery_status_filter": "regexp:{{/^2.0.0 (.*)/ 2.9.9 got: $$1}}"}, True, "250 ok", r"dsn=2.9.9, status=sent \(got: 250 2.0.0 queued\)"),
    ({"smtp_delivery_status_filter": "regexp:{{/^5/ 2.0.0 fine}}"}, False, "550 5.1.1 no such", r"dsn=5.1.1, status=bounced \(host"),
    ({"smtp_delivery_status_filter": "fail:x"}, False, "550 5.1.1 no such", r"dsn=5.1.1, status=bounced \(host"),
])
def test_outcomes_replaced(sending, settings, lmtp, answer, logged):
    instance, _ = sending({"RCPT": answer}, lmtp=lmtp, **settings)
    instance.wait_log("to=<u@any.example>.*" + logged)


@exercises("smtp_delivery_status_filter")
def test_outcome_without_a_server(mta, dns):  # noqa: F811
    dns(ZONE)
    instance = mta(main=dict(CLIENT, smtp_delivery_status_filter="regexp:{{/^5.4.6 / 5.4.6 it is ours}}, regexp:{{/^4.4.1/ 4.4.1 nobody there}}")).start()
    instance.send(recipients=["u@self.example", "u@dead.example"])
    assert outcome(instance, "u@self.example")[:3] == ("5.4.6", "bounced", "it is ours")
    assert outcome(instance, "u@dead.example")[:3] == ("4.4.1", "deferred", "nobody there")


@exercises("best_mx_transport")
def test_best_mx_is_this_host(mta, dns):  # noqa: F811
    dns(ZONE)
    instance = mta(main=dict(CLIENT, best_mx_transport="error:taken here", local_recipient_maps="")).start()
    instance.send(recipients=["u@self.example", "v@self.example", "u@dead.example"])
    for user in "uv":
        instance.wait_log(r"error\[\d+\]: \w+: to=<%s@self.example>, .*dsn=5.0.0, status=bounced \(taken here\)" % user)
    assert outcome(instance, "u@dead.example")[0] == "4.4.1"
    assert "loops back" not in instance.log()


@exercises("smtp_send_dummy_mail_auth")
@pytest.mark.parametrize("setting", ["yes", "no"])
def test_dummy_auth(mta, setting):
    sink = AuthSink()
    instance = mta(main=dict(HOW, relayhost="[127.0.0.1]:%d" % sink.port, smtp_sasl_auth_enable="yes", smtp_sasl_password_maps="inline:{[127.0.0.1]:%d=me:secret}" % sink.port,
                             smtp_sasl_security_options="noanonymous", smtp_send_dummy_mail_auth=setting)).start()
    with instance.client() as c:
        c.mail("s@client.example", ["u@any.example"], "X: y\r\n\r\nb\r\n")
    instance.wait_log("status=")
    mail = [line for line in sink.commands if line.startswith("MAIL")][0]
    assert bool(re.search(r" AUTH=<>$", mail)) == (setting == "yes")


@exercises("smtp_dns_reply_filter", "lmtp_dns_reply_filter")
@pytest.mark.parametrize("to,table,expected", [
    ("up.example", "regexp:{{/ IN MX 10 dead.example.$$/ IGNORE}}", ("2.0.0", "sent", None)),
    ("up.example", "regexp:{{/ IN MX / ignore}}", ("4.7.0", "deferred", "Error looking up name=up.example type=MX: DNS reply filter drops all results")),
    ("plain.example", "regexp:{{/^plain.example. [0-9]+ IN A 127.0.0.3$$/ IGNORE}}", ("4.7.0", "deferred", "Error looking up name=plain.example type=A: DNS reply filter drops all results")),
    ("plain.example", "regexp:{{/./ DROP}}", ("4.4.3", "deferred", "Error looking up name=plain.example type=A: Invalid DNS reply filter syntax")),
    ("plain.example", "fail:x", ("4.4.3", "deferred", "Error looking up name=plain.example type=A: Invalid DNS reply filter syntax")),
])
@pytest.mark.parametrize("agent", ["smtp", "lmtp"])
def test_dns_records_ignored(mta, dns, agent, to, table, expected):  # noqa: F811
    dns(ZONE)
    if agent == "lmtp":
        to, expected = "plain.example", None if to == "up.example" else expected
    server = Sink("127.0.0.3", 25, lmtp=agent == "lmtp")
    try:
        instance = mta(main=dict(CLIENT, default_transport="%s:%s" % (agent, to if agent == "smtp" else "inet:%s:25" % to), inet_protocols="ipv4", **{agent + "_dns_reply_filter": table})).start()
        instance.send(recipients=["u@any.example"])
        result = outcome(instance, "u@any.example")
        if expected:
            assert result[:2] == expected[:2] and expected[2] in (None, result[2])
            assert result[0] == "4.4.3" or "ignoring DNS RR: " in instance.log()
        assert "DROP" not in table or 'unknown DNS filter action: "DROP"' in instance.log()
    finally:
        server.close()


@exercises("smtpd_dns_reply_filter")
@pytest.mark.parametrize("table,helo,sender,listed", [
    ("regexp:{{/nothing/ IGNORE}}", "250", "250", "554"), ("regexp:{{/ IN A / IGNORE}}", "250", "250", "250"), ("regexp:{{/ IN MX / IGNORE}}", "250", "250", "554"),
    ("regexp:{{/ IN A 127.0.0.2$$/ IGNORE}}", "250", "250", "250"), ("fail:x", "450", "450", "250")])
def test_server_ignores_dns_records(mta, dns, table, helo, sender, listed):  # noqa: F811
    dns(dict(ZONE, **{"1.0.0.127.list.example": {"A": ["127.0.0.2"]}}))
    instance = mta(main=dict(CLIENT, smtpd_dns_reply_filter=table, smtpd_delay_reject="yes", smtpd_recipient_restrictions="permit_mynetworks, reject"),
                   services={"helo": {"smtpd_helo_restrictions": "reject_unknown_helo_hostname"}, "sender": {"smtpd_sender_restrictions": "reject_unknown_sender_domain"},
                             "listed": {"smtpd_client_restrictions": "reject_rbl_client list.example"}}).start()
    for service, code in (("helo", helo), ("sender", sender), ("listed", listed)):
        with instance.client(service) as c:
            c.expect(250, "EHLO plain.example")
            c.expect(250, "MAIL FROM:<s@up.example>")
            reply = c.command("RCPT TO:<u@any.example>")
            assert reply.startswith(code), (service, reply)


@exercises("smtp_cname_overrides_servername", "lmtp_cname_overrides_servername")
@pytest.mark.parametrize("agent", ["smtp", "lmtp"])
@pytest.mark.parametrize("setting,name", [("yes", "plain.example"), ("no", "other-name.example")])
def test_name_of_a_server_with_an_alias(mta, dns, agent, setting, name):  # noqa: F811
    dns(dict(ZONE, **{"other-name.example": {"CNAME": ["plain.example"]}}))
    server = Sink("127.0.0.3", 25, lmtp=agent == "lmtp")
    to = "[other-name.example]" if agent == "smtp" else "inet:other-name.example:25"
    try:
        instance = mta(main=dict(CLIENT, default_transport="%s:%s" % (agent, to), inet_protocols="ipv4", **{agent + "_cname_overrides_servername": setting})).start()
        instance.send(recipients=["u@any.example"])
        assert ", relay=%s[127.0.0.3]:25, " % name in outcome(instance, "u@any.example")[3]
    finally:
        server.close()


NEAR = {"mx.near.example": {"MX": [(10, "near.near.example")]}, "near.near.example": {"A": ["127.0.0.3"]}, "both": {"MX": [(10, "near.near.example")]}, "both.far.example": {"A": ["127.0.0.4"]},
        "later.far.example": {"A": ["127.0.0.4"]}, "dotted.sub.near.example": {"A": ["127.0.0.3"]}, "whole.example": {"A": ["127.0.0.3"]}, "whole.example.near.example": {"A": ["127.0.0.4"]},
        "sick.near.example": {"SERVFAIL": True}, "sick": {"A": ["127.0.0.3"]}, "first.near.example": {"A": ["127.0.0.3"]}, "first": {"A": ["127.0.0.4"]}, "hosts": {"MX": [(10, "near")]}}
NAMES = ["near", "mx", "later", "both", "dotted.sub", "whole.example", "none", "sick", "first", "hosts"]
DEFNAMES, DNSRCH = "res_defnames", "res_dnsrch"
SHORT_NAMES = {  # where mail for each of the names goes; "-" nowhere. Names of MX records are not looked for
    "": "- - - 3 - 3 - 3 4 -", DEFNAMES: "3 - - 3 - 3 - 3 3 3", DNSRCH: "- - - 3 3 3 - 3 4 -", DEFNAMES + ", " + DNSRCH: "3 - 4 3 3 3 - 3 3 3",
}


@contextlib.contextmanager
def search_list(domains):
    """resolv.conf(5) is the namespace's own."""
    with open("/etc/resolv.conf") as f:
        before = f.read()
    try:
        with open("/etc/resolv.conf", "w") as f:
            f.write(before + "search %s\n" % domains)
        yield
    finally:
        with open("/etc/resolv.conf", "w") as f:
            f.write(before)


def where(instance, names):
    """The last number of the address that took the message to each name."""
    found = []
    for name in names:
        mark = instance.log_size()
        instance.send(sender="", recipients=["u@route-%s.example" % name.replace(".", "-")])
        m = instance.wait_log(r"to=<u@route-\S+>, relay=(\S*?), .*status=", 30, since=mark)
        taken = re.search(r"\[127\.0\.0\.(\d)\]", m.group(1))
        found.append(taken.group(1) if taken else "-")
    return " ".join(found)


def routes_by_short_name():
    return {"transport_maps": "inline:{%s}" % " ".join("{route-%s.example=smtp:%s}" % (n.replace(".", "-"), n) for n in NAMES), "relay_domains": "static:all"}


@exercises("smtp_dns_resolver_options", "lmtp_dns_resolver_options")
@pytest.mark.parametrize("options", sorted(SHORT_NAMES))
def test_short_names(mta, dns, sink, options):  # noqa: F811
    dns(NEAR)
    sink("127.0.0.3", 25), sink("127.0.0.4", 25)
    with search_list("near.example far.example"):
        instance = mta(dict(CLIENT, smtp_dns_resolver_options=options, **routes_by_short_name())).start()
        assert where(instance, NAMES) == SHORT_NAMES[options]


def scale_of_peer(connection):
    """The window scaling that the other side announced: tcpi_snd_wscale of struct tcp_info."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[6] & 15


@exercises("tcp_windowsize")
@pytest.mark.parametrize("size, scaled", [("0", True), ("8192", False)])
def test_window(mta, size, scaled):
    """A small buffer needs no scaled window, so none is announced, by the server and by the client."""
    listener = socket.create_server(("127.0.0.1", 0))
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % listener.getsockname()[1], tcp_windowsize=size)).start()
    with instance.client() as c:
        assert (scale_of_peer(c.socket) > 0) == scaled
    instance.send(recipients=["u@dest.example"])
    listener.settimeout(30)
    connection = listener.accept()[0]
    try:
        assert (scale_of_peer(connection) > 0) == scaled
    finally:
        connection.close()
        listener.close()
