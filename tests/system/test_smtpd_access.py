"""Access control of the SMTP server: restriction lists, access tables, names in the DNS, and what they leave in the log."""
import os
import re

import pytest

from postern import Client, Dns, exercises

ZONE = {
    "good.example": {"A": ["192.0.2.10"], "MX": [(10, "mx.good.example")]},
    "mx.good.example": {"A": ["192.0.2.11"]},
    "null.example": {"MX": [(0, "")]},
    "broken.example": {"SERVFAIL": True},
    "ns.example": {"NS": ["ns1.ns.example"], "MX": [(10, "bad-mx.example")]},
    "ns1.ns.example": {"A": ["192.0.2.53"]},
    "bad-mx.example": {"A": ["192.0.2.66"]},
    "7.100.51.198.list.example": {"A": ["127.0.0.4"], "TXT": ["you know why"]},
    "8.100.51.198.list.example": {"A": ["192.0.2.1"]},
    "spam.example.names.example": {"A": ["127.0.0.2"]},
    "7.100.51.198.in-addr.arpa": {"PTR": ["client.good.example"]},
    "client.good.example": {"A": ["198.51.100.7"]},
    "8.100.51.198.in-addr.arpa": {"PTR": ["liar.good.example"]},
    "liar.good.example": {"A": ["192.0.2.99"]},
}
BASIC = {"smtpd_authorized_xclient_hosts": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
         "local_recipient_maps": "inline:{ {user=x} }", "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000"}


@pytest.fixture
def dns():
    server = Dns(ZONE)
    yield server
    server.close()


def ask(instance, name, client="c.example", address="198.51.100.7", helo="EHLO c.good.example", sender="a@good.example",
        recipient="user@test.example"):
    """The first refusal of one RCPT as that client, or the reply to RCPT."""
    with instance.client(name) as c:
        c.expect(220, "XCLIENT NAME=%s ADDR=%s" % (client, address))
        for line in (helo, "MAIL FROM:<%s>" % sender, "RCPT TO:<%s>" % recipient):
            reply = c.command(line)
            if reply[0] != "2":
                break
        return reply


LISTS = [
    ("reject_unknown_client", {"client": "[UNAVAILABLE]"}, "450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]"),
    ("reject_unknown_client_hostname", {}, None),
    ("reject_unknown_reverse_client_hostname", {"client": "[UNAVAILABLE]"},
     "450 4.7.1 Client host rejected: cannot find your reverse hostname, [198.51.100.7]"),
    ("reject_invalid_helo_hostname", {"helo": "HELO a..b"}, "501 5.5.2 <a..b>: Helo command rejected: Invalid name"),
    ("reject_non_fqdn_helo_hostname", {"helo": "HELO a"}, "504 5.5.2 <a>: Helo command rejected: need fully-qualified hostname"),
    ("reject_non_fqdn_helo_hostname", {"helo": "HELO [192.0.2.1]"}, None),
    ("reject_unknown_helo_hostname", {"helo": "HELO gone.example"}, "450 4.7.1 <gone.example>: Helo command rejected: Host not found"),
    ("reject_unknown_helo_hostname", {"helo": "HELO good.example"}, None),
    ("reject_non_fqdn_sender", {"sender": "a@b"}, "504 5.5.2 <a@b>: Sender address rejected: need fully-qualified address"),
    ("reject_unknown_sender_domain", {"sender": "a@gone.example"}, "450 4.1.8 <a@gone.example>: Sender address rejected: Domain not found"),
    ("reject_unknown_sender_domain", {"sender": "a@broken.example"}, "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found"),
    ("reject_unknown_sender_domain", {"sender": "a@null.example"},
     "550 5.7.27 <a@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)"),
    ("reject_unknown_sender_domain", {}, None),
    ("reject_unlisted_sender", {"sender": "gone@test.example"},
     "550 5.1.0 <gone@test.example>: Sender address rejected: User unknown in local recipient table"),
    ("reject_non_fqdn_recipient", {"recipient": "user"}, "504 5.5.2 <user>: Recipient address rejected: need fully-qualified address"),
    ("reject_plaintext_session", {}, "450 4.7.1 Session encryption is required"),
    ("check_sender_mx_access inline:{ {192.0.2.66=REJECT no} }", {"sender": "a@ns.example"},
     "554 5.7.1 <a@ns.example>: Sender address rejected: no"),
    ("check_sender_ns_access inline:{ {ns1.ns.example=REJECT no} }", {"sender": "a@sub.ns.example"},
     "554 5.7.1 <a@sub.ns.example>: Sender address rejected: no"),
    ("check_sender_a_access inline:{ {192.0.2.10=REJECT no} }", {}, "554 5.7.1 <a@good.example>: Sender address rejected: no"),
    ("check_sender_a_access inline:{ {192.0.2.1=REJECT no} }", {"sender": "a@[192.0.2.1]"}, "554 5.7.1 <a@[192.0.2.1]>: Sender address rejected: no"),
    ("check_sender_mx_access inline:{ {192.0.2.1=REJECT no} }", {"sender": "a@[192.0.2.1]"}, "554 5.7.1 <a@[192.0.2.1]>: Sender address rejected: no"),
    ("check_sender_ns_access inline:{ {192.0.2.1=REJECT no} }", {"sender": "a@[192.0.2.1]"}, None),
    ("check_sender_mx_access inline:{ {192.0.2.66=OK} }", {"sender": "a@ns.example"},
     "451 4.3.5 <a@ns.example>: Sender address rejected: Server configuration error"),
    ("reject_rbl_client list.example", {},
     "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using list.example; you know why"),
    ("reject_rbl_client list.example=127.0.0.[2..3]", {}, None),
    ("reject_rbl_client list.example", {"address": "198.51.100.8"}, None),
    ("reject_rhsbl_sender names.example", {"sender": "a@spam.example"},
     "554 5.7.1 Service unavailable; Sender address [a@spam.example] blocked using names.example"),
    ("permit_dnswl_client list.example, reject", {}, None),
    ("permit_dnswl_client list.example, reject", {"recipient": "x@elsewhere.example"}, "554 5.7.1 <x@elsewhere.example>: Relay access denied"),
    ("defer_if_permit", {}, "450 4.7.0 <user@test.example>: Recipient address rejected: defer_if_permit requested"),
    ("defer_if_reject, reject", {}, "450 4.7.0 <user@test.example>: Recipient address rejected: defer_if_reject requested"),
    ("warn_if_reject reject, permit", {}, None),
    ("restrictive", {}, "554 5.7.1 <user@test.example>: Recipient address rejected: Access denied"),
    ("no_such_thing, reject", {}, "451 4.3.5 Server configuration error"),
    ("check_recipient_access, reject", {}, "451 4.3.5 Server configuration error"),
]


@exercises("smtpd_recipient_restrictions", "smtpd_restriction_classes", "unknown_client_reject_code", "maps_rbl_reject_code", "default_rbl_reply",
           *{entry[0].split()[0].rstrip(",") for entry in LISTS})
def test_restrictions(mta, dns):
    services = {"s%d" % i: {"smtpd_recipient_restrictions": text, "smtpd_restriction_classes": "restrictive", "restrictive": "reject"}
                for i, (text, _, _) in enumerate(LISTS)}
    # A listener has two processes: not all rows at once.
    for start in range(0, len(LISTS), 12):
        part = {n: services[n] for n in list(services)[start:start + 12]}
        instance = mta(BASIC, services=part).start()
        wrong = []
        for i in range(start, min(start + 12, len(LISTS))):
            text, keywords, expected = LISTS[i]
            reply = ask(instance, "s%d" % i, **keywords)
            if reply != (expected or "250 2.1.5 Ok"):
                wrong.append("%s %s: %s" % (text, keywords, reply))
        instance.stop()
        assert not wrong, "\n".join(wrong)


TABLE = {
    "ok@x.example": "OK", "num@x.example": "12345", "rej@x.example": "REJECT", "rejt@x.example": "REJECT 5.3.2 go away",
    "defer@x.example": "DEFER", "four@x.example": "450 wait", "five@x.example": "550 5.1.1 nope", "dunno@x.example": "DUNNO",
    "class@x.example": "restrictive", "junk@x.example": "what is this", "drop@x.example": "421 closing", "x.example": "REJECT domain",
    ".example": "REJECT parent", "plus@y.other": "REJECT plus",
}
RESULTS = [
    ("ok@x.example", "250 2.1.5 Ok"), ("num@x.example", "250 2.1.5 Ok"),
    ("rej@x.example", "554 5.7.1 <rej@x.example>: Recipient address rejected: Access denied"),
    ("rejt@x.example", "554 5.3.2 <rejt@x.example>: Recipient address rejected: go away"),
    ("defer@x.example", "450 4.7.1 <defer@x.example>: Recipient address rejected: Access denied"),
    ("four@x.example", "450 4.7.1 <four@x.example>: Recipient address rejected: wait"),
    ("five@x.example", "550 5.1.1 <five@x.example>: Recipient address rejected: nope"),
    ("dunno@x.example", "554 5.7.1 <dunno@x.example>: Recipient address rejected: Access denied"),
    ("class@x.example", "554 5.7.1 <class@x.example>: Recipient address rejected: Access denied"),
    ("junk@x.example", "451 4.3.5 Server configuration error"),
    ("any@x.example", "554 5.7.1 <any@x.example>: Recipient address rejected: domain"),
    ("plus+more@y.other", "554 5.7.1 <plus+more@y.other>: Recipient address rejected: plus"),
    ("drop@x.example", "421 4.7.1 <drop@x.example>: Recipient address rejected: closing"),
]


@exercises("access_map_reject_code", "access_map_defer_code", "recipient_delimiter")
def test_access_table(mta):
    instance = mta(dict(BASIC, smtpd_relay_restrictions="permit", recipient_delimiter="+", smtpd_restriction_classes="restrictive",
                        restrictive="reject", smtpd_recipient_restrictions="check_recipient_access texthash:$config_directory/access, reject"))
    with open(os.path.join(instance.config, "access"), "w") as f:
        f.writelines("%s %s\n" % row for row in TABLE.items())
    instance.start()
    for recipient, expected in RESULTS:
        assert ask(instance, None, recipient=recipient) == expected
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<a@b.example>")
        c.expect(421, "RCPT TO:<drop@x.example>")
        assert c.reply() == ""


@exercises("smtpd_delay_reject")
def test_delayed_and_not(mta):
    services = {"delayed": {}, "at_once": {"smtpd_delay_reject": "no"}}
    lists = {"smtpd_client_restrictions": "check_client_access inline:{ {198.51.100.9=REJECT client} }",
             "smtpd_helo_restrictions": "check_helo_access inline:{ {bad.example=REJECT helo} }",
             "smtpd_sender_restrictions": "check_sender_access inline:{ {bad@b.example=REJECT sender} {<>=REJECT null} }"}
    instance = mta(dict(BASIC, **lists), services=services).start()
    for name, command in (("delayed", "RCPT"), ("at_once", "MAIL")):
        mark = instance.log_size()
        assert ask(instance, name, sender="bad@b.example") == "554 5.7.1 <bad@b.example>: Sender address rejected: sender"
        instance.wait_log(r"NOQUEUE: reject: %s from c.example\[198.51.100.7\]: 554 5.7.1 <bad@b.example>: Sender address rejected: sender; "
                          r"from=<bad@b.example> %sproto=ESMTP helo=<c.good.example>" % (command, "to=<user@test.example> " if command == "RCPT" else ""),
                          since=mark)
        assert ask(instance, name, sender="") == "554 5.7.1 <>: Sender address rejected: null"
        assert ask(instance, name, helo="HELO sub.bad.example") == "554 5.7.1 <sub.bad.example>: Helo command rejected: helo"
    assert ask(instance, "delayed", address="198.51.100.9") == "554 5.7.1 <c.example[198.51.100.9]>: Client host rejected: client"
    with instance.client("at_once") as c:
        assert c.command("XCLIENT NAME=c.example ADDR=198.51.100.9") == "554 5.7.1 <c.example[198.51.100.9]>: Client host rejected: client"
        assert c.command("EHLO x") == "503 5.7.0 Error: access denied for c.example[198.51.100.9]"
        assert c.command("QUIT") == "221 2.0.0 Bye"


@exercises("smtpd_peername_lookup")
def test_client_names(mta, dns):
    """A name counts when it leads back to the address."""
    instance = mta(dict(BASIC, smtpd_peername_lookup="yes"), services={"proxied": {"smtpd_upstream_proxy_protocol": "haproxy"}}).start()
    for address, shown in (("198.51.100.7", "client.good.example"), ("198.51.100.8", "unknown"), ("198.51.100.9", "unknown")):
        with Client(instance.port, greeting=False) as c:
            c.raw("PROXY TCP4 %s 192.0.2.1 1 25\r\n" % address)
            assert c.reply().startswith("220")
        instance.wait_log(r"smtpd\[\d+\]: connect from %s\[%s\]\n" % (re.escape(shown), re.escape(address)))


def test_nothing_refuses_relaying(mta):
    """A configuration that forgets relay control does not serve."""
    instance = mta(dict(BASIC, smtpd_relay_restrictions="", smtpd_recipient_restrictions="permit_mynetworks"))
    instance.control("start", check=False)
    instance.started = True
    instance.wait_log(r"specify at least one working instance of: reject_unauth_destination")


@exercises("smtpd_reject_unlisted_recipient", "smtpd_reject_unlisted_sender", "unknown_local_recipient_reject_code")
def test_unlisted(mta):
    services = {"default": {}, "no": {"smtpd_reject_unlisted_recipient": "no"}, "senders": {"smtpd_reject_unlisted_sender": "yes"},
                "code": {"unknown_local_recipient_reject_code": "450"}}
    instance = mta(BASIC, services=services).start()
    unknown = "550 5.1.1 <gone@test.example>: Recipient address rejected: User unknown in local recipient table"
    assert ask(instance, "default", recipient="gone@test.example") == unknown
    assert ask(instance, "no", recipient="gone@test.example") == "250 2.1.5 Ok"
    assert ask(instance, "senders", sender="gone@test.example").startswith("550 5.1.0 <gone@test.example>: Sender address rejected")
    assert ask(instance, "code", recipient="gone@test.example") == unknown.replace("550 5", "450 4")


LOGIN_CHECKS = ("reject_sender_login_mismatch", "reject_known_sender_login_mismatch",
                "reject_authenticated_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch")


@exercises("smtpd_sender_login_maps", *LOGIN_CHECKS)
def test_sender_logins(mta):
    services = {n: {"smtpd_sender_restrictions": n} for n in LOGIN_CHECKS}
    instance = mta(dict(BASIC, smtpd_sender_login_maps="inline:{ {a@good.example=ann} }"), services=services).start()
    not_in = "553 5.7.1 <a@good.example>: Sender address rejected: not logged in"
    not_owned = "553 5.7.1 <a@good.example>: Sender address rejected: not owned by user bob"
    expected = {"reject_sender_login_mismatch": (not_in, not_owned), "reject_authenticated_sender_login_mismatch": ("250 2.1.5 Ok", not_owned),
                "reject_unauthenticated_sender_login_mismatch": (not_in, "250 2.1.5 Ok"), "reject_known_sender_login_mismatch": (not_in, not_owned)}
    for name, replies in expected.items():
        for login, reply in zip(("", " LOGIN=bob"), replies):
            assert ask(instance, name, address="198.51.100.7" + login) == reply
        assert ask(instance, name, address="198.51.100.7 LOGIN=ann") == "250 2.1.5 Ok"
    nobodys = {name: ask(instance, name, sender="b@good.example", address="198.51.100.7 LOGIN=bob")[:3] for name in LOGIN_CHECKS}
    assert nobodys == {"reject_sender_login_mismatch": "553", "reject_authenticated_sender_login_mismatch": "553",
                       "reject_unauthenticated_sender_login_mismatch": "250", "reject_known_sender_login_mismatch": "250"}
