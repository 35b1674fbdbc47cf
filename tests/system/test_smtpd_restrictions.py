"""Each restriction and each parameter of access control, by one row: settings of a listener, a client, and the first refusal that it meets.
tests/differential/test_restrictions.py asks Debian's Postfix the same."""
import time

import pytest

from postern import Dns, exercises

ZONE = {
    "c.example": {"A": ["192.0.2.10"], "MX": [(10, "mx.c.example")], "NS": ["ns.c.example"]},
    "mx.c.example": {"A": ["192.0.2.11"]},
    "ns.c.example": {"A": ["192.0.2.12"]},
    "plain.example": {"A": ["192.0.2.20"]},
    "null.example": {"MX": [(0, "")]},
    "broken.example": {"SERVFAIL": True},
    "backup.example": {"MX": [(10, "first.example"), (20, "ours.example")]},
    "first.example": {"A": ["192.0.2.30"]},
    "ours.example": {"A": ["192.0.2.77"]},
    "primary.example": {"MX": [(10, "ours.example")]},
    "7.100.51.198.list.example": {"A": ["127.0.0.4"], "TXT": ["you know why"]},
    "c.example.names.example": {"A": ["127.0.0.2"]},
    "plain.example.names.example": {"A": ["127.0.0.3"]},
}
MAIN = {
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8", "smtpd_relay_restrictions": "permit_auth_destination, reject_unauth_destination",
    "local_recipient_maps": "inline:{ {user=x} }", "smtpd_reject_unlisted_recipient": "no", "proxy_interfaces": "192.0.2.77", "worker_processes": "1",
    "notify_classes": "", "smtpd_delay_reject": "yes", "relay_domains": "relay.example", "smtpd_helo_required": "yes", "virtual_mailbox_domains": "box.example",
    "virtual_mailbox_maps": "inline:{ {user@box.example=x} }", "relay_recipient_maps": "inline:{ {user@relay.example=x} }",
    "virtual_alias_domains": "alias.example", "virtual_alias_maps": "inline:{ {user@alias.example=user@test.example} }", "soft_bounce": "no",
}
OK = "250 2.1.5 Ok"
FAR = "x@elsewhere.example"


def recipients(text, **options):
    return dict(options, smtpd_recipient_restrictions=text)


def hosts_of(what, subject, reply, **client):
    """The three restrictions that look at the hosts of one name."""
    for kind, address in (("a", "192.0.2.10"), ("mx", "192.0.2.11"), ("ns", "192.0.2.12")):
        yield recipients("check_%s_%s_access inline:{ {%s=REJECT no} }" % (what, kind, address)), client, "554 5.7.1 <%s>: %s rejected: no" % (subject, reply)
        yield recipients("check_%s_%s_access inline:{ {192.0.2.99=REJECT no} }" % (what, kind)), client, OK


def tables_in_a_class():
    """A table alone, in a class, is looked up for what the list that uses the class is about."""
    table = "inline:{ {c.example=REJECT no} {a@c.example=REJECT no} {user@test.example=REJECT no} {helo.example=REJECT no} }"
    for delay in ("yes", "no"):
        for kind, reply in (("client", "<c.example[198.51.100.7]>: Client host"), ("helo", "<helo.example>: Helo command"), ("sender", "<a@c.example>: Sender address"),
                            ("recipient", "<user@test.example>: Recipient address")):
            if delay == "yes" or kind != "client":
                for use in ("mine", "check_client_access static:mine"):
                    yield ({"smtpd_restriction_classes": "mine", "mine": table, "smtpd_%s_restrictions" % kind: use, "smtpd_delay_reject": delay},
                           {"helo": "EHLO helo.example"}, "554 5.7.1 %s rejected: no" % reply)


RELAY = {"mynetworks": "198.51.100.7", "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination"}
DENIED = "554 5.7.1 <%s>: Relay access denied"
REFUSED = "554 5.7.1 <user@test.example>: Recipient address rejected: Access denied"
UNDECIDED = "451 4.3.0 <user@test.example>: Temporary lookup failure"
CLIENT_NO = "554 5.7.1 <c.example[198.51.100.7]>: Client host rejected: no"
ROWS = [
    # What the lists themselves do.
    (recipients("permit, reject"), {}, OK),
    (recipients("reject"), {}, REFUSED),
    (recipients("reject", reject_code="521"), {}, REFUSED.replace("554", "521")),
    (recipients("defer"), {}, "450 4.3.2 <user@test.example>: Recipient address rejected: Try again later"),
    (recipients("defer", defer_code="452"), {}, "452 4.3.2 <user@test.example>: Recipient address rejected: Try again later"),
    (recipients("reject_plaintext_session", plaintext_reject_code="455"), {}, "455 4.7.1 Session encryption is required"),
    ({"smtpd_client_restrictions": "reject"}, {}, "554 5.7.1 <c.example[198.51.100.7]>: Client host rejected: Access denied"),
    ({"smtpd_helo_restrictions": "reject"}, {}, "554 5.7.1 <c.example>: Helo command rejected: Access denied"),
    ({"smtpd_sender_restrictions": "reject"}, {}, "554 5.7.1 <a@c.example>: Sender address rejected: Access denied"),
    ({"smtpd_relay_restrictions": "reject"}, {}, REFUSED),
    ({"smtpd_data_restrictions": "reject"}, {"data": True}, "554 5.7.1 <DATA>: Data command rejected: Access denied"),
    ({"smtpd_data_restrictions": "static:REJECT"}, {"data": True}, "451 4.3.5 Server configuration error"),
    ({"smtpd_end_of_data_restrictions": "reject"}, {"data": True}, "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied"),
    ({"smtpd_data_restrictions": "reject_multi_recipient_bounce"}, {"data": True, "sender": "", "recipient": ["user@test.example", "user@relay.example"]},
     "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"),
    ({"smtpd_data_restrictions": "reject_multi_recipient_bounce", "multi_recipient_bounce_reject_code": "551"},
     {"data": True, "sender": "", "recipient": ["user@test.example", "user@relay.example"]}, "551 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce"),
    ({"smtpd_data_restrictions": "reject_multi_recipient_bounce, reject"}, {"data": True, "sender": ""},
     "554 5.7.1 <DATA>: Data command rejected: Access denied"),
    ({"smtpd_data_restrictions": "reject_unauth_pipelining"}, {"pipelined": True},
     "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining"),
    ({"smtpd_etrn_restrictions": "check_etrn_access inline:{ {relay.example=REJECT no} }"}, {"etrn": "relay.example"},
     "554 5.7.1 <relay.example>: Etrn command rejected: no"),
    ({"smtpd_etrn_restrictions": "check_etrn_access inline:{ {other.example=REJECT no} }, reject"}, {"etrn": "relay.example"},
     "554 5.7.1 <relay.example>: Etrn command rejected: Access denied"),
    ({"smtpd_relay_restrictions": "reject", "smtpd_recipient_restrictions": "defer", "smtpd_relay_before_recipient_restrictions": "yes"}, {}, REFUSED),
    ({"smtpd_relay_restrictions": "reject", "smtpd_recipient_restrictions": "defer", "smtpd_relay_before_recipient_restrictions": "no"}, {},
     "450 4.3.2 <user@test.example>: Recipient address rejected: Try again later"),
    # The client.
    (recipients("check_client_access inline:{ {c.example=REJECT no} }"), {}, CLIENT_NO),
    (recipients("check_client_access inline:{ {example=REJECT no} }"), {}, CLIENT_NO),
    (recipients("check_client_access inline:{ {example=REJECT no} }", parent_domain_matches_subdomains=""), {}, OK),
    (recipients("check_client_access inline:{ {.example=REJECT no} }", parent_domain_matches_subdomains=""), {}, CLIENT_NO),
    (recipients("check_client_access inline:{ {198.51.100=REJECT no} }"), {}, CLIENT_NO),
    (recipients("check_client_access inline:{ {198.51.100.8=REJECT no} }"), {}, OK),
    (recipients("check_client_access inline:{ {c.example=REJECT no} }", access_map_reject_code="555"), {}, CLIENT_NO.replace("554", "555")),
    (recipients("check_client_access inline:{ {c.example=DEFER no} }"), {}, CLIENT_NO.replace("554 5", "450 4")),
    (recipients("check_client_access inline:{ {c.example=DEFER no} }", access_map_defer_code="455"), {}, CLIENT_NO.replace("554 5", "455 4")),
    (recipients("reject_unknown_client_hostname", unknown_client_reject_code="555"), {"client": "[UNAVAILABLE]"},
     "555 5.7.25 Client host rejected: cannot find your hostname, [198.51.100.7]"),
    (recipients("check_reverse_client_hostname_access inline:{ {c.example=REJECT no} }"), {"client": "[UNAVAILABLE] REVERSE_NAME=c.example"},
     "554 5.7.1 <c.example>: Unverified Client host rejected: no"),
    (recipients("check_reverse_client_hostname_access inline:{ {198.51.100=REJECT no} }"), {},
     "554 5.7.1 <c.example>: Unverified Client host rejected: no"),
    (recipients("check_sender_access inline:{ {c.example=OK and more} }, reject"), {}, OK),
    (recipients("check_sender_access inline:{ {c.example= } }"), {}, "451 4.3.5 <a@c.example>: Sender address rejected: Server configuration error"),
    (recipients("check_reverse_client_hostname_access inline:{ {c.example=OK} }, reject"), {}, "451 4.3.5 Server configuration error"),
    (recipients("check_reverse_client_hostname_access inline:{ {c.example=permit_auth_destination} }"), {}, "451 4.3.5 Server configuration error"),
    (recipients("check_reverse_client_hostname_access inline:{ {c.example=DUNNO} }"), {}, OK),
    (recipients("reject", smtpd_client_restrictions="check_client_access static:DISCARD", smtpd_sender_restrictions="reject"), {}, OK),
    (recipients("permit", smtpd_client_restrictions="check_client_access static:DISCARD", smtpd_reject_unlisted_sender="yes"), {"sender": "x@test.example"}, OK),
    (recipients("warn_if_reject no_such_restriction"), {}, "451 4.3.5 Server configuration error"),
    (recipients("warn_if_reject check_sender_access inline:{ {c.example=no_such_action} }"), {}, "451 4.3.5 Server configuration error"),
    *hosts_of("client", "c.example[198.51.100.7]", "Client host"),
    *hosts_of("reverse_client_hostname", "c.example", "Unverified Client host", client="[UNAVAILABLE] REVERSE_NAME=c.example"),
    (recipients("permit_inet_interfaces, reject"), {}, REFUSED),
    (recipients("permit_inet_interfaces, reject"), {"address": "127.0.0.1"}, OK),
    (recipients("permit_mynetworks, reject", mynetworks="198.51.100.0/24"), {}, OK),
    (recipients("permit_mynetworks, reject", mynetworks="198.51.101.0/24"), {}, REFUSED),
    *[(recipients("permit_mynetworks, reject", mynetworks=text), {}, reply) for text, reply in (
        ("127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128", REFUSED),  # as Debian's main.cf has it
        ("[198.51.100.0/24]", OK), ("[198.51.100.0]/24", OK), ("!198.51.100.7 198.51.100.0/24", REFUSED), ("!!198.51.100.7", OK),
        ("x/y [z] [] c.example/24 198.51.100.7]", REFUSED), ("x/y [z] 198.51.100.7", OK), ("[2001:db8::1]/32 198.51.100.7", OK),
        ("198.51.100.7/24", UNDECIDED), ("198.51.100.7 198.51.100.7/24", OK), ("[2001:db8::1]/129 198.51.100.0/33", UNDECIDED),
        ("c.example", OK), (".c.example", REFUSED), ("example", OK), ("192.0.2.0/24, inline:{198.51.100=x}", REFUSED), ("cidr:{{198.51.100.0/24 x}}", OK))],
    (recipients("reject_rbl list.example"), {}, "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using list.example; you know why"),
    (recipients("reject_rbl_client list.example", maps_rbl_reject_code="577"), {},
     "577 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using list.example; you know why"),
    (recipients("reject_rbl_client list.example", rbl_reply_maps="inline:{ {list.example=$$rbl_code 5.9.9 $$rbl_class $$rbl_what by $$rbl_domain: $$rbl_txt} }"), {},
     "554 5.9.9 Client host 198.51.100.7 by list.example: you know why"),
    (recipients("reject_rbl_client list.example", default_rbl_reply="$rbl_code listed"), {}, "554 5.7.1 listed"),
    (recipients("reject_rbl_client list.example", default_rbl_reply="$rbl_code $rbl_reason; $client_address, $helo_name: $recipient",
                smtpd_expansion_filter="aeiou\\\\.\\40\\153457yn"), {}, "554 5.7.1 you kno_ __y; ___.5_.___.7, _.e_a___e: u_e___e__.e_a___e"),
    (recipients("reject_maps_rbl", maps_rbl_domains="list.example"), {},
     "554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using list.example; you know why"),
    (recipients("reject_maps_rbl"), {}, OK),
    (recipients("reject_rhsbl_client names.example"), {}, "554 5.7.1 Service unavailable; Client host [c.example] blocked using names.example"),
    (recipients("reject_rhsbl_client names.example"), {"client": "[UNAVAILABLE]"}, OK),
    (recipients("reject_rhsbl_reverse_client names.example"), {"client": "[UNAVAILABLE] REVERSE_NAME=c.example"},
     "554 5.7.1 Service unavailable; Unverified Client host [c.example] blocked using names.example"),
    (recipients("permit_rhswl_client names.example, reject"), {}, OK),
    (recipients("permit_rhswl_client names.example, reject"), {"client": "[UNAVAILABLE]"}, REFUSED),
    (recipients("permit_dnswl_client list.example, reject"), {"address": "198.51.100.8"}, REFUSED),
    # The name given with HELO.
    (recipients("check_helo_access inline:{ {c.example=REJECT no} }"), {}, "554 5.7.1 <c.example>: Helo command rejected: no"),
    (recipients("check_helo_access inline:{ {c.example=REJECT no} }"), {"helo": "EHLO other.example"}, OK),
    *tables_in_a_class(),
    *hosts_of("helo", "c.example", "Helo command"),
    (recipients("reject_invalid_hostname"), {"helo": "HELO a..b"}, "501 5.5.2 <a..b>: Helo command rejected: Invalid name"),
    (recipients("reject_invalid_helo_hostname", invalid_hostname_reject_code="555"), {"helo": "HELO a..b"}, "555 5.5.2 <a..b>: Helo command rejected: Invalid name"),
    (recipients("reject_non_fqdn_hostname"), {"helo": "HELO a"}, "504 5.5.2 <a>: Helo command rejected: need fully-qualified hostname"),
    (recipients("reject_non_fqdn_helo_hostname", non_fqdn_reject_code="555"), {"helo": "HELO a"},
     "555 5.5.2 <a>: Helo command rejected: need fully-qualified hostname"),
    (recipients("reject_unknown_hostname"), {"helo": "HELO gone.example"}, "450 4.7.1 <gone.example>: Helo command rejected: Host not found"),
    (recipients("reject_unknown_helo_hostname", unknown_hostname_reject_code="555"), {"helo": "HELO gone.example"},
     "555 5.7.1 <gone.example>: Helo command rejected: Host not found"),
    (recipients("reject_unknown_helo_hostname"), {"helo": "HELO broken.example"}, "450 4.7.1 <broken.example>: Helo command rejected: Host not found"),
    (recipients("reject_unknown_helo_hostname, reject"), {"helo": "HELO broken.example"}, REFUSED),
    (recipients("reject_unknown_helo_hostname, reject", unknown_helo_hostname_tempfail_action="defer"), {"helo": "HELO broken.example"},
     "450 4.7.1 <broken.example>: Helo command rejected: Host not found"),
    (recipients("permit_naked_ip_address, reject"), {"helo": "HELO 198.51.100.7"}, OK),
    (recipients("permit_naked_ip_address, reject"), {}, REFUSED),
    (recipients("reject_rhsbl_helo names.example"), {}, "554 5.7.1 Service unavailable; Helo command [c.example] blocked using names.example"),
    (recipients("reject_rhsbl_helo names.example"), {"helo": "EHLO other.example"}, OK),
    # The sender.
    (recipients("check_sender_access inline:{ {a@c.example=REJECT no} }"), {}, "554 5.7.1 <a@c.example>: Sender address rejected: no"),
    (recipients("check_sender_access inline:{ {a@=REJECT no} }"), {}, "554 5.7.1 <a@c.example>: Sender address rejected: no"),
    (recipients("check_sender_access inline:{ {b@=REJECT no} }"), {}, OK),
    (recipients("check_sender_access inline:{ {<>=REJECT no} }"), {"sender": ""}, "554 5.7.1 <>: Sender address rejected: no"),
    (recipients("check_sender_access inline:{ {nobody=REJECT no} }", smtpd_null_access_lookup_key="nobody"), {"sender": ""},
     "554 5.7.1 <>: Sender address rejected: no"),
    *hosts_of("sender", "a@c.example", "Sender address"),
    (recipients("reject_non_fqdn_sender", non_fqdn_reject_code="555"), {"sender": "a@b"}, "555 5.5.2 <a@b>: Sender address rejected: need fully-qualified address"),
    (recipients("reject_unknown_address"), {"sender": "a@gone.example"}, "450 4.1.8 <a@gone.example>: Sender address rejected: Domain not found"),
    (recipients("reject_unknown_sender_domain", unknown_address_reject_code="555"), {"sender": "a@gone.example"},
     "555 5.1.8 <a@gone.example>: Sender address rejected: Domain not found"),
    (recipients("reject_unknown_sender_domain"), {"sender": "a@relay.example"}, "450 4.1.8 <a@relay.example>: Sender address rejected: Domain not found"),
    (recipients("reject_unknown_sender_domain"), {"sender": "user@box.example"}, OK),
    (recipients("reject_unknown_recipient_domain"), {"recipient": "user@relay.example"},
     "450 4.1.2 <user@relay.example>: Recipient address rejected: Domain not found"),
    (recipients("reject_unknown_sender_domain, reject"), {"sender": "a@broken.example"}, REFUSED),
    (recipients("reject_unknown_sender_domain, reject", unknown_address_tempfail_action="defer"), {"sender": "a@broken.example"},
     "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found"),
    (recipients("reject_unknown_sender_domain, reject", reject_tempfail_action="defer"), {"sender": "a@broken.example"},
     "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found"),
    (recipients("reject_rhsbl_sender names.example"), {"sender": "b@plain.example"},
     "554 5.7.1 Service unavailable; Sender address [b@plain.example] blocked using names.example"),
    (recipients("reject_unlisted_sender", show_user_unknown_table_name="no"), {"sender": "gone@test.example"},
     "550 5.1.0 <gone@test.example>: Sender address rejected: User unknown"),
    # The recipient.
    (recipients("check_recipient_access inline:{ {user@=REJECT no} }"), {}, "554 5.7.1 <user@test.example>: Recipient address rejected: no"),
    (recipients("permit_auth_destination, defer", smtpd_relay_restrictions=""), {}, OK),
    (recipients("permit_auth_destination, defer", smtpd_relay_restrictions=""), {"recipient": "user@relay.example"}, OK),
    (recipients("permit_auth_destination, defer", smtpd_relay_restrictions=""), {"recipient": FAR},
     "450 4.3.2 <x@elsewhere.example>: Recipient address rejected: Try again later"),
    ({}, {"recipient": FAR}, DENIED % FAR),
    ({"relay_domains_reject_code": "555"}, {"recipient": FAR}, "555 5.7.1 <x@elsewhere.example>: Relay access denied"),
    ({}, {"recipient": "x@sub.relay.example"}, OK),
    ({"relay_domains": "elsewhere.example"}, {"recipient": FAR}, DENIED % FAR),  # main.cf and the rewrite service know the classes
    ({}, {"recipient": "user%elsewhere.example@relay.example"}, DENIED % "user%elsewhere.example@relay.example"),
    ({"allow_untrusted_routing": "yes"}, {"recipient": "user%elsewhere.example@relay.example"}, OK),
    ({"smtpd_relay_restrictions": "defer_unauth_destination"}, {"recipient": FAR}, "454 4.7.1 <x@elsewhere.example>: Relay access denied"),
    ({"smtpd_relay_restrictions": "check_relay_domains"}, {"recipient": FAR},
     "554 5.7.1 <x@elsewhere.example>: Recipient address rejected: Relay access denied"),
    ({"smtpd_relay_restrictions": "check_relay_domains, reject"}, {"recipient": "user@relay.example"}, OK),
    ({"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination"}, {"recipient": "x@backup.example"}, OK),
    ({"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination", "proxy_interfaces": ""}, {"recipient": "x@backup.example"},
     DENIED % "x@backup.example"),
    ({"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination"}, {"recipient": "x@primary.example"}, DENIED % "x@primary.example"),
    ({"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination", "permit_mx_backup_networks": "192.0.2.30"}, {"recipient": "x@backup.example"}, OK),
    ({"smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination", "permit_mx_backup_networks": "192.0.2.31"}, {"recipient": "x@backup.example"},
     DENIED % "x@backup.example"),
    *((dict(options, **RELAY), dict(client, recipient="x@c.example"), reply)
      for options, client, reply in hosts_of("recipient", "x@c.example", "Recipient address")),
    (recipients("reject_non_fqdn_recipient", **RELAY, non_fqdn_reject_code="555"), {"recipient": "a@b"},
     "555 5.5.2 <a@b>: Recipient address rejected: need fully-qualified address"),
    (recipients("reject_unknown_recipient_domain", **RELAY), {"recipient": "x@gone.example"},
     "450 4.1.2 <x@gone.example>: Recipient address rejected: Domain not found"),
    (recipients("reject_unknown_recipient_domain", **RELAY), {"recipient": "x@null.example"},
     "556 5.1.10 <x@null.example>: Recipient address rejected: Domain null.example does not accept mail (nullMX)"),
    (recipients("reject_unknown_recipient_domain", **RELAY), {"recipient": "x@c.example"}, OK),
    (recipients("reject_rhsbl_recipient names.example", **RELAY), {"recipient": "x@plain.example"},
     "554 5.7.1 Service unavailable; Recipient address [x@plain.example] blocked using names.example"),
    (recipients("reject_unlisted_recipient"), {"recipient": "gone@test.example"},
     "550 5.1.1 <gone@test.example>: Recipient address rejected: User unknown in local recipient table"),
    (recipients("check_recipient_maps"), {"recipient": "gone@test.example"},
     "550 5.1.1 <gone@test.example>: Recipient address rejected: User unknown in local recipient table"),
    (recipients("reject_unlisted_recipient", show_user_unknown_table_name="no"), {"recipient": "gone@test.example"},
     "550 5.1.1 <gone@test.example>: Recipient address rejected: User unknown"),
    (recipients("reject_unlisted_recipient"), {"recipient": "user@relay.example"}, OK),
    (recipients("reject_unlisted_recipient"), {"recipient": "gone@relay.example"},
     "550 5.1.1 <gone@relay.example>: Recipient address rejected: User unknown in relay recipient table"),
    (recipients("reject_unlisted_recipient", unknown_relay_recipient_reject_code="555"), {"recipient": "gone@relay.example"},
     "555 5.1.1 <gone@relay.example>: Recipient address rejected: User unknown in relay recipient table"),
    (recipients("reject_unlisted_recipient"), {"recipient": "user@box.example"}, OK),
    (recipients("reject_unlisted_recipient"), {"recipient": "gone@box.example"},
     "550 5.1.1 <gone@box.example>: Recipient address rejected: User unknown in virtual mailbox table"),
    (recipients("reject_unlisted_recipient", unknown_virtual_mailbox_reject_code="555"), {"recipient": "gone@box.example"},
     "555 5.1.1 <gone@box.example>: Recipient address rejected: User unknown in virtual mailbox table"),
    (recipients("reject_unlisted_recipient"), {"recipient": "user@alias.example"}, OK),
    (recipients("reject_unlisted_recipient"), {"recipient": "gone@alias.example"},
     "550 5.1.1 <gone@alias.example>: Recipient address rejected: User unknown in virtual alias table"),
    (recipients("reject_unlisted_recipient", unknown_virtual_alias_reject_code="555"), {"recipient": "gone@alias.example"},
     "555 5.1.1 <gone@alias.example>: Recipient address rejected: User unknown in virtual alias table"),
]


def listeners(rows):
    """The listeners that the rows need, one for each set of options, and the listener of each row."""
    names, services, of_row = {}, {}, []
    for options, _, _ in rows:
        name = names.setdefault(repr(sorted(options.items())), "s%d" % len(names))
        services[name] = options or {"smtpd_banner": "$myhostname"}
        of_row.append(name)
    return services, of_row


def ask(connection, client="c.example", address="198.51.100.7", helo="EHLO c.example", sender="a@c.example", recipient="user@test.example", data=False,
        pipelined=False, etrn=None):
    """The first refusal that this client meets, or the last reply."""
    connection.expect(220, "XCLIENT NAME=%s ADDR=%s" % (client, address))
    recipients = recipient if isinstance(recipient, list) else [recipient]
    lines = [helo] + (["ETRN " + etrn] if etrn else ["MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in recipients])
    for line in lines:
        reply = connection.command(line)
        if reply[:1] != "2":
            return reply
    if pipelined:
        connection.raw("DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        return connection.reply()
    if data:
        reply = connection.command("DATA")
        return reply if not reply.startswith("354") else connection.command("Subject: x\r\n\r\nx\r\n.")
    return reply


def named_in_rows():
    """Parameters that a row sets, and restrictions that it names."""
    names = set()
    for options, _, _ in ROWS:
        for parameter, value in options.items():
            names |= {parameter} | {word.rstrip(",") for word in value.split() if parameter.endswith("_restrictions")}
    return names | {"mynetworks", "reject_unauth_destination", "relay_recipient_maps", "virtual_mailbox_maps", "virtual_mailbox_domains", "virtual_alias_maps"}


BATCH = 20


def batches():
    return [ROWS[start:start + BATCH] for start in range(0, len(ROWS), BATCH)]


@pytest.fixture(scope="module", autouse=True)
def dns():
    server = Dns(ZONE)
    yield server
    server.close()


@exercises(*named_in_rows())
@pytest.mark.parametrize("batch", range(len(batches())))
def test_rows(mta, batch):
    rows = batches()[batch]
    services, of_row = listeners(rows)
    instance = mta(MAIN, services=services).start()
    wrong = []
    for (options, client, expected), name in zip(rows, of_row):
        with instance.client(name) as c:
            reply = ask(c, **client)
        if reply != expected:
            wrong.append("%s %s:\n  %s\n  %s" % (options, client, reply, expected))
    assert not wrong, "\n".join(wrong)


@exercises("sleep")
def test_sleep(mta):
    instance = mta(MAIN, services={"later": {"smtpd_recipient_restrictions": "sleep 2"}}).start()
    start = time.monotonic()
    with instance.client("later") as c:
        assert ask(c) == OK
    assert time.monotonic() - start >= 2
