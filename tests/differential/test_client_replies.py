"""Servers that say odd things, and routes with hosts that are not to be had, by Debian's Postfix and by us: what is logged of them."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {"mydestination": "test.example", "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "", "enable_long_queue_ids": "no", "smtp_sasl_type": "cyrus", "smtputf8_enable": "no",
        "default_destination_concurrency_failed_cohort_limit": "0", "append_dot_mydomain": "no", "smtp_randomize_addresses": "no", "smtp_connection_cache_on_demand": "no"}


def offers(*keywords):
    return "\r\n".join("250%s%s" % ("-" if i < len(keywords) else " ", k) for i, k in enumerate(("sink.example",) + keywords))


TLS, ENCRYPT, LOGIN = offers("STARTTLS"), {"smtp_tls_security_level": "encrypt"}, {"smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "inline:{x=u:p}"}
SERVERS = {  # name: (rules of the server, settings of the client)
    "greeting1": ({"CONNECT": "199 hm"}, {}), "greeting3": ({"CONNECT": "354 hm"}, {}), "greeting0": ({"CONNECT": "000 hm"}, {}), "greeting6": ({"CONNECT": "666 hm"}, {}),
    "greeting5": ({"CONNECT": "554 5.7.1 no"}, {}), "greeting-stray": ({"CONNECT": "junk\r\n554 5.7.1 no"}, {}), "ehlo421": ({"EHLO": "421 4.7.0 slow"}, {}), "ehlo000": ({"EHLO": "000 hm"}, {}),
    "mail421": ({"MAIL": "421 4.3.0 no"}, {}), "one421": ({"RCPT": lambda line: "421 4.7.0 slow" if "u0@" in line else "250 2.1.5 ok"}, {}), "dot421": ({"DOT": "421 4.3.0 no"}, {}),
    "tls421": ({"EHLO": TLS, "STAR": "421 4.7.0 no"}, {"smtp_tls_security_level": "may"}), "tls554": ({"EHLO": TLS, "STAR": "554 5.7.0 no"}, ENCRYPT), "tls354": ({"EHLO": TLS, "STAR": "354 no"}, ENCRYPT),
    "tls454": ({"EHLO": TLS, "STAR": "454 4.7.0 no"}, ENCRYPT), "tls-none": ({}, ENCRYPT), "stray": ({"RCPT": "what\r\n550 5.1.1 no"}, {}), "stray-alone": ({"EHLO": "250 x", "RCPT": "what\r\n\r\nhm\r\n550 5.1.1 no"}, {}),
    "stray-first": ({"EHLO": "250 x", "RCPT": "\r\n550 5.1.1 no"}, {}), "tab": ({"EHLO": "250 x", "RCPT": "550\t5.1.1 x\r\n550 5.1.1 y\tz"}, {}), "tab-after": ({"RCPT": "550 5.1.1\tx"}, {}), "blanks": ({"RCPT": "550   5.1.1   no  "}, {}), "cr": ({"RCPT": "550 5.1.1 no\r\r"}, {}),
    "long": ({"RCPT": "550 5.1.1 " + "y" * 3000}, {}), "sized": ({"EHLO": offers("SIZE=100")}, {}), "size-bad": ({"EHLO": offers("SIZE 12abc")}, {}), "size-minus": ({"EHLO": offers("SIZE -1")}, {}),
    "size-huge": ({"EHLO": offers("SIZE 99999999999999999999")}, {}), "size-two": ({"EHLO": offers("size 1000000 x")}, {}), "utf8": ({"EHLO": offers("SMTPUTF8")}, {}), "auth-none": ({"EHLO": offers("AUTH")}, LOGIN),
    "auth-other": ({"EHLO": offers("AUTH X-FOO PLAIN", "AUTH=LOGIN")}, dict(LOGIN, smtp_sasl_mechanism_filter="cram-md5")),
    "auth-null-login": ({"EHLO": offers("AUTH")}, dict(LOGIN, smtp_sasl_password_maps="static:u:p")), "auth-other-login": ({"EHLO": offers("AUTH PLAIN")}, dict(LOGIN, smtp_sasl_mechanism_filter="!plain", smtp_sasl_password_maps="static:u:p")),
    "discard-some": ({}, {"smtp_discard_ehlo_keywords": "pipelining, dsn enhancedstatuscodes size 8bitmime starttls auth xforward"}), "discard-silent": ({}, {"smtp_discard_ehlo_keywords": "silent-discard, dsn"}),
    "discard-map": ({}, {"smtp_discard_ehlo_keyword_address_maps": "inline:{127.0.0.1=dsn}"}), "discard-old": ({"EHLO": "500 what"}, {"smtp_discard_ehlo_keywords": "dsn"}),
}


def of_servers(kind, directory):
    """The log lines of each transport, without what they have several times."""
    sinks = {name: postern.Sink(rules=rules) for name, (rules, _) in SERVERS.items()}
    main = dict(MAIN, transport_maps="inline:{%s}" % ", ".join("{%s.example=%s:[127.0.0.1]:%d}" % (n, n, s.port) for n, s in sinks.items()))
    master = "".join("%s unix - - n - - smtp\n  -o { syslog_name=postfix/to-%s }\n" % (n, n) + "".join("  -o { %s = %s }\n" % pair for pair in o.items()) for n, (_, o) in SERVERS.items())
    instance = kind(directory, main, master=master)
    try:
        instance.start()
        for name in SERVERS:
            with instance.client() as c:
                queued = c.mail("", ["u0@%s.example" % name, "u1@%s.example" % name], "Subject: x\r\n\r\nx\r\n")
            instance.wait_handled(queued)
        return {name: steady(re.findall(r"postfix/to-%s/smtp\[\d+\]: (.*)" % name, instance.log()), sinks[name].port) for name in SERVERS}
    finally:
        instance.stop(check=False)
        for sink in sinks.values():
            sink.close()


def steady(lines, port):
    """Sizes differ by the length of queue ids."""
    found = []
    for line in lines:
        line = re.sub(r"delay=.*?, delays=\S+|(?<=message size )\d+", "", line.replace(":%d" % port, ":PORT"))[:300]
        found.append(re.sub(r"^(warning: )?[0-9A-F]{6,}: ", r"\1QID: ", line))
    return sorted(set(found))


def agree(side, tmp_path):
    theirs, ours = side(postfix.Instance, str(tmp_path / "theirs")), side(postern.Instance, str(tmp_path / "ours"))
    differences = ["%s\n  theirs %s\n  ours   %s" % (name, theirs[name], ours[name]) for name in theirs if theirs[name] != ours[name]]
    assert all(theirs.values()) and not differences, "\n".join(differences)


@exercises("smtp_discard_ehlo_keywords", "smtp_discard_ehlo_keyword_address_maps")
def test_odd_servers(tmp_path):
    agree(of_servers, tmp_path)


ZONE = {
    "dead.example": {"A": ["127.0.0.2"]}, "live.example": {"A": ["127.0.0.3"]}, "own.example": {"A": ["127.0.0.1"]}, "mirror.example": {"A": ["127.0.0.10"]}, "null.example": {"MX": [(0, "")]},
    "sick.example": {"SERVFAIL": True}, "lost.example": {"MX": [(10, "missing.example")]}, "self.example": {"MX": [(10, "own.example")]}, "empty.example": {"TXT": ["x"]}, "tired.example": {"A": ["127.0.0.4", "127.0.0.5"]},
    "mirrorlast.example": {"MX": [(10, "dead.example"), (20, "mirror.example")]}, "mirrorfirst.example": {"MX": [(10, "mirror.example"), (20, "live.example")]},
    "mirrormiddle.example": {"MX": [(10, "dead.example"), (20, "mirror.example"), (30, "live.example")]},
}
HOSTS = ["none.example", "[none.example]", "live.example"] + sorted(set(ZONE) - {"live.example"})
ROUTES = {"%s%d" % (form, i): (form, host) for form in ("only", "fallback", "second", "first", "tired") for i, host in enumerate(HOSTS)}


def of_routes(kind, directory):
    """Each way that a host can stand in a route has a transport of its own where it is a fallback relay."""
    later = {"MAIL": "450 4.3.2 later"}
    servers = [postern.Sink("127.0.0.3", 25), postern.Sink("127.0.0.4", 25, rules=later), postern.Sink("127.0.0.5", 25, rules=later), postern.Sink("127.0.0.10", 25, rules={"EHLO": "250 mail.test.example"})]
    dns = postern.Dns(dict(ZONE, **{"%s.example" % n: {"A": ["127.0.0.2"]} for n in ROUTES}))
    nexthop = {"only": "%s", "second": "dead.example %s", "first": "%s dead.example", "fallback": "", "tired": "tired.example"}
    maps, master = [], ""
    for name, (form, host) in ROUTES.items():
        maps.append("{%s.example=%s:%s}" % (name, name, nexthop[form].replace("%s", host)))
        master += "%s unix - - n - - smtp\n  -o { syslog_name=postfix/to-%s }\n" % (name, name)
        master += "  -o { smtp_fallback_relay = %s }\n" % host if form in ("fallback", "tired") else ""
    instance = kind(directory, dict(MAIN, transport_maps="inline:{%s}" % ", ".join(maps)), master=master)
    try:
        instance.start()
        queued = []
        for name in ROUTES:
            with instance.client() as c:
                queued.append(c.mail("", ["u@%s.example" % name], "Subject: x\r\n\r\nx\r\n"))
        for queue_id in queued:
            instance.wait_handled(queue_id)
        return {" ".join(route): steady(re.findall(r"postfix/to-%s/smtp\[\d+\]: (.*)" % name, instance.log()), 25) for name, route in ROUTES.items()}
    finally:
        instance.stop(check=False)
        dns.close()
        for server in servers:
            server.close()


@exercises("smtp_fallback_relay", "smtp_mx_session_limit")
def test_routes(tmp_path):
    agree(of_routes, tmp_path)


def first(reply):
    """For the first recipient only."""
    return lambda line: reply if "u0@" in line else "250 2.1.5 ok"


SINGLE, LIMITED = "250-sink.example\r\n250 8BITMIME", {"smtp_connection_reuse_count_limit": "1"}
KEPT = {  # name: (rules of the server, settings of the client)
    "plain": ({}, {}), "limited": ({}, LIMITED), "rcpt504": ({"RCPT": "504 5.5.4 x"}, {}), "rcpt505": ({"RCPT": "505 x"}, {}), "rcpt550": ({"RCPT": "550 x"}, {}), "rcpt450": ({"RCPT": "450 x"}, {}),
    "rcpt999": ({"RCPT": "999 x"}, {}), "rcpt354": ({"RCPT": "354 x"}, {}), "first504": ({"RCPT": first("504 x")}, {}), "first550": ({"RCPT": first("550 x")}, {}), "first450": ({"RCPT": first("450 x")}, {}),
    "stray-rcpt": ({"RCPT": "junk\r\n250 ok"}, {}), "stray-single": ({"EHLO": SINGLE, "RCPT": "junk\r\n250 ok"}, {}), "stray-blank": ({"RCPT": "\r\n250 ok"}, {}), "dot504": ({"DOT": "504 x"}, {}), "dot554": ({"DOT": "554 x"}, {}),
    "dot451": ({"DOT": "451 x"}, {}), "dot354": ({"DOT": "354 x"}, {}), "data503": ({"DATA": "503 x"}, {}), "data554": ({"DATA": "554 x"}, {}), "data250": ({"DATA": "250 x"}, {}), "data451": ({"DATA": "451 x"}, {}),
    "helo": ({"EHLO": "502 no"}, {}), "mixed": ({"RCPT": "250-a\r\n550 b"}, {}),
}


def of_kept(kind, directory):
    """Three messages one after the other to each server: how many connections, and what is logged of the recipients."""
    sinks = {name: postern.Sink(rules=rules) for name, (rules, _) in KEPT.items()}
    main = dict(MAIN, transport_maps="inline:{%s}" % ", ".join("{%s.example=%s:[127.0.0.1]:%d}" % (n, n, s.port) for n, s in sinks.items()), connection_cache_ttl_limit="600s",
                smtp_connection_cache_destinations="127.0.0.1", smtp_connection_cache_time_limit="600s")
    master = "".join("%s unix - - n - - smtp\n  -o { syslog_name=postfix/to-%s }\n" % (n, n) + "".join("  -o { %s = %s }\n" % pair for pair in o.items()) for n, (_, o) in KEPT.items())
    instance = kind(directory, main, master=master)
    try:
        instance.start()
        for _ in range(3):
            for name in KEPT:
                with instance.client() as c:
                    queued = c.mail("", ["u0@%s.example" % name, "u1@%s.example" % name], "Subject: x\r\n\r\nx\r\n")
                instance.wait_handled(queued)
        return {name: (sink.connections, [steady([line], sink.port) for line in sorted(re.findall(r"postfix/to-%s/smtp\[\d+\]: \w+: (to=.*)" % name, instance.log()))])
                for name, sink in sinks.items()}
    finally:
        instance.stop(check=False)
        for sink in sinks.values():
            sink.close()


@exercises("smtp_connection_cache_destinations", "smtp_connection_reuse_count_limit", "smtp_connection_cache_time_limit")
def test_kept_connections(tmp_path):
    agree(of_kept, tmp_path)


SOFT = {  # name: rules of the first and the second host
    "far": ({"RCPT": "550 5.1.1 no"}, {"RCPT": "551 5.1.2 no"}), "second": ({"RCPT": "550 5.1.1 no"}, {}), "half": ({"RCPT": first("550 5.1.1 no")}, {"RCPT": "450 4.2.0 later"}), "mail": ({"MAIL": "550 5.1.7 no"}, {}),
    "data": ({"DATA": "554 5.6.0 no"}, {"DATA": "554 5.6.0 no"}), "closed": ({"CONNECT": "554 5.7.1 no"}, {"CONNECT": "421 no"}), "later": ({"RCPT": "450 4.1.1 no"}, {"RCPT": "550 5.1.1 no"}),
}


def of_soft(kind, directory):
    zone, servers, maps = {}, [], []
    for i, (name, rules) in enumerate(SOFT.items()):
        zone[name + ".example"] = {"MX": [(10, "a.%s.example" % name), (20, "b.%s.example" % name)]}
        for k, letter in enumerate("ab"):
            address = "127.0.%d.%d" % (i + 1, k + 1)
            zone["%s.%s.example" % (letter, name)] = {"A": [address]}
            servers.append(postern.Sink(address, 25, rules=rules[k]))
    maps = ", ".join("{%s.example=%s:}" % (n, n) for n in SOFT)
    dns = postern.Dns(zone)
    master = "".join("%s unix - - n - - smtp\n  -o { syslog_name=postfix/to-%s }\n" % (n, n) for n in SOFT)
    instance = kind(directory, dict(MAIN, transport_maps="inline:{%s}" % maps, soft_bounce="yes", smtp_skip_5xx_greeting="no", inet_protocols="ipv4"), master=master)
    try:
        instance.start()
        for name in SOFT:
            with instance.client() as c:
                queued = c.mail("s@client.example", ["u0@%s.example" % name, "u1@%s.example" % name], "Subject: x\r\n\r\nx\r\n")
            instance.wait_handled(queued)
        return {name: steady(re.findall(r"postfix/to-%s/smtp\[\d+\]: (.*)" % name, instance.log()), 25) for name in SOFT}
    finally:
        instance.stop(check=False)
        dns.close()
        for server in servers:
            server.close()


@exercises("soft_bounce")
def test_soft_bounce(tmp_path):
    agree(of_soft, tmp_path)
