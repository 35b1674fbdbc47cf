"""Start, stop, status and what must not be started twice; processes that die; running as an ordinary user."""
import contextlib
import fcntl
import glob
import os
import pwd
import re
import signal
import struct
import subprocess
import time

import pytest

from postern import BIN, LIBEXEC, PATIENCE, ROOT_USER, SLOW, Client, Instance, exercises, listens, processes, wait_for


def at_work(pid):
    """Whether the process waits for connections at the first of its sockets (descriptor 7). An agent does not while it has a client."""
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        with contextlib.suppress(OSError), open(path) as f:
            if re.search(r"(?m)^tfd:\s+7 ", f.read()):
                return True
    return False


def threads(pid):
    """Names of the process's threads; "waiter" is among them when it has its configuration and no privileges any more."""
    found = []
    for path in glob.glob("/proc/%d/task/*/comm" % pid):
        with contextlib.suppress(OSError), open(path) as f:
            found.append(f.read().strip())
    return found


def test_start_status_stop(mta):
    a = mta().start()
    status = a.control("status")
    assert "is running: PID: %d" % a.pid() in status.stdout
    a.wait_log(r"master\[\d+\]: daemon started -- version \S+, configuration " + re.escape(a.config))
    assert processes(a)
    a.stop()
    wait_for(lambda: not processes(a), 1, "end of all processes")
    assert not listens(a.port)
    assert "terminating on signal 15" in a.log()
    status = a.control("status", check=False)
    assert status.returncode == 1 and "is not running" in status.stdout


def test_commands_need_a_running_system(mta):
    a = mta()
    for verb in ("stop", "reload", "abort", "flush"):
        done = a.control(verb, check=False)
        assert done.returncode == 1 and "is not running" in done.stdout, verb
    assert a.control("start-it", check=False).returncode == 1


@exercises("queue_directory", "data_directory")
def test_second_instance_is_refused(mta):
    a = mta().start()
    again = a.control("start", check=False)
    assert again.returncode == 1 and "already running" in again.stdout
    other = mta(main={"queue_directory": a.queue, "maillog_file": a.logfile})
    refused = other.control("start", check=False)
    assert refused.returncode == 1
    direct = subprocess.run([os.path.join(LIBEXEC, "master"), "-c", a.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert direct.returncode != 0 and "locked by process %d" % a.pid() in direct.stdout
    caches = mta(main={"data_directory": a.data})
    shared = caches.control("start", check=False)
    assert shared.returncode == 1 and "master.lock" in shared.stdout
    assert "is running: PID: %d" % a.pid() in a.control("status").stdout


def test_start_reports_a_port_in_use(mta):
    a = mta().start()
    b = mta()
    b.ports = dict(a.ports)
    b.write_config()
    done = b.control("start", check=False)
    assert done.returncode == 1
    assert "Address already in use" in done.stdout and "startup failed" in done.stdout
    wait_for(lambda: not processes(b), 1, "end of all processes")


def test_stop_says_goodbye_to_waiting_clients(mta):
    a = mta().start()
    with a.client() as c:
        c.expect(250, "EHLO client.example")
        time.sleep(0.5)  # it waits for a command, parked
        a.stop()
        assert c.reply().startswith("421 4.3.2")


@pytest.mark.parametrize("program, count", [("smtpd", 2), ("qmgr", 1)])
def test_killed_process_is_replaced(mta, program, count):
    a = mta(main={"worker_processes": "2", "service_throttle_time": "1s"}).start()
    wait_for(lambda: [at_work(pid) for pid in processes(a, program)] == [True] * count, 5, program)
    old = processes(a, program)
    os.kill(old[0], signal.SIGKILL)
    a.wait_log(r"warning: process \S+/%s pid %d killed by signal 9" % (program, old[0]))
    assert program != "smtpd" or a.client().greeting.startswith("220"), "another worker serves meanwhile"
    wait_for(lambda: len(processes(a, program)) == len(old) and old[0] not in processes(a, program), 10, "a new " + program)


@pytest.mark.parametrize("status, words", [(9, "exit status 9"), (0, "ended without a word")])
@exercises("service_throttle_time", "daemon_directory")
def test_service_that_dies_at_start_is_throttled(mta, tmp_path, status, words):
    daemons = tmp_path / "libexec"
    daemons.mkdir()
    for name in os.listdir(LIBEXEC):
        os.symlink(os.path.realpath(os.path.join(LIBEXEC, name)), daemons / name)
    (daemons / "bad").write_text("#!/bin/sh\nexit %d\n" % status)
    (daemons / "bad").chmod(0o755)
    a = mta(main={"daemon_directory": str(daemons), "service_throttle_time": "2s"}, master="bad unix n - n - 1 bad\n").start()
    start = time.monotonic()
    poke(os.path.join(a.queue, "public/bad"))
    a.wait_log(r"process \S+/bad pid \d+ " + words)
    a.wait_log(r"warning: \S+/bad: bad command startup -- throttling")
    a.wait_log(words, seconds=5, count=2)
    assert time.monotonic() - start > 1.9, "throttled"
    assert a.client().greeting.startswith("220"), "others go on"


@exercises("daemon_timeout")
def test_watchdog_replaces_a_process_with_a_hanging_task(mta):
    a = mta(main={"daemon_timeout": "6s", "worker_processes": "1"}).start()
    other, hanging = a.client(), a.client()
    hanging.expect(250, "EHLO hanging.example")
    hanging.expect(250, "MAIL FROM:<s@client.example>")
    hanging.expect(250, "RCPT TO:<user@test.example>")
    hanging.expect(354, "DATA")
    old, = processes(a, "smtpd")
    a.wait_log("error: watchdog timeout", 15)
    wait_for(lambda: len(processes(a, "smtpd")) == 2, 10, "a new process beside the old one")
    other.expect(250, "NOOP")
    assert a.client().greeting.startswith("220")
    other.expect(221, "QUIT")
    wait_for(lambda: old not in processes(a, "smtpd"), 20, "the old process ends without the hanging task")


def poke(path):
    """A client of a UNIX service, which stays until the test process ends."""
    import socket
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    poke.kept.append(s)


poke.kept = []


def test_missing_program_disables_its_service_alone(mta):
    a = mta(master="nothing unix - - n - - no-such-program\n").start()
    a.wait_log(r"service nothing is not available: there is no program \S+/no-such-program")
    assert a.client().greeting.startswith("220")
    assert not os.path.exists(os.path.join(a.queue, "private/nothing"))


@exercises("master_service_disable")
def test_service_is_disabled(mta):
    a = mta(services={"one": {}, "two": {}})
    a.set(master_service_disable="127.0.0.1:%d.inet" % a.ports["two"])
    a.control("start")
    a.started = True
    wait_for(lambda: listens(a.ports["one"]), 10, "first listener")
    assert not listens(a.ports["two"])


@exercises("inet_interfaces", "inet_protocols", "known_tcp_ports")
def test_addresses_of_inet_services(mta):
    a = mta(main={"inet_interfaces": "loopback-only", "inet_protocols": "all"})
    a.main["known_tcp_ports"] = "special=%d" % a.port
    a.extra = ""
    a.services = {}
    a.extra = "special inet n - n - - smtpd\n"
    a.write_config()
    a.start()
    assert Client(a.port).greeting.startswith("220")
    assert Client(a.port, host="::1").greeting.startswith("220")


@exercises("worker_processes", "default_process_limit")
def test_number_of_workers(mta):
    a = mta(main={"worker_processes": "3"}, services={"smtpd": {}}).start()
    wait_for(lambda: len(processes(a, "smtpd")) == 3, 5, "3 workers")
    a.columns = "n - n - 1"
    a.write_config()
    a.reload()
    wait_for(lambda: len(processes(a, "smtpd")) == 1, 10, "maxproc 1: one worker")


@exercises("max_idle")
def test_idle_agent_ends(mta):
    a = mta(main={"max_idle": "3s"}).start()
    assert not processes(a, "discard")
    poke(os.path.join(a.queue, "private/discard"))
    wait_for(lambda: processes(a, "discard"), 5, "agent on demand")
    wait_for(lambda: not processes(a, "discard"), 5, "agent gone when idle")
    poke(os.path.join(a.queue, "private/discard"))
    wait_for(lambda: processes(a, "discard"), 5, "agent on demand again")


@exercises("mail_owner", "queue_directory")
@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_privileges_and_chroot(mta):
    a = mta(listener_columns="n - y - -").start()
    uid = pwd.getpwnam(a.main["mail_owner"]).pw_uid
    for pid in [p for p in processes(a, "smtpd") if "PPid:\t%d\n" % a.pid() in open("/proc/%d/status" % p).read()]:
        wait_for(lambda: "Uid:\t%d\t%d\t%d\t%d\n" % (uid, uid, uid, uid) in open("/proc/%d/status" % pid).read(), 10, "mail_owner")
        wait_for(lambda: "NoNewPrivs:\t1\n" in open("/proc/%d/status" % pid).read(), 10, "sandbox")
        wait_for(lambda: at_work(pid), 10, "work")
        status = open("/proc/%d/status" % pid).read()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M)
        assert os.environ.get("POSTERN_SANITIZER") or re.search(r"^Seccomp:\t2$", status, re.M)
        assert os.readlink("/proc/%d/root" % pid) == a.queue
    for pid in wait_for(lambda: processes(a, "qmgr"), 10, "queue manager"):
        wait_for(lambda: os.readlink("/proc/%d/cwd" % pid) == a.queue, 10, "work")
        assert os.readlink("/proc/%d/root" % pid) == "/"
    assert os.stat(a.queue + "/private").st_mode & 0o777 == 0o700
    assert os.stat(a.queue + "/public").st_mode & 0o777 == 0o710
    a.send(recipients=["postmaster@test.example"])


def test_descriptors_are_not_inherited_by_other_programs(mta):
    a = mta()
    aliases = os.path.join(a.directory, "aliases")
    with open(aliases, "w") as f:
        f.write("root: postmaster\n")
    os.chmod(aliases, 0o644)
    a.set(alias_maps="lmdb:" + aliases, local_recipient_maps="lmdb:" + aliases)
    a.command("postalias", "lmdb:" + aliases)
    a.start()
    for name in ("local", "discard"):
        poke(os.path.join(a.queue, "private", name))
        wait_for(lambda: any("waiter" in threads(pid) for pid in processes(a, name)), 10, name)
    for name in ("smtpd", "qmgr"):
        wait_for(lambda: any(at_work(pid) for pid in processes(a, name)), 10, name)
    for name in ("master", "smtpd", "qmgr", "local", "discard"):
        for fd, flags in [pair for pid in processes(a, name) for pair in descriptors(pid)]:
            assert int(fd) < 3 or flags & os.O_CLOEXEC, (name, fd)


def descriptors(pid):
    """Numbers and flags, but of those that are closed meanwhile."""
    found = []
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        with contextlib.suppress(OSError), open(path) as f:
            found.append((os.path.basename(path), int(re.search(r"flags:\s*(\d+)", f.read()).group(1), 8)))
    return found


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_accounts_are_known_inside_the_jail(mta):
    a = mta(main={"local_recipient_maps": "proxy:unix:passwd.byname", "worker_processes": "1"}, listener_columns="n - y - -").start()
    c = a.client()
    c.expect(250, "EHLO client.example")
    c.expect(250, "MAIL FROM:<s@client.example>")
    c.expect(250, "RCPT TO:<nobody@test.example>")
    c.expect(550, "RCPT TO:<no-such-user@test.example>")
    old = processes(a, "smtpd")
    for pid in old:
        with contextlib.suppress(ProcessLookupError):  # a helper ends with its service
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: [pid for pid in processes(a, "smtpd") if pid not in old and at_work(pid)], 10, "a new process")
    c = a.client()
    c.expect(250, "EHLO client.example")
    c.expect(250, "MAIL FROM:<s@client.example>")
    c.expect(250, "RCPT TO:<nobody@test.example>")
    a.stop()
    wait_for(lambda: not processes(a), 1, "end of the helpers")


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_mail_owner_must_not_be_root(mta):
    a = mta(main={"mail_owner": "root"})
    done = a.control("start", check=False)
    assert done.returncode == 1 and "must not be root" in done.stdout


@pytest.mark.skipif(not ROOT_USER, reason="needs root to become another user")
def test_wholly_as_an_ordinary_user(mta):
    a = mta(listener_columns="n - y - -")
    user = pwd.getpwnam("nobody")
    for folder, directories, files in os.walk(a.directory):
        for name in directories + files:
            os.chown(os.path.join(folder, name), user.pw_uid, user.pw_gid)
    os.chown(a.directory, user.pw_uid, user.pw_gid)
    a.set(mail_owner="nobody", setgid_group="root")
    os.chown(a.config + "/main.cf", user.pw_uid, user.pw_gid)

    def as_user(verb):
        return subprocess.run(["setpriv", "--reuid=nobody", "--regid=%d" % user.pw_gid, "--clear-groups", os.path.join(BIN, "postern"),
                               "-c", a.config, verb], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    done = as_user("start")
    assert done.returncode == 0, done.stdout + a.log()
    a.started = True
    wait_for(lambda: listens(a.port), 10, "listener")
    assert a.client().greeting.startswith("220")
    for pid in processes(a):
        assert os.stat("/proc/%d" % pid).st_uid == user.pw_uid
    assert as_user("status").returncode == 0
    assert as_user("reload").returncode == 0
    assert a.client().greeting.startswith("220")
    done = as_user("stop")
    assert done.returncode == 0, done.stdout
    a.started = False
    wait_for(lambda: not processes(a), 1, "end of all processes")


@pytest.mark.skipif(not ROOT_USER, reason="needs root to become another user")
def test_only_root_or_the_owner_controls(mta):
    a = mta(main={"mail_owner": "daemon"}).start()
    done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", os.path.join(BIN, "postern"), "-c", a.config, "stop"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 1 and "for root" in done.stdout
    assert processes(a)


def test_foreground_logs_to_standard_output_and_stops_on_interrupt(mta):
    a = mta(main={"maillog_file": "/dev/stdout"})
    background = a.control("start", check=False)
    assert background.returncode == 1 and "start-fg" in background.stdout
    run = subprocess.Popen([os.path.join(BIN, "postern"), "-c", a.config, "start-fg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        wait_for(lambda: listens(a.port), 10, "listener")
        a.client().command("QUIT")
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=PATIENCE * SLOW)
    finally:
        run.kill()
    assert run.returncode == 0
    assert "daemon started" in out and "terminating on signal 2" in out and "connect from" in out
    wait_for(lambda: not processes(a), 1, "end of all processes")


def holder(file):
    """The process that has the lock, or 0."""
    lock = fcntl.fcntl(file, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    kind, _, _, _, pid = struct.unpack("hhqqi4x", lock)
    return pid if kind != fcntl.F_UNLCK else 0


def test_reload_as_soon_as_it_starts(mta):
    """Commands know a mail system by its lock; what they send from then on is no danger to it."""
    a = mta(main={"maillog_file": "/dev/stdout"})
    a.control("check")
    with open(os.path.join(a.queue, "pid/master.pid"), "a") as file:
        for _ in range(5):
            run = subprocess.Popen([os.path.join(LIBEXEC, "master"), "-i", "-c", a.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            while not holder(file):
                assert run.poll() is None
            os.kill(run.pid, signal.SIGHUP)
            wait_for(lambda: listens(a.port) or run.poll() is not None, what="a listener")
            run.send_signal(signal.SIGTERM)
            out, _ = run.communicate(timeout=PATIENCE * SLOW)
            assert run.returncode == 0 and "reload -- version" in out
            wait_for(lambda: not processes(a), what="end of all processes")


def name(pid):
    with contextlib.suppress(OSError), open("/proc/%s/comm" % pid) as f:
        return f.read().strip()


@pytest.mark.skipif(not ROOT_USER, reason="needs a process namespace")
def test_as_process_1_of_a_container(mta):
    a = mta()
    script = "sh -c 'sleep 1 & sleep 2 &'; exec %s/postern -c %s start-fg" % (BIN, a.config)
    run = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(a.port), 10, "listener")
        first = int(open("/proc/%d/task/%d/children" % (run.pid, run.pid)).read().split()[0])

        def children():
            return [name(pid) for pid in open("/proc/%d/task/%d/children" % (first, first)).read().split()]
        time.sleep(2.5)  # the orphans end
        wait_for(lambda: "sleep" not in children() and "smtpd" in children(), 10, "orphans are reaped")
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            os.kill(first, number)
        assert run.wait(PATIENCE * SLOW) == 0
    finally:
        run.kill()
    assert "panic" not in a.log() and "terminating on signal 15" in a.log()


def test_killed_master_leaves_nothing_behind(mta):
    a = mta().start()
    os.kill(a.pid(), signal.SIGKILL)
    wait_for(lambda: not processes(a), 10, "orphans end")
    a.control("start")
    wait_for(lambda: listens(a.port), 10, "listener of the next instance")


def test_abort(mta):
    a = mta().start()
    c = a.client()
    a.control("abort")
    a.started = False
    wait_for(lambda: not processes(a), 1, "end of all processes")
    assert c.reply() == ""
