"""The queue manager and destinations: how many deliveries at once, who is next, who is unreachable, agents that die."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from postern import BUILD, Sink, exercises, wait_for

OPEN = {"smtpd_relay_restrictions": "permit_mynetworks, reject", "mydestination": "", "smtp_connection_cache_on_demand": "no",
        "minimal_backoff_time": "2s", "maximal_backoff_time": "2s", "queue_run_delay": "2s", "transport_retry_time": "1s"}
QUEUE_PUT = os.path.join(BUILD, "tests/unit/qmgr/queue_put")


@pytest.fixture
def sink():
    made = []

    def start(*args, **keywords):
        made.append(Sink(*args, **keywords))
        return made[-1]

    yield start
    for server in made:
        server.close()


def to(s, *sites):
    return "inline:{ %s }" % ", ".join("{%s = smtp:[127.0.0.1]:%d}" % (site, s.port) for site in sites)


def put(m, *arguments):
    """Mail straight into the queue: faster than SMTP."""
    done = subprocess.run([QUEUE_PUT, "-c", m.config, *[str(a) for a in arguments]], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def recipients(s):
    return [r.split(">")[0].strip("<") for mail in s.mails for r in mail["recipients"]]


class Gate:
    """A rule that holds deliveries back until it is opened, and counts those that wait."""

    def __init__(self, reply="250 2.0.0 ok"):
        self.event, self.reply, self.waiting, self.most, self.lock = threading.Event(), reply, 0, 0, threading.Lock()

    def __call__(self, argument):
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.event.wait(300)
        with self.lock:
            self.waiting -= 1
        return self.reply


@exercises("default_destination_concurrency_limit", "smtp_destination_concurrency_limit", "initial_destination_concurrency")
def test_concurrency_of_a_destination(mta, sink):
    first, others = Gate(), Gate()
    far = sink(rules={"DOT": lambda argument: (first if len(far.mails) < 12 else others)(argument)})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), smtp_destination_concurrency_limit="3", initial_destination_concurrency="2")).start()
    put(m, "-n", 24, "-d", "far.example")
    wait_for(lambda: first.waiting == 2, 10, "the first two")
    time.sleep(0.5)
    assert first.waiting == 2
    first.event.set()
    wait_for(lambda: others.waiting == 3, what="three at once")
    time.sleep(0.5)
    assert others.waiting == 3
    others.event.set()
    far.wait(24)
    assert max(first.most, others.most) == 3


@exercises("smtp_destination_recipient_limit")
def test_recipients_of_a_request(mta, sink):
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), smtp_destination_recipient_limit="4")).start()
    put(m, "-n", 1, "-r", 10, "-d", "far.example")
    wait_for(lambda: len(recipients(far)) == 10, 10, "all recipients")
    assert sorted(len(mail["recipients"]) for mail in far.mails) == [2, 4, 4]


@exercises("smtp_destination_rate_delay")
def test_rate_delay(mta, sink):
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), smtp_destination_rate_delay="1s")).start()
    start = time.monotonic()
    put(m, "-n", 4, "-d", "far.example")
    far.wait(4)
    assert time.monotonic() - start > 2.9


@exercises("default_delivery_slot_cost", "smtp_delivery_slot_loan")
def test_huge_mail_does_not_hold_up_small(mta, sink):
    """1,000 recipients at one slow place; a message of one recipient comes later and must not wait for them."""
    begin, gate = Gate(), Gate()
    begin.event.set()
    far = sink(rules={"DOT": lambda argument: (begin if len(far.mails) < 20 else gate)(argument)})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), smtp_destination_recipient_limit="2", smtp_destination_concurrency_limit="5",
                      default_transport="discard:")).start()
    put(m, "-n", 1, "-r", 1000, "-d", "far.example")
    wait_for(lambda: gate.waiting == 5, what="deliveries")
    before = len(far.mails)
    for address in ("small@far.example", "later@near.example"):  # when the second has gone the first is in line
        qid = m.send(recipients=[address])
        m.wait_log(r"%s: from=.*\(queue active\)" % qid)
    m.wait_log(r"%s: removed" % qid)
    gate.event.set()
    wait_for(lambda: len(recipients(far)) == 1001, 30, "the huge message")
    assert len(set(recipients(far))) == 1001
    waited, = [place - before for place, mail in enumerate(far.mails) if mail["recipients"][0].startswith("<small@")]
    assert waited < 30, "it waited for %d deliveries" % waited


def test_dead_destination_is_left_alone(mta, sink):
    far = sink(rules={"CONNECT": "421 4.3.2 too busy"})
    near = sink()
    m = mta(main=dict(OPEN, transport_maps="inline:{ {far.example = smtp:[127.0.0.1]:%d}, {near.example = smtp:[127.0.0.1]:%d} }" % (far.port, near.port),
                      minimal_backoff_time="60s", maximal_backoff_time="60s", initial_destination_concurrency="2")).start()
    put(m, "-n", 20, "-d", "far.example")
    put(m, "-n", 3, "-d", "near.example")
    near.wait(3)
    m.wait_log(r"status=deferred", count=20)
    m.wait_log(r"postfix/error\[\d+\]: \w+: to=<\S+@far.example>, relay=none, .*dsn=4\.\d\.\d+, status=deferred \(delivery temporarily suspended: ")
    assert far.connections < 10, far.connections
    assert far.connections >= 1


def test_no_such_transport(mta):
    m = mta(main=dict(OPEN, default_transport="nosuch:")).start()
    qid = m.send(recipients=["u@far.example"])
    m.wait_log(r"warning: connect to transport private/nosuch: No such file or directory")
    m.wait_log(r"%s: to=<u@far.example>, relay=none, .*dsn=4.3.0, status=deferred \(mail transport unavailable\)" % qid)


def agents(m, name="smtp"):
    """Process ids of the instance's agents."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            arguments = open("/proc/%s/cmdline" % pid).read().split("\0")
        except OSError:
            continue
        if os.path.basename(arguments[0]) == name and m.config in arguments:
            found.append(int(pid))
    return found


def test_agent_killed_during_delivery(mta, sink):
    gate = Gate()
    far = sink(rules={"RCPT": gate})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example", "other.example"))).start()
    ids = put(m, "-n", 3, "-d", "far.example")
    wait_for(lambda: gate.waiting == 3, 10, "three deliveries")
    for pid in agents(m):
        os.kill(pid, signal.SIGKILL)
    gate.event.set()
    far.wait(3)
    for qid in ids:
        m.wait_log(r"%s: removed" % qid, 15)
    assert sorted(recipients(far)) == ["u0.0@far.example", "u1.0@far.example", "u2.0@far.example"]


def test_a_poisonous_destination_hurts_only_itself(mta, sink):
    """Whatever is delivered to poison.example kills its agent; the mail for others arrives at once."""
    holder = {}

    def poison(argument):
        for pid in agents(holder["m"]):
            os.kill(pid, signal.SIGKILL)
        return None
    bad, good = sink(rules={"MAIL": poison}), sink()
    m = holder["m"] = mta(main=dict(OPEN, minimal_backoff_time="60s", maximal_backoff_time="60s", transport_maps="inline:{ {poison.example = smtp:[127.0.0.1]:%d}, {good.example = smtp:[127.0.0.1]:%d} }" % (bad.port, good.port))).start()
    put(m, "-n", 1, "-d", "poison.example")
    put(m, "-n", 30, "-d", "good.example")
    wait_for(lambda: len(recipients(good)) >= 30, 20, "the others")
    m.wait_log(r"to=<u0.0@poison.example>, relay=none, .*dsn=4.3.0, status=deferred \(delivery agent ended without an answer\)", 15)
    assert bad.connections <= 3


def test_reload_during_delivery_delivers_once(mta, sink):
    gate = Gate()
    far = sink(rules={"DOT": gate})
    near = sink()
    m = mta(main=dict(OPEN, transport_maps="inline:{ {far.example = smtp:[127.0.0.1]:%d}, {near.example = smtp:[127.0.0.1]:%d} }" % (far.port, near.port))).start()
    ids = put(m, "-n", 3, "-r", 2, "-d", "far.example")
    wait_for(lambda: gate.waiting == 3, 10, "three deliveries")
    for count in (2, 4):
        before = set(agents(m, "qmgr"))
        m.reload()
        wait_for(lambda: set(agents(m, "qmgr")) - before, what="a new queue manager")
        put(m, "-n", 2, "-d", "near.example")
        near.wait(count)
    time.sleep(1)
    assert gate.waiting == 3
    gate.event.set()
    for qid in ids:
        m.wait_log(r"%s: removed" % qid, 15)
    time.sleep(1)
    assert len(recipients(far)) == 6 and len(set(recipients(far))) == 6
    wait_for(lambda: not [n for n in os.listdir(os.path.join(m.queue, "private")) if n.startswith("qmgr.leaving")], 10, "no list left")


def test_mail_of_a_session_from_before_a_reload(mta, sink):
    """While the old queue manager still waits for an agent, the new one is told of the mail."""
    gate = Gate()
    far, near = sink(rules={"DOT": gate}), sink()
    m = mta(main=dict(OPEN, queue_run_delay="300s", transport_maps="inline:{ {far.example = smtp:[127.0.0.1]:%d}, {near.example = smtp:[127.0.0.1]:%d} }" % (far.port, near.port))).start()
    with m.client() as c:
        c.expect(250, "EHLO client.example")
        c.mail("s@test.example", ["u@far.example"], "Subject: x\r\n\r\nx\r\n")
        wait_for(lambda: gate.waiting == 1, what="a slow delivery")
        c.mail("s@test.example", ["u@near.example"], "Subject: x\r\n\r\nx\r\n")  # its process knows the old queue manager
        near.wait(1)
        m.reload()
        wait_for(lambda: len(agents(m, "qmgr")) == 2, what="a successor")
        c.mail("s@test.example", ["u@near.example"], "Subject: x\r\n\r\nx\r\n")
        near.wait(2)
    gate.event.set()


@pytest.mark.parametrize("flush", (["-f"], ["-i", None], ["-s", "far.example"]))
def test_flush_at_the_time_of_a_reload(mta, sink, flush):
    """Whichever queue manager is told, the mail is tried."""
    open_now = threading.Event()
    far = sink(rules={"RCPT": lambda argument: "250 2.1.5 ok" if open_now.is_set() else "450 4.2.0 not now"})
    m = mta(main=dict(OPEN, minimal_backoff_time="300s", maximal_backoff_time="300s", fast_flush_domains="far.example", transport_maps=to(far, "far.example"))).start()
    qid = m.send(recipients=["u@far.example"])
    wait_for(lambda: m.queued("deferred") == [qid])
    open_now.set()
    m.command("postern", "-c", m.config, "reload")
    m.command("postqueue", *[word or qid for word in flush])
    far.wait(1)


def test_killed_queue_manager_loses_nothing(mta, sink):
    far = sink(rules={"DOT": lambda argument: time.sleep(0.02) or "250 2.0.0 ok"})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"))).start()
    ids = put(m, "-n", 200, "-d", "far.example")
    far.wait(20)
    m.wait_log(": removed")
    done = re.findall(r"(\w+): removed", m.log())
    for pid in agents(m, "qmgr"):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(recipients(far))) == 200, 30, "every message")
    got = recipients(far)  # what was at work when it died may come twice
    assert all(got.count("u%d.0@far.example" % ids.index(qid)) == 1 for qid in done)
    wait_for(lambda: "Mail queue is empty" in m.command("postqueue", "-p").stdout, 10, "empty queue")


def test_ten_thousand_messages(mta):
    m = mta(main=dict(OPEN, default_transport="discard:")).start()
    m.stop()
    put(m, "-Q", "-n", 10000, "-d", "d%d.example")
    start = time.monotonic()
    m.start()
    wait_for(lambda: m.log().count(": removed") == 10000, 300, "10,000 removals")
    print("%.0f messages a second" % (10000 / (time.monotonic() - start)))
    assert len(re.findall(r"status=sent", m.log())) == 10000


@exercises("qmgr_message_active_limit")
def test_active_queue_is_bounded(mta, sink):
    gate = Gate()
    far = sink(rules={"DOT": gate})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), qmgr_message_active_limit="5")).start()
    put(m, "-n", 20, "-d", "far.example")
    m.wait_log(r"queue active", count=5)
    time.sleep(0.5)
    assert m.log().count("queue active") == 5
    assert len(re.findall(r"(?m)^\w+\* ", m.command("postqueue", "-p").stdout)) == 5
    gate.event.set()
    far.wait(20)


@exercises("qmgr_message_recipient_limit")
def test_active_queue_is_bounded_by_recipients(mta, sink):
    """What comes while as many as that are at work waits, however few messages they belong to."""
    gate = Gate()
    far = sink(rules={"DOT": gate})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), qmgr_message_recipient_limit="5")).start()
    put(m, "-n", 1, "-r", 10, "-d", "far.example")
    wait_for(lambda: gate.waiting == 1, what="a delivery")
    put(m, "-n", 5, "-d", "far.example")
    time.sleep(0.5)
    assert m.log().count("queue active") == 1
    assert len(re.findall(r"(?m)^\w+\* ", m.command("postqueue", "-p").stdout)) == 1
    gate.event.set()
    far.wait(6)


@pytest.mark.parametrize("count", [5000, 20001])
def test_many_recipients(mta, count):
    m = mta(main=dict(OPEN, default_transport="discard:", maillog_file_rotate_suffix=None)).start()
    (qid,) = put(m, "-n", 1, "-r", count, "-d", "far.example")
    m.wait_log(r"%s: removed" % qid, 60)
    got = re.findall(r"%s: to=<(\S+)>.* status=sent" % qid, m.log())
    assert len(got) == count and len(set(got)) == count


@exercises("content_filter")
def test_content_filter_takes_all(mta, sink):
    far = sink()
    m = mta(main=dict(OPEN, content_filter="smtp:[127.0.0.1]:%d" % far.port, default_transport="nosuch:")).start()
    m.send(recipients=["a@one.example", "b@two.example"])
    far.wait(1)
    assert sorted(recipients(far)) == ["a@one.example", "b@two.example"]
