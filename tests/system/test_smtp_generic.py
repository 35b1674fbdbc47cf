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
    assert "From: A <x@out.example>\r\nTo: y@test.example (B),\r\n z@out.example, \"q@in.example\"@else.example\r\n" in content
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
    names = ",\r\n ".join("user%d@in.example" % i for i in range(200))
    instance.send("", ["u@in.example"], "To: " + names + "\r\n\r\n" + body)
    mail = sink.wait(1)[0]
    head, content = mail["data"].decode().split("\r\n\r\n", 1)
    assert paths(mail) == ["", "u@out.example"] and content == body
    assert "To: " + names.replace("in.ex", "out.ex") in head


def test_table_failure_defers(sending):
    """Mail does not go out with inside addresses because a table cannot be asked."""
    instance, sink = sending(smtp_generic_maps="fail:never")
    instance.send("s@in.example", ["u@in.example"])
    assert outcome(instance, "u@in.example")[:2] == ("4.3.0", "deferred")
    instance, sink = sending(smtp_generic_maps="pipemap:{regexp:{{/^header@/ x}},fail:never}")
    instance.send("s@in.example", ["u@in.example"], "To: header@in.example\r\n\r\nbody\r\n")
    assert outcome(instance, "u@in.example")[:2] == ("4.3.0", "deferred")
    assert not sink.mails
