"""header_checks(5) and body_checks(5), and refusals of bad MIME form: replies, log lines and what is delivered."""
import re

import pytest

from postern import Sink, exercises

RULES = ("regexp:{{/^X-Warn:/ WARN look} {/^X-Reject:|^reject/ REJECT 5.7.9 not here} {/^X-Later:/ REJECT 4.7.1 later} {/^X-Ignore:|^ignore/ IGNORE}"
         " {/^X-Replace:/ REPLACE X-New: n} {/^X-Prepend:|^prepend/ PREPEND X-Before: b} {/^X-Hold:/ HOLD wait} {/^X-Discard:/ DISCARD}"
         " {/^X-Redirect:/ REDIRECT other@test.example} {/^X-Bcc:/ BCC copy@test.example} {/^X-Filter:/ FILTER discard:filtered} {/^X-Foo:/ FOO}}")


@pytest.fixture
def relay(mta):
    sink = Sink()

    def make(**main):
        everything = "smtp:[127.0.0.1]:%d" % sink.port
        settings = dict(default_transport=everything, local_transport=everything, smtpd_reject_unlisted_recipient="no", header_checks=RULES,
                        body_checks=RULES)
        return mta(main=dict(settings, **main)).start(), sink

    yield make
    sink.close()


def reply_to(instance, text):
    with instance.client() as c:
        for line in ("EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<user@test.example>"):
            c.expect(250, line)
        c.expect(354, "DATA")
        c.raw(text.encode("latin-1") + b".\r\n")
        return c.reply()


TAIL = r" from \S+\[127\.0\.0\.1\]; from=<s@client\.example> to=<user@test\.example> proto=ESMTP helo=<client\.example>"


@exercises("header_checks", "body_checks")
def test_refused(relay):
    instance, sink = relay()
    assert reply_to(instance, "X-Reject: 1\r\n\r\nx\r\n") == "550 5.7.9 not here"
    instance.wait_log(r"cleanup\[\d+\]: \w+: reject: header X-Reject: 1" + TAIL + ": 5.7.9 not here")
    assert reply_to(instance, "A: 1\r\n\r\nreject this\r\n") == "550 5.7.9 not here"
    instance.wait_log(r": reject: body reject this" + TAIL + ": 5.7.9 not here")
    assert reply_to(instance, "X-Later: 1\r\n\r\n") == "451 4.7.1 later"
    assert not sink.mails


def test_changed(relay):
    instance, sink = relay()
    text = "X-Warn: 1\r\nX-Ignore: 1\r\nX-Replace: 1\r\nX-Prepend: 1\r\nX-Foo: 1\r\n\r\nprepend\r\nignore\r\nx\r\n"
    assert reply_to(instance, text).startswith("250 ")
    content = sink.wait()[0]["data"].decode()
    assert "X-Warn: 1\r\nX-New: n\r\nX-Before: b\r\nX-Prepend: 1\r\nX-Foo: 1\r\n" in content
    assert content.endswith("\r\n\r\nX-Before: b\r\nprepend\r\nx\r\n")
    for line in (r": warning: header X-Warn: 1" + TAIL + ": look", r": replace: header X-Replace: 1" + TAIL + ": X-New: n",
                 r": warning: unknown command in header_checks map: FOO"):
        instance.wait_log(line)


def test_sent_elsewhere(relay):
    instance, sink = relay()
    assert reply_to(instance, "X-Bcc: 1\r\n\r\nx\r\n").startswith("250 ")
    got = sink.wait(1)
    to = [r for m in got for r in m["recipients"]]
    while len(to) < 2:
        to = [r for m in sink.wait(len(got) + 1) for r in m["recipients"]]
    assert sorted(re.match("<(.*?)>", r).group(1) for r in to) == ["copy@test.example", "user@test.example"]
    assert reply_to(instance, "X-Redirect: 1\r\n\r\nx\r\n").startswith("250 ")
    instance.wait_log(r"to=<other@test\.example>.*status=sent")
    assert reply_to(instance, "X-Filter: 1\r\n\r\nx\r\n").startswith("250 ")
    instance.wait_log(r"relay=(none|discard).*status=sent \(filtered\)")


def test_kept_from_delivery(relay):
    instance, sink = relay()
    assert reply_to(instance, "X-Discard: 1\r\n\r\nx\r\n").startswith("250 2.0.0 Ok: queued as ")
    instance.wait_log(r": discard: header X-Discard: 1" + TAIL)
    assert reply_to(instance, "X-Hold: 1\r\n\r\nx\r\n").startswith("250 ")
    instance.wait_log(r": hold: header X-Hold: 1" + TAIL + ": wait")
    assert len(instance.queued("hold")) == 1 and not instance.queued() and not sink.mails


@exercises("mime_header_checks", "nested_header_checks", "disable_mime_input_processing")
def test_mime(relay):
    parts = ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: part\r\n\r\ntext\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
             "Y: nested\r\n\r\ninside\r\n--b--\r\n")
    warn = "regexp:{{/^X|^Y|^C/ WARN %s}}"
    tables = dict(header_checks="", mime_header_checks=warn % "m", nested_header_checks=warn % "n", body_checks=warn % "b")
    for off, wanted in (("no", [("header X", "m"), ("header Y", "n")]), ("yes", [("body X", "b"), ("body Y", "b")])):
        instance, _ = relay(disable_mime_input_processing=off, **tables)
        assert reply_to(instance, parts).startswith("250 ")
        instance.wait_log(": removed")
        assert re.findall(r"warning: (\w+ [XY]).*: (\w)$", instance.log(), re.M) == wanted


@exercises("strict_8bitmime", "strict_7bit_headers", "strict_8bitmime_body", "strict_mime_encoding_domain", "mime_nesting_limit",
           "mime_boundary_length_limit", "receive_override_options")
def test_form(mta):
    nested = "Content-Type: multipart/mixed; boundary=1; boundary=2; boundary=3; boundary=4\r\n\r\n"
    cut = "Content-Type: multipart/mixed; boundary=abcdefgh\r\n\r\n--abcdxxxx\r\nX: \xe4\r\n\r\n"
    instance = mta(main={"local_transport": "discard:"}, services={
        "header": {"strict_7bit_headers": "yes"}, "body": {"strict_8bitmime_body": "yes"}, "both": {"strict_8bitmime": "yes"},
        "encoding": {"strict_mime_encoding_domain": "yes", "mime_nesting_limit": "1"}, "cut": {"strict_8bitmime": "yes", "mime_boundary_length_limit": "4"},
        "off": {"strict_8bitmime": "yes", "receive_override_options": "no_header_body_checks"}}).start()
    in_header, in_body = "550 5.6.0 improper use of 8-bit data in message header", "550 5.6.0 improper use of 8-bit data in message body"
    header, body = "Subject: \xe4\r\n\r\nx\r\n", "Subject: x\r\n\r\n\xe4\r\n"
    for service, text, wanted in (
            ("header", header, in_header), ("header", body, "250 "), ("body", header, "250 "), ("body", body, in_body), ("both", header, in_header),
            ("both", body, in_body), ("both", "Content-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n", "250 "), ("off", header, "250 "),
            ("encoding", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n",
             "550 5.6.0 invalid message/* or multipart/* encoding domain"),
            ("encoding", nested, "550 5.6.0 MIME nesting exceeds safety limit"), ("cut", cut, in_header)):
        with instance.client(service) as c:
            for line in ("EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<user@test.example>"):
                c.expect(250, line)
            c.expect(354, "DATA")
            c.raw(text.encode("latin-1") + b".\r\n")
            assert c.reply().startswith(wanted), (service, text)
    instance.wait_log(r": reject: mime-error improper use of 8-bit data in message header: Subject: \? from \S+; from=<s@client\.example> to=<user@test\.example>\n")


@exercises("body_checks_size_limit", "header_size_limit")
def test_limits(relay):
    instance, sink = relay(body_checks_size_limit="10", header_size_limit="20")
    assert reply_to(instance, "A: 123456789012345678901234\r\n dropped\r\nB: 1\r\n kept beyond the limit\r\n\r\n12345678\r\nignore\r\n").startswith("250 ")
    content = sink.wait()[0]["data"].decode()
    assert "A: 12345678901234567\r\nB: 1\r\n kept beyond th\r\n" in content and content.endswith("12345678\r\nignore\r\n")


def test_unusable_table(relay):
    instance, _ = relay(header_checks="regexp:/nonexistent")
    assert reply_to(instance, "A: 1\r\n\r\n") == "451 4.3.0 Error: queue file write error"
    instance.wait_log(r"cleanup\[\d+\]: warning: \w+: header_checks map lookup problem -- message not accepted, try again later")
