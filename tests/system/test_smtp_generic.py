"""Mail that changes while it is sent: addresses by generic(5) tables."""
import re

import pytest

from postern import Sink, exercises
from test_smtp_client import outcome

MAIN = {"mydestination": "test.example, bare.example", "smtpd_relay_restrictions": "permit_mynetworks, reject", "recipient_delimiter": "+",
        "smtpd_reject_unlisted_recipient": "no", "append_dot_mydomain": "no"}


@pytest.fixture
def sending(mta):
    """An instance whose mail all goes to a sink. Returns (instance, sink)."""
    sinks = []

    def make(keywords=("PIPELINING", "8BITMIME"), lmtp=False, **main):
        sink = Sink(keywords=keywords, lmtp=lmtp)
        sinks.append(sink)
        way = ("lmtp:inet:127.0.0.1:%d" if lmtp else "smtp:[127.0.0.1]:%d") % sink.port
        return mta(main=dict(MAIN, default_transport=way, local_transport=way, **main)).start(), sink

    yield make
    for sink in sinks:
        sink.close()


def paths(mail):
    return [re.match("<(.*?)>", text).group(1) for text in [mail["sender"], *mail["recipients"]]]


TABLE = "inline:{{a@in.example=x@out.example}, {b=y}, {@in.example=@out.example}, {c+e@in.example=z@out.example}, {n@in.example=m}}"


@exercises("smtp_generic_maps")
def test_envelope_and_headers(sending):
    instance, sink = sending(smtp_generic_maps=TABLE)
    head = "From: A <a@in.example>\r\nTo: b@bare.example (B),\r\n c+e@in.example, \"q@in.example\"@else.example\r\nReply-To: n@in.example\r\n"
    tail = "Subject: a@in.example\r\n\r\nFrom: a@in.example\r\n.\r\nbody\r\n"
    instance.send("a+ext@in.example", ["b@bare.example", "b@else.example", "d@in.example", "c+e@in.example"], head + tail)
    mail = sink.wait(1)[0]
    sender, *recipients = paths(mail)
    assert sender == "x@out.example"
    assert sorted(recipients) == ["b@else.example", "d@out.example", "y@test.example", "z@out.example"]
    content = mail["data"].decode()
    assert "From: A <x@out.example>\r\nTo: y@test.example (B), z@out.example, \"q@in.example\"@else.example\r\n" in content
    assert "Reply-To: m@test.example\r\n" in content and content.endswith("\r\n\r\nFrom: a@in.example\r\n.\r\nbody\r\n")
    instance.wait_log("to=<d@in.example>, relay=")


@exercises("propagate_unmatched_extensions", "smtp_generic_maps")
def test_extensions(sending):
    instance, sink = sending(smtp_generic_maps=TABLE, propagate_unmatched_extensions="generic")
    instance.send("a+ext@in.example", ["b+one@bare.example"])
    assert paths(sink.wait(1)[0]) == ["x+ext@out.example", "y+one@test.example"]


@exercises("lmtp_generic_maps")
def test_lmtp(sending):
    instance, sink = sending(lmtp=True, smtp_generic_maps="inline:{{s@in.example=wrong@out.example}}", lmtp_generic_maps=TABLE)
    instance.send("s@in.example", ["u@in.example"])
    assert paths(sink.wait(1)[0]) == ["s@out.example", "u@out.example"]


def test_null_sender_and_big_content(sending):
    instance, sink = sending(smtp_generic_maps="regexp:{{/^(.*)@in.example$$/ $${1}@out.example}}")
    body = "".join("line %d of many, some with a dot\r\n.%d\r\n" % (i, i) for i in range(20000))
    names = ["user%d@in.example" % i for i in range(200)]
    instance.send("", ["u@in.example"], "To: " + ",\r\n ".join(names) + "\r\n\r\n" + body)
    mail = sink.wait(1)[0]
    head, content = mail["data"].decode().split("\r\n\r\n", 1)
    assert paths(mail) == ["", "u@out.example"] and content == body
    assert ", ".join(names).replace("in.ex", "out.ex") in head.replace(",\r\n\t", ", ")


def test_table_failure_defers(sending):
    """Mail does not go out with inside addresses because a table cannot be asked."""
    instance, sink = sending(smtp_generic_maps="fail:never")
    instance.send("s@in.example", ["u@in.example"])
    assert outcome(instance, "u@in.example")[:2] == ("4.3.0", "deferred")
    instance, sink = sending(smtp_generic_maps="pipemap:{regexp:{{/^header@/ x}},fail:never}")
    instance.send("s@in.example", ["u@in.example"], "To: header@in.example\r\n\r\nbody\r\n")
    assert outcome(instance, "u@in.example")[:2] == ("4.3.0", "deferred")
    assert not sink.mails


MIXED = "\r\n".join([
    "Content-Type: multipart/mixed; boundary=out", "Content-Transfer-Encoding: 8bit", "MIME-Version: 1.0", "", "préambule", "--out",
    "Content-Transfer-Encoding: 8bit", "Content-Type: text/plain; charset=utf-8", "", "é = %s" % ("x" * 80), ".", "end ", "", "--out",
    "Content-Type: message/rfc822", "Content-Transfer-Encoding: binary", "", "Subject: inner", "Content-Transfer-Encoding: 8bit", "", "ü", "--out",
    "Content-Type: message/delivery-status", "Content-Transfer-Encoding: 8bit", "", "Status: 5.0.0", "--out",
    "Content-Transfer-Encoding: base64", "", "YQ==", "--out--", "épilogue", ""])
CONVERTED = "\r\n".join([
    "Content-Type: multipart/mixed; boundary=out", "MIME-Version: 1.0", "Content-Transfer-Encoding: 7bit", "", "préambule", "--out",
    "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "", "=C3=A9 =3D %s=" % ("x" * 62), "x" * 18, ".",
    "end=20", "", "--out", "Content-Type: message/rfc822", "Content-Transfer-Encoding: 7bit", "", "Subject: inner",
    "Content-Transfer-Encoding: quoted-printable", "", "=C3=BC", "--out", "Content-Type: message/delivery-status",
    "Content-Transfer-Encoding: 8bit", "", "Status: 5.0.0", "--out", "Content-Transfer-Encoding: base64", "", "YQ==", "--out--", "épilogue", ""])


@exercises("disable_mime_output_conversion")
@pytest.mark.parametrize("keywords,main,converted", [
    (("PIPELINING",), {}, True),
    (("PIPELINING", "8BITMIME"), {}, False),
    (("PIPELINING",), {"disable_mime_output_conversion": "yes"}, False),
    (("PIPELINING",), {"smtp_line_length_limit": "0"}, True),
    (("PIPELINING",), {"smtp_generic_maps": TABLE}, True),
])
def test_conversion(sending, keywords, main, converted):
    instance, sink = sending(keywords=keywords, **main)
    before, after = "Message-Id: <x@y>\r\nDate: x\r\nFrom: s@x.example\r\n", MIXED
    instance.send("s@x.example", ["u@x.example"], before + after)
    content = sink.wait(1)[0]["data"].decode()
    assert content.endswith("\r\n" + before + (CONVERTED if converted else MIXED))


@exercises("detect_8bit_encoding_header")
def test_what_counts_as_8bit(sending):
    instance, sink = sending(keywords=("PIPELINING",), detect_8bit_encoding_header="no")
    body = "Content-Transfer-Encoding: 8bit\r\n\r\né\r\n"
    instance.send(body=body)
    assert sink.wait(1)[0]["data"].decode().endswith("é\r\n")
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "MAIL FROM:<s@x.example> BODY=8BITMIME")
        c.expect(250, "RCPT TO:<u@x.example>")
        c.data(body)
    assert sink.wait(2)[1]["data"].decode().endswith("=C3=A9\r\n")


@exercises("mime_nesting_limit")
@pytest.mark.parametrize("keywords,depth,expected", [(("PIPELINING",), 5, ("2.0.0", "sent")), (("PIPELINING",), 6, ("5.6.0", "bounced")), (("PIPELINING", "8BITMIME"), 6, ("2.0.0", "sent"))])
def test_conversion_of_what_is_nested_deep(sending, keywords, depth, expected):
    instance, _ = sending(keywords=keywords, mime_nesting_limit="3")
    instance.send("", ["u@x.example"], "".join("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth)) + "\r\nx\r\n")
    assert outcome(instance, "u@x.example")[:2] == expected


def test_conversion_of_much(sending):
    """Lines of every length, one too long to be held as a whole: the decoded text is the same."""
    import quopri
    instance, sink = sending(keywords=("PIPELINING",))
    body = "".join("é" * (i % 300) + " = \t\r\n" for i in range(3000)) + "ä" * 150000 + "\r\n.\r\n"
    instance.send(body="Content-Transfer-Encoding: 8bit\r\n\r\n" + body)
    content = sink.wait(1)[0]["data"].split(b"\r\n\r\n", 1)[1]
    assert max(map(len, content.split(b"\r\n"))) <= 76 and content.isascii()
    assert quopri.decodestring(content) == body.encode()
