"""A changed configuration: taken up without a refused connection or a cut session, by itself, and only when it is valid."""
import contextlib
import glob
import gzip
import os
import re
import signal
import socket
import subprocess
import threading
import time

from postern import BIN, LIBEXEC, PATIENCE, SLOW, Client, exercises, free_port, listens, processes, wait_for


class Load(threading.Thread):
    """Sessions one after the other until it is ended; what went wrong is in failures."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.done, self.sessions, self.failures, self.greetings = port, False, 0, [], set()
        self.start()

    def run(self):
        while not self.done:
            try:
                with Client(self.port) as c:
                    assert c.greeting.startswith("220"), c.greeting
                    self.greetings.add(c.greeting)
                    c.expect(250, "EHLO load.example")
                    c.expect(221, "QUIT")
                self.sessions += 1
            except (OSError, AssertionError) as e:
                self.failures.append(repr(e))


def test_reload_under_load(mta):
    a = mta().start()
    held = a.client()
    held.expect(250, "EHLO held.example")
    held.expect(250, "MAIL FROM:<s@client.example>")
    load = [Load(a.port) for _ in range(4)]
    for _ in range(5):
        time.sleep(0.4)
        a.reload()
    wait_for(lambda: sum(l.sessions for l in load) > 50, 30, "sessions")
    for l in load:
        l.done = True
    for l in load:
        l.join(PATIENCE * SLOW)
    assert not [f for l in load for f in l.failures]
    held.expect(250, "RCPT TO:<user@test.example>")
    held.data("Subject: across\r\n\r\nfive reloads\r\n")
    held.expect(221, "QUIT")
    held.close()
    wait_for(lambda: len(processes(a, "smtpd")) == workers(a), 10, "old workers end after their last session")


def workers(a):
    return int(a.main.get("worker_processes") or max(2, os.cpu_count() or 2))


def test_new_values_for_new_sessions(mta):
    a = mta(main={"smtpd_banner": "$myhostname one"}).start()
    old = a.client()
    a.set(smtpd_banner="$myhostname two")
    a.reload()
    wait_for(lambda: a.client().greeting == "220 mail.test.example two", 10, "new banner")
    old.expect(250, "NOOP")


@exercises("config_watch")
def test_change_is_taken_up_by_itself(mta):
    a = mta(main={"smtpd_banner": "one"}).start()
    a.set(smtpd_banner="two")
    wait_for(lambda: a.client().greeting == "220 two", 10, "banner without a command")
    assert "the configuration changed" in a.log()
    a.set(config_watch="no")
    wait_for(lambda: len(re.findall("the configuration changed", a.log())) == 2, 10, "config_watch itself")
    a.set(smtpd_banner="three")
    time.sleep(2.5)
    assert a.client().greeting == "220 two"
    a.reload()
    wait_for(lambda: a.client().greeting == "220 three", 10, "banner after reload")


def test_rewriting_the_same_text_is_no_change(mta):
    a = mta().start()
    settled(a)
    pids = processes(a, "smtpd")
    a.write_config()
    os.utime(a.config + "/main.cf")
    time.sleep(2)
    assert processes(a, "smtpd") == pids and not re.search(r"master\[\d+\]: reload", a.log())


def broken(a, pattern, **values):
    """Writes a broken value; the old configuration must stay, by itself and on request."""
    mark = a.log_size()
    pids = sorted(processes(a, "smtpd"))
    before = dict(a.main)
    a.set(**values)
    a.wait_log(r"master\[\d+\]: error: .*%s.*; the configuration is not taken up" % pattern, since=mark)
    done = a.control("reload", check=False)
    assert done.returncode == 1 and re.search(pattern + "|is not running", done.stdout), done.stdout
    assert a.client().greeting.startswith("220")
    assert sorted(processes(a, "smtpd")) == pids
    a.main = before
    a.write_config()


def test_broken_configuration_is_not_taken_up(mta):
    a = mta().start()
    settled(a)
    broken(a, "smtpd_timeout", smtpd_timeout="soon")
    broken(a, "queue_directory", queue_directory="/nonexistent")


def test_broken_master_cf_is_not_taken_up(mta):
    a = mta().start()
    a.extra = "smtp unix only three\n"
    a.write_config()
    a.wait_log(r"error: .*master\.cf.*line \d+.*not taken up")
    assert a.client().greeting.startswith("220")


def test_half_written_file_is_never_seen(mta):
    a = mta(main={"smtpd_banner": "start"}).start()
    text = open(a.config + "/main.cf").read()
    load, longest = Load(a.port), 0
    for n in range(12):
        begun = time.monotonic()
        with open(a.config + "/main.cf", "w") as f:
            f.write(text + "smtpd_banner = half\n")
            f.flush()
            time.sleep(0.05)
            f.write("smtpd_banner = turn %d\n" % n)
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.05)
    wait_for(lambda: a.client().greeting == "220 turn 11", 10, "last value")
    load.done = True
    load.join(PATIENCE * SLOW)
    assert not load.failures
    assert "220 half" not in load.greetings or longest > 0.5  # nobody wrote for that long: then it counts as done
    assert "fatal" not in a.log() and "throttling" not in a.log()


def test_listener_is_added_and_removed(mta):
    a = mta(services={"one": {}, "two": {}}).start()
    held = a.client("two")
    two = a.services.pop("two")
    a.write_config()
    a.reload()
    def refused():
        try:
            Client(a.ports["two"]).close()
            return False
        except OSError:
            return True
    wait_for(refused, 10, "port closed")
    held.expect(250, "NOOP")
    a.services["two"] = two
    a.write_config()
    a.reload()
    wait_for(lambda: not refused(), 10, "port open again")


@exercises("inet_interfaces")
def test_listener_moves_to_other_addresses_of_its_port(mta):
    """From one address to all and back, under one name of a service or another; who is connected stays."""
    a = mta(services={})
    port = free_port()
    one, every = "127.0.0.1:%d inet n - n - - smtpd\n" % port, "%d inet n - n - - smtpd\n" % port

    def listening():
        found = []
        for line in open("/proc/net/tcp"):
            local, state = line.split()[1:4:2]
            if state == "0A" and local.endswith(":%04X" % port):
                found.append(local.split(":")[0])
        return found
    a.extra = one
    a.write_config()
    a.start()
    wait_for(lambda: listening() == ["0100007F"], what="one address")
    held = Client(port)
    for extra, interfaces, address in ((every, "all", "00000000"), (every, "127.0.0.1", "0100007F"), (every, "all", "00000000"), (one, "all", "0100007F")):
        a.extra = extra
        a.set(inet_interfaces=interfaces)
        a.reload()
        wait_for(lambda: listening() == [address], what="%s alone" % address)
        assert Client(port).greeting.startswith("220")
    held.expect(250, "NOOP")
    assert "error" not in a.log() and "warning" not in a.log()


def test_address_that_cannot_be_had_costs_the_others_nothing(mta):
    a = mta(services={})
    port = free_port()
    a.extra = "%d inet n - n - - smtpd\n" % port
    a.set(inet_interfaces="127.0.0.1")
    a.start()
    wait_for(lambda: listens(port), what="a listener")
    with socket.create_server(("127.0.0.2", port)):
        a.set(inet_interfaces="127.0.0.2, 127.0.0.1")
        a.reload()
        a.wait_log(r"error: service %d: bind \[127.0.0.2\]:%d: Address already in use" % (port, port))
        wait_for(lambda: Client(port).greeting.startswith("220"), what="service")


def test_agent_that_hangs_in_its_start_holds_up_nothing_after_a_reload(mta, tmp_path):
    daemons, sound = tmp_path / "libexec", tmp_path / "sound"
    daemons.mkdir()
    for name in os.listdir(LIBEXEC):
        os.symlink(os.path.realpath(os.path.join(LIBEXEC, name)), daemons / name)
    (daemons / "discard").unlink()
    (daemons / "discard").write_text("#!/bin/sh\n[ -e %s ] || exec sleep 1000\nexec %s/discard \"$@\"\n" % (sound, LIBEXEC))
    (daemons / "discard").chmod(0o755)
    a = mta(main={"daemon_directory": str(daemons), "local_transport": "discard:"}).start()
    qid = a.send()

    def hanging():
        with contextlib.suppress(OSError):
            for pid in open("/proc/%d/task/%d/children" % (a.pid(), a.pid())).read().split():
                if open("/proc/%s/comm" % pid).read().strip() == "sleep":
                    return int(pid)
    pid = wait_for(hanging, what="an agent that does not get ready")
    sound.touch()
    a.reload()
    a.wait_log(r"%s: removed" % qid)
    os.kill(pid, signal.SIGKILL)


def test_descriptors_do_not_leak_over_reloads(mta):
    a = mta().start()
    def count():
        return len(os.listdir("/proc/%d/fd" % a.pid()))
    a.reload()
    settled(a)
    before = count()
    for _ in range(10):
        a.reload()
        settled(a)
    wait_for(lambda: count() <= before + 1, 10, "as many descriptors as before")


def test_processes_that_ended_meanwhile_are_no_trouble(mta):
    """Reload after reload, each while processes of the one before are ending, and others wait for them to end."""
    a = mta().start()
    for _ in range(15):
        a.reload()
    settled(a)
    assert not re.search("warning: |fatal: ", a.log())


def settled(a):
    wait_for(lambda: len(processes(a, "smtpd")) == workers(a) and a.client().greeting.startswith("220"), 10, "workers settled")


@exercises("maillog_file", "maillog_file_rotate_suffix", "maillog_file_compressor")
def test_logrotate(mta):
    a = mta(main={"maillog_file_rotate_suffix": "%Y"}).start()
    a.wait_log("daemon started")
    held = a.client()
    a.control("logrotate")
    held.expect(221, "QUIT")
    a.wait_log("disconnect from", 5)
    old, = glob.glob(a.logfile + ".*.gz")
    assert "daemon started" in gzip.open(old, "rt").read()
    assert "daemon started" not in a.log()


@exercises("maillog_file")
def test_rotated_log_is_whole(mta):
    """A process that is busy writes to the old file until it looks at the new one: the old one is compressed after that."""
    a = mta(main={"maillog_file_rotate_suffix": "old"}).start()
    with open(a.logfile, "a") as busy:
        rotation = subprocess.Popen([os.path.join(BIN, "postern"), "-c", a.config, "logrotate"], stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(a.logfile + ".old") and os.path.exists(a.logfile), what="two files")
        time.sleep(1.5)
        busy.write("a late line\n")
    assert rotation.wait(PATIENCE * SLOW) == 0
    assert gzip.open(a.logfile + ".old.gz", "rt").read().endswith("a late line\n")


@exercises("maillog_file_prefixes")
def test_log_file_must_match_the_prefixes(mta):
    a = mta(main={"maillog_file_prefixes": "/var/log"})
    done = a.control("start", check=False)
    assert done.returncode == 1 and "maillog_file_prefixes" in done.stdout
