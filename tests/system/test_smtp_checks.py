"""smtp_header_checks and the like: tables that look at mail while it is sent."""
import pytest

from postern import Sink, exercises

HOW = {"mydestination": "test.example", "smtpd_relay_restrictions": "permit_mynetworks, reject"}
MESSAGE = ("A: 1\r\nB: 2\r\n 3\r\nC: 4\r\nD: 5\r\nE: 6\r\nF: 7\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nbody A: x\r\n--b\r\nA: part\r\n"
           "Content-Type: message/rfc822\r\n\r\nA: nested\r\n\r\nbody B\r\n.\r\n--b--\r\n")


@pytest.fixture
def sending(mta):
    sinks = []

    def make(lmtp=False, **main):
        sink = Sink(lmtp=lmtp)
        sinks.append(sink)
        way = ("lmtp:inet:127.0.0.1:%d" if lmtp else "smtp:[127.0.0.1]:%d") % sink.port
        return mta(main=dict(HOW, default_transport=way, **main)).start(), sink

    yield make
    for sink in sinks:
        sink.close()


def arrived(instance, sink, message=MESSAGE):
    with instance.client() as c:
        c.mail("s@client.example", ["u@any.example"], message)
    return sink.wait()[0]["data"].decode()


RULES = {
    "header_checks": "regexp:{{/^A: (.*)/ REPLACE Z: $$1}, {/^B:/ WARN two lines}, {/^C:/ STRIP away}, {/^D:/ PREPEND P: before}, {/^E:/ IGNORE}, {/^F:/ REJECT no},"
                     " {/^Content/ IGNORE}, {/^body/ IGNORE}}",
    "mime_header_checks": "regexp:{{/^A: part/ INFO in a part}, {/^Content-Type: message/ PREPEND X-Mime: m}}",
    "nested_header_checks": "regexp:{{/^A: nested/ REPLACE A: inside}}",
    "body_checks": "regexp:{{/^body A/ REPLACE .first}, {/^body B/ PREPEND second}, {/^--b--/ DISCARD all}}",
}


@pytest.mark.parametrize("agent", ["smtp", "lmtp"])
@exercises("smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks", "lmtp_header_checks", "lmtp_mime_header_checks",
           "lmtp_nested_header_checks", "lmtp_body_checks")
def test_all_four_kinds(sending, agent):
    instance, sink = sending(agent == "lmtp", **{agent + "_" + name: rules for name, rules in RULES.items()})
    data = arrived(instance, sink)
    assert "Z: 1\r\nB: 2\r\n 3\r\nP: before\r\nD: 5\r\nF: 7\r\nContent-Type: multipart" in data
    assert data.endswith("\r\n\r\n.first\r\n--b\r\nA: part\r\nX-Mime: m\r\nContent-Type: message/rfc822\r\n\r\nA: inside\r\n\r\nsecond\r\nbody B\r\n.\r\n--b--\r\n")
    instance.wait_log("status=sent")
    log = instance.log()
    for line in ("replace: header A: 1: Z: 1", "warning: header B: 2? 3: two lines", "strip: header C: 4: away", "prepend: header D: 5: P: before", "info: header A: part: in a part",
                 "replace: header A: nested: A: inside", "replace: body body A: x: .first", "prepend: body body B: second"):
        assert line in log.replace("2??3", "2? 3").replace("2?? 3", "2? 3"), line
    assert "warning: unsupported command in %s_header_checks map: REJECT no\n" % agent in log
    assert "warning: unsupported command in %s_body_checks map: DISCARD all\n" % agent in log


@exercises("smtp_header_checks", "smtp_body_checks")
@pytest.mark.parametrize("parameter,where", [("smtp_header_checks", "header"), ("smtp_body_checks", "body")])
def test_table_that_fails(sending, parameter, where):
    """The mail waits, and nobody gets half of it."""
    instance, sink = sending(**{parameter: "regexp:{{/never/ INFO}}, fail:broken"})
    with instance.client() as c:
        c.mail("s@client.example", ["u@any.example"], MESSAGE)
    instance.wait_log(r"smtp %s checks lookup error: " % where)
    instance.wait_log(r"dsn=4.3.0, status=deferred \(local data error while talking to 127.0.0.1\[127.0.0.1\]\)")
    assert not sink.mails


@exercises("smtp_header_checks")
def test_text_that_cannot_stand_there(sending):
    instance, sink = sending(smtp_header_checks="regexp:{{/^A:/ REPLACE no header}, {/^C:/ PREPEND}, {/^D:/ PREPEND X Y: z}, {/(broken/ INFO}}")
    data = arrived(instance, sink)
    assert "A: 1\r\nB: 2\r\n 3\r\nC: 4\r\nD: 5\r\n" in data
    log = instance.log()
    assert 'bad REPLACE header text "no header" in smtp_header_checks map -- need "headername: headervalue"' in log
    assert "PREPEND action without text in smtp_header_checks map" in log and 'bad PREPEND header text "X Y: z"' in log
    assert "regexp map" in log  # the rule that is none


@exercises("smtp_line_length_limit")
def test_broken_lines_are_logged(sending):
    instance, sink = sending()
    data = arrived(instance, sink, "X: y\r\n\r\n" + "a" * 1500 + "\r\n" + "b" * 1500 + "\r\n")
    assert data.endswith("\r\n\r\n" + "a" * 998 + "\r\n " + "a" * 502 + "\r\n" + "b" * 998 + "\r\n " + "b" * 502 + "\r\n")
    instance.wait_log("status=sent")
    assert instance.log().count("breaking line > 998 bytes with <CR><LF>SPACE") == 1
