"""Postern under test: private instances, a raw SMTP client, SMTP sinks and a small DNS server.

Everything lives below one directory and on loopback ports that are free; tests run in namespaces of their own (tests/namespace.sh).
"""
import glob
import itertools
import os
import pwd
import re
import select
import socket
import socketserver
import struct
import subprocess
import threading
import time

import pytest

BUILD = os.environ.get("POSTERN_BUILD", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build"))
BIN, LIBEXEC = os.path.join(BUILD, "bin"), os.path.join(BUILD, "libexec")
ROOT_USER = os.geteuid() == 0
SLOW = 4 if os.environ.get("POSTERN_SANITIZER") else 1  # sanitizer builds get more time
PATIENCE = int(os.environ.get("POSTERN_PATIENCE", "60"))  # seconds at least that a test waits for what must happen: a busy machine takes long for what usually takes no time
JAILED_REPORTS = []  # directories where daemons in jails leave the reports of their sanitizers
PORTS = itertools.count(20000)  # below those that the kernel gives to connections


def exercises(*names):
    """Mark: the test shows the effect of these parameters or restrictions."""
    return pytest.mark.exercises(*names)


def owner():
    """The user that daemons run as: postern's own when we are root and it exists, else ourselves."""
    if ROOT_USER:
        for name in ("postern", "nobody"):
            try:
                return pwd.getpwnam(name).pw_name
            except KeyError:
                pass
    return pwd.getpwuid(os.geteuid()).pw_name


def group():
    if ROOT_USER:
        for line in open("/etc/group"):
            if line.startswith("postdrop:"):
                return "postdrop"
        return "nogroup"
    import grp
    return grp.getgrgid(os.getegid()).gr_name


def free_port():
    """A port that nobody uses and that this process was never given before. (One that the kernel chooses may be chosen again before it is in use.)"""
    for port in PORTS:
        with socket.socket() as s:
            try:
                s.bind(("0.0.0.0", port))
                return port
            except OSError:
                continue


def wait_for(condition, seconds=10.0, what="condition"):
    """Waits until condition() is true and returns its value. seconds: what it may take on an idle machine; gives up after PATIENCE at the earliest."""
    limit = max(seconds, PATIENCE) * SLOW
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (limit, what))
        time.sleep(0.02)


MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "mail.test.example",
    "mydomain": "test.example",
    "myorigin": "test.example",
    "mydestination": "test.example, localhost",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "relay_domains": "",
    "syslog_name": "postfix",
    "smtpd_peername_lookup": "no",
    "alias_maps": "",
    "local_recipient_maps": "",
    "maillog_file_prefixes": "/",
    "smtpd_error_sleep_time": "0",
    "queue_run_delay": "300s",
}

MASTER = """\
pickup    unix  n       -       n       1       1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
lmtp      unix  -       -       n       -       -       lmtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
"""


class Instance:
    """A private mail system. main: changes to MAIN (None removes); services: {name: {parameter: value}} of smtpd listeners, each on a
    free port in self.ports; the first is self.port. master: more master.cf text; replaces: None or the whole basic text."""

    def __init__(self, directory, main=None, services=None, master="", basic=MASTER, listener_columns="n - n - -"):
        self.directory = directory
        self.config, self.queue, self.data = (os.path.join(directory, d) for d in ("conf", "queue", "data"))
        self.logfile, self.mail = os.path.join(directory, "mail.log"), os.path.join(directory, "mail")
        for d in (directory, self.config, self.queue, self.data, self.mail):
            os.makedirs(d, exist_ok=True)
            os.chmod(d, 0o755)
        self._open_parents()
        self.main = dict(MAIN, queue_directory=self.queue, data_directory=self.data, maillog_file=self.logfile,
                         command_directory=BIN, daemon_directory=LIBEXEC, mail_owner=owner(), setgid_group=group(),
                         mail_spool_directory=self.mail + "/")
        if os.environ.get("POSTERN_SANITIZER"):
            self.main["import_environment"] = "MAIL_CONFIG TZ LANG=C ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS"
            self._make_reports_directory()
        self.main.update(main or {})
        self.ports = {name: free_port() for name in (services or {"smtpd": {}})}
        self.services, self.basic, self.extra, self.columns = services or {"smtpd": {}}, basic, master, listener_columns
        if ROOT_USER:
            os.chown(self.data, pwd.getpwnam(self.main["mail_owner"]).pw_uid, -1)
            os.chmod(self.mail, 0o1777)
        self.write_config()
        self.started = False

    def _open_parents(self):
        """Daemons that gave up root must reach the directory (pytest makes its own private)."""
        path = self.directory
        while ROOT_USER and len(path) > 1 and path != "/tmp":
            os.chmod(path, os.stat(path).st_mode | 0o755)
            path = os.path.dirname(path)

    def _make_reports_directory(self):
        """The path of sanitizer_reports (conftest.py) as daemons in the queue directory's jail see it."""
        path = self.queue + os.environ["POSTERN_SANITIZER_REPORTS"]
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o1777)
        JAILED_REPORTS.append(path)

    def _show_processes_in_jail(self):
        """Without /proc, no sanitizer can look for leaks. Nothing in a private namespace needs unmounting."""
        proc = self.queue + "/proc"
        if ROOT_USER and {"POSTERN_SANITIZER", "POSTERN_NS"} <= set(os.environ) and not os.path.exists(proc):
            os.mkdir(proc)
            subprocess.run(["mount", "--bind", "/proc", proc], check=True)

    def write_config(self):
        lines = ["%s = %s\n" % (k, v) for k, v in self.main.items() if v is not None]
        self._replace("main.cf", "".join(lines))
        text = self.basic
        for name, options in self.services.items():
            text += "127.0.0.1:%d inet %s smtpd\n" % (self.ports[name], self.columns)
            text += "".join("  -o { %s = %s }\n" % pair for pair in options.items())
        self._replace("master.cf", text + self.extra)

    def _replace(self, name, text):
        path = os.path.join(self.config, name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def set(self, **values):
        """Changes main.cf; what runs takes it up by reload() or by itself."""
        self.main.update(values)
        self.write_config()

    @property
    def port(self):
        return next(iter(self.ports.values()))

    def command(self, name, *arguments, check=True, **keywords):
        done = subprocess.run([os.path.join(BIN, name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, MAIL_CONFIG=self.config), timeout=2 * PATIENCE * SLOW, **keywords)
        if check and done.returncode:
            raise AssertionError("%s %s: exit %d\n%s\n%s" % (name, " ".join(arguments), done.returncode, done.stdout, self.log()))
        return done

    def control(self, verb, check=True):
        return self.command("postern", "-c", self.config, verb, check=check)

    def start(self):
        self._show_processes_in_jail()
        self.control("start")
        self.started = True
        for port in self.ports.values():
            wait_for(lambda: listens(port), 15, "listener on port %d\n%s" % (port, self.log()))
        return self

    def stop(self, check=True):
        if self.started:
            self.started = False
            self.control("stop", check=check)
            if os.environ.get("POSTERN_SANITIZER"):  # the reports of those that still end belong to this test
                wait_for(lambda: not processes(self), what="the end of every process")

    def restart(self, **values):
        """Changes main.cf by stop and start: after a reload, processes of before it may still see to what comes."""
        self.stop()
        self.set(**values)
        return self.start()

    def reload(self):
        """Returns when master has read the configuration; its processes take it up later."""
        mark = self.log_size()
        self.control("reload")
        self.wait_log(r"reload", since=mark)

    def pid(self):
        return int(open(os.path.join(self.queue, "pid/master.pid")).read())

    def log(self, since=0):
        """The whole lines of the log: a line may be seen while it is written."""
        try:
            with open(self.logfile, errors="replace") as f:
                f.seek(since)
                text = f.read()
        except OSError:
            return ""
        return text[:text.rfind("\n") + 1]

    def log_size(self):
        try:
            return os.path.getsize(self.logfile)
        except OSError:
            return 0

    def wait_log(self, pattern, seconds=10.0, since=0, count=1):
        """Waits until pattern stands in the log count times; returns the last match."""
        def found():
            matches = list(re.finditer(pattern, self.log(since)))
            return matches[count - 1] if len(matches) >= count else None
        try:
            return wait_for(found, seconds, "log line %r" % pattern)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.log(since))) from None

    def wait_logged(self):
        """Waits until the log holds what was logged so far: a neighbour's may be late (tests/peers/postfix.py), ours never is."""

    def maildir(self, user):
        """The messages delivered to user, oldest first, as bytes."""
        paths = glob.glob(os.path.join(self.mail, user, "new", "*"))
        return [open(p, "rb").read() for p in sorted(paths, key=lambda p: [int(n) for n in re.search(r"/(\d+)\.[^/.]*M(\d+)\.[^/]*$", p).groups()])]

    def queued(self, *queues):
        """Queue ids found in the queue directories (default: incoming, active, deferred), each once: a message may go on to another queue meanwhile."""
        found = {}
        for queue in (queues or ("incoming", "active", "deferred")) * 2:
            for folder, _, names in os.walk(os.path.join(self.queue, queue)):
                found.update((n, None) for n in names if re.fullmatch(r"[0-9A-Za-z]{6,20}", n))
                found.update((i, None) for i in (slot_id(os.path.join(folder, n)) for n in names if n.startswith("slot.")) if i)
        return list(found)

    def wait_handled(self, queue_id):
        """Waits until the queue manager has heard from the agents that had the new message: it is removed or deferred, its connections are kept or closed."""
        wait_for(lambda: queue_id not in self.queued("incoming", "active"), what="the end of the deliveries of " + queue_id)
        self.wait_logged()

    def client(self, name=None, **keywords):
        return Client(self.ports[name] if name else self.port, **keywords)

    def send(self, sender="s@client.example", recipients=("user@test.example",), body="Subject: test\r\n\r\nhello\r\n", name=None):
        """Sends one message; returns the queue id."""
        with self.client(name) as c:
            return c.mail(sender, recipients, body)


def slot_id(path):
    """The queue id of the message in a slot of incoming (src/spool/INTERNALS.md), or None."""
    try:
        with open(path, "rb") as f:
            header = f.read(40)
    except OSError:
        return None
    return header[16:40].rstrip(b"\0").decode() if header[1:6] == b"PSTNQ" else None


def listens(port):
    """Whether a socket listens at a TCP port; asks the kernel, since a connection would be a session that the log tells of."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            for line in open(table):
                local, state = line.split()[1:4:2]
                if state == "0A" and local.endswith(":%04X" % port):
                    return True
    return False


def processes(instance, program=None):
    """Pids of the instance's processes, by the configuration directory in their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid, "rb").read().split(b"\0")
        except OSError:
            continue
        if instance.config.encode() in words and (program is None or os.path.basename(words[0]) == program.encode()):
            found.append(int(pid))
    return found


def stop_accepting(listener, thread):
    """Closes a socket that a thread of ours accepts from, once the thread has let go of it: its number may be another listener's at once."""
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


class Client:
    """A raw SMTP client: what is sent and received is up to the test."""

    def __init__(self, port, host="127.0.0.1", greeting=True, timeout=PATIENCE):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.settimeout(timeout * SLOW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.greeting = self.reply() if greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)

    def line(self):
        """One line without its end; None at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def reply(self):
        """One whole reply, lines joined by newline; "" when the connection ended."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return "\n".join(lines)
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def command(self, line):
        self.raw((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def expect(self, code, line):
        reply = self.command(line)
        assert reply.startswith(str(code)), "%s -> %s" % (line, reply)
        return reply

    def mail(self, sender, recipients, body, hello="EHLO client.example"):
        self.expect(250, hello)
        self.expect(250, "MAIL FROM:<%s>" % sender)
        for recipient in recipients:
            self.expect(250, "RCPT TO:<%s>" % recipient)
        return self.data(body)

    def data(self, body):
        self.expect(354, "DATA")
        data = body.encode() if isinstance(body, str) else body
        data = re.sub(rb"(?m)^\.", b"..", data)
        self.raw(data + (b"" if data.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        reply = self.reply()
        assert reply.startswith("250"), reply
        return reply.rsplit(" ", 1)[-1]


class Sink:
    """An SMTP (or LMTP) server on loopback that records what it gets. rules: {"RCPT": callable(argument) -> reply or None, ...}; keys are
    CONNECT, EHLO, HELO, MAIL, RCPT, DATA, DOT, QUIT, RSET; a reply of None closes the connection."""

    def __init__(self, host="127.0.0.1", port=0, keywords=("PIPELINING", "SIZE", "8BITMIME", "DSN"), rules=None, lmtp=False):
        self.keywords, self.rules, self.lmtp = keywords, rules or {}, lmtp
        self.mails, self.connections, self.open, self.most_open = [], 0, 0, 0
        self.condition = threading.Condition()
        sink = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                with sink.condition:
                    sink.connections += 1
                    sink.open += 1
                    sink.most_open = max(sink.most_open, sink.open)
                try:
                    SinkSession(sink, self.rfile, self.wfile).run()
                except OSError:
                    pass
                with sink.condition:
                    sink.open -= 1

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 256

        self.server = Server((host, port), Handler)
        self.host, self.port = self.server.server_address
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count=1, seconds=15.0):
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.mails) >= count, max(seconds, PATIENCE) * SLOW):
                raise AssertionError("%d of %d messages arrived" % (len(self.mails), count))
            return list(self.mails)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class SinkSession:
    def __init__(self, sink, rfile, wfile):
        self.sink, self.rfile, self.wfile = sink, rfile, wfile
        self.commands, self.sender, self.recipients = [], None, []

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def ask(self, key, argument, default):
        rule = self.sink.rules.get(key)
        reply = rule(argument) if callable(rule) else rule if rule is not None else default
        if reply is None:
            raise ConnectionError(key)
        return reply

    def run(self):
        self.say(self.ask("CONNECT", "", "220 sink.example ESMTP"))
        for line in self.rfile:
            text = line.rstrip(b"\r\n").decode("utf-8", "replace")
            self.commands.append(text)
            verb = text[:4].upper()
            if verb in ("EHLO", "LHLO"):
                self.say(self.ask("EHLO", text, "\r\n".join(["250-sink.example"] + ["250-" + k for k in self.sink.keywords[:-1]]
                                                           + ["250 " + k for k in self.sink.keywords[-1:]])))
            elif verb == "DATA":
                self.data()
            elif verb == "QUIT":
                self.say(self.ask("QUIT", text, "221 2.0.0 bye"))
                return
            else:
                self.envelope(verb, text)

    def envelope(self, verb, text):
        reply = self.ask(verb, text, "250 2.0.0 ok")
        if reply.startswith("2"):
            if verb == "MAIL":
                self.sender, self.recipients = text[10:], []
            elif verb == "RCPT":
                self.recipients.append(text[8:])
            elif verb == "RSET":
                self.sender, self.recipients = None, []
        self.say(reply)

    def data(self):
        reply = self.ask("DATA", "", "354 go ahead" if self.recipients else "554 5.5.1 no valid recipients")
        self.say(reply)
        if not reply.startswith("3"):
            return
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        else:
            return
        content = b"".join(lines)
        replies = [self.ask("DOT", r, "250 2.0.0 queued") for r in (self.recipients if self.sink.lmtp else [""])]
        if any(r.startswith("2") for r in replies):
            with self.sink.condition:
                self.sink.mails.append({"commands": self.commands, "sender": self.sender, "recipients": self.recipients, "data": content})
                self.sink.condition.notify_all()
        self.commands = []
        for reply in replies:
            self.say(reply)


class Dns(threading.Thread):
    """A DNS server for names of the test: {"name": {"A": [...], "AAAA": [...], "MX": [(10, "host")], "TXT": [...], "PTR": [...], "CNAME": [...]}}.
    A value {"SERVFAIL": True} fails; an unknown name does not exist."""
    TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}

    def __init__(self, zone, address="127.0.0.1", port=53):
        super().__init__(daemon=True)
        self.zone, self.queries = {k.lower().rstrip("."): v for k, v in zone.items()}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.done = False
        self.start()

    def close(self):
        self.done = True
        self.join()
        self.socket.close()

    def run(self):
        while not self.done:
            if not select.select([self.socket], [], [], 0.05)[0]:
                continue
            packet, peer = self.socket.recvfrom(4096)
            try:
                self.socket.sendto(self.answer(packet), peer)
            except (OSError, IndexError, struct.error):
                pass

    @staticmethod
    def name(text):
        labels = [p for p in text.rstrip(".").split(".") if p]
        return b"".join(bytes([len(p)]) + p.encode() for p in labels) + b"\0"

    def data(self, kind, value):
        if kind == "A":
            return socket.inet_aton(value)
        if kind == "AAAA":
            return socket.inet_pton(socket.AF_INET6, value)
        if kind == "MX":
            return struct.pack(">H", value[0]) + self.name(value[1])
        if kind == "TXT":
            return bytes([len(value)]) + value.encode()
        return self.name(value)

    def records(self, name, wanted):
        """Follows aliases; (rcode, [(owner, type, data)])."""
        answers = []
        for _ in range(8):
            zone = self.zone.get(name)
            if zone is None:
                return (0 if any(k.endswith("." + name) for k in self.zone) else 3), answers
            if zone.get("SERVFAIL"):
                return 2, answers
            if "CNAME" in zone and wanted != 5:
                answers.append((name, 5, self.name(zone["CNAME"][0])))
                name = zone["CNAME"][0].lower().rstrip(".")
                continue
            for kind, number in self.TYPES.items():
                if number == wanted:
                    answers += [(name, number, self.data(kind, v)) for v in zone.get(kind, [])]
            return 0, answers
        return 2, []

    def answer(self, packet):
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin1"))
            at += 1 + packet[at]
        wanted, = struct.unpack(">H", packet[at + 1:at + 3])
        name = ".".join(labels).lower()
        self.queries.append((name, wanted))
        rcode, answers = self.records(name, wanted)
        body = b"".join(self.name(n) + struct.pack(">HHIH", t, 1, 60, len(d)) + d for n, t, d in answers)
        return packet[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, len(answers), 0, 0) + packet[12:at + 5] + body
