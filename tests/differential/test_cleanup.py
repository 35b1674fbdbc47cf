"""Messages past Debian's Postfix and ours with the settings of the cleanup service: replies, log lines, recipients and content must agree."""
import itertools
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
    "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "", "mail_name": "Postfix", "smtpd_reject_unlisted_recipient": "no",
    "local_header_rewrite_clients": "static:all", "enable_long_queue_ids": "no", "smtputf8_enable": "no",
}
OF_SMTPD = {"local_header_rewrite_clients", "receive_override_options", "content_filter", "message_size_limit"}


def rules(*texts):
    return "regexp:{%s}" % ", ".join("{%s}" % text for text in texts)


MULTI = "Content-Type: multipart/mixed; boundary=b\r\n"
TO_C = {"virtual_alias_maps": "inline:{{a@y.example=c@y.example},{b@y.example=c@y.example}}"}
A_B = ["<a@y.example>", "<b@y.example>"]
HEADERS = ["A: b\r\n\r\n", "From: a\r\nDate: x\r\nMessage-Id: <a>\r\nTo: b\r\n\r\n", "Resent-Date: x\r\nFrom: a\r\n\r\n", "Message-Id:\r\nFrom:\r\n\r\n",
           "Message-ID: a\r\n b\r\n\r\n", "body\r\n", "\r\nbody", ">From x\r\nA: b\r\n\r\n", "From x\r\nFrom y\r\n\r\n", "Received: a\r\nA: b\r\n\r\n",
           "A: b\r\n\r\n.x\r\n..y\r\n", "A:b\r\n\tc\r\n \r\nD: e\r\n\r\n", "To: a,\r\n \r\n b\r\n\r\n", "A b: c\r\n\r\n", " A: b\r\n\r\n", "A:\r\n\r\n", ":x\r\n\r\n", "A" * 300 + ": b\r\n\r\n",
           "Message-Id: a\r\n\tb\r\n\r\n", "Resent-Sender: a\r\n\r\n", "Resent-Reply-To:\r\n\r\nx", "Resent-Bcc: a\r\n\r\n", "Resent-Foo: a\r\n\r\n", "Resent-Message-Id:\r\nResent-Message-Id: a\r\n\r\n", "Resent-From: a\r\n\r\nO: 1\r\n",
           "From: a (" + "w" * 30 + "\r\n " + "v" * 30 + "\r\n\t" + "u" * 30 + "),\r\n b (x\r\n y)\r\n\r\n", "A: b\r\r\n c\r\r\r\n\r\r\nD: e\r\r\n..\r\r\n\r\r\nx",
           "To: a\r\n\r\n", "Cc: a\r\n\r\n", "Bcc: a\r\n\r\n", "Resent-To: a\r\n\r\n", "To: a\r\nResent-From: b\r\n\r\n", "Apparently-To: a\r\n\r\n", "To:\r\n\r\n"]
ACTIONS = {
    "header_checks": rules("/^A:/ REDIRECT r@x.example", "/^B:/ BCC b@x.example", "/^C:/ REDIRECT second@x.example", "/^E:/ DISCARD", "/^F:/ FILTER discard:one",
                           "/^G:/ FILTER discard:two", "/^H:/ REJECT no", "/^I:/ PASS", "/^K:/ PREPEND X: y", "/^L:/ REPLACE Z: a, b", "/^M:/ REPLACE To: zz",
                           "/^N:/ PREPEND To: pp", "/^O:/ WARN", "/^P:/ STRIP", "/^R:/ BCC s@client.example"),
    "body_checks": rules("/^A:/ REDIRECT rb@x.example", "/^B:/ BCC bb@x.example", "/^F:/ FILTER discard:three", "/^K:/ PREPEND pre", "/^L:/ REPLACE rep", "/^I:/ PASS",
                         "/^H:/ REJECT bodyno", "/^N:/ IGNORE", "/^O:/ WARN", "/^E:/ DISCARD"),
    "mime_header_checks": rules("/^X-M/ WARN m", "/^Content-Type: x/ REJECT mm", "/^Content-Foo/ REPLACE Content-Bar: q"), "nested_header_checks": rules("/^A:/ WARN n"),
}
PAIRS = ["%s: 1\r\n%s: 1\r\nO: 1\r\n\r\nO: x\r\n" % pair for pair in itertools.permutations("ABCEFGHIMNR", 2)]
PAIRS += ["%s: 1\r\n\r\nO: 1\r\n%s: 1\r\nO: 2\r\n" % pair for pair in itertools.product("ABEFHI", "ABEFHIKLN")]
PAIRS += ["X-M: 1\r\nContent-Foo: a\r\n b\r\nContent-Type: message/rfc822\r\n\r\nA: 1\r\nX-M: 3\r\n" + MULTI + "\r\n--b\r\nA: 2\r\nX-M: 2\r\n\r\nO: body\r\n", "Content-Type: x/y\r\n\r\n"]
COPIES = {"always_bcc": "all@b.example", "sender_bcc_maps": "static:sb@b.example", "recipient_bcc_maps": "static:rb@b.example"}
OPTIONS = ["", " NOTIFY=NEVER", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@o.example"]
REDIRECTED = [["<%s>%s" % pair for pair in zip(names, options)] for options in (OPTIONS, OPTIONS[::-1], OPTIONS[1:] * 2) for names in (
    ["c@y.example", "d@y.example", "e@y.example"], ["e@y.example", "d@y.example", "c@y.example"], ["a@y.example", "b@y.example"], ["b@y.example", "a@y.example"],
    ["z@X.example", "d@y.example"], ["d@y.example", "z@X.example"], ["q@X.example", "p@x.example", "R@x.example"], ["q+x@x.example", "q@x.example"], ["q@x.example", "q+x@x.example"],
    ["r@x.example", "c@y.example"], ["z@y.example", "r@x.example"], ["u@[127.0.0.9]", "u@example"], ['"z z"@x.example', "z@x.example"])]
# Name: settings, messages, recipients; or lists of recipients; and what is said after the sender.
CASES = {
    "actions": (ACTIONS, PAIRS, ["<u@far.example>"]),
    "copies": (dict(COPIES, header_checks=rules("/^B:/ BCC b@x.example", "/^E:/ DISCARD", "/^W:/ WARN")), ["B: 1\r\n\r\nx", "E: 1\r\n\r\nx", "W: 1\r\n\r\nx"], A_B),
    "one-copy": (dict(COPIES, header_checks=rules("/^A:/ REDIRECT r@x.example")), ["A: 1\r\n\r\nx"], A_B),
    "dropped": ({"message_drop_headers": "x-foo, SUBJECT"}, ["X-Foo: a\r\n b\r\nSubject: s\r\nBcc: b\r\nReturn-Path: c\r\nx-foo : 3\r\n\r\nX-Foo: body\r\n",
                                                          "Content-Type: message/rfc822\r\n\r\nX-Foo: in\r\n\r\n"], A_B),
    "bytes": ({"message_strip_characters": "\\000\\007", "message_reject_characters": "\\001"}, ["Subject: a\x07c\r\n\r\nbody x\x00z\r\n", "Subject: a\x01\r\n\r\nb\r\n",
                                                                                      "Subject: a\r\n\r\n\x01\r\n"], A_B),
    "carriage-return": ({"message_reject_characters": "\\r"}, ["Subject: a\rb\r\n\r\nbody\r\r\n"], A_B),
    "carriage-return-kept": ({"message_reject_characters": "\\r", "cleanup_replace_stray_cr_lf": "no"}, ["Subject: a\rb\r\n\r\nbody\r\r\n", "Subject: a\r\n\r\nbody\r\r\n"], A_B),
    "plain": ({}, HEADERS, A_B), "undisclosed": ({"undisclosed_recipients_header": "To: undisclosed-recipients:;"}, HEADERS, A_B),
    "missing": ({"always_add_missing_headers": "yes", "local_header_rewrite_clients": "", "undisclosed_recipients_header": "X-Missing: foo, bar"}, HEADERS, A_B),
    "remote": ({"local_header_rewrite_clients": ""}, HEADERS, A_B),
    "hops": ({"hopcount_limit": "3"}, ["Received: a\r\n" * n + "\r\n" for n in range(4)] + ["Content-Type: message/rfc822\r\n\r\n" + "Received: a\r\n" * 4 + "\r\n"], A_B),
    "original": (dict(TO_C, header_checks=rules("/^O:/ WARN")), ["O: 1\r\n\r\n"], A_B), "no-original": (dict(TO_C, enable_original_recipient="no"), ["O: 1\r\n\r\n"], A_B),
    "no-mappings": (dict(TO_C, **COPIES, receive_override_options="no_address_mappings", canonical_maps="static:can@y.example", masquerade_domains="y.example",
                         header_checks=rules("/^B:/ BCC b@x.example")), ["B: 1\r\nFrom: a\r\nTo: q\r\n\r\n"], A_B),
    "no-checks": ({"receive_override_options": "no_header_body_checks", "header_checks": rules("/./ REJECT x"), "body_checks": rules("/./ REJECT y"),
                   "message_strip_characters": "x", "message_reject_characters": "y", "message_drop_headers": "x-foo"}, ["B: 1\r\nX-Foo: x\r\nSubject: y\r\n\r\nxy\r\n"], A_B),
    "encoding": ({"strict_mime_encoding_domain": "yes"}, ["Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nx", "Content-Type: message/partial\r\n\r\nx",
                                                       MULTI + "Content-Transfer-Encoding: quoted-printable\r\n\r\n--b\r\n"], A_B),
    "attributes": ({"queue_file_attribute_count_limit": "3"}, ["A: b\r\n\r\n"], A_B),
    "filter": ({"content_filter": "discard:cf", "header_checks": rules("/^F:/ FILTER discard:hf")}, ["F: 1\r\n\r\n", "x: 1\r\n\r\n"], A_B),
    "filter-redirect": ({"content_filter": "discard:cf", "header_checks": rules("/^A:/ REDIRECT r@x.example", "/^F:/ FILTER discard:hf")},
                        ["A: 1\r\n\r\n", "F: 1\r\nA: 1\r\n\r\n"], ["<u@far.example>"]),
    "redirect": (dict(header_checks=rules("/^A:/ REDIRECT r@x.example", "/^B:/ BCC bb@x.example")), ["A: 1\r\n\r\nx", "B: 1\r\nA: 1\r\n\r\nx", "A: 1\r\nB: 1\r\n\r\nx"],
                 REDIRECTED),
    "8bit": ({}, ["A: b\r\n\r\n\xe4\r\n", "A: \xe4\r\n\r\nx\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\nx\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n",
                  "Content-Transfer-Encoding: 7bit\r\n\r\n\xe4\r\n", "Content-Transfer-Encoding: base64\r\n\r\n\xe4\r\n", MULTI + "\r\n--b\r\n\r\n\xe4\r\n--b--\r\n",
                  "Content-Type: message/rfc822\r\n\r\nSubject: \xe4\r\n\r\nx\r\n",
                  "Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xe4\r\n", "A: b\r\n\r\nx\r\n", "Content-Transfer-Encoding: binary\r\n\r\nx\r\n",
                  "Content-Transfer-Encoding: binary\r\n\r\n\xe4\r\n", "Content-Transfer-Encoding: 8bit\r\n" + MULTI + "\r\n--b\r\n\r\nx\r\n--b--\r\n",
                  "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\nx\r\n", "Content-Transfer-Encoding: Binary\r\n\r\nx\r\n",
                  "A: b\r\n\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n", "Content-Type: text/plain\r\n\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n",
                  "Content-Transfer-Encoding: 8bitx\r\n\r\nx\r\n"], [A_B],
             ["", " BODY=7BIT", " BODY=8BITMIME"]),
    "8bit-undetected": ({"detect_8bit_encoding_header": "no"}, ["Content-Transfer-Encoding: 8bit\r\n\r\nx\r\n", MULTI + "\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n"],
                        [A_B], ["", " BODY=7BIT", " BODY=8BITMIME"]),
    "8bit-unseen": ({"disable_mime_input_processing": "yes"}, ["A: b\r\n\r\n\xe4\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\nx\r\n", "A: \xe4\r\n\r\nx\r\n"], [A_B],
                    ["", " BODY=7BIT", " BODY=8BITMIME"]),
    "size": ({"message_size_limit": "2000"}, ["A: b\r\n\r\n" + n * ("x" * 70 + "\r\n") for n in (10, 40, 100)], A_B),
    "size-of-cleanup": ({"message_size_limit": "2000"}, ["A: b\r\n\r\n" + n * ("x" * 70 + "\r\n") for n in (10, 40, 100)], A_B),
    "tables": ({"header_checks": "regexp:{{/^A/ WARN one},{/^A/ WARN two}}, regexp:{{/^[AB]/ WARN three}}", "body_checks": "static:WARN"}, ["A: 1\r\nB: 2\r\n\r\nx\r\n\r\ny"], A_B),
    "if": ({"header_checks": "regexp:{{if /^A/},{/one/ WARN a1},{endif},{/two/ WARN two}}"}, ["A: one two\r\nB: two\r\n\r\n"], A_B),
    "header-size": ({"header_size_limit": "40", "header_checks": rules("/./ WARN")}, ["A: " + "b" * 30 + "\r\n " + "c" * 30 + "\r\n " + "d" * 30 + "\r\nTo: a,\r\n " + "b" * 33 + ",\r\n c\r\n\r\n",
                                                                                "To: " + "a, " * 40 + "b\r\n\r\n"], A_B),
    "header-size-of-lines": ({"header_size_limit": "60"}, ["A: " + "b" * n + "\r\n" + more + "\r\nD: e\r\n\r\nx" for n in range(46, 60) for more in (" cdefghijklmno", " \r\n\td e f g h i k", " c\r\n d\r\n e\r\n f")], A_B),
    "body-size": ({"body_checks_size_limit": "12", "body_checks": rules("/./ WARN")}, ["A: b\r\n\r\n12345\r\n1234\r\n123\r\n", MULTI + "\r\n--b\r\n\r\n123456789\r\n12345\r\n--b\r\nA: b\r\n\r\n12345\r\n12345\r\n1\r\n"], A_B),
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = []
    for make in (postern.Instance, postfix.Instance):
        sink = postern.Sink()
        master = "".join("cleanup-%s unix n - n - 0 cleanup\n%s" % (name, "".join("  -o { %s = %s }\n" % (k, v.replace("$", "$$")) for k, v in case[0].items()))
                         for name, case in CASES.items())
        listeners = {name: dict({"cleanup_service_name": "cleanup-" + name}, **{k: v for k, v in case[0].items() if k in OF_SMTPD and name != "size-of-cleanup"})
                     for name, case in CASES.items()}
        everything = "smtp:[127.0.0.1]:%d" % sink.port
        main = dict(MAIN, default_transport=everything, local_transport=everything)
        made.append((make(str(tmp_path_factory.mktemp(make.__module__)), main, listeners, master=master).start(), sink))
    yield made
    for instance, sink in made:
        instance.stop(check=False)
        sink.close()


UNLIKE = "header Received:|onnect from|client=|close error|NOQUEUE"  # lines of no interest here


def masked(text):
    text = re.sub(r"^(cleanup|smtpd)\[\d+\]", r"\1", text)
    text = re.sub(r"20\d{12}\.[0-9A-F]{6,15}@", "STAMP@", text)
    text = re.sub(r"\w{3}, +\d+ \w{3} \d{4} [\d:]+ \S+( \(\w+\))?", "DATE", text)
    return re.sub(r"\b[0-9A-F]{6,15}\b", "ID", text)


def outcome(instance, sink, listener, text, recipients, options=""):
    """The reply, what cleanup logged, and recipients and content of what was delivered."""
    mark, before = instance.log_size(), len(sink.mails)
    with instance.client(listener) as client:
        client.expect(250, "EHLO client.example")
        client.expect(250, "MAIL FROM:<s@client.example>" + options)
        for recipient in recipients:
            client.expect(250, "RCPT TO:" + recipient)
        client.expect(354, "DATA")
        client.raw(text.encode("latin-1") + (b"" if text.endswith("\n") else b"\r\n") + b".\r\n")
        reply = client.reply()
        client.command("QUIT")
    instance.wait_log("disconnect from", since=mark)
    if reply.startswith("250"):
        instance.wait_log(r"%s: (removed|discard)" % reply.split()[-1], since=mark)
    lines = [masked(line) for program in ("smtpd", "cleanup") for line in re.findall(r"/(%s\[\d+\]: .*)" % program, instance.log(mark)) if not re.search(UNLIKE, line)]
    if reply.startswith("552"):  # by smtpd: 3.7's cleanup may still be reading
        lines = [line for line in lines if "message-id=" not in line]
    mails = [(re.sub(" SIZE=[0-9]+", "", m["sender"]), sorted(m["recipients"]), masked(m["data"].decode("latin-1"))) for m in list(sink.mails)[before:]]
    return re.sub("queued as .*", "queued as ID", reply), lines, sorted(mails)


@exercises("header_checks", "body_checks", "mime_header_checks", "nested_header_checks", "always_bcc", "sender_bcc_maps", "recipient_bcc_maps", "message_drop_headers",
           "message_strip_characters", "message_reject_characters", "undisclosed_recipients_header", "always_add_missing_headers", "hopcount_limit", "header_size_limit",
           "enable_original_recipient", "receive_override_options", "strict_mime_encoding_domain", "queue_file_attribute_count_limit", "content_filter",
           "body_checks_size_limit")
@pytest.mark.parametrize("name", sorted(CASES))
def test_cleanup(pair, name):
    _, texts, recipients, *options = CASES[name]
    wrong = []
    for text, to, option in itertools.product(texts, recipients if isinstance(recipients[0], list) else [recipients], options[0] if options else [""]):
        ours, theirs = (outcome(instance, sink, name, text, to, option) for instance, sink in pair)
        if re.search("[\x80-\xff]", text):  # said to be so to the next server, too
            theirs = theirs[:2] + ([(mail[0].split(" BODY=")[0] + " BODY=8BITMIME", *mail[1:]) for mail in theirs[2]],)
        if ours != theirs:
            wrong.append("%r %r%s\n  is      %r\n  is to be %r" % (text, to, option, ours, theirs))
    assert not wrong, "%d of %d\n%s" % (len(wrong), len(texts), "\n".join(wrong[:5]))
