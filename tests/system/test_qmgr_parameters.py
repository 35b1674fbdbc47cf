"""Parameters of the queue manager that no other test is about."""
import os
import re
import select
import signal
import socket
import struct
import threading
import time

import pytest

from postern import MASTER, exercises, wait_for
from test_qmgr_schedule import OPEN, Gate, agents, put, recipients, sink, to  # noqa: F401


@exercises("default_destination_recipient_limit")
def test_recipients_of_a_request(mta, sink):  # noqa: F811
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), default_destination_recipient_limit="4")).start()
    put(m, "-n", 1, "-r", 10, "-d", "far.example")
    wait_for(lambda: len(recipients(far)) == 10, 10, "all recipients")
    assert sorted(len(mail["recipients"]) for mail in far.mails) == [2, 4, 4]


@exercises("default_destination_rate_delay", "default_transport_rate_delay")
@pytest.mark.parametrize("parameter, sites", [("default_destination_rate_delay", ["far.example"] * 3), ("default_transport_rate_delay", ["a.example", "b.example", "c.example"])])
def test_pauses(mta, sink, parameter, sites):  # noqa: F811
    times = []
    far = sink(rules={"DOT": lambda argument: times.append(time.monotonic()) or "250 2.0.0 ok"})
    m = mta(main=dict(OPEN, transport_maps=to(far, *sorted(set(sites))), **{parameter: "1s"})).start()
    for site in sites:
        put(m, "-n", 1, "-d", site)
    far.wait(3)
    assert all(b - a > 0.9 for a, b in zip(times, times[1:])), times


@exercises("default_destination_concurrency_positive_feedback")
@pytest.mark.parametrize("feedback", ["0", "1", "1/concurrency"])
def test_windows_grow(mta, sink, feedback):  # noqa: F811
    """Two deliveries at once at first; those that succeed open the window, when they are told to."""
    begin, end = Gate(), Gate()
    far = sink(rules={"DOT": lambda argument: (begin if len(far.mails) < 30 else end)(argument)})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), initial_destination_concurrency="2", default_destination_concurrency_limit="4",
                      default_destination_concurrency_positive_feedback=feedback)).start()
    put(m, "-n", 60, "-d", "far.example")
    m.wait_log(r"queue active", count=60)
    window = 2 if feedback == "0" else 4
    begin.event.set()
    wait_for(lambda: end.waiting == window, 15, "a window of %d" % window)
    end.event.set()
    far.wait(60)
    assert max(begin.most, end.most) == window


@exercises("default_destination_concurrency_negative_feedback", "default_destination_concurrency_failed_cohort_limit", "destination_concurrency_feedback_debug")
@pytest.mark.parametrize("feedback, window", [("0", 5), ("1", 1)])
def test_windows_shrink(mta, sink, feedback, window):  # noqa: F811
    """Twenty connections are refused, which kills no destination without a limit of cohorts."""
    gate, lock, count = Gate("421 4.3.2 too busy"), threading.Lock(), [0]

    def connect(argument):
        with lock:
            count[0] += 1
            refused = count[0] <= 20
        return "421 4.3.2 too busy" if refused else gate(argument)
    far = sink(rules={"CONNECT": connect})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), initial_destination_concurrency="5", default_destination_concurrency_failed_cohort_limit="0",
                      default_destination_concurrency_negative_feedback=feedback, destination_concurrency_feedback_debug="yes", minimal_backoff_time="600s",
                      maximal_backoff_time="600s")).start()
    put(m, "-n", 60, "-d", "far.example")
    wait_for(lambda: gate.waiting == window, 15, "a window of %d" % window)
    gate.event.set()
    m.wait_log(r"status=deferred", count=60)
    assert count[0] >= 60 and gate.most == window
    m.wait_log(r"qmgr\[\d+\]: smtp:\[127\.0\.0\.1\]:%d: window %d, busy" % (far.port, window))


@exercises("default_delivery_slot_cost", "default_delivery_slot_discount", "default_delivery_slot_loan", "default_minimum_delivery_slots")
@pytest.mark.parametrize("options, position", [
    ({}, 1),
    ({"slot_loan": "0", "slot_discount": "0"}, 5),
    ({"slot_loan": "0", "slot_discount": "0", "slot_cost": "3"}, 3),
    ({"slot_loan": "0", "slot_discount": "100"}, 1),
    ({"slot_cost": "0"}, 20),
    ({"minimum": "5"}, 20),
])
def test_when_small_mail_passes(mta, sink, options, position):  # noqa: F811
    """20 deliveries of one message, one at a time; a small message comes during the first. Its place among them is told by the account of slots."""
    gate = Gate()
    far = sink(rules={"DOT": gate})
    names = {"slot_loan": "default_delivery_slot_loan", "slot_discount": "default_delivery_slot_discount", "slot_cost": "default_delivery_slot_cost",
             "minimum": "default_minimum_delivery_slots"}
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), smtp_destination_recipient_limit="2", smtp_destination_concurrency_limit="1",
                      default_transport="discard:", **{names[k]: v for k, v in options.items()})).start()
    put(m, "-n", 1, "-r", 40, "-d", "far.example")
    wait_for(lambda: gate.waiting == 1, 15, "the first delivery")
    for address in ("small@far.example", "later@near.example"):  # when the second has gone the first is in line
        qid = m.send(recipients=[address])
        m.wait_log(r"%s: from=.*\(queue active\)" % qid)
    m.wait_log(r"%s: removed" % qid)
    gate.event.set()
    far.wait(21)
    order = [mail["recipients"][0].startswith("<small@") for mail in far.mails]
    assert order.index(True) == position, order


@exercises("qmgr_clog_warn_time", "helpful_warnings", "qmgr_message_active_limit")
@pytest.mark.parametrize("helpful", ["yes", "no"])
def test_warning_of_a_clogged_queue(mta, sink, helpful):  # noqa: F811
    gate = Gate()
    far = sink(rules={"DOT": gate})
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), qmgr_message_active_limit="5", qmgr_clog_warn_time="1s", helpful_warnings=helpful,
                      default_destination_concurrency_limit="1")).start()
    put(m, "-n", 20, "-d", "far.example")
    m.wait_log(r"warning: mail for \S+ is using up 4 of 5 active queue entries", count=2, seconds=20)
    assert ("you may need to increase smtp_destination_concurrency_limit" in m.log()) == (helpful == "yes")
    gate.event.set()


@exercises("queue_run_delay")
def test_queue_is_looked_through(mta, sink):  # noqa: F811
    """A message that nobody told of."""
    far = sink()
    m = mta(main=dict(OPEN, transport_maps=to(far, "far.example"), queue_run_delay="1s")).start()
    put(m, "-n", 1, "-d", "far.example")
    far.wait(1)
    put(m, "-Q", "-n", 1, "-d", "far.example")
    far.wait(2)


@exercises("transport_retry_time")
def test_transport_that_is_away(mta):
    m = mta(main=dict(OPEN, default_transport="nosuch:", transport_retry_time="1s", minimal_backoff_time="1s", maximal_backoff_time="1s")).start()
    m.send(recipients=["u@far.example"])
    m.wait_log(r"warning: connect to transport private/nosuch: No such file or directory", count=4, seconds=30)


@exercises("qmgr_daemon_timeout")
def test_watchdog(mta):
    m = mta(main=dict(OPEN, qmgr_daemon_timeout="5s")).start()
    pid, = wait_for(lambda: agents(m, "qmgr"), 10, "queue manager")
    m.send(recipients=["u@far.example"])
    m.wait_log(r"queue active")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(7)
    os.kill(pid, signal.SIGCONT)
    m.wait_log(r"qmgr pid %d (killed by signal|exit status)" % pid, 20)
    wait_for(lambda: agents(m, "qmgr") not in ([], [pid]), 20, "another queue manager")


@exercises("qmgr_ipc_timeout")
def test_agent_that_takes_no_requests(mta):
    """An agent that says hello and reads nothing; the request is larger than what its socket holds. The default is a minute."""
    m = mta(main=dict(OPEN, default_transport="deaf:", qmgr_ipc_timeout="2s", default_destination_recipient_limit="0", minimal_backoff_time="600s",
                      maximal_backoff_time="600s", transport_retry_time="600s")).start()
    path = os.path.join(m.queue, "private/deaf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(5)
        listener.settimeout(60)
        put(m, "-n", 1, "-r", 20000, "-d", "d%s.far.example" % ("x" * 60))
        agent, _ = listener.accept()
        start = time.monotonic()
        with agent:
            agent.sendall(hello(slots=1))
            ended = select.poll()
            ended.register(agent, 0)  # the end of the connection alone
            assert ended.poll(50000), "not given up"
        assert time.monotonic() - start > 1.9


def hello(slots):
    """src/ipc/delivery.h."""
    fields = struct.pack("<BIQ", 1, 8, slots)
    return struct.pack("<IH", len(fields) + 2, 1) + fields


@exercises("default_filter_nexthop", "content_filter")
def test_filter_without_next_hop(mta, sink):  # noqa: F811
    far = sink()
    m = mta(main=dict(OPEN, content_filter="smtp:", default_filter_nexthop="[127.0.0.1]:%d" % far.port, default_transport="nosuch:")).start()
    m.send(recipients=["a@one.example", "b@two.example"])
    far.wait(1)
    assert sorted(recipients(far)) == ["a@one.example", "b@two.example"]


@exercises("hash_queue_names", "hash_queue_depth")
@pytest.mark.parametrize("names, depth, pattern", [("deferred", "1", r"deferred/./\w+"), ("hold deferred", "2", r"deferred/././\w+"), ("", "2", r"deferred/\w+")])
def test_where_deferred_mail_lies(mta, names, depth, pattern):
    m = mta(main=dict(OPEN, hash_queue_names=names, hash_queue_depth=depth, defer_transports="smtp")).start()
    qid = m.send(recipients=["u@far.example"])
    wait_for(lambda: qid in m.queued("deferred"), 10, "deferred message")
    path, = [os.path.join(folder, qid) for folder, _, files in os.walk(m.queue + "/deferred") if qid in files]
    assert re.fullmatch(pattern, os.path.relpath(path, m.queue))


LOCAL_LINE = "local     unix  -       n       n       -       -       local\n"


@exercises("local_destination_recipient_limit", "local_destination_concurrency_limit")
@pytest.mark.parametrize("limit", ["1", "5"])
def test_recipients_of_local(mta, sink, limit):  # noqa: F811
    """The transport's name decides, not its program."""
    far = sink()
    m = mta(main=dict(OPEN, mydestination="here.example", local_transport="local:[127.0.0.1]:%d" % far.port, local_destination_recipient_limit=limit),
            basic=MASTER.replace(LOCAL_LINE, LOCAL_LINE.replace("       local\n", "       smtp\n"))).start()
    put(m, "-n", 1, "-r", 4, "-d", "here.example")
    wait_for(lambda: len(recipients(far)) == 4, 15, "all recipients")
    assert len(far.mails) == (4 if limit == "1" else 1)


@exercises("local_destination_concurrency_limit")
def test_deliveries_to_one_user(mta, sink):  # noqa: F811
    gate = Gate()
    far = sink(rules={"DOT": gate})
    m = mta(main=dict(OPEN, mydestination="here.example", local_transport="local:[127.0.0.1]:%d" % far.port, local_destination_concurrency_limit="3"),
            basic=MASTER.replace(LOCAL_LINE, LOCAL_LINE.replace("       local\n", "       smtp\n"))).start()
    for _ in range(8):
        m.send(recipients=["user@here.example"])
    wait_for(lambda: gate.waiting == 3, 15, "three at once")
    gate.event.set()
    far.wait(8)
    assert gate.most == 3
