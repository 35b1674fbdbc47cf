"""Mail in flight while the system is reloaded, stopped and started, or loses a process: each message arrives once."""
import contextlib
import os
import re
import signal
import threading
import time

from postern import PATIENCE, SLOW, Sink, listens, processes, wait_for
from table_servers import Patient, tcp_server


def through(sink):
    """Settings that send everything to the sink."""
    return {"relayhost": "[127.0.0.1]:%d" % sink.port, "mydestination": "", "smtp_destination_concurrency_limit": "5", "default_transport": "smtp"}


def send(instance, count, start=0):
    for n in range(start, start + count):
        instance.send(recipients=["r%d@remote.example" % n], body="Subject: number %d\r\n\r\nx\r\n" % n)


def arrived(sink):
    with sink.condition:
        return sorted(int(re.search(rb"number (\d+)", m["data"]).group(1)) for m in sink.mails)


def slow(argument):
    time.sleep(0.05)
    return "250 2.0.0 ok"


def test_mail_across_reloads_arrives_once(mta):
    sink = Sink(rules={"DOT": slow})
    a = mta(main=through(sink)).start()
    sender = threading.Thread(target=send, args=(a, 100))
    sender.start()
    while sender.is_alive():
        time.sleep(0.3)
        a.reload()
    sender.join()
    sink.wait(100, 60)
    wait_for(lambda: not a.queued(), 20, "empty queue")
    assert arrived(sink) == list(range(100))


def test_mail_across_stop_and_start_arrives_once(mta):
    sink = Sink(rules={"DOT": slow})
    a = mta(main=through(sink)).start()
    for n in range(3):
        send(a, 20, n * 20)
        a.stop()
        a.start()
    sink.wait(60, 60)
    wait_for(lambda: not a.queued(), 20, "empty queue")
    assert arrived(sink) == list(range(60))


def test_agents_can_be_reached_until_the_queue_manager_has_ended(mta):
    """Else mail that is handed out while all end would be deferred for long. One message goes first: whoever is frozen while it starts may hold a lock that the others wait for."""
    a = mta(main={"local_transport": "discard:"}).start()
    a.send()
    a.wait_log(r": removed")
    pids, path = processes(a, "qmgr"), a.queue + "/private/smtp"
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    os.kill(a.pid(), signal.SIGTERM)
    wait_for(lambda: not listens(a.port), what="the end of the listener")
    assert os.path.exists(path) or not processes(a, "qmgr")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # on a machine that was busy for long, master has killed it
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not processes(a), what="the end of every process")
    assert not os.path.exists(path)
    a.started = False


def test_killed_queue_manager_loses_nothing(mta):
    sink = Sink(rules={"DOT": slow})
    a = mta(main=through(sink)).start()
    send(a, 20)
    sink.wait(1)  # one that is killed at start would not be replaced for long
    for pid in processes(a, "qmgr"):
        os.kill(pid, signal.SIGKILL)
    send(a, 20, 20)
    wait_for(lambda: set(arrived(sink)) == set(range(40)), 60, "all messages")
    wait_for(lambda: not a.queued(), 30, "empty queue")


def test_killed_agent_loses_nothing(mta):
    sink = Sink(rules={"DOT": slow})
    a = mta(main=dict(through(sink), minimal_backoff_time="1s", maximal_backoff_time="1s", queue_run_delay="1s", transport_retry_time="1s", service_throttle_time="1s")).start()
    send(a, 10)
    sink.wait(1)
    for pid in processes(a, "smtp"):
        os.kill(pid, signal.SIGKILL)
    send(a, 10, 10)
    wait_for(lambda: set(arrived(sink)) == set(range(20)), 60, "all messages")
    wait_for(lambda: not a.queued(), 30, "empty queue")


def test_pickup_leaves_what_it_has_not_begun_to_the_next(mta):
    """A pickup that is held up does not keep the others' mail from a mended configuration, and nobody fails for waiting."""
    answers = Patient("one@test.example")
    with tcp_server(answers) as server:
        m = mta(main={"virtual_alias_domains": "", "virtual_alias_maps": "tcp:127.0.0.1:%d" % server.port, "local_transport": "discard:"}).start()
        m.command("sendmail", "one@test.example", input="Subject: one\n\nx\n")
        assert answers.asked.wait(PATIENCE * SLOW)
        old, = processes(m, "pickup")
        for name in ("two", "three"):
            m.command("sendmail", name + "@test.example", input="Subject: x\n\nx\n")
        m.set(virtual_alias_maps="")
        m.reload()
        second, = wait_for(lambda: set(processes(m, "pickup")) - {old}, what="the next one, which waits")
        m.reload()
        wait_for(lambda: set(processes(m, "pickup")) - {old, second} and second not in processes(m, "pickup"), what="the one after that")
        answers.go.set()
        m.wait_log("removed", count=3)
    assert not [key for key in answers.keys if key.startswith(("two", "three"))]
    assert "fatal" not in m.log() and "warning" not in m.log()
