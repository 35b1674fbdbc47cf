"""Policy servers: those that hang, lie and die, the options of a service, which connection a question takes, and the programs that sites run."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from policy_server import PolicyServer
from postern import ROOT_USER, Dns, Sink, exercises, free_port, listens, stop_accepting, wait_for

HELLO, FROM, TO = "EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<u@test.example>"
DEFAULT = "451 4.3.5 <u@test.example>: Recipient address rejected: Server configuration problem"
BASIC = {"smtpd_relay_restrictions": "permit_mynetworks, reject", "local_transport": "discard:", "notify_classes": ""}


@pytest.fixture
def policy():
    made = []

    def make(*args, **keywords):
        made.append(PolicyServer(*args, **keywords))
        return made[-1]

    yield make
    for server in made:
        server.close()


def ask(instance, name=None, recipient="u@test.example"):
    """The reply to one RCPT."""
    with instance.client(name) as c:
        c.expect(250, HELLO)
        c.expect(250, "MAIL FROM:<s@client.example>")
        return c.command("RCPT TO:<%s>" % recipient)


def recipients(text, **more):
    return dict({"smtpd_recipient_restrictions": text}, **more)


@exercises("smtpd_policy_service_timeout", "smtpd_policy_service_try_limit", "smtpd_policy_service_retry_delay",
           "smtpd_policy_service_default_action", "check_policy_service")
def test_servers_that_fail(mta, policy):
    """Silent, talkative, dead, never there: the default action, after as many tries as allowed."""
    silent, dead = policy(b""), "inet:127.0.0.1:%d" % free_port()
    slow = policy(lambda request: b"x" * 200000)
    lines = policy(lambda request: b"x=y\n" * 200)
    ends = policy(None)
    instance = mta(dict(BASIC, smtpd_policy_service_timeout="1s", smtpd_policy_service_try_limit="2", smtpd_policy_service_retry_delay="2s"), {
        "silent": recipients("check_policy_service " + silent.endpoint),
        "slow": recipients("check_policy_service " + slow.endpoint, smtpd_policy_service_try_limit="1"),
        "lines": recipients("check_policy_service " + lines.endpoint, smtpd_policy_service_try_limit="1"),
        "ends": recipients("check_policy_service " + ends.endpoint, smtpd_policy_service_try_limit="3"),
        "dead": recipients("check_policy_service " + dead, smtpd_policy_service_default_action="450 4.7.1 come back"),
        "option": recipients("check_policy_service { %s, default_action=DUNNO, try_limit=1 }" % dead),
    }).start()
    for name in ("silent", "slow", "lines"):
        assert ask(instance, name) == DEFAULT, name
    begin = time.monotonic()
    assert ask(instance, "ends") == DEFAULT
    assert time.monotonic() - begin > 3.9  # two pauses
    for server, count in ((silent, 2), (slow, 1), (lines, 1), (ends, 3)):
        server.wait(count)
    assert len(silent.requests) == 2 and len(ends.requests) == 3 and len(slow.requests) == len(lines.requests) == 1
    assert ask(instance, "dead") == "450 4.7.1 <u@test.example>: Recipient address rejected: come back"
    assert ask(instance, "option") == "250 2.1.5 Ok"
    instance.wait_log(r"warning: problem talking to server %s: .*refused" % dead)
    instance.wait_log(r"warning: problem talking to server %s: .*time limit" % silent.endpoint)


@exercises("check_policy_service")
def test_names_that_do_not_resolve(mta, policy):
    """R086: an unreachable server by any other name."""
    dns = Dns({"broken.example": {"SERVFAIL": True}, "policy.example": {"A": ["127.0.0.1"]}})
    server = policy(b"action=550 found\n\n")
    try:
        instance = mta(dict(BASIC, smtpd_policy_service_try_limit="1"), {
            name: recipients("check_policy_service inet:%s:%d" % (host, server.port))
            for name, host in (("gone", "gone.example"), ("broken", "broken.example"), ("known", "policy.example"))}).start()
        assert ask(instance, "gone") == ask(instance, "broken") == DEFAULT
        assert ask(instance, "known") == "550 5.7.1 <u@test.example>: Recipient address rejected: found"
        assert instance.pid()
    finally:
        dns.close()


@exercises("smtpd_policy_service_default_action")
def test_default_action_asks_another(mta, policy):
    """What stands in may ask the next server, which has the built-in default action."""
    dead, other = "inet:127.0.0.1:%d" % free_port(), policy(b"action=550 the other\n\n")
    common = dict(BASIC, smtpd_policy_service_try_limit="1", smtpd_restriction_classes="second, third", smtpd_policy_service_default_action="second",
                  third="check_policy_service " + dead)
    instance = mta(common, {
        "good": recipients("check_policy_service " + dead, second="check_policy_service " + other.endpoint),
        "circle": recipients("check_policy_service " + dead, second="check_policy_service " + dead),
    }).start()
    assert ask(instance, "good") == "550 5.7.1 <u@test.example>: Recipient address rejected: the other"
    assert ask(instance, "circle") == DEFAULT


@exercises("check_policy_service")
def test_wrong_services(mta):
    """What cannot be understood is a configuration error where it is reached, and told at the start."""
    instance = mta(BASIC, {
        "word": recipients("check_policy_service private/policy"),
        "option": recipients("check_policy_service { inet:127.0.0.1:1, patience=5 }"),
        "missing": recipients("check_policy_service"),
    }).start()
    for name in ("word", "option", "missing"):
        assert ask(instance, name) == "451 4.3.5 Server configuration error"
    instance.wait_log(r'unknown policy service option "patience"')


@exercises("smtpd_policy_service_max_idle")
def test_idle_connections_end(mta, policy):
    server = policy()
    instance = mta(dict(BASIC, smtpd_policy_service_max_idle="1s"), {"a": recipients("check_policy_service " + server.endpoint)}).start()
    assert ask(instance).startswith("250")
    server.wait_open(0)


@exercises("smtpd_policy_service_max_ttl", "smtpd_policy_service_request_limit")
def test_connections_in_use_end(mta, policy):
    server, old, older = policy(), policy(), policy()
    instance = mta(dict(BASIC, smtpd_policy_service_request_limit="2", worker_processes="1"), {
        "a": recipients("check_policy_service " + server.endpoint),
        "old": recipients("check_policy_service { %s, max_ttl=1s }" % old.endpoint),
        "older": recipients("check_policy_service " + older.endpoint, smtpd_policy_service_max_ttl="1s"),
    }).start()
    with instance.client("a") as c:
        for line in (HELLO, FROM, TO, TO, TO, TO, TO):
            c.expect(250, line)
    assert [number for number, _ in server.requests] == [1, 1, 2, 2, 3]
    for name, aged in (("old", old), ("older", older)):
        with instance.client(name) as c:
            for line in (HELLO, FROM, TO):
                c.expect(250, line)
            aged.wait_open(0)
            c.expect(250, TO)
        assert [number for number, _ in aged.requests] == [1, 2]


@exercises("check_policy_service")
def test_server_that_restarts(mta, policy):
    """A connection that ended while nobody used it is not missed: no failure, although one try is all."""
    server = policy(b"action=550 first\n\n")
    instance = mta(dict(BASIC, smtpd_policy_service_try_limit="1", worker_processes="1"), {
        "a": recipients("check_policy_service " + server.endpoint)}).start()
    assert ask(instance).startswith("550 5.7.1 <u@test.example>: Recipient address rejected: first")
    server.close()
    server.wait_open(0)
    again = policy(b"action=550 second\n\n", port=server.port)
    assert ask(instance).startswith("550 5.7.1 <u@test.example>: Recipient address rejected: second")
    assert len(again.requests) == 1


@exercises("check_policy_service")
def test_one_connection_for_one_message(mta, policy):
    """Sessions are parked between commands and go on in other slots; the questions about one message stay together."""
    server = policy()
    instance = mta(dict(BASIC, worker_processes="1"), {"a": recipients("check_policy_service " + server.endpoint)}).start()
    clients = [instance.client() for _ in range(4)]
    try:
        for c in clients:
            c.expect(250, HELLO)
            c.expect(250, FROM)
        for i in range(5):
            for c in clients:
                c.expect(250, "RCPT TO:<u%d@test.example>" % i)
                instance.control("status")  # longer than a session keeps its slot
    finally:
        for c in clients:
            c.close()
    seen = {}
    for number, attributes in server.requests:
        seen.setdefault(dict(attributes)["instance"], set()).add(number)
    assert len(seen) == 4 and all(len(numbers) == 1 for numbers in seen.values()), seen
    assert len(set.union(*seen.values())) == 4


@exercises("check_policy_service")
def test_many_at_once(mta, policy):
    """As many connections as there are slots at most, whatever the number of clients."""
    server = policy()
    instance = mta(dict(BASIC, worker_processes="1", default_process_limit="5", smtpd_client_connection_count_limit="0"),
                   {"a": recipients("check_policy_service " + server.endpoint)}).start()
    problems = []

    def client():
        try:
            for _ in range(5):
                instance.send()
        except (AssertionError, OSError) as e:
            problems.append(e)

    threads = [threading.Thread(target=client) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]
    assert len(server.requests) == 100 and server.connections <= 5


@exercises("check_policy_service")
@pytest.mark.parametrize("columns", ["n - n - -", "n - y - -"])
def test_socket_in_the_queue_directory(mta, policy, columns):
    """unix:private/policy is the same file with and without chroot."""
    if columns.split()[2] == "y" and not ROOT_USER:
        pytest.skip("chroot needs root")
    instance = mta(BASIC, {"a": recipients("check_policy_service unix:private/policy")}, listener_columns=columns)
    os.makedirs(instance.queue + "/private", exist_ok=True)
    server = policy(b"action=550 by path\n\n", path=instance.queue + "/private/policy")
    os.chmod(instance.queue + "/private/policy", 0o666)
    if ROOT_USER:
        os.chown(instance.queue + "/private", pwd.getpwnam(instance.main["mail_owner"]).pw_uid, -1)
    instance.start()
    assert ask(instance) == "550 5.7.1 <u@test.example>: Recipient address rejected: by path"
    assert server.connections == 1


# ---- programs of Debian


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        pytest.skip("%s is not installed" % name)
    return path


def run(arguments, port):
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wait_for(lambda: listens(port) or process.poll() is not None, 30, arguments[0])
    assert process.poll() is None, arguments
    return process


@pytest.fixture
def started():
    processes = []
    yield processes
    for process in processes:
        process.kill()  # Perl's handler of SIGTERM waits for the next event when the signal comes just before select()
        process.wait()


@exercises("check_policy_service")
def test_postgrey(mta, tmp_path, started):
    """Debian's postgrey delays a stranger and lets him in later."""
    port, user = free_port(), "nobody" if ROOT_USER else pwd.getpwuid(os.geteuid()).pw_name
    database = tmp_path / "postgrey"
    database.mkdir()
    if ROOT_USER:
        os.chown(database, pwd.getpwnam(user).pw_uid, -1)
        for path in (tmp_path, *list(tmp_path.parents)[:-2]):
            os.chmod(path, os.stat(path).st_mode | 0o755)
    started.append(run([program("postgrey"), "--inet=127.0.0.1:%d" % port, "--dbdir=%s" % database, "--delay=1", "--user=%s" % user,
                        "--group=%s" % ("nogroup" if ROOT_USER else pwd.getpwuid(os.geteuid()).pw_name), "--greylist-text=later, please"], port))
    instance = mta(BASIC, {"a": recipients("check_policy_service inet:127.0.0.1:%d" % port)}).start()
    assert ask(instance) == "450 4.2.0 <u@test.example>: Recipient address rejected: later, please"
    wait_for(lambda: ask(instance).startswith("250"), 30, "the end of the delay")


@exercises("check_policy_service", "smtpd_policy_service_policy_context")
def test_postfwd(mta, tmp_path):
    """Debian's postfwd decides by what it is told."""
    port, pid = free_port(), str(tmp_path / "pid")
    tmp_path.chmod(0o777)
    rules = ["id=one; sender==spam@client.example; action=REJECT spam", "id=two; recipient_count>=2; protocol_state==DATA; action=450 4.5.3 too many",
             "id=three; policy_context==strict; action=DEFER_IF_PERMIT strict"]
    user, group = ("nobody", "nogroup") if ROOT_USER else (pwd.getpwuid(os.geteuid()).pw_name,) * 2
    arguments = [program("postfwd1"), "--daemon", "--pidfile", pid, "--interface", "127.0.0.1", "--port", str(port), "--user", user, "--group", group, "--nodns", "--norulelog"]
    for rule in rules:
        arguments += ["--rule", rule]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wait_for(lambda: listens(port) and os.path.exists(pid), 30, "postfwd")
    try:
        ask_postfwd(mta, port)
    finally:
        os.kill(int(open(pid).read()), signal.SIGTERM)


def ask_postfwd(mta, port):
    service = "check_policy_service inet:127.0.0.1:%d" % port
    instance = mta(BASIC, {
        "a": dict(recipients(service), smtpd_data_restrictions=service),
        "strict": recipients(service, smtpd_policy_service_policy_context="strict"),
    }).start()
    with instance.client("a") as c:
        c.expect(250, HELLO)
        c.expect(250, "MAIL FROM:<spam@client.example>")
        assert c.command(TO) == "554 5.7.1 <u@test.example>: Recipient address rejected: spam"
        c.expect(250, "RSET")
        for line in (FROM, TO, TO.replace("<u", "<v")):
            c.expect(250, line)
        assert c.command("DATA") == "450 4.5.3 <DATA>: Data command rejected: too many"
    assert ask(instance, "strict") == "450 4.7.1 <u@test.example>: Recipient address rejected: strict"


class Spawned:
    """A program that speaks the protocol on its standard input, one process for a connection, as spawn(8) starts it."""

    def __init__(self, arguments):
        self.arguments, self.socket = arguments, socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(16)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            subprocess.Popen(self.arguments, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL)
            connection.close()

    def close(self):
        stop_accepting(self.socket, self.thread)


@exercises("check_policy_service")
def test_policyd_spf(mta, tmp_path):
    """Debian's policyd-spf: one answer for a message with several recipients has the header, the others have not."""
    (tmp_path / "spf.conf").write_text("debugLevel = 0\nTestOnly = 1\nHELO_reject = Fail\nMail_From_reject = Fail\nskip_addresses = 192.0.2.200\n")
    dns = Dns({"good.example": {"TXT": ["v=spf1 ip4:198.51.100.7 -all"]}, "bad.example": {"TXT": ["v=spf1 -all"]}})
    server = Spawned([sys.executable, program("policyd-spf"), str(tmp_path / "spf.conf")])
    try:
        sink = Sink()
        instance = mta(dict(BASIC, local_transport="smtp:[127.0.0.1]:%d" % sink.port, smtpd_authorized_xclient_hosts="127.0.0.0/8", smtpd_relay_restrictions="reject_unauth_destination"),
                       {"a": recipients("check_policy_service inet:127.0.0.1:%d" % server.port)}).start()
        with instance.client() as c:
            c.expect(220, "XCLIENT NAME=c.example ADDR=198.51.100.7")
            for line in ("EHLO good.example", "MAIL FROM:<s@good.example>", "RCPT TO:<u@test.example>", "RCPT TO:<v@test.example>"):
                c.expect(250, line)
            c.data("Subject: spf\r\n\r\nx\r\n")
            c.expect(250, "MAIL FROM:<s@bad.example>")
            assert c.command(TO).startswith("550 5.7.23 <u@test.example>: Recipient address rejected: Message rejected due to: SPF fail")
        assert sink.wait()[0]["data"].count(b"Received-SPF: Pass") == 1
    finally:
        server.close()
        dns.close()
