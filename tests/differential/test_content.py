"""The same messages past the same content checks of Debian's Postfix and ours: replies, log lines and what is delivered must agree."""
import os
import re
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

MAIN = {
    "local_transport": "discard:", "default_transport": "discard:", "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
    "enable_long_queue_ids": "no", "mail_name": "Postfix",
}
ACTIONS = [
    "BCC b@x.example", "BCC", "BCC bad", "DISCARD", "DISCARD some text", "DUNNO", "OK", "FILTER discard:x", "FILTER", "FILTER smtp", "HOLD", "HOLD text",
    "IGNORE", "INFO", "INFO some", "PASS", "PREPEND", "PREPEND Y: y", "PREPEND none", "REDIRECT r@x.example", "REDIRECT bad", "REPLACE", "REPLACE Z: z",
    "REPLACE none", "REJECT", "REJECT go away", "REJECT 5.9.9 code", "REJECT 4.7.1 four", "reject low", "STRIP", "STRIP text", "WARN", "WARN text", "FOO x",
]
WARN = {p: "regexp:{{/./ WARN %s}}" % p[0] for p in ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")}
CHECKS = {
    "warn": WARN, "size": dict(WARN, body_checks_size_limit="20"), "long": dict(WARN, header_size_limit="50"), "off": dict(WARN, disable_mime_input_processing="yes"),
    "deep": dict(WARN, mime_nesting_limit="1"), "cut": dict(WARN, mime_boundary_length_limit="4"),
    "strict": {"strict_8bitmime": "yes", "strict_mime_encoding_domain": "yes"}, "bytes": {"message_reject_characters": "\\007"},
    "discard": {"header_checks": "regexp:{{/^A/ DISCARD}}", "strict_8bitmime": "yes", "hopcount_limit": "3", "message_reject_characters": "\\007"},
}
MULTI = "Content-Type: multipart/mixed; boundary="
FORMS = {
    "plain": "A: b\r\n c\r\nContent-Id: x\r\nContent-Foo: y\r\n\r\nx\r\n\r\n y\r\n", "no-header": "text\r\nA: b\r\n", "cut-off": "A: b",
    "parts": MULTI + "b\r\n\r\nbefore\r\n--b\r\nA: b\r\n\r\nx\r\n--b--\r\nafter\r\n--b\r\nC: d\r\n",
    "quoted": MULTI + "\"a  \r\n  b\\\"c\"\r\n\r\n--a  b\"c\r\nA: b\r\n\r\n", "two": MULTI + "b; boundary=c\r\n\r\n--c\r\nA: b\r\n\r\n--b\r\nC: d\r\n",
    "levels": MULTI + "b\r\n\r\n--b\r\n" + MULTI + "c\r\n\r\n--c\r\nI: j\r\n\r\n--b\r\nK: l\r\n\r\n--c\r\nM: n\r\n\r\nx\r\n",
    "deep": "".join(MULTI + "b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(6)) + "A: b\r\n\r\nx\r\n",
    "prefix": MULTI + "abcdefgh\r\n\r\n--abcdxxxx\r\nA: b\r\n\r\nx\r\n--abcd--\r\nA: b\r\n--abcdefgh\r\nC: d\r\n",
    "nested": "Content-Type: message/rfc822\r\n\r\nA: b\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nC: d\r\n\r\nx\r\n--b--\r\n",
    "not-nested": "Content-Type: message/delivery-status\r\n\r\nA: b\r\n", "junk": MULTI + "b\r\njunk\r\n--b\r\nA: b\r\njunk\r\nC: d\r\n",
    "lines": "A: b\r\n\r\n" + "".join("%05d\r\n" % i for i in range(8)), "long": "Subject: " + "A" * 120 + "\r\nX: " + "b" * 60 + "\r\n c\r\nY: e\r\n\r\nx\r\n",
    "8bit-header": "Subject: \xe4\r\n\r\nx\r\n", "8bit-body": "A: b\r\n\r\n\xe4\r\n", "8bit-said": "Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n",
    "8bit-both": MULTI + "b\r\n\r\n--b\r\n\r\n\xe4\r\n--b\r\nX: \xe4\r\n\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: BASE64\r\n\r\nx\r\n",
    "empty-boundary": MULTI + "\"\"\r\n\r\n--b\r\nA: b\r\n\r\nx\r\n", "blank-boundary": MULTI + "\" \"\r\n\r\n--b\r\nA: b\r\n\r\nx\r\n",
    "folded-8bit": "A: b\r\n\tc\r\n \xe4\r\n\r\n", "utf8": "A: \xc3\xa4\r\nMessage-Id: \xc3\xa4\r\n\r\n\xc3\xa4 x\r\n", "cut-utf8": "Subject: " + "a" * 190 + "\xc3\xa4\r\n\r\n",
    "8bit-junk": "Content-Transfer-Encoding: 8bit\r\n" + MULTI + "b\r\n\xe4\r\n", "bell": "A: b\r\n\r\n" + "x" * 250 + "\x07\r\n", "many": "A: b\r\n" + "Received: a\r\n" * 5 + "\r\n",
    "late": "C: d\r\nMessage-Id: <m>\r\nA: b\r\nReceived: \x07\xe4\r\n\r\n\xe4\r\n",
    "fragment": "Content-Type: message/partial\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", "opaque": "Content-Type: message/foo\r\nContent-Transfer-Encoding: base64\r\n\r\n",
}
ACTION_FORMS = {"header": ("header_checks", "X: one\r\n two\r\nSubject: s\r\nX: three\r\n\r\nx body\r\n"),
                "body": ("body_checks", "Subject: s\r\n\r\nx one\r\nother\r\nx two\r\n")}


def services():
    """smtpd service: parameters of its cleanup service."""
    found = dict(CHECKS)
    for number, action in enumerate(ACTIONS):
        for kind, (parameter, _) in ACTION_FORMS.items():
            found["%s%d" % (kind, number)] = {parameter: "regexp:{{/^x/ %s}}" % action}
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    master = "".join("cleanup-%s unix n - n - 0 cleanup\n%s" % (name, "".join("  -o { %s = %s }\n" % pair for pair in options.items()))
                     for name, options in services().items())
    listeners = {name: {"cleanup_service_name": "cleanup-" + name} for name in services()}
    ours = postern.Instance(str(tmp_path_factory.mktemp("ours")), MAIN, listeners, master=master).start()
    theirs = postfix.Instance(str(tmp_path_factory.mktemp("theirs")), MAIN, listeners, master=master).start()
    yield ours, theirs
    ours.stop(check=False)
    theirs.stop(check=False)


def outcome(instance, listener, text):
    with instance.client(listener) as client:
        for line in ("EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<u@far.example>"):
            client.expect(250, line)
        mark = instance.log_size()
        client.expect(354, "DATA")
        client.raw(text.encode("latin-1") + (b"" if text.endswith("\n") else b"\r\n") + b".\r\n")
        reply = client.reply()
        client.command("QUIT")
    instance.wait_log("disconnect from .* mail=1", since=mark)
    lines = [found.group(1) for found in re.finditer(r"/cleanup\[\d+\]: (.*)", instance.log(mark))]
    lines = [re.sub(r"\b(20\d{12}\.)?[0-9A-F]{7,15}(: |@)", r"ID\2", line) for line in lines if "header Received: from client" not in line]
    return re.sub("queued as .*", "queued as ID", reply), lines


@exercises("header_checks", "mime_header_checks", "nested_header_checks", "body_checks", "body_checks_size_limit", "header_size_limit",
           "disable_mime_input_processing", "mime_nesting_limit", "mime_boundary_length_limit", "strict_8bitmime", "strict_mime_encoding_domain")
@pytest.mark.parametrize("checks", sorted(CHECKS))
@pytest.mark.parametrize("form", sorted(FORMS))
def test_form(pair, checks, form):
    ours, theirs = (outcome(instance, checks, FORMS[form]) for instance in pair)
    assert ours == theirs


@pytest.mark.parametrize("kind", sorted(ACTION_FORMS))
@pytest.mark.parametrize("number", range(len(ACTIONS)), ids=ACTIONS)
def test_action(pair, kind, number):
    ours, theirs = (outcome(instance, "%s%d" % (kind, number), ACTION_FORMS[kind][1]) for instance in pair)
    assert ours == theirs
