"""What operators see of sessions: peers that are looked at closely, permits in the log; and what clients and readers of mail see of the server."""
import re

import pytest

from postern import Sink, exercises

BASIC = {"smtpd_relay_restrictions": "reject_unauth_destination", "local_transport": "discard:", "smtpd_authorized_xclient_hosts": "127.0.0.0/8"}


@exercises("debug_peer_list", "debug_peer_level")
def test_clients_looked_at(mta):
    instance = mta(BASIC, {
        "talk": {"debug_peer_list": "192.0.2.0/24, good.example", "debug_peer_level": "1", "smtpd_recipient_restrictions": "permit_mynetworks, reject"},
        "steps": {"debug_peer_list": "127.0.0.1", "smtpd_recipient_restrictions": "permit_auth_destination"},
    }).start()
    for name, address, seen in (("far.example", "192.0.2.9", True), ("sub.good.example", "198.51.100.1", True), ("far.example", "198.51.100.1", False)):
        mark = instance.log_size()
        with instance.client("talk") as c:
            c.expect(220, "XCLIENT NAME=%s ADDR=%s" % (name, address))
            c.command("EHLO a\tb")
            c.command("AUTH PLAIN c2VjcmV0")
            c.expect(221, "QUIT")
        instance.wait_log("disconnect from", since=mark)
        lines = re.findall(r"smtpd\[\d+\]: ([<>] .*)", instance.log(mark))
        peer = "%s[%s]" % (name, address)
        assert bool(lines) == seen and "c2VjcmV0" not in instance.log(mark)
        if seen:
            assert "< %s: AUTH PLAIN ..." % peer in lines and "> %s: 221 2.0.0 Bye" % peer in lines
        assert "smtpd_recipient_restrictions:" not in instance.log(mark)
    instance.send(name="steps")
    instance.wait_log(r"< unknown\[127.0.0.1\]: MAIL FROM:<s@client.example>")
    instance.wait_log(r"unknown\[127.0.0.1\]: smtpd_recipient_restrictions: permit_auth_destination: permit")


@exercises("debug_peer_list")
@pytest.mark.parametrize("peers, seen", [("127.0.0.1", True), ("localhost", True), ("192.0.2.0/24, other.example", False)])
def test_servers_looked_at(mta, peers, seen):
    """By the server's address, or by the next hop."""
    sink = Sink()
    instance = mta(dict(BASIC, debug_peer_list=peers, local_transport="smtp:[localhost]:%d" % sink.port, smtp_host_lookup="native"),
                   {"a": {"debug_peer_list": ""}}).start()
    queue_id = instance.send()
    sink.wait()
    instance.wait_log(queue_id + ": removed")
    lines = re.findall(r"smtp\[\d+\]: ([<>] .*)", instance.log())
    assert bool(lines) == seen
    if seen:
        assert any(re.match(r"> localhost\[127.0.0.1\]:\d+: MAIL FROM:<s@client.example>", line) for line in lines)
        assert any(re.match(r"< localhost\[127.0.0.1\]:\d+: 220 sink.example", line) for line in lines)


@exercises("smtpd_log_access_permit_actions")
@pytest.mark.parametrize("names, restrictions, logged", [
    ("static:all", "permit_mynetworks", "action=permit_mynetworks for Client host=unknown[127.0.0.1] ;"),
    ("permit", "permit_mynetworks", None),
    ("!permit, static:all", "permit", None),
    ("OK", "check_client_access static:OK", "action=OK for Client host=unknown[127.0.0.1] from static:OK;"),
    ("", "permit", None),
])
def test_permits(mta, names, restrictions, logged):
    instance = mta(BASIC, {"a": {"smtpd_log_access_permit_actions": names, "smtpd_recipient_restrictions": restrictions}}).start()
    instance.send()
    instance.wait_log("disconnect from")
    found = re.findall(r"NOQUEUE: permit: RCPT from unknown\[127.0.0.1\]: (action=[^;]*;)", instance.log())
    assert found == ([logged] if logged else [])


@exercises("smtpd_hide_client_session")
def test_hidden_client(mta):
    sink = Sink()
    instance = mta(dict(BASIC, local_transport="smtp:[127.0.0.1]:%d" % sink.port), {"a": {"smtpd_hide_client_session": "yes"}}).start()
    queue_id = instance.send()
    received = re.match(rb"Received: .*\r\n(\t.*\r\n)*", sink.wait()[0]["data"]).group(0).decode()
    assert received.startswith("Received: by mail.test.example (Postern)") and "id %s" % queue_id in received
    assert "127.0.0.1" not in received and "client.example" not in received and "ESMTP" not in received
