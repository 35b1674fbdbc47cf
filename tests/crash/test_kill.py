"""kill -9 of any process, or of all, at any moment under load: no acknowledged message is lost, none arrives damaged; duplicates are counted.

20 cuts in `make test`, as many as wanted with `make crash COUNT=200`.
"""
import collections
import glob
import hashlib
import os
import random
import re
import signal
import threading
import time

from postern import SLOW, Client, Sink, listens, owner, wait_for

CUTS = int(os.environ.get("POSTERN_CRASH_CUTS", "20"))
SEED = int(os.environ.get("POSTERN_CRASH_SEED", "0")) or random.randrange(1 << 30)
CLIENTS = 6
REMOTE, LOCAL = "user@elsewhere.example", "%s@test.example" % owner()
RECIPIENTS = ((REMOTE,), (REMOTE,), (LOCAL,), (REMOTE, LOCAL))
SIZES = (300, 300, 2000, 9000, 30000, 200000)  # a slot, more than one page, more than one write


def message(token, size):
    lines = []
    n = 0
    while n < size:
        lines.append(hashlib.sha256(("%s %d" % (token, n)).encode()).hexdigest())
        n += 66
    return "Subject: %s\r\nX-Token: %s %d\r\n\r\n" % (token, token, size) + "".join(line + "\r\n" for line in lines)


class Load:
    """Clients that send as fast as they are served, and send again what was not acknowledged, as any client does."""

    def __init__(self, port):
        self.port, self.acknowledged, self.lock, self.ending = port, {}, threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        choice = random.Random(SEED + number)
        count = 0
        while not self.ending.is_set():
            count += 1
            token, size, recipients = "c%d-%d" % (number, count), choice.choice(SIZES), choice.choice(RECIPIENTS)
            while not self.ending.is_set() and not self.send(token, size, recipients):
                time.sleep(0.02)

    def send(self, token, size, recipients):
        try:
            with Client(self.port) as client:
                queue_id = client.mail("sender@client.example", recipients, message(token, size))
        except (OSError, AssertionError):
            return False
        with self.lock:
            self.acknowledged.update({(token, recipient): queue_id for recipient in recipients})
        return True

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(40)


class Killer:
    def __init__(self, instance, choice):
        self.instance, self.choice, self.what = instance, choice, collections.Counter()

    def family(self):
        """pid -> name of every process of the mail system: master and its children."""
        parents, names = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = open("/proc/%s/stat" % pid).read()
            except OSError:
                continue
            name, rest = re.match(r"\d+ \((.*)\) (.*)", text, re.S).groups()
            if rest.split()[0] != "Z":
                parents[int(pid)], names[int(pid)] = int(rest.split()[1]), name
        master = self.instance.pid()
        return {pid: names[pid] for pid in parents if pid == master or parents[pid] == master}

    def cut(self):
        family = self.family()
        master = self.instance.pid()
        workers = [pid for pid in family if pid != master]
        kind = self.choice.choices(("one", "master", "all"), (6, 2, 2))[0]
        victims = [master] + workers if kind == "all" else [master] if kind == "master" or not workers else [self.choice.choice(workers)]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.what[kind if kind != "one" or not workers else family[victims[0]]] += 1
        if master in victims:
            self.restart(workers)

    def restart(self, workers):
        """Workers notice that master is gone and end; what it needs to start again is free then."""
        wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) and "Z" not in self.state(pid) for pid in workers), 60, "end of the workers")
        wait_for(lambda: self.instance.control("start", check=False).returncode == 0, 30, "start")
        wait_for(lambda: listens(self.instance.port), 20, "listener")

    def state(self, pid):
        try:
            return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0]
        except OSError:
            return "Z"


def identify(data):
    """The token of a message; damaged content fails."""
    token, size = re.search(rb"(?m)^X-Token: (\S+) (\d+)\r?$", data).groups()
    body = data.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
    assert body == message(token.decode(), int(size)).replace("\r\n", "\n").split("\n\n", 1)[1].encode(), "damaged: %s" % token.decode()
    return token.decode()


class Arrivals:
    """(token, recipient) -> how often it arrived, at the server and in the mailbox."""

    def __init__(self, sink, instance):
        self.sink, self.mailbox, self.seen = sink, os.path.join(instance.mail, owner(), "new"), collections.Counter()
        self.taken, self.files = 0, set()

    def look(self):
        mails = list(self.sink.mails)[self.taken:]
        self.taken += len(mails)
        self.seen.update((identify(mail["data"]), REMOTE) for mail in mails)
        for path in set(glob.glob(self.mailbox + "/*")) - self.files:
            self.files.add(path)
            with open(path, "rb") as f:
                self.seen[identify(f.read()), LOCAL] += 1
        return self.seen


def test_no_acknowledged_message_is_lost(mta):
    sink = Sink()
    instance = mta(main={"relayhost": "[127.0.0.1]:%d" % sink.port, "minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
                         "queue_run_delay": "1s", "service_throttle_time": "1s", "smtp_connection_cache_on_demand": "yes",
                         "smtpd_client_connection_count_limit": "0", "default_destination_concurrency_failed_cohort_limit": "0"})
    instance.start()
    load, choice = Load(instance.port), random.Random(SEED)
    killer = Killer(instance, choice)
    for _ in range(CUTS):
        time.sleep(choice.uniform(0.02, 0.6) * SLOW)
        killer.cut()
    time.sleep(0.5)
    load.end()
    acknowledged, arrivals = dict(load.acknowledged), Arrivals(sink, instance)

    def missing():
        return set(acknowledged) - set(arrivals.look())

    left, end = len(missing()), time.monotonic() + 90 * SLOW
    while left and time.monotonic() < end:  # as long as anything still arrives
        instance.command("postqueue", "-f", check=False)
        time.sleep(0.5)
        now = len(missing())
        left, end = now, time.monotonic() + 90 * SLOW if now < left else end
    seen = arrivals.look()
    duplicates = sum(count - 1 for count in seen.values())
    print("seed %d: %d cuts %s; %d deliveries acknowledged, %d made, %d duplicates" % (
        SEED, CUTS, dict(killer.what), len(acknowledged), sum(seen.values()), duplicates))
    lost = {what: acknowledged[what] for what in missing()}
    assert not lost, "lost: %r\n%s" % (lost, "\n".join(
        line for line in instance.log().splitlines() if any(queue_id in line for queue_id in lost.values()))[-4000:])
    assert len(acknowledged) >= CUTS
    aside = set(os.listdir(os.path.join(instance.queue, "corrupt")))  # what its writer was killed in
    assert not aside & set(acknowledged.values())
    sink.close()
