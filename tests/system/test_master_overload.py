"""More clients than slots or descriptors: nobody is turned away, overload values are in force meanwhile."""
import os
import subprocess
import time

import pytest

from postern import BIN, PATIENCE, SLOW, exercises, listens, processes, wait_for
from test_master_lifecycle import at_work

LIMIT = "${stress?{1}:{20}}"


def stressed(client):
    """Whether the session has the overload value of smtpd_hard_error_limit."""
    client.command("BOGUS")
    return not client.command("NOOP").startswith("250")


def in_data(instance, pause=0):
    c = instance.client()
    for code, line in (250, "EHLO client.example"), (250, "MAIL FROM:<s@client.example>"), (250, "RCPT TO:<user@test.example>"), (354, "DATA"):
        time.sleep(pause)
        c.expect(code, line)
    return c


@exercises("stress", "default_process_limit")
def test_overload_values(mta):
    a = mta(main={"smtpd_hard_error_limit": LIMIT, "worker_processes": "1", "default_process_limit": "2", "smtpd_banner": "$myhostname ${stress?{busy}:{idle}}",
                  "notify_classes": "${stress?{protocol}:{}}"}).start()
    with a.client() as c:
        assert c.greeting == "220 mail.test.example idle" and not stressed(c)
    one, two = in_data(a), in_data(a)
    waiting = a.client(greeting=False)
    waiting.socket.settimeout(1)
    try:
        waiting.reply()
        raise AssertionError("a third session without a slot")
    except TimeoutError:
        pass
    waiting.socket.settimeout(PATIENCE * SLOW)
    one.raw("Subject: x\r\n\r\nx\r\n.\r\n")
    assert one.reply().startswith("250")
    assert waiting.reply() == "220 mail.test.example busy"
    assert stressed(waiting)
    a.wait_log(r"master\[\d+\]: warning: service \"127.0.0.1:\d+\" has reached its process limit \"2\": new clients may experience noticeable delays")
    waiting.close()
    a.wait_log(r"to=<postmaster[@>]")  # the notice of that session
    two.raw("Subject: x\r\n\r\nx\r\n.\r\n")
    assert two.reply().startswith("250")

    def normal():
        time.sleep(1)  # who asks all the time is load too
        with a.client() as c:
            return not stressed(c)
    wait_for(normal, 30, "normal values again")


@pytest.mark.parametrize("pause", [0, 0.2])
@exercises("stress")
def test_overload_counts_all_workers(mta, pause):
    """With pauses the sessions are parked between their commands: they fill slots that were free when they came."""
    a = mta(main={"smtpd_hard_error_limit": LIMIT, "worker_processes": "2", "default_process_limit": "4"}).start()
    wait_for(lambda: [at_work(pid) for pid in processes(a, "smtpd")] == [True, True], 10, "both workers at work")
    sessions = [in_data(a, pause) for _ in range(4)]
    waiting = a.client(greeting=False)
    a.wait_log(r"has reached its process limit \"4\"")
    for c in sessions:
        c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith("250")
    assert waiting.reply().startswith("220")
    assert stressed(waiting)


def test_parked_sessions_need_no_slot(mta):
    a = mta(main={"worker_processes": "1", "default_process_limit": "2"}).start()
    clients = [a.client() for _ in range(40)]
    for c in clients:
        c.expect(250, "EHLO client.example")
    time.sleep(0.5)
    for c in clients:
        c.expect(250, "NOOP")
        c.expect(221, "QUIT")


def test_descriptors_run_out(mta):
    a = mta(main={"worker_processes": "1", "default_process_limit": "10"})
    done = subprocess.run(["prlimit", "--nofile=160:160", os.path.join(BIN, "postern"), "-c", a.config, "start"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    a.started = True
    wait_for(lambda: listens(a.port), 10, "listener")
    first = a.client()
    held = [a.client(greeting=False) for _ in range(250)]
    time.sleep(1)
    first.expect(250, "NOOP")
    pids = processes(a, "smtpd")
    for c in held:
        c.close()
    wait_for(lambda: a.client().greeting.startswith("220"), 10, "a session when the others are gone")
    first.expect(221, "QUIT")
    assert processes(a, "smtpd") == pids
    assert "panic" not in a.log()
