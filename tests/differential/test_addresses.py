"""Odd addresses, of the envelope and of header fields, through Debian's Postfix and ours: replies, recipients and headers must agree byte for byte.
What is different on purpose (docs/differences.md) is not among them. Each message carries hundreds of fields."""
import os
import random
import re
import socketserver
import sys
import threading

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "", "mail_name": "Postfix", "smtpd_reject_unlisted_recipient": "no",
    "local_header_rewrite_clients": "static:all", "remote_header_rewrite_domain": "remote.example", "duplicate_filter_limit": "0", "smtpd_hard_error_limit": "10000", "smtpd_soft_error_limit": "10000",
    "default_destination_recipient_limit": "10000", "smtpd_recipient_limit": "10000",
}
# How addresses are completed, for all of an instance.
REWRITING = {
    "on": {"append_dot_mydomain": "yes"},
    "off": {"append_at_myorigin": "no", "append_dot_mydomain": "no", "swap_bangpath": "no", "allow_percent_hack": "no"},
    "other": {"append_dot_mydomain": "yes", "swap_bangpath": "no", "resolve_dequoted_address": "no", "recipient_delimiter": "+-",
              "empty_address_recipient": "nobody", "resolve_null_domain": "yes", "resolve_numeric_domain": "yes"},
}
# Settings of listeners, each with a cleanup service of its own.
LISTENERS = {
    "plain": {}, "remote": {"local_header_rewrite_clients": ""}, "raw": {"local_header_rewrite_clients": "", "remote_header_rewrite_domain": ""},
    "masquerade": {"masquerade_domains": "!not.test.example test.example", "masquerade_exceptions": "root"},
    "canonical": {"canonical_maps": "regexp:{{/^(.*)b(.*)@(.*)$$/ $${1}c.$${2}@$${3}}}", "canonical_classes": "header_sender, header_recipient"},
    "sender": {"canonical_maps": "static:one@s.example", "canonical_classes": "header_sender", "message_drop_headers": ""},
    "recipient": {"canonical_maps": "static:one@r.example", "canonical_classes": "header_recipient", "message_drop_headers": ""},
    "few": {"header_address_token_limit": "7"}, "strict": {"strict_rfc821_envelopes": "yes"}, "bytes": {"smtputf8_enable": "no"}, "declared": {"strict_smtputf8": "yes"},
}
OF_SMTPD = {"local_header_rewrite_clients", "remote_header_rewrite_domain", "strict_rfc821_envelopes", "smtputf8_enable", "strict_smtputf8"}
FIELDS = ["To", "From", "Cc", "Reply-To", "Sender", "Resent-To", "Resent-From", "Resent-Cc", "Resent-Sender", "Resent-Reply-To", "Errors-To", "Return-Receipt-To",
          "Return-Path", "Bcc", "Resent-Bcc", "Apparently-To", "Disposition-Notification-To", "Mail-Followup-To", "Delivered-To", "X-To", "Subject"]

ODD = [
    "a", "a, b", "a b", "a (c)", "(c) a", "(c) a@b.c", "a(c)b", "Phrase <a>", '"Quoted" Phrase <a@b>', "Phrase (c) <a (d) > (e)", "=?utf-8?q?x?= <a>", "Foo. Bar <a>",
    "Foo @ Bar <a>", "a@b.c.", "a@b..c", "a@.b.c", "a@b.c..", "a..b@c", ".a@b", "a.@b", "@b", "a@", "a@@b", "a@b@c", "a @ b . c", "a . b @ c", "a@b c", "x a@b c d",
    '"a"@b.c', '"a b"@c', '"a.b"."c"@d.e', 'a."b c"@d', 'a"b"@c', '"a@b"', '"a@b"@c', 'a\\@b@c', "a\\b@c.d", "a\\ b@c.d", "a\\(b", "a\\%b", "a\\!b", "a\\,b@c", '"a\\"b"@c',
    '"a\\\\b"@c', '"\\a"@c', "a%b", "a%b%c", "a!b", "a!b!c", "a%b!c", "a!b%c", "a%b@c", "a!b@c", '"a%b"', '"a!b"', '"a b"%c', 'a%"b c"', "a%[192.0.2.1]", "[192.0.2.1]!a",
    "a%", "%a", "!a", "a!", "a % b", "a ! b", "a|b", "a @ [192.0.2.1]", "a@[ 192.0.2.1 ]", "a@[IPv6:2001:db8::1]", "a@[192.0.2.1", "a@[x\\]y]", "a@[x y]", "[a]", "[a]@b",
    "a@b[c]", "<a@b[c]>", "a@192.0.2.1", "a@1", "<a>", "<a> <b>", "<a@b> c", "x <a> y <b>", "<>", "Foo <>", "<(c)>", "<<a>>", "<a", "a>", "<a@b", "a@b>", "x <a@b", "<a b>",
    "<a b@c>", "<a@b c>", "<a;b>", "<a:b@c>", "<@r:u@h>", "<@r,@s:u@h>", "@r:u@h", "x <@r:u@h>", "<@r:@s:u@h", "g: a, b;", "g:;", "g: a;, b", "g: a; b", "g: <a>;",
    "g: x <a>, y <b>;", "(c) g (d): a (e), (f) b;", "g: a, h: b;", "a: b: c;", "a:b:c", "a: b", "a:b@c:d;", "x, g: a;", "x y: a;", "g: a", "a;", ";a", "a;b", ":a", "x: y <a>",
    "x:: y <a>", ",", ",,a", "a,,b", "a,", " a ", "a\r\n b", "a,\r\n\tb", "a\t(x\r\n\ty)", '"x\r\n y"@z', "(a) (b)", "(a(b)c) d", "(a\\)b) c", "(open", "a (open", '"open', '"open\\',
    'a, "open@b', "a \\", "a)b", "a]b", ")", "]", "a@b)c", "\x01", "a\x01@b.c", '"\x01"@b', "\x7f@a", "a=b+c*d", "a_b@c_d", "A@B", "a'b`c{d}~e^f#g$h&i/j?k@l", "@", ".", "a@.",
    "a,b@c.d (e), F <g>", "undisclosed-recipients:;", "a@b.c,\r\n  d@e.f", "root@x.test.example", "a@x.test.example, b@not.test.example, c@y.not.test.example", "b@c, abc@d",
    ", ".join("a%d" % i for i in range(60)), ", ".join("<%s>" % ("a" * i) for i in range(40, 66)), "x" * 300 + " <a>", "a (%s), b" % ("c" * 245), "a (%s), b" % ("c" * 260),
    "(%s) a@b.c." % ("c" * 300), "%s <a>, %s <b>" % ("n " * 124, "n " * 126), "g: a (%s), b;" % ("c" * 260), "<a> " * 20 + "<b>", "x y, " * 30 + "z",
]
UTF8 = ["a%b\u00fc", "\u00fc!a", "j\u00f6rg@b\u00fccher.example", '"j\u00f6 rg"@x', "J\u00f6rg (\u00e4) <a>", '"J\u00f6rg" <\u00f6@x>', "\u00f6, \u00e4@\u00fc", "a@b\u00fccher", "a@xn--bcher-kva.example",
        "\u00f6@[192.0.2.1]", "(\u00e4) \u00f6", "g\u00fc: \u00f6, a;", "\u30e6\u30fc\u30b6@\u4f8b.\u30c6\u30b9\u30c8", "a@\u4f8b\u3002\u30c6\u30b9\u30c8"]


def mailbox(r):
    """An address with everything that RFC 5322 allows around it, and a little more."""
    def space():
        return r.choice(["", "", "", " ", "  ", "\t", "\r\n ", " (c) ", "(d (e))", " (f\\)g)\r\n\t"])

    def word():
        return r.choice(["a", "bcd", "e+f", "x-y", "q=r", "root", '"q"', '"q r"', '"q\\"r"', '"q@r"', '"q.r"', "A", "q%s" % r.choice("%!*/'")])

    def local():
        return (space() + "." + space()).join(word() for _ in range(r.choice([1, 1, 1, 2, 3])))

    def domain():
        if not r.randrange(8):
            return r.choice(["[192.0.2.1]", "[IPv6:2001:db8::1]", "[x y]"])
        return (r.choice(["", "", space()]) + ".").join(r.choice(["a", "bc", "test", "not", "example", "X", "d-e", "9"]) for _ in range(r.choice([1, 2, 3, 3])))

    address = local() + ("" if not r.randrange(4) else space() + "@" + space() + domain()) + r.choice(["", "", "", ".", "%x", ""])
    if r.randrange(3):
        return space() + address + space()
    name = " ".join(r.choice(["Joe", "Q.", '"Public, J."', "=?iso-8859-1?Q?=E4?=", "(c)", "x@y", "O'Neil", "[t]"]) for _ in range(r.randrange(4)))
    return name + " <" + space() + address + space() + ">" + space()


def fields(seed, count):
    """Lists and groups of addresses, some with marks where none belong."""
    r, found = random.Random(seed), []
    while len(found) < count:
        parts = [mailbox(r) for _ in range(r.choice([1, 1, 2, 3, 5, 9]))]
        text = r.choice([",", ", ", ",\r\n ", " , ", ",,", " "] if r.randrange(6) else ["; ", ", g: ", " <", "> ", ": "]).join(parts)
        found.append(text if r.randrange(8) else "group : " + text + ";" + r.choice(["", " (c)", ", x"]))
    return [text for text in found if not differs_on_purpose(text)]


def soup(seed, count):
    """Marks and words in any order."""
    r, found = random.Random(seed), []
    while len(found) < count:
        found.append(r.choice(["", " "]).join(r.choice(["a", "b", "c", "@", "@", ".", ",", ":", ";", "<", ">", "(c)", '"q r"', "[l]", "%", "!", " x "])
                                              for _ in range(r.randrange(2, 12))))
    return [text for text in found if not differs_on_purpose(text)]


def differs_on_purpose(text):
    """A route that leads nowhere or is in quotes, a comma at the end of a line, marks that stand for hosts together with marks that cannot, two
    quoted parts of which one has an @ but no domain."""
    return re.search(r'(?s)@.*:|,[^<]*>|,\s*$|[!%].*[][<:"]|[][<:"].*[!%]|"q@r"[^@]*"q\\"r"|"q\\"r"[^@]*"q@r"', text)


class Neighbours:
    """Both systems with the same configuration."""

    def __init__(self, folder, rewriting):
        self.sinks, self.instances = [], []
        for make in (postern.Instance, postfix.Instance):
            sink = postern.Sink(keywords=("PIPELINING", "SIZE", "8BITMIME", "DSN", "SMTPUTF8"))
            master = "generic unix - - n - - smtp\n  -o { smtp_generic_maps = regexp:{{/^(.*)b(.*)$$/ $${1}c$${2}}} }\n"
            for name, options in LISTENERS.items():
                master += "cleanup-%s unix n - n - 0 cleanup\n" % name + "".join("  -o { %s = %s }\n" % pair for pair in options.items())
            listeners = {name: dict({"cleanup_service_name": "cleanup-" + name}, **{k: v for k, v in options.items() if k in OF_SMTPD})
                         for name, options in LISTENERS.items()}
            everything = "smtp:[127.0.0.1]:%d" % sink.port
            main = dict(MAIN, default_transport=everything, local_transport=everything, transport_maps="inline:{{generic.example=generic:[127.0.0.1]:%d}}" % sink.port, **REWRITING[rewriting])
            self.sinks.append(sink)
            self.instances.append(make(str(folder.mktemp(make.__module__)), main, listeners, master=master).start())

    def stop(self):
        for instance in self.instances:
            instance.stop(check=False)
        for sink in self.sinks:
            sink.close()

    def each(self, function, *arguments):
        return [function(instance, sink, *arguments) for instance, sink in zip(self.instances, self.sinks)]


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    made = {}

    def get(rewriting="on"):
        if rewriting not in made:
            made[rewriting] = Neighbours(tmp_path_factory, rewriting)
        return made[rewriting]

    yield get
    for each in made.values():
        each.stop()


def transaction(instance, sink, listener, sender, recipients, content, options=""):
    """Replies, and the message as the sink got it, or None."""
    before = len(sink.mails)
    with instance.client(listener) as client:
        replies = [client.command("EHLO client.example"), client.command("MAIL FROM:" + sender + options)][1:]
        replies += [client.command("RCPT TO:" + recipient) for recipient in recipients]
        if any(reply.startswith("250") for reply in replies[1:]):
            client.expect(354, "DATA")
            client.raw(content + b".\r\n")
            replies.append(client.reply())
            queue_id = replies[-1].split()[-1]
            replies[-1] = re.sub("queued as .*", "queued as ID", replies[-1])
        client.command("QUIT")
    return replies, arrived(sink, before, queue_id) if replies[-1].startswith("250 2.0.0") else None


def arrived(sink, before, queue_id):
    """The message of that id; there may be others, with what was returned of one before."""
    mark = b" id " + queue_id.encode()
    return postern.wait_for(lambda: [m for m in list(sink.mails)[before:] if mark in m["data"]], what="message " + queue_id)[0]


def rewritten(instance, sink, listener, name, values, recipient, options):
    """What becomes of the field with each value."""
    content = "".join("%s: %s\r\nX-Mark: %d\r\n" % (name, value, i) for i, value in enumerate(values)).encode("utf-8", "surrogateescape") + b"\r\nx\r\n"
    _, mail = transaction(instance, sink, listener, "<s@client.example>", [recipient], content, options)
    text = mail["data"].decode("utf-8", "surrogateescape")
    parts = re.split(r"X-Mark: \d+\r\n", text[re.search("E?SMTP", text).start():].split("\r\n\r\n")[0] + "\r\n")
    return [parts[0][parts[0].find("\r\n" + name) + 2:]] + parts[1:-1]


def compare_fields(pair, listener, values, name="To", recipient="<u@far.example>", options=""):
    agree(values, *pair.each(rewritten, listener, name, values, recipient, options))


def agree(values, ours, theirs):
    wrong = ["%r\n  is      %r\n  is to be %r" % row for row in zip(values, ours, theirs) if row[1] != row[2]]
    assert not wrong, "%d of %d\n%s" % (len(wrong), len(values), "\n".join(wrong[:30]))
    assert len(ours) == len(theirs) == len(values)


@exercises("append_at_myorigin", "append_dot_mydomain", "swap_bangpath", "allow_percent_hack", "masquerade_domains", "masquerade_exceptions", "canonical_maps",
           "remote_header_rewrite_domain", "local_header_rewrite_clients", "header_address_token_limit", "resolve_dequoted_address")
@pytest.mark.parametrize("rewriting", sorted(REWRITING))
@pytest.mark.parametrize("listener", ["canonical", "few", "masquerade", "plain", "raw", "remote"])
def test_headers(neighbours, rewriting, listener):
    compare_fields(neighbours(rewriting), listener, [value for value in ODD if listener != "few" or "@r" not in value])
    if listener != "few":
        compare_fields(neighbours(rewriting), listener, [value + ", w" for value in ODD], "Cc")
    compare_fields(neighbours(rewriting), listener, fields(listener, 150), "From")
    compare_fields(neighbours(rewriting), listener, soup(listener, 300), "Reply-To")


@exercises("smtp_generic_maps")
@pytest.mark.parametrize("listener", ["plain", "raw"])
def test_generic(neighbours, listener):
    values = [v for v in ODD + fields("generic", 150) if "@r" not in v and v.count("<") == v.count(">")]
    compare_fields(neighbours(), listener, values, recipient="<u@generic.example>")


@exercises("canonical_classes", "message_drop_headers")
@pytest.mark.parametrize("listener", ["plain", "recipient", "sender"])
def test_names(neighbours, listener):
    def kept(instance, sink):
        content = "".join("%s: %s (c) , b\r\n" % (name, name[0]) for name in FIELDS).encode() + b"\r\nx\r\n"
        mail = transaction(instance, sink, listener, "<s@client.example>", ["<u@far.example>"], content)[1]
        return [line for line in mail["data"].decode().split("\r\n\r\n")[0].split("\r\n") if not re.match(r"Received|\t|.*Message-Id|.*Date", line)]
    ours, theirs = neighbours().each(kept)
    assert ours == theirs


@exercises("smtputf8_enable")
@pytest.mark.parametrize("listener,options", [("plain", " SMTPUTF8"), ("plain", ""), ("bytes", ""), ("masquerade", " SMTPUTF8"), ("canonical", " SMTPUTF8")])
def test_utf8_headers(neighbours, listener, options):
    compare_fields(neighbours(), listener, UTF8 + ODD, options=options)


@exercises("smtputf8_enable")
def test_utf8_is_passed_on(neighbours):
    """SMTPUTF8 as the client gave it, whether or not it can be seen what for."""
    def sent(instance, sink):
        return [re.sub(r" (SIZE|BODY)=\S+", "", transaction(instance, sink, "plain", sender, ["<u@far.example>"], b"Subject: x\r\n\r\nx\r\n", options)[1]["sender"])
                for sender, options in (("<s@client.example>", " SMTPUTF8"), ("<s@client.example>", ""), ("<>", " SMTPUTF8"), ("<\u00f6@client.example>", " SMTPUTF8"))]
    ours, theirs = neighbours().each(sent)
    assert ours == theirs


def received(instance, sink, listener, paths, options):
    """The reply to each, and what of them goes out."""
    replies, mail = transaction(instance, sink, listener, "<s@client.example>", paths, b"Subject: x\r\n\r\nx\r\n", options)
    return replies[1:len(paths) + 1] + [replies[len(paths) + 1:]] + [sorted(mail["recipients"]) if mail else None]


def compare_recipients(pair, listener, paths, options=""):
    ours, theirs = pair.each(received, listener, paths, options)
    agree(paths + ["reply to the message"], ours[:-1], theirs[:-1])
    agree(["only one has it"] * 2, [[r for r in ours[-1] if r not in theirs[-1]]] * 2, [[r for r in theirs[-1] if r not in ours[-1]]] * 2)


def envelope_paths(values):
    return ["<%s>" % v for v in values if not re.search("[\n\x01\x7f]", v) and len(v) < 100]


@exercises("strict_rfc821_envelopes", "empty_address_recipient", "resolve_null_domain", "resolve_numeric_domain", "recipient_delimiter")
@pytest.mark.parametrize("rewriting", sorted(REWRITING))
@pytest.mark.parametrize("listener", ["plain", "strict"])
def test_recipients(neighbours, rewriting, listener):
    bare = ["a", "a@b", " <a@b>", "\t<c@d>", "<a@b", "a@b>", '"a b"@c', "<a@b>c", "<>a", "><"]
    compare_recipients(neighbours(rewriting), listener, envelope_paths(ODD + soup("envelope", 300)) + bare)


@exercises("strict_smtputf8")
@pytest.mark.parametrize("listener,options", [("plain", " SMTPUTF8"), ("plain", ""), ("strict", " SMTPUTF8"), ("strict", ""), ("bytes", ""), ("declared", ""), ("declared", " SMTPUTF8")])
def test_utf8_recipients(neighbours, listener, options):
    compare_recipients(neighbours(), listener, envelope_paths(UTF8) + ["<plain@far.example>"], options)


@exercises("strict_smtputf8", "smtputf8_enable")
def test_utf8_commands(neighbours):
    """Bytes that are no UTF-8, and what is said of it too late."""
    lines = [b"MAIL FROM:<\xff@x.example>", b"MAIL FROM:<\xff@x.example> SMTPUTF8", b"MAIL FROM:<\xc3\xb6@x.example>", b"MAIL FROM:<\xc3\xb6@x.example> SMTPUTF8", b"RSET",
             b"MAIL FROM:<a@x.example>", b"RCPT TO:<\xff@x.example>", b"RCPT TO:<\xc3\xb6@x.example>", b"RCPT TO:<b@x.example>", b"N\xffOP", b"NOOP \xff", b"NOOP \xc3\xb6"]

    def said(instance, sink):
        found = []
        for listener in ("plain", "strict", "declared"):
            with instance.client(listener) as client:
                client.expect(250, "EHLO client.example")
                found += [(listener, line, client.command(line)) for line in lines]
        return found
    ours, theirs = neighbours().each(said)
    assert ours == theirs


@pytest.mark.parametrize("rewriting", sorted(REWRITING))
def test_senders(neighbours, rewriting):
    paths, sent = envelope_paths(ODD), ["<a>", "<a%b>", "<a!b>", '<"a b"@c>', "<a@b.>", "<>", '<"a@b">', "<@r:u@h>", "<a@[192.0.2.1]>", '<""@b>']

    def results(instance, sink):
        found = []
        for listener in ("plain", "strict"):
            for path in paths:
                with instance.client(listener) as client:
                    client.expect(250, "EHLO client.example")
                    found.append(client.command("MAIL FROM:" + path))
        for path in sent:
            replies, mail = transaction(instance, sink, "plain", path, ["<u@far.example>"], b"Subject: x\r\n\r\nx\r\n")
            found.append((replies, mail and mail["sender"].split()[0]))
        return found
    agree(paths + paths + sent, *neighbours(rewriting).each(results))


def test_submitted(neighbours):
    """Recipients on sendmail's command line and in headers."""
    arguments = [["-f", "s@client.example", "--", '"a b"@far.example', "Name <c@far.example>", "a%b", "g: x, y;", '"q" (c)'], ["-f", '"s t"@client.example', "-t", "e@far.example"]]
    text = "".join("To: %s\n" % value.replace("\r", "") for value in ODD if not re.search("[\x01\x7f]", value) and value.count('"') % 2 == 0 and value.count("<") == value.count(">")
                   and len(value) < 500) + "\nx\n"

    def sent(instance, sink):
        found = []
        for marker, options in zip(("c@far.example", "e@far.example"), arguments):
            instance.command("sendmail", *options, input=text)
            mail = postern.wait_for(lambda: [m for m in list(sink.mails) if any(marker in r for r in m["recipients"])], what=marker)[0]
            found.append((mail["sender"].split(" SIZE")[0], sorted(mail["recipients"])))
        return found
    ours, theirs = neighbours().each(sent)
    for mine, other in zip(ours, theirs):
        assert mine[0] == other[0]
        assert [r for r in mine[1] if r not in other[1]] == [r for r in other[1] if r not in mine[1]]


class Keys(socketserver.ThreadingTCPServer):
    """A socketmap server that knows nothing and notes what it is asked."""
    allow_reuse_address, daemon_threads = True, True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while True:
                length = b""
                while not length.endswith(b":"):
                    byte = self.rfile.read(1)
                    if not byte:
                        return
                    length += byte
                self.server.asked.append(self.rfile.read(int(length[:-1]) + 1)[:-1].decode("utf-8", "replace").split(" ", 1)[1])
                self.wfile.write(b"9:NOTFOUND ,")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.asked = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


@exercises("check_sender_access", "check_recipient_access")
@pytest.mark.parametrize("rewriting", sorted(REWRITING))
def test_access_keys(tmp_path, rewriting):
    """What the tables of access control are asked for."""
    with Keys() as keys:
        check = "access socketmap:inet:127.0.0.1:%d:x" % keys.server_address[1]
        main = dict(MAIN, smtpd_sender_restrictions="check_sender_" + check, smtpd_recipient_restrictions="check_recipient_" + check,
                    default_transport="discard:", local_transport="discard:", **REWRITING[rewriting])
        paths = envelope_paths([v for v in ODD if "<" not in v])
        found = []
        for make in (postern.Instance, postfix.Instance):
            instance = make(str(tmp_path / make.__module__), main).start()
            rows = []
            with instance.client() as client:
                client.expect(250, "EHLO client.example")
                for sender in ["<>", "<s>", "<s@y>", "<a%b>", '<"a b"@c.d>', "<s@y.>", '<"a.b"@c>', "<@b>"]:
                    keys.asked.clear()
                    client.expect(250, "MAIL FROM:" + sender)
                    client.expect(250, "RCPT TO:<plain@far.example>")
                    client.expect(250, "RSET")
                    rows.append(list(keys.asked))
                client.expect(250, "MAIL FROM:<s@far.example>")
                for path in paths:
                    keys.asked.clear()
                    client.command("RCPT TO:" + path)
                    rows.append([key for key in keys.asked if key != "s@far.example"])
            instance.stop(check=False)
            found.append(rows)
        agree(list(range(8)) + paths, *found)
