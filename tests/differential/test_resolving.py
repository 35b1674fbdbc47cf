"""The same addresses and tables for Debian's Postfix and ours: who is known, what an address becomes, and where it goes must agree."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

# Every transport takes its mail and writes the next hop to the log, with its own name in front.
TRANSPORTS = ("smtp", "relay", "local", "virtual", "slow", "far", "gone")
MASTER = "\n".join(line for line in postfix.MASTER.splitlines() if line.split()[0] not in TRANSPORTS) + "\n" + "".join(
    "%s unix - - n - - discard\n  -o syslog_name=postfix/%s\n" % (name, name) for name in TRANSPORTS)

MAIN = {
    "mydestination": "test.example, mail.test.example, localhost", "myorigin": "test.example", "mydomain": "parent.example", "notify_classes": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "recipient_delimiter": "+", "smtpd_recipient_limit": "2000", "smtputf8_enable": "no",
    "smtpd_hard_error_limit": "5000", "smtpd_soft_error_limit": "5000", "smtpd_error_sleep_time": "0", "local_transport": "local:$$myhostname",
    "duplicate_filter_limit": "0", "smtpd_junk_command_limit": "5000", "proxy_interfaces": "192.0.2.9", "enable_long_queue_ids": "yes",
}
OPEN = {"smtpd_reject_unlisted_recipient": "no"}

ADDRESSES = """
user user+ext known known+ext other +ext postmaster MAILER-DAEMON double-bounce abuse user@ @ user@. user@.dom user@dom..x user@dom. user@dom..
user@test.example user@TEST.EXAMPLE User+Ext@Test.Example user+a+b@test.example user++a@test.example user+@test.example +a@test.example
user-ext@test.example owner-list@test.example list-request@test.example owner-list+x@test.example list-x-request@test.example a.b@test.example
known@test.example known@mail.test.example known@localhost known@localhost. known@[127.0.0.1] known@[192.0.2.9] known@[192.0.2.10]
known@[IPv6:::1] known@[ipv6:::ffff:127.0.0.1] known@[bad] known@[] known@192.0.2.9 known@127.0.0.1 user@1.2.3 user@123 user@[1.2.3.4]
user@parent.example user@host user@host.parent.example known@host user@sub.test.example user@a.b.test.example
user%far.example user%far.example@test.example user%test.example@far.example site!user site!user@test.example a!b!c@test.example a%b%c@test.example
a!b%c@test.example user@far.example@test.example user@test.example@far.example @a,@b:user@far.example @test.example:user@relay.example
"user"@test.example "us~er"@test.example "user@far.example"@test.example "a!b"@test.example "a%b"@test.example "a\\"b"@test.example ""@test.example
"us~er+ext"@test.example "known"@test.example a..b@test.example .a@test.example a.@test.example -dash@test.example -dash@far.example
user@far.example known@far.example User+Ext@Far.Example user+none@far.example user@sub.far.example user@a.b.far.example user@_x.example user@x_y.example
user@relay.example known@relay.example known+ext@relay.example user@sub.relay.example known@sub.relay.example u@a.sub.relay.example user@dotted.example
user@x.dotted.example user@mailbox.example known@mailbox.example known+x@mailbox.example KNOWN@MAILBOX.example user@sub.mailbox.example
user@alias.example known@alias.example known+x@alias.example "kno~wn"@alias.example user@sub.alias.example user@catch.example "us~er+x"@catch.example
user@not.example user@both.example moved@test.example moved+ext@test.example MOVED@test.example moved@far.example moved@relay.example moved@localhost
moved@alias.example moved@mailbox.example anyone@moved.example "mo~ved"@test.example moved@sub.moved.example moved@[127.0.0.1] moved
t1@far.example t1+x@far.example t1@test.example t2@far.example t2@relay.example t2@test.example t3@far.example t3@relay.example t4@far.example
t4+x@far.example t4@relay.example t5@far.example t5+x@far.example t5+y@far.example t6@far.example t7@far.example t8@mailbox.example t9@far.example
t10@far.example t14@far.example t15@far.example t16@far.example t17@far.example
user@far.example@192.0.2.9 user@192.0.2.9 "a%b"@ !
u@exact.example u@sub.exact.example u@dot.example u@a.dot.example u@a.b.dot.example u@x.dot.example u@null.example u@nullhop.example
u@hop.example u@error.example u@bare.example u@pattern.example u@pattern1.example sub@pattern.example u@list.example u@[192.0.2.50] u@[192.0.2.51]
loop@test.example loop1@far.example many@test.example multi@test.example quoted@test.example self@test.example chain1@test.example chain3@test.example
at@test.example at+x@test.example nodomain@far.example onlyhost@far.example route@far.example comment@far.example bang@far.example empty@far.example
x@mask.example x@a.mask.example x@a.b.mask.example root@a.mask.example x@no.mask.example x@a.no.mask.example xmask.example x@notmask.example
s1@client.example S1@Client.Example s1+x@client.example any@client.example "s~1"@client.example user@sender.example null@sender.example
""".split()
ADDRESSES = [a.replace("~", " ") for a in ADDRESSES] + ["a b@test.example", "u ser@far.example", "x@a b.example"]
SENDING = [a.replace("~", " ") for a in """
user known known+ext +ext user@test.example s1@client.example S2@Client.Example s1+x@client.example user@far.example x@a.mask.example x@a.no.mask.example root@a.mask.example
x@mask.example many@test.example at+x@test.example quoted@test.example "us~er"@far.example user%far.example site!user user@dom. owner-list@test.example chain1@test.example
mailer-daemon MAILER-DAEMON@test.example mailer-daemon@Test.Example mailer-daemon@mail.test.example mailer-daemon+x
""".split()]
PUT_OFF = ["r1@far.example", "r2@far.example", "r3@far.example", "t18@far.example", "u@empty.example", "moved@[192.0.2.10]"]  # stay in the queue

TABLES = {
    "local_recipient_maps": "inline:{known=x, t1=x, moved=x, user@localhost=x, {@mail.test.example=x}, owner-list=x} regexp:{{/^\"us er\"@/ x}}",
    "relay_recipient_maps": "inline:{known@relay.example=x, @sub.relay.example=x, t2@relay.example=x}",
    "virtual_mailbox_maps": "inline:{known@mailbox.example=x/, moved@mailbox.example=x/}",
    "virtual_alias_maps": "inline:{{known@alias.example=known@test.example}, {@catch.example=@far.example}} regexp:{{/^\"kno wn\"@alias/ \"us er\"@test.example}}",
}
CLASSES = {
    "relay_domains": "relay.example, .dotted.example", "virtual_mailbox_domains": "mailbox.example, both.example",
    "virtual_alias_domains": "alias.example, catch.example, both.example", "relay_transport": "relay",
}
ROUTES = {
    "transport_maps": "inline:{{t1@far.example=slow:hop1}, {t2@far.example=:hop2}, {t2@relay.example=:hop2}, {t3@far.example=slow:}, {t4@far.example=:},"
                      " {t4@relay.example=:}, {t5+x@far.example=slow:five}, {t6@far.example=slow}, {t7@far.example=error:5.7.7 no t7 here},"
                      " {t8@mailbox.example=:v8}, {t9@far.example=slow: [a]:25 , b.example}, {t10@far.example=error:}, {r1@far.example=retry}, {r2@far.example=retry:4.7.1 hm},"
                      " {r3@far.example=retry:5.1.3 no}, {t14@far.example=error: }, {t15@far.example=:5.1.1 x}, {t16@far.example=discard:}, {t17@far.example=error: 5.1.2 x}, {t18@far.example=}, {empty.example=}, {exact.example=slow:exact}, {.dot.example=slow:dotted},"
                      " {x.dot.example=far:x}, {null.example=:}, {nullhop.example=slow:}, {hop.example=:[hop]:2525}, {error.example=error:mail is not wanted},"
                      " {bare.example=far}, {[192.0.2.50]=slow:literal}, {test.example=:}, {t1@test.example=slow:local1}, {mailer-daemon@mail.test.example=gone:x},"
                      " {list.example=slow:a.example, [b.example]:26}}"
                      " regexp:{{/^u@pattern\\.example$$/ slow:pattern}, {/^(.*)@pattern(.)\\.example$$/ far:$$1}, {/^sub@/ far:sub}}",
}
SENDERS = {
    "sender_dependent_default_transport_maps": "inline:{{s1@client.example=slow:}, {@sender.example=far:sent}, {s2@client.example=DUNNO}, {<>=gone:null}, {s3@client.example=:x}}",
    "sender_dependent_relayhost_maps": "inline:{{s1@client.example=[s1.gw]}, {@sender.example=[sender.gw]}, {s2@client.example=[s2.gw]:26}, {@client.example=DUNNO}, {<>=[null.gw]}}",
}
MOVED = {"relocated_maps": "inline:{{moved@test.example=new@far.example}, {moved@[192.0.2.10]=}, {moved@far.example=a street, a town}, {@moved.example=nobody knows}, {moved=number +49 123},"
                           " {known+ext@test.example=ext.example}, {@relay.example=5.7.1 elsewhere}, {moved@alias.example=y}}"}

ALIASES = ("inline:{{many@test.example=one@far.example, two@test.example three}, {multi@test.example=a@far.example,a@far.example}, {self@test.example=self@test.example},"
           " {chain1@test.example=chain2, chain3@test.example}, {chain2@test.example=end@far.example},"
           " {chain3@test.example=chain2}, {at@test.example=@far.example}, {quoted@test.example=\"us er\"@far.example}, {nodomain@far.example=someone},"
           " {onlyhost@far.example=x@host}, {comment@far.example=x@hop.example (comment)}, {bang@far.example=site!user},"
           " {known=local@far.example}, {user+ext@test.example=exact@far.example}, {@sub.far.example=all@far.example, last@test.example},"
           " {@catch.example=@far.example}, {owner-list@test.example=owner@far.example}, {-dash@far.example=x@far.example}, {a.b@test.example=dotted@far.example},"
           " {user@mailbox.example=u+kept@far.example}, {known+x@mailbox.example=k@far.example}} regexp:{{/^s(.)@client/ r$$1@far.example}}")

# Configuration: parameters and the senders to try.
CONFIGURATIONS = {
    "plain": ({}, ["", "s1@client.example"]),
    "classes": (dict(CLASSES, **TABLES), ["s1@client.example"]),
    "parents": (dict(CLASSES, relay_domains="$$mydestination, relay.example", parent_domain_matches_subdomains="transport_maps", **TABLES, **ROUTES), ["s1@client.example"]),
    "codes": (dict(CLASSES, show_user_unknown_table_name="no", unknown_local_recipient_reject_code="450", unknown_relay_recipient_reject_code="551",
                   unknown_virtual_alias_reject_code="450", unknown_virtual_mailbox_reject_code="552", recipient_delimiter="", **TABLES), [""]),
    "forms": (dict(resolve_dequoted_address="no", resolve_null_domain="yes", resolve_numeric_domain="yes", allow_min_user="yes", swap_bangpath="no",
                   allow_percent_hack="no", append_dot_mydomain="yes", empty_address_recipient="postmaster"), ["s1@client.example"]),
    "routes": (dict(CLASSES, **ROUTES), ["s1@client.example"]),
    "relayhost": (dict(CLASSES, relayhost="[gw.example]:2525", default_transport="far", virtual_transport="slow:box", local_transport="local", **ROUTES),
                  ["", "s1@client.example"]),
    "senders": (dict(CLASSES, relayhost="[gw.example]", **SENDERS), ["", "s1@client.example", "S2+x@Client.example", "x@sender.example", "other@client.example", "s1"]),
    "elsewhere": (dict(CLASSES, append_at_myorigin="no", mydestination="test.example, localhost", swap_bangpath="no", resolve_null_domain="yes", resolve_numeric_domain="yes",
                       empty_address_recipient="nobody@far.example", **MOVED), ["s1@client.example"]),
    "origin": ({"myorigin": "far.example"}, ["s1@client.example"]),
    "star-pattern": (dict(CLASSES, transport_maps="regexp:{{/^t1/ far:t1}, {/^[^@]*$$/ slow:star}}"), ["s1@client.example"]),
    "star": (dict(CLASSES, transport_maps="inline:{{*=slow:star}, {test.example=:}, {far.example=:other}, {.far.example=far:}}", **SENDERS), ["x@sender.example"]),
    "moved": (dict(CLASSES, **MOVED), ["s1@client.example"]),
    "moved-known": (dict(CLASSES, show_user_unknown_table_name="no", **MOVED, **TABLES, **ROUTES), ["s1@client.example"]),
    "moved-pattern": (dict(CLASSES, relocated_maps="regexp:{{/^moved\\+?(.*)@(.*)$$/ $$1 at $$2}, {/^any/ 4.1.1 soon}}"), ["s1@client.example"]),
    "error": (dict(CLASSES, default_transport="error:5.1.2 mail to remote is not wanted", relay_transport="error:later", virtual_transport="error:4.2.1 soon",
                   sender_dependent_default_transport_maps="inline:{s1@client.example=far:}", local_transport="error"), ["s1@client.example", "s2@client.example"]),
    "codes-moved": (dict(CLASSES, unknown_virtual_alias_reject_code="450", **MOVED), [""]),
    "senders-mapped": ({"local_recipient_maps": "inline:{x=x}", "append_dot_mydomain": "yes", "sender_canonical_maps": "inline:{{known=a}, {@host=b}, {owner-list@test.example=c}, {@far.example=d}}",
                        "relocated_maps": "inline:{@far.example=x, @host.parent.example=y}"}, [""]),
    "delimiters": (dict(CLASSES, recipient_delimiter="-.", **TABLES, **MOVED), ["s1@client.example"]),
    "no-original": (dict(CLASSES, enable_original_recipient="no", virtual_alias_maps=ALIASES), ["s1@client.example"]),
    "overlap": (dict(CLASSES, mydestination="test.example, both.example, alias.example, regexp:{{/^sub\\.far/ x}}, inline:{a.b.far.example=x}"), ["s1@client.example"]),
    "contradictions": ({"mydestination": "test.example, far.example, both.example", "virtual_alias_domains": "both.example, alias.example, sub.relay.example, [127.0.0.1], hop.example",
                        "virtual_mailbox_domains": "both.example, mailbox.example, test.example, inline:{hop.example=x, sub.far.example=x}", "relay_domains":
                        "far.example, relay.example, mailbox.example, alias.example, hop.example, .far.example", "virtual_alias_maps": "static:x@bare.example"}, ["s1@client.example"]),
}


def make_pair(tmp_path_factory, name, main, services, master=""):
    main = {key: value.replace("$$", "$") if key in ("local_transport", "relay_domains") else value for key, value in dict(MAIN, **main).items()}
    ours = postern.Instance(str(tmp_path_factory.mktemp("ours-" + name)), main, services, master=master, basic=MASTER).start()
    theirs = postfix.Instance(str(tmp_path_factory.mktemp("theirs-" + name)), main, services, master=master)
    theirs.basic = MASTER
    theirs.write_config()
    return ours, theirs.start()


def replies(client, verb, addresses):
    return {a: client.command("%s:<%s>" % (verb, a)) for a in addresses}


def recipient_replies(instance, listener, sender, addresses):
    with instance.client(listener) as client:
        client.expect(250, "EHLO client.example")
        client.expect(250, "MAIL FROM:<%s>" % sender)
        return replies(client, "RCPT TO", addresses)


def sender_replies(instance, listener, addresses):
    found = {}
    with instance.client(listener) as client:
        client.expect(250, "EHLO client.example")
        for address in addresses:
            found.update(replies(client, "MAIL FROM", [address]))
            client.expect(250, "RSET")
    return found


def deliveries(instance, listener, sender, addresses):
    """Sends to the addresses; {(recipient, original, transport, status, text)} of what was delivered."""
    mark = instance.log_size()
    with instance.client(listener) as client:
        client.expect(250, "EHLO client.example")
        client.expect(250, "MAIL FROM:<%s>" % sender)
        accepted = [a for a, reply in replies(client, "RCPT TO", addresses).items() if reply.startswith("250")]
        queue_id = client.data("Subject: x\r\n\r\nx\r\n")
    instance.wait_log("qmgr\\[\\d+\\]: %s: removed" % queue_id, 60, since=mark)
    found = {("accepted", a) for a in accepted}
    pattern = r"postfix/(\w+)(?:/discard)?\[\d+\]: %s: to=<(.*?)>(?:, orig_to=<(.*?)>)?, .*?dsn=([\d.]+), status=(.*)" % queue_id
    for transport, to, original, dsn, status in re.findall(pattern, instance.log(mark)):
        found.add((to, original or to, transport, dsn, status.lower()))  # a destination has one case, whichever comes first
    return found


def contradictions(instance):
    """Which domains are said to be in two classes."""
    return set(re.findall(r"warning: (do not list domain .*)", instance.log()))


def differences(ours, theirs):
    """Of two dictionaries or sets."""
    if isinstance(ours, dict):
        ours, theirs = set(ours.items()), set(theirs.items())
    return sorted([("ours", *x) for x in ours - theirs] + [("theirs", *x) for x in theirs - ours], key=lambda x: x[1:])


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
@exercises("mydestination", "myorigin", "mydomain", "proxy_interfaces", "relay_domains", "virtual_alias_domains", "virtual_mailbox_domains", "local_transport",
           "virtual_transport", "relay_transport", "default_transport", "transport_maps", "relocated_maps", "relayhost", "sender_dependent_relayhost_maps",
           "sender_dependent_default_transport_maps", "local_recipient_maps", "relay_recipient_maps", "virtual_mailbox_maps", "virtual_alias_maps",
           "parent_domain_matches_subdomains", "recipient_delimiter", "resolve_dequoted_address", "resolve_null_domain", "resolve_numeric_domain",
           "allow_min_user", "swap_bangpath", "allow_percent_hack", "append_dot_mydomain", "empty_address_recipient", "show_user_unknown_table_name",
           "unknown_local_recipient_reject_code", "unknown_relay_recipient_reject_code", "unknown_virtual_alias_reject_code",
           "unknown_virtual_mailbox_reject_code", "smtpd_reject_unlisted_recipient", "smtpd_reject_unlisted_sender")
def test_resolving(tmp_path_factory, name):
    main, senders = CONFIGURATIONS[name]
    pair = make_pair(tmp_path_factory, name, main, {"strict": {}, "open": OPEN, "senders": dict(OPEN, smtpd_reject_unlisted_sender="yes", smtpd_delay_reject="no")})
    answers, known, arrived = [], [], []
    try:
        for instance in pair:
            answers.append(recipient_replies(instance, "strict", senders[0], ADDRESSES + PUT_OFF))
            known.append(sender_replies(instance, "senders", ADDRESSES))
            arrived.append([deliveries(instance, "open", sender, ADDRESSES) for sender in senders])
    finally:
        for instance in pair:
            instance.stop(check=False)
    wrong = differences(*answers) + differences(*known) + differences(*map(contradictions, pair))
    for ours, theirs in zip(*arrived):
        wrong += differences(ours, theirs)
        assert len(theirs) > 50
    assert not wrong, "\n".join(map(str, wrong))


RELAY = {"smtpd_relay_restrictions": "reject_unauth_destination"}
LISTENERS = {
    "plain": {}, "dest": {"mydestination": "other.example"}, "relay": {"relay_domains": "other.example"}, "alias": {"virtual_alias_domains": "other.example"},
    "mailbox": {"virtual_mailbox_domains": "other.example", "virtual_mailbox_maps": "inline:{b=x}"}, "host": {"myhostname": "h.example", "mydestination": "$myhostname"},
    "transport": {"transport_maps": "inline:{{test.example=error:5.7.7 gone}}"}, "moved": {"relocated_maps": "inline:{{a@test.example=x}}"},
    "local": {"local_transport": "error:5.7.8 no"}, "locals": {"local_recipient_maps": "inline:{known=x}"}, "aliases": {"virtual_alias_maps": "inline:{a@va.example=x}"},
    "relays": {"relay_recipient_maps": "inline:{a@relay.example=x}"}, "boxes": {"virtual_mailbox_maps": "inline:{a@vm.example=x}"},
    "origin": {"myorigin": "other.example", "local_recipient_maps": "inline:{known=x}"}, "origins": {"myorigin": "relay.example", "relay_recipient_maps": "inline:{known=x}"},
    "delimiter": {"recipient_delimiter": "-", "local_recipient_maps": "inline:{known=x}"}, "null": {"resolve_null_domain": "yes"},
    "dot": {"append_dot_mydomain": "yes", "mydestination": "test.example, h.parent.example"}, "numeric": {"resolve_numeric_domain": "yes"},
    "min": {"allow_min_user": "yes"}, "name": {"show_user_unknown_table_name": "no", "local_recipient_maps": "inline:{known=x}"},
    "percent": {"allow_percent_hack": "no"}, "bang": {"swap_bangpath": "no"}, "quotes": {"resolve_dequoted_address": "no"}, "proxy": {"proxy_interfaces": "192.0.2.77"},
    "empty": {"empty_address_recipient": "postmaster", "local_recipient_maps": "inline:{known=x}"}, "parents": {"parent_domain_matches_subdomains": "relay_domains"},
}
LISTENED = """
a@test.example known@test.example known-x@test.example known+x@test.example known a a@other.example known@other.example a@relay.example known@relay.example
a@sub.relay.example a@va.example a@vm.example a@h a@ u@192.0.2.77 a@[192.0.2.77] -a@test.example a%far.example@test.example h!a@test.example
"a@far.example"@test.example u@h.example u@mail.test.example a@sub.other.example
""".split()
RULES = {  # of the rewrite service, next to every listener's own
    "without": {}, "empty": {"empty_address_recipient": "known"}, "forms": {"allow_min_user": "yes", "resolve_null_domain": "yes", "swap_bangpath": "no", "myorigin": "relay.example"},
    "classes": {"mydestination": "other.example", "relay_domains": "test.example", "virtual_mailbox_domains": "va.example", "virtual_alias_domains": "vm.example"},
    "routes": {"relocated_maps": "inline:{{known@test.example=x}, {known=y}}", "transport_maps": "inline:{relay.example=error:}", "myorigin": "other.example"},
}


@pytest.mark.parametrize("name", sorted(RULES))
@exercises("rewrite_service_name")
def test_settings_of_listeners_and_of_the_rewrite_service(tmp_path_factory, name):
    """What is the resolver's own is decided by main.cf and the rewrite service's options, the rest by the listener's."""
    master = "other unix - - n - - trivial-rewrite\n" + "".join("  -o { %s = %s }\n" % pair for pair in RULES[name].items())
    main = {"relay_domains": "relay.example", "virtual_alias_domains": "va.example", "virtual_mailbox_domains": "vm.example", "rewrite_service_name": "other",
            "virtual_mailbox_maps": "inline:{known@vm.example=x}", "parent_domain_matches_subdomains": ""}
    pair = make_pair(tmp_path_factory, name, main, {key: dict(RELAY, **value) for key, value in LISTENERS.items()}, master)
    try:
        answers = [{(listener, a): reply for listener in LISTENERS for a, reply in recipient_replies(instance, listener, "", LISTENED).items()} for instance in pair]
    finally:
        for instance in pair:
            instance.stop(check=False)
    wrong = differences(*answers)
    assert not wrong, "\n".join(map(str, wrong))


ENDLESS = "inline:{{empty@test.example=,}, {nothing@test.example=}, {loop@test.example=loop1@far.example}, {loop1@far.example=loop@test.example}, {many@test.example=self@test.example, many@test.example, x@far.example}} regexp:{{/^(g.*)@test/ a$$1, $$1b@test.example}, {/^(.*)@far\\.example/ $$1$$1@far.example}}"
MAILS = {
    "aliases": {"virtual_alias_maps": ALIASES}, "aliases-extensions": {"virtual_alias_maps": ALIASES, "propagate_unmatched_extensions": "canonical"},
    "aliases-delimiters": {"virtual_alias_maps": ALIASES, "recipient_delimiter": "-."}, "aliases-none": {"virtual_alias_maps": ALIASES, "recipient_delimiter": ""},
    "aliases-special": {"virtual_alias_maps": ALIASES, "recipient_delimiter": "-", "owner_request_special": "no"},
    "canonical": {"canonical_maps": ALIASES}, "canonical-extensions": {"canonical_maps": ALIASES, "propagate_unmatched_extensions": "virtual"},
    "classes": {"canonical_maps": ALIASES, "canonical_classes": "envelope_sender", "recipient_canonical_maps": "inline:{{@far.example=@hop.example}}"},
    "both": {"recipient_canonical_maps": "inline:{{@far.example=@hop.example}, {user@hop.example=back@far.example}}", "canonical_maps": "inline:{{@hop.example=@last.example}}",
             "sender_canonical_maps": "inline:{{@client.example=@hop.example}}", "virtual_alias_maps": "inline:{{@last.example=kept@last.example}}"},
    "masquerade": {"masquerade_domains": "no.mask.example mask.example", "masquerade_exceptions": "root",
                   "masquerade_classes": "envelope_sender, envelope_recipient, header_sender, header_recipient"},
    "masquerade-not": {"masquerade_domains": "!no.mask.example mask.example, far.example"},
    "masquerade-case": {"masquerade_domains": "Mask.Example"},
    "copies-mapped": {"always_bcc": "all+x@far.example", "recipient_bcc_maps": "static:known@far.example", "sender_bcc_maps": "static:sent@a.mask.example",
                      "canonical_maps": "inline:{{@far.example=@hop.example}}", "masquerade_domains": "mask.example", "masquerade_classes": "envelope_recipient"},
    "quotes": {"canonical_maps": "inline:{{a..b@test.example=c1@far.example}, {.a@test.example=c2@far.example}, {\".a\"@test.example=c3@far.example}} regexp:{{/^us er@/ c4@far.example}}"},
    "quotes-aliases": {"virtual_alias_maps": "inline:{{a..b@test.example=c1@far.example}, {.a@test.example=c2@far.example}, {\".a\"=c3@far.example}} regexp:{{/^us er@/ c4@far.example}}"},
    "quotes-copies": {"recipient_bcc_maps": "inline:{{a..b@test.example=c1@far.example}, {\".a\"=c3@far.example}} regexp:{{/^us er@/ c4@far.example}}"},
    "percent": {"virtual_alias_maps": "inline:{{user@test.example=u%far.example}, {known@test.example=site!k}, {a@far.example=x%y@test.example}}"},
    "copies": {"recipient_bcc_maps": "inline:{{known=copy@far.example}, {@far.example=copy2}, {user+ext@test.example=copy3+y@far.example}}",
               "sender_bcc_maps": "inline:{{s1@client.example=sent@far.example}, {@sender.example=sent}}", "always_bcc": "always+x"},
    "unmapped": {"virtual_alias_maps": ALIASES, "canonical_maps": ALIASES, "receive_override_options": "no_address_mappings", "always_bcc": "never"},
}


def endless_replies(instance):
    """To messages whose recipient has no end of aliases, or none that is an address."""
    found = {}
    for listener in ("endless", "endless-few", "endless-canonical", "endless-copies"):
        for address in ("empty@test.example", "nothing@test.example", "loop@test.example", "loop1@far.example", "many@test.example", "grow@test.example", "u@far.example", "u@hop.example"):
            with instance.client(listener) as client:
                for line in ("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<%s>" % address):
                    client.expect(250, line)
                client.expect(354, "DATA")
                client.raw("Subject: x\r\n\r\nx\r\n.\r\n")
                found[listener, address] = re.sub(r"queued as \w+", "queued", client.reply())
    return found


def envelope_senders(instance, listener, addresses):
    """What the senders of messages became."""
    found = {}
    with instance.client(listener) as client:
        client.expect(250, "EHLO client.example")
        for address in addresses:
            if client.command("MAIL FROM:<%s>" % address).startswith("250"):
                client.expect(250, "RCPT TO:<u@dump.example>")
                found[address] = client.data("Subject: x\r\n\r\nx\r\n")
            else:
                client.expect(250, "RSET")
    return {a: instance.wait_log(r"qmgr\[\d+\]: %s: from=(<.*?>)," % queue_id, 60).group(1) for a, queue_id in found.items()}


@exercises("virtual_alias_maps", "propagate_unmatched_extensions", "recipient_delimiter", "owner_request_special", "enable_original_recipient", "canonical_maps",
           "canonical_classes", "recipient_canonical_maps", "sender_canonical_maps", "masquerade_domains", "masquerade_exceptions", "masquerade_classes",
           "recipient_bcc_maps", "sender_bcc_maps", "always_bcc", "receive_override_options", "cleanup_service_name")
def test_addresses_of_new_mail(tmp_path_factory):
    master = "".join("cleanup-%s unix n - n - 0 cleanup\n" % name + "".join("  -o { %s = %s }\n" % pair for pair in options.items()) for name, options in MAILS.items())
    limits = "  -o virtual_alias_expansion_limit=3 -o virtual_alias_recursion_limit=2 -o virtual_alias_address_length_limit=100\n"
    endless = {"endless": ("virtual_alias_maps", ""), "endless-few": ("virtual_alias_maps", limits), "endless-canonical": ("canonical_maps", ""),
               "endless-copies": ("recipient_bcc_maps", "")}
    for name, (parameter, options) in endless.items():
        master += "cleanup-%s unix n - n - 0 cleanup\n  -o { %s = %s }\n%s" % (name, parameter, ENDLESS, options)
    listeners = {name: dict(OPEN, cleanup_service_name="cleanup-" + name) for name in endless}
    listeners.update({name: dict(OPEN, cleanup_service_name="cleanup-" + name, **{k: v for k, v in options.items() if k == "receive_override_options"})
                      for name, options in MAILS.items()})
    main = {"transport_maps": "inline:{{dump.example=gone:}}"}
    pair = make_pair(tmp_path_factory, "mail", main, listeners, master)
    try:
        replies = [endless_replies(instance) for instance in pair]
        mails = [{(name, *d) for name in MAILS for d in deliveries(instance, name, "s1@client.example", ADDRESSES)} for instance in pair]
        senders = [{(name, a): sender for name in MAILS for a, sender in envelope_senders(instance, name, SENDING).items()} for instance in pair]
    finally:
        for instance in pair:
            instance.stop(check=False)
    wrong = differences(*replies) + differences(*mails) + differences(*senders)
    assert len(senders[1]) > 200 and not wrong, "\n".join(map(str, wrong))
