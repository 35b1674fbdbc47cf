"""What the SMTP client does with odd servers and mail under its settings, by Debian's Postfix and by us: what the server hears, what is logged."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from test_smtp_client import CLIENT  # noqa: E402
from test_smtp_settings import NAMES, NEAR, SHORT_NAMES, routes_by_short_name, search_list, where  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

USUAL = ("PIPELINING", "SIZE", "8BITMIME", "DSN")
ALL = ("XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT",)
FORWARD = "XFORWARD NAME=mail.far.example ADDR=192.0.2.7 PORT=77 PROTO=SMTP HELO=hello.far.example IDENT=abc SOURCE=REMOTE"
NOTHING = "XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[UNAVAILABLE] PROTO=[UNAVAILABLE] IDENT=[UNAVAILABLE]"
PIX = {"smtp_pix_workaround_threshold_time": "0", "smtp_pix_workaround_delay_time": "1s"}
XF = {"smtp_send_xforward_command": "yes"}
CASES = {  # rules of the server, its keywords, settings of the client, what the sending client says before
    "stars": ({"CONNECT": "220 ************"}, USUAL, PIX, ""),
    "starred": ({"CONNECT": "220 **2*****0* ***"}, USUAL, PIX, ""),
    "star": ({"CONNECT": "220 *"}, USUAL, PIX, ""),
    "name": ({"CONNECT": "220 mx **** ESMTP"}, USUAL, PIX, ""),
    "lines": ({"CONNECT": "220-***\r\n220 x ESMTP"}, USUAL, PIX, ""),
    "young": ({"CONNECT": "220 *****"}, USUAL, {}, ""),
    "pixmap": ({"CONNECT": "220 *****"}, USUAL, dict(PIX, smtp_pix_workaround_maps="inline:{127.0.0.1=delay_dotcrlf}"), ""),
    "pixmap2": ({"CONNECT": "220 *****"}, USUAL, {"smtp_pix_workaround_maps": "inline:{127.0.0.1=disable_esmtp}"}, ""),
    "pixoff": ({"CONNECT": "220 *****"}, USUAL, dict(PIX, smtp_pix_workarounds=""), ""),
    "forward": ({}, ALL + ("DSN",), XF, FORWARD),
    "unknown": ({}, ALL, XF, NOTHING),
    "own": ({}, ALL, XF, ""),
    "some": ({}, ("XFORWARD NAME HELO", "PIPELINING"), XF, FORWARD),
    "six": ({}, ALL, XF, "XFORWARD NAME=a.example ADDR=IPv6:2001:db8::1"),
    "off": ({}, ALL, {}, FORWARD),
    "reply": ({"RCPT": "550 5.1.1 no such"}, USUAL, {"smtp_reply_filter": "regexp:{{/^550 5.1.1 (.*)/ 450 4.7.1 later $$1}}"}, ""),
    "garbage": ({"MAIL": "250-junk\r\njunk\r\n250 2.1.0 fine"}, USUAL, {"smtp_reply_filter": "regexp:{{!/^[2-5][0-9][0-9]/ 250-filler}}"}, ""),
    "accepted": ({"RCPT": "550 5.1.1 no such"}, USUAL, {"smtp_reply_filter": "regexp:{{/^550/ 250 2.1.5 yes}}"}, ""),
    "failing": ({}, USUAL, {"smtp_reply_filter": "fail:x"}, ""),
    "status": ({}, USUAL, {"smtp_delivery_status_filter": "regexp:{{/^2.0.0 (.*)/ 2.9.9 changed $$1}}"}, ""),
    "softer": ({"RCPT": "550 5.1.1 no such"}, USUAL, {"default_delivery_status_filter": "regexp:{{/^5.1.1 (.*)/ 4.7.1 later $$1}}"}, ""),
    "harder": ({"RCPT": "450 4.1.1 not yet"}, USUAL, {"smtp_delivery_status_filter": "regexp:{{/^4.1.1 (.*)/ 5.7.1 never $$1}}"}, ""),
    "lies": ({"RCPT": "550 5.1.1 no such"}, USUAL, {"smtp_delivery_status_filter": "regexp:{{/^5.1.1 (.*)/ 2.7.1 fine}}"}, ""),
    "nofilter": ({"RCPT": "550 5.1.1 no such"}, USUAL, {"smtp_delivery_status_filter": "fail:xx"}, ""),
}


def run(kind, directory):
    """One instance; each case has a transport and a server of its own."""
    sinks = {name: postern.Sink(rules=rules, keywords=keywords) for name, (rules, keywords, _, _) in CASES.items()}
    main = {"mydestination": "test.example", "inet_interfaces": "127.0.0.1", "smtpd_relay_restrictions": "permit_mynetworks, reject", "inet_protocols": "all",
            "smtputf8_enable": "no", "enable_long_queue_ids": "no", "smtpd_authorized_xforward_hosts": "127.0.0.1", "notify_classes": "",
            "transport_maps": "inline:{%s}" % ", ".join("{%s.example=%s:[127.0.0.1]:%d}" % (name, name, sink.port) for name, sink in sinks.items())}
    master = ""
    for name, (_, _, settings, _) in CASES.items():
        master += "%s unix - - n - - smtp\n" % name
        for parameter, value in settings.items():
            main["%s_%s" % (name, parameter)] = value
            master += "    -o %s=$%s_%s\n" % (parameter, name, parameter)
    instance = kind(directory, main, master=master)
    result = {}
    try:
        instance.start()
        for name, (_, _, _, before) in CASES.items():
            with instance.client() as c:
                c.expect(250, "EHLO client.example")
                if before:
                    c.expect(250, before)
                c.mail("", ["u@%s.example" % name], "X: y\r\n\r\nb\r\n", hello="NOOP")
        for name, sink in sinks.items():
            instance.wait_log(r"to=<u@%s.example>" % name, 30)
            lines = re.findall(r"/%s/smtp\[\d+\]: (.*)|postfix/smtp\[\d+\]: (.*to=<u@%s.example>.*)" % (name, name), instance.log())
            heard = [re.sub(r" SIZE=\d+|(?<= IDENT=)[0-9A-F]{6,}|(?<= PORT=)\d{4,}", "", line) for line in sink.mails[0]["commands"]] if sink.mails else None
            result[name] = heard, [line[0] or line[1] for line in lines]
        log = instance.log()
    finally:
        instance.stop(check=False)
        for sink in sinks.values():
            sink.close()
    for name, sink in sinks.items():
        said = re.findall(r"smtp\[\d+\]: (.*(?:to=<u@%s.example>|\]:%d[: ]).*)" % (name, sink.port), log)
        said += re.findall(r"smtp\[\d+\]: (.*PIX workarounds.*\]:%d)$" % sink.port, log, re.M)
        result[name] = result[name][0], sorted(set(steady(line, sink.port) for line in said))
    return result


def steady(line, port):
    line = re.sub(r"delay=.*?, delays=\S+", "", line.replace(":%d" % port, ":PORT"))
    return re.sub(r"^[0-9A-F]{6,}: ", "QID: ", line)


def test_same(tmp_path):
    theirs, ours = run(postfix.Instance, str(tmp_path / "theirs")), run(postern.Instance, str(tmp_path / "ours"))
    theirs["pixmap"][1][:] = [line for line in theirs["pixmap"][1] if not line.endswith("workarounds:  for")]
    differences = ["%s\n  theirs %s\n  ours   %s" % (name, theirs[name], ours[name]) for name in CASES if theirs[name] != ours[name]]
    assert not differences, "\n".join(differences)


ZONE = {"up.example": {"MX": [(20, "live.example"), (10, "other.example")]}, "live.example": {"A": ["127.0.0.3"]}, "other.example": {"A": ["127.0.0.4"]},
        "alias.example": {"CNAME": ["up.example"]}, "plain.example": {"A": ["127.0.0.3"]}, "two.example": {"A": ["127.0.0.4", "127.0.0.3"]}}
FILTERS = {
    "one": ("up.example", "regexp:{{/^up.example. [0-9]+ IN MX 10 other.example.$$/ IGNORE}}"), "all": ("up.example", "regexp:{{/ IN MX / IGNORE}}"),
    "hosts": ("up.example", "regexp:{{/ IN A / IGNORE}}"), "host": ("up.example", "regexp:{{/^other.example. .* IN A 127.0.0.4/ ignore}}"),
    "plain": ("plain.example", "regexp:{{/ IN A / IGNORE}}"), "two": ("two.example", "regexp:{{/127.0.0.4/ IGNORE}}"), "alias": ("alias.example", "regexp:{{/^up.example.*other/ IGNORE}}"),
    "alias2": ("alias.example", "regexp:{{/^alias/ IGNORE}}"), "cname": ("alias.example", "regexp:{{/CNAME/ IGNORE}}"), "action": ("up.example", "regexp:{{/MX/ FOO bar}}"),
    "failing": ("up.example", "fail:x"), "none": ("up.example", "regexp:{{/nothing/ IGNORE}}"), "literal": ("[127.0.0.3]", "regexp:{{/./ IGNORE}}"),
}


def outcomes(instance, names):
    """What the log says of a message to each of the domains."""
    instance.start()
    for name in names:
        with instance.client() as c:
            c.mail("", ["u@%s.example" % name], "X: y\r\n\r\nb\r\n")
    return {name: instance.wait_log(r"to=<u@%s.example>, relay=([^,]*), .*(dsn=.*)" % name, 30).groups() for name in names}


def run_filters(kind, directory):
    servers = [postern.Sink("127.0.0.3", 25), postern.Sink("127.0.0.4", 25)]
    dns = postern.Dns(ZONE)
    main = {"mydestination": "test.example", "inet_interfaces": "127.0.0.1", "smtpd_relay_restrictions": "permit_mynetworks, reject", "inet_protocols": "ipv4", "notify_classes": "",
            "smtputf8_enable": "no", "transport_maps": "inline:{%s}" % ", ".join("{%s.example=%s:%s}" % (name, name, to) for name, (to, _) in FILTERS.items())}
    master = ""
    for name, (_, tables) in FILTERS.items():
        main[name + "_filter"] = tables
        master += "%s unix - - n - - smtp\n    -o smtp_dns_reply_filter=$%s_filter\n" % (name, name)
    instance = kind(directory, main, master=master)
    try:
        return outcomes(instance, FILTERS), sorted(re.findall(r"ignoring DNS RR: .*|unknown DNS filter action: .*", instance.log()))
    finally:
        instance.stop(check=False)
        dns.close()
        for server in servers:
            server.close()


def test_dns_reply_filter(tmp_path):
    theirs, ours = run_filters(postfix.Instance, str(tmp_path / "theirs")), run_filters(postern.Instance, str(tmp_path / "ours"))
    assert ours == theirs


ALIASES = {"www.example": {"CNAME": ["real.example"]}, "real.example": {"A": ["127.0.0.3"]}, "mx.example": {"MX": [(10, "www.example")]}, "far.example": {"CNAME": ["www.example"]},
           "alias.example": {"CNAME": ["mx.example"]}}


def run_names(kind, directory):
    server, dns = postern.Sink("127.0.0.3", 25), postern.Dns(ALIASES)
    cases = {"%s%d" % (setting, i): (setting, to) for setting in ("yes", "no") for i, to in enumerate(["www.example", "[www.example]", "mx.example", "far.example", "alias.example", "real.example"])}
    main = {"mydestination": "test.example", "inet_interfaces": "127.0.0.1", "smtpd_relay_restrictions": "permit_mynetworks, reject", "inet_protocols": "ipv4", "smtputf8_enable": "no",
            "transport_maps": "inline:{%s}" % ", ".join("{%s.example=%s:%s}" % (name, how, to) for name, (how, to) in cases.items())}
    master = "".join("%s unix - - n - - smtp\n    -o smtp_cname_overrides_servername=%s\n" % (setting, setting) for setting in ("yes", "no"))
    instance = kind(directory, main, master=master)
    try:
        return outcomes(instance, cases)
    finally:
        instance.stop(check=False)
        dns.close()
        server.close()


def test_names_of_servers(tmp_path):
    theirs, ours = run_names(postfix.Instance, str(tmp_path / "theirs")), run_names(postern.Instance, str(tmp_path / "ours"))
    assert ours == theirs


@pytest.mark.parametrize("options", sorted(SHORT_NAMES))
def test_short_names(tmp_path, options):
    servers, resolver = [postern.Sink("127.0.0.3", 25), postern.Sink("127.0.0.4", 25)], postern.Dns(NEAR)
    with search_list("near.example far.example"):
        instance = postfix.Instance(str(tmp_path / "theirs"), dict(CLIENT, smtp_dns_resolver_options=options, **routes_by_short_name()))
        try:
            instance.start()
            assert where(instance, NAMES) == SHORT_NAMES[options]
        finally:
            instance.stop(check=False)
            resolver.close()
            for server in servers:
                server.close()
