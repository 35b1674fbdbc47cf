"""The queue manager and time: attempts again, the end of a message's life, reports, what survives a restart."""
import fcntl
import json
import os
import re
import socket
import struct
import threading
import time

import pytest

from postern import PATIENCE, SLOW, Sink, exercises, wait_for

OPEN = {"smtpd_relay_restrictions": "permit_mynetworks, reject", "mydestination": "", "smtp_connection_cache_on_demand": "no",
        "minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "2s", "transport_retry_time": "1s"}


@pytest.fixture
def sink():
    made = []

    def start(*args, **keywords):
        made.append(Sink(*args, **keywords))
        return made[-1]

    yield start
    for server in made:
        server.close()


def routes(**sinks):
    """transport_maps that lead NAME.example to the sink."""
    return "inline:{ %s }" % ", ".join("{%s.example = smtp:[127.0.0.1]:%d}" % (name, s.port) for name, s in sinks.items())


def counted(limit, first, then="250 2.1.5 ok"):
    """A rule that answers `first` limit times, then `then`; and the list of times it was asked."""
    times = []

    def rule(argument):
        times.append(time.monotonic())
        return first if len(times) <= limit else then
    return rule, times


@exercises("minimal_backoff_time", "maximal_backoff_time")
def test_deferred_mail_is_tried_again(mta, sink):
    """Without a longest pause the eighth attempt would come after a minute."""
    rule, times = counted(7, "450 4.2.0 not now")
    far = sink(rules={"RCPT": rule})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), maximal_backoff_time="1s")).start()
    qid = m.send(recipients=["u@far.example"])
    mails = far.wait(1, 20)
    assert len(mails) == 1 and len(times) == 8
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert all(gap > 0.9 for gap in gaps), gaps
    m.wait_log(r"%s: removed" % qid)
    assert len(re.findall(r"%s: to=<u@far.example>.* status=deferred \(host 127.0.0.1\[127.0.0.1\] said: 450 4.2.0 not now" % qid, m.log())) == 7
    assert len(re.findall(r"%s: from=<s@client.example>, size=\d+, nrcpt=1 \(queue active\)" % qid, m.log())) == 8
    wait_for(lambda: not m.queued(), 5, "empty queue")


@exercises("maximal_queue_lifetime")
def test_expired_mail_goes_back(mta, sink):
    far, home = sink(rules={"RCPT": "450 4.2.0 never now"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), maximal_queue_lifetime="3s")).start()
    qid = m.send(recipients=["u@far.example"])
    (report,) = home.wait(1, 20)
    m.wait_log(r"%s: from=<s@client.example>, status=expired, returned to sender" % qid)
    m.wait_log(r"%s: sender non-delivery notification: \w+" % qid)
    text = report["data"].decode()
    assert report["sender"] == "<>" or report["sender"].startswith("<>")
    assert "Action: failed\r\nStatus: 4.2.0\r\n" in text
    assert "Diagnostic-Code: smtp; 450 4.2.0 never now\r\n" in text
    m.wait_log(r"%s: removed" % qid)


@exercises("bounce_queue_lifetime", "maximal_queue_lifetime")
def test_reports_have_a_lifetime_of_their_own(mta, sink):
    far = sink(rules={"RCPT": "450 4.2.0 never now"})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), maximal_queue_lifetime="1h", bounce_queue_lifetime="2s")).start()
    report = m.send(sender="", recipients=["u@far.example"])
    other = m.send(sender="s@far.example", recipients=["u@far.example"])
    m.wait_log(r"%s: from=<>, status=expired, returned to sender" % report, 15)
    m.wait_log(r"%s: removed" % report)
    assert "%s: from=<s@far.example>, status=expired" % other not in m.log()
    assert "notification" not in m.log()


def test_permanent_failure_is_reported_at_once(mta, sink):
    far, home = sink(rules={"RCPT": "550 5.1.1 no such user"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home))).start()
    qid = m.send(recipients=["u@far.example", "v@far.example"])
    (report,) = home.wait()
    text = report["data"].decode()
    for user in "uv":
        assert "Final-Recipient: rfc822; %s@far.example\r\n" % user in text
    assert text.count("Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; 127.0.0.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n") == 2
    assert "X-Postern-Queue-ID: %s\r\n" % qid in text
    assert "Content-Type: message/rfc822\r\n\r\nReturn-Path: <s@client.example>\r\n" in text
    assert "\r\nSubject: test\r\n" in text and "\r\n\r\nhello\r\n" in text
    m.wait_log(r"%s: removed" % qid)


def test_a_report_that_fails_is_not_reported(mta, sink):
    far = sink(rules={"RCPT": "550 5.1.1 no such user"})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=far))).start()
    qid = m.send(recipients=["u@far.example"])
    report = m.wait_log(r"%s: sender non-delivery notification: (\w+)" % qid).group(1)
    m.wait_log(r"%s: removed" % report)
    assert m.log().count("notification") == 1
    wait_for(lambda: not m.queued(), 5, "empty queue")


@exercises("notify_classes", "bounce_notice_recipient", "2bounce_notice_recipient", "double_bounce_sender")
def test_the_postmaster_is_told(mta, sink):
    far, home = sink(rules={"RCPT": "550 5.1.1 no such user"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, home=home), notify_classes="bounce, 2bounce", bounce_notice_recipient="pm@home.example",
                      **{"2bounce_notice_recipient": "pm2@home.example"})).start()
    m.send(sender="s@home.example", recipients=["u@far.example"])
    mails = {mail["recipients"][0].split(">")[0].strip("<"): mail for mail in home.wait(2)}
    assert set(mails) == {"s@home.example", "pm@home.example"}
    assert b"Subject: Postmaster Copy: Undelivered Mail\r\n" in mails["pm@home.example"]["data"]
    assert mails["pm@home.example"]["sender"].startswith("<double-bounce@test.example>")
    assert b"hello" not in mails["pm@home.example"]["data"] and b"hello" in mails["s@home.example"]["data"]
    m.send(sender="", recipients=["u@far.example"])
    mail = home.wait(3)[2]
    assert mail["recipients"][0].startswith("<pm2@home.example>") and b"hello" in mail["data"]


@exercises("delay_warning_time")
def test_one_warning_about_delay(mta, sink):
    far, home = sink(rules={"RCPT": "450 4.2.0 not now"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), delay_warning_time="2s")).start()
    qid = m.send(recipients=["u@far.example"])
    (report,) = home.wait(1, 20)
    m.wait_log(r"%s: sender delay notification: \w+" % qid)
    text = report["data"].decode()
    assert "Subject: Delayed Mail (still being retried)\r\n" in text
    assert "Action: delayed\r\nStatus: 4.2.0\r\n" in text and "Will-Retry-Until: " in text
    assert "Content-Type: text/rfc822-headers\r\n" in text and "hello" not in text
    m.wait_log(r"%s: from=.*\(queue active\)" % qid, since=m.log_size(), count=3)  # two attempts more have ended
    assert m.log().count("sender delay notification") == 1


@exercises("soft_bounce")
def test_soft_bounce_keeps_mail(mta, sink):
    far = sink(rules={"RCPT": "550 5.1.1 no such user"})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), soft_bounce="yes")).start()
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"%s: from=.*queue active" % qid, count=2)
    assert "notification" not in m.log()


def test_deferred_mail_survives_a_restart(mta, sink):
    rule, times = counted(1, "450 4.2.0 not now")
    far = sink(rules={"RCPT": rule})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), minimal_backoff_time="4s", maximal_backoff_time="4s")).start()
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"%s: to=.* status=deferred" % qid)
    wait_for(lambda: m.queued("deferred"), what="deferred message")
    m.stop()
    m.start()
    far.wait(1, 20)
    assert times[1] - times[0] > 3.5
    m.wait_log(r"%s: removed" % qid)


def test_what_was_delivered_is_not_delivered_again(mta, sink):
    """One recipient of two is refused for now; after a restart only that one is tried."""
    answers = {"later": "450 4.2.0 not now", "now": "250 ok"}
    far = sink(rules={"RCPT": lambda argument: answers["later" if "later" in argument else "now"]})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far))).start()
    qid = m.send(recipients=["now@far.example", "later@far.example"])
    m.wait_log(r"%s: to=<later@far.example>.* status=deferred" % qid)
    wait_for(lambda: m.queued("deferred"), what="deferred message")
    m.stop()
    answers["later"] = "250 ok"
    m.start()
    m.wait_log(r"%s: removed" % qid, 15)
    got = [r.split(">")[0].strip("<") for mail in far.mails for r in mail["recipients"]]
    assert sorted(got) == ["later@far.example", "now@far.example"]


@exercises("defer_transports")
def test_deferred_transport_waits_for_a_flush(mta, sink):
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), defer_transports="smtp", minimal_backoff_time="300s", maximal_backoff_time="300s")).start()
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"%s: to=<u@far.example>, relay=none, .*dsn=4.3.2, status=deferred \(deferred transport\)" % qid)
    m.command("postqueue", "-f")
    far.wait()
    m.wait_log(r"%s: removed" % qid)


@pytest.mark.parametrize("flush", (["-f"], ["-i", None], ["-s", "far.example"]))
def test_flush_during_an_attempt(mta, sink, flush):
    """What the attempt before the flush met does not count: another follows at once."""
    asked, answer = threading.Event(), threading.Event()

    def rule(argument):
        first = not asked.is_set()
        asked.set()
        return "450 4.2.0 not now" if first and answer.wait(PATIENCE) else "250 2.1.5 ok"
    far = sink(rules={"RCPT": rule})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), minimal_backoff_time="300s", maximal_backoff_time="300s", fast_flush_domains="far.example")).start()
    qid = m.send(recipients=["u@far.example"])
    assert asked.wait(PATIENCE)
    m.command("postqueue", *[word or qid for word in flush])
    answer.set()
    far.wait(1)


@exercises("fast_flush_domains")
def test_flush_of_one_message_and_of_a_site(mta, sink):
    rule, _ = counted(3, "450 4.2.0 not now")
    far = sink(rules={"RCPT": rule})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, other=far), fast_flush_domains="other.example", minimal_backoff_time="300s", maximal_backoff_time="300s")).start()
    ids = [m.send(recipients=["%s@%s.example" % (user, site)]) for user, site in (("a", "far"), ("b", "far"), ("c", "other"))]
    for qid in ids:
        m.wait_log(r"%s: to=.* status=deferred" % qid)
    m.command("postqueue", "-i", ids[1])
    m.wait_log(r"%s: removed" % ids[1])
    m.command("postqueue", "-s", "other.example")
    m.wait_log(r"%s: removed" % ids[2])
    assert "%s: removed" % ids[0] not in m.log()
    refused = m.command("postqueue", "-s", "far.example", check=False)
    assert refused.returncode == 69 and 'Flush service is not configured for destination "far.example"' in refused.stdout
    assert m.command("postqueue", "-s", "bad domain", check=False).returncode == 69
    assert m.command("postqueue", "-i", "../../etc", check=False).returncode == 69


def test_the_listing(mta, sink):
    far = sink(rules={"RCPT": "450 4.2.0 \"not\" now"})
    m = mta(main=dict(OPEN, transport_maps=routes(far=far), minimal_backoff_time="300s", maximal_backoff_time="300s")).start()
    assert m.command("postqueue", "-p").stdout == "Mail queue is empty\n"
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"%s: to=.* status=deferred" % qid)
    wait_for(lambda: '"deferred"' in m.command("postqueue", "-j").stdout, what="deferred message")
    lines = m.command("postqueue", "-p").stdout.splitlines()
    assert lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
    assert re.fullmatch(r"%s +\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d  s@client.example" % qid, lines[1])
    assert re.fullmatch(r' *\(host 127.0.0.1\[127.0.0.1\] said: 450 4.2.0 "not" now \(in reply to RCPT TO command\)\)', lines[2])
    assert lines[3] == " " * 41 + "u@far.example" and lines[4] == "" and re.fullmatch(r"-- \d+ Kbytes in 1 Request.", lines[5])
    entry = json.loads(m.command("postqueue", "-j").stdout)
    assert (entry["queue_name"], entry["queue_id"], entry["sender"]) == ("deferred", qid, "s@client.example")
    assert entry["recipients"][0]["address"] == "u@far.example" and '"not" now' in entry["recipients"][0]["delay_reason"]
    m.stop()
    down = m.command("postqueue", "-p").stdout
    assert "Mail system is down -- accessing queue directly" in down and qid in down
    assert m.command("postqueue", "-f", check=False).returncode == 69


@exercises("confirm_delay_cleared", "delay_warning_time")
def test_the_end_of_a_delay_is_told(mta, sink):
    answers = ["450 4.2.0 not now"]
    far, home = sink(rules={"RCPT": lambda argument: answers[0]}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), delay_warning_time="1s", confirm_delay_cleared="yes")).start()
    qid = m.send(recipients=["u@far.example"])
    home.wait(1, 20)
    answers[0] = "250 ok"
    _, cleared = home.wait(2, 20)
    assert b"Subject: Successful Mail Delivery Report\r\n" in cleared["data"]
    m.wait_log(r"%s: sender delivery status notification: \w+" % qid)


@exercises("bounce_template_file", "config_directory")
def test_templates_of_reports(mta, sink):
    far, home = sink(rules={"RCPT": "550 5.1.1 no such user"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), bounce_template_file="$config_directory/bounce.cf"))
    with open(m.config + "/bounce.cf", "w") as f:
        f.write("failure_template = <<EOF\nFrom: Our Mailer <mailer>\nSubject: It came back\n\nHost $myhostname could not.\nEOF\n")
    m.start()
    m.send(recipients=["u@far.example"])
    text = home.wait()[0]["data"].decode()
    assert "From: Our Mailer <mailer@test.example>\r\nSubject: It came back\r\n" in text
    assert "\r\n\r\nHost mail.test.example could not.\r\n\r\n<u@far.example>: host 127.0.0.1" in text


def test_a_report_that_cannot_be_made_is_made_later(mta, sink):
    """While the report cannot be made for want of a table, the failed message stays, is not tried again, and is listed with its reason."""
    far, home = sink(rules={"RCPT": "550 5.1.1 no such user"}), sink()
    m = mta(main=dict(OPEN, transport_maps=routes(far=far, client=home), virtual_alias_domains="", virtual_alias_maps="texthash:$config_directory/aliases"),
            services={"smtpd": {"virtual_alias_maps": ""}}).start()
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"warning: %s: cannot make a delivery report: " % qid, count=2, seconds=15)
    tried = len(re.findall(r"%s: to=<u@far.example>" % qid, m.log()))
    (entry,) = [json.loads(line) for line in m.command("postqueue", "-j").stdout.splitlines()]
    assert entry["queue_id"] == qid and "no such user" in entry["recipients"][0]["delay_reason"]
    assert entry["recipients"][0]["report_pending"] is True
    assert tried == 1 and not home.mails
    m.set(virtual_alias_maps="")
    m.reload()
    home.wait(1, 15)
    m.wait_log(r"%s: removed" % qid)


class Forgetting:
    """What postsuper tells the queue manager of a message that it took away (src/ipc/queue.h)."""

    def __init__(self, instance):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE * SLOW)
        self.socket.connect(os.path.join(instance.queue, "public/qmgr"))

    def forget(self, qid):
        body = struct.pack("<HBI", 20, 1, len(qid)) + qid.encode()
        self.socket.sendall(struct.pack("<I", len(body)) + body)
        assert self.socket.recv(1000)


def test_message_that_is_taken_away_while_it_ends(mta, sink):
    """postsuper may come when the last delivery is done and the file is about to go: whoever is at work on the message goes on alone."""
    came, answer = threading.Event(), threading.Event()

    def dot(argument):
        came.set()
        return answer.wait(PATIENCE * SLOW) and "250 2.0.0 ok"
    far = sink(rules={"DOT": dot})
    instance = mta(dict(OPEN, transport_maps=routes(far=far))).start()
    qid = instance.send(recipients=["user@far.example"])
    assert came.wait(PATIENCE * SLOW)
    with open(os.path.join(instance.queue, "incoming/slot.000"), "r+b") as slot:
        fcntl.flock(slot, fcntl.LOCK_SH)
        fcntl.lockf(slot, fcntl.LOCK_EX)  # its end waits for us
        answer.set()
        instance.wait_log(r"%s: to=<user@far.example>.* status=sent" % qid)
        postsuper = Forgetting(instance)
        for _ in range(5):
            postsuper.forget(qid)
    instance.wait_log(r"qmgr\[\d+\]: %s: removed" % qid)
    second = instance.send(recipients=["user@far.example"])
    instance.wait_log(r"qmgr\[\d+\]: %s: removed" % second)
    instance.stop()
    assert len(re.findall(r"qmgr\[\d+\]: %s: removed" % qid, instance.log())) == 1 and "warning" not in instance.log()
