"""A queue manager that is replaced or stopped: what it has in hand, what it is told at the last moment, what is asked of it."""
import glob
import os
import re
import signal
import socket
import struct
import threading

import pytest

from postern import PATIENCE, SLOW, processes, wait_for
from table_servers import Patient, tcp_server
from test_qmgr_schedule import OPEN, Gate, put, sink, to  # noqa: F401

NEW_MAIL, LIST, DONE = 16, 22, 24
DEFERRED = 3
LATE = dict(OPEN, minimal_backoff_time="300s", maximal_backoff_time="300s", queue_run_delay="300s")


def request(kind, qid="", queue=DEFERRED):
    """A request to the queue manager (src/ipc/queue.h)."""
    body = struct.pack("<H", kind) + (struct.pack("<BI", 1, len(qid)) + qid.encode() if qid else b"") + struct.pack("<BIQ", 2, 8, queue)
    return struct.pack("<I", len(body)) + body


def connected(m):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE * SLOW)
    s.connect(m.queue + "/public/qmgr")
    return s


def leaving(m):
    """The lists of queue managers that retire."""
    return glob.glob(m.queue + "/private/qmgr.leaving.*")


def replaced(m):
    """Reloads while deliveries are under way; the new queue manager is at work at the end."""
    m.reload()
    wait_for(lambda: leaving(m), what="a list of what the old one has in hand")
    wait_for(lambda: "\n" in m.command("postqueue", "-p").stdout, what="an answer of the new one")


def ended(m, qid):
    m.wait_log(r"%s: removed" % qid)
    wait_for(lambda: len(processes(m, "qmgr")) == 1 and not m.queued("incoming", "active", "deferred", "hold"), what="one queue manager, an empty queue")


@pytest.mark.parametrize("reload", (False, True))
def test_held_and_released_during_its_delivery(mta, sink, reload):  # noqa: F811
    """The delivery under way is the only one, whichever queue manager postsuper tells of it."""
    gate = Gate()
    far = sink(rules={"DOT": gate})
    m = mta(main=dict(LATE, transport_maps=to(far, "far.example"))).start()
    qid = m.send(recipients=["u@far.example"])
    wait_for(lambda: gate.waiting == 1, what="a delivery")
    if reload:
        replaced(m)
    assert re.search(r"(?m)^%s\*" % qid, m.command("postqueue", "-p").stdout), "it is active"
    m.command("postsuper", "-h", qid)
    m.command("postsuper", "-H", qid)
    m.command("postqueue", "-i", qid)
    gate.event.set()
    ended(m, qid)
    assert len(far.mails) == 1


def test_held_while_its_report_is_made(mta, sink):  # noqa: F811
    """postsuper takes the file away after the last look at it, before it is removed: the report is the only one."""
    far, home = sink(rules={"RCPT": "550 5.1.1 no such user"}), sink()
    answers = Patient("Subject:%20test")
    with tcp_server(answers) as server:
        m = mta(main=dict(LATE, internal_mail_filter_classes="bounce", nested_header_checks="tcp:127.0.0.1:%d" % server.port,
                          transport_maps="inline:{ {far.example = smtp:[127.0.0.1]:%d}, {home.example = smtp:[127.0.0.1]:%d} }" % (far.port, home.port))).start()
        qid = m.send(sender="s@home.example", recipients=["u@far.example"])
        assert answers.asked.wait(PATIENCE * SLOW), "the report is being made"
        m.command("postsuper", "-h", qid)
        answers.go.set()
        home.wait(1)
        m.command("postsuper", "-H", qid)
        ended(m, qid)
    assert len(home.mails) == 1


@pytest.mark.parametrize("flush", (None, ["-i", None], ["-f"], ["-s", "near.example"]))
def test_retry_does_not_wait_for_the_delivery_of_another_message(mta, sink, flush):  # noqa: F811
    """The new queue manager has a message as soon as the old one is done with it, and knows of the flush that came before that."""
    slow, gate = Gate(), Gate("450 4.2.0 not now")
    far, near = sink(rules={"DOT": slow}), sink(rules={"RCPT": lambda argument: "250 2.1.5 ok" if gate.event.is_set() and not gate.waiting else gate(argument)})
    main = dict(LATE, fast_flush_domains="near.example") if flush else dict(LATE, minimal_backoff_time="1s", maximal_backoff_time="1s")
    m = mta(main=dict(main, transport_maps="inline:{ {far.example = smtp:[127.0.0.1]:%d}, {near.example = smtp:[127.0.0.1]:%d} }" % (far.port, near.port))).start()
    m.send(recipients=["u@far.example"])
    qid = m.send(recipients=["u@near.example"])
    wait_for(lambda: slow.waiting == 1 and gate.waiting == 1, what="two deliveries")
    replaced(m)
    if flush:
        m.command("postqueue", *[word or qid for word in flush])
    gate.event.set()
    m.wait_log(r"%s: .*status=deferred" % qid)
    near.wait(1)
    assert slow.waiting == 1 and leaving(m)
    slow.event.set()
    far.wait(1)
    wait_for(lambda: not leaving(m) and not m.queued("incoming", "active", "deferred"), what="an empty queue")
    assert len(far.mails) == 1 and len(near.mails) == 1


def test_listing_goes_on_over_a_reload(mta):
    m = mta(main=dict(LATE, defer_transports="smtp")).start()
    put(m, "-n", 20, "-r", 1000, "-d", "far.example")
    m.wait_log(r"status=deferred", count=20000)
    with connected(m) as s:
        s.sendall(request(LIST))
        data = s.recv(1000)
        m.reload()
        wait_for(lambda: "\n" in m.command("postqueue", "-p").stdout, what="an answer of the new one")
        while piece := s.recv(1 << 20):
            data += piece
    types = []
    while data:
        length, kind = struct.unpack("<IH", data[:6])
        types.append(kind)
        data = data[4 + length:]
    assert len(types) == 21 and types[-1] == DONE


def test_what_was_sent_before_a_reload_is_read(mta, sink):  # noqa: F811
    """A queue manager that is about to go passes on what others, its own predecessor among them, have sent it."""
    ready = threading.Event()
    far = sink(rules={"RCPT": lambda argument: "250 2.1.5 ok" if ready.is_set() else "450 4.2.0 not now"})
    m = mta(main=dict(LATE, transport_maps=to(far, "far.example"))).start()
    qid = m.send(recipients=["u@far.example"])
    wait_for(lambda: m.queued("deferred") == [qid], what="deferred mail")
    ready.set()
    many = [connected(m) for _ in range(600)]  # more than one turn of its loop takes
    many[-1].sendall(request(LIST))
    assert many[-1].recv(1000)
    many[-1].close()
    pid, = processes(m, "qmgr")
    os.kill(pid, signal.SIGSTOP)
    for s in many[:-2]:
        s.sendall(request(NEW_MAIL, "ABCDEF0123"))
    many[-2].sendall(request(NEW_MAIL, qid))
    m.reload()
    os.kill(pid, signal.SIGCONT)
    far.wait(1)
    for s in many:
        s.close()


def test_stop_waits_for_deliveries_that_end_in_time(mta, sink):  # noqa: F811
    """Their results are written down: nothing is delivered again after the next start."""
    started, gone = threading.Event(), threading.Event()

    def dot(argument):
        started.set()
        gone.wait(3)  # less than the agents have
        return "250 2.0.0 ok"
    far = sink(rules={"DOT": dot})
    m = mta(main=dict(LATE, transport_maps=to(far, "far.example"))).start()
    qid = m.send(recipients=["u@far.example"])
    assert started.wait(PATIENCE * SLOW)
    m.stop()
    assert "status=sent" not in m.log() or "%s: removed" % qid in m.log()
    m.start()
    m.wait_log(r"%s: removed" % qid)
