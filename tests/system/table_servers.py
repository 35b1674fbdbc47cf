"""Servers that tables ask: databases, directories and caches of Debian's packages, and small ones of our own."""
import base64
import glob
import os
import pwd
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading

import pytest

from postern import BIN, PATIENCE, SLOW, free_port, wait_for

ODD_KEYS = ("it's", "back\\slash", "100%", "under_score", "gr\u00fcn", "star*(paren)", 'double"quote', "' or '1'='1", "\\' or 1=1 --",
            "a,b+c=d;e<f>#")
ROWS = [("alice@one.example", "alice@home.example"), ("many@one.example", "a@x"), ("many@one.example", "b@x"), ("plain", "plain-value"),
        ("empty@one.example", "")] + [(key, "value of " + key) for key in ODD_KEYS]


class Tables:
    def __init__(self, directory):
        self.directory = str(directory)
        self.settings = {}
        self.write("main.cf", "myhostname = mail.test.example\ncompatibility_level = 3.6\nmaillog_file = /nonexistent/log\n")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def source(self, kind, name="t.cf", **settings):
        """type:file with these settings."""
        return "%s:%s" % (kind, self.write(name, "".join("%s = %s\n" % pair for pair in settings.items())))

    def postmap(self, *arguments, input=None):
        return subprocess.run([os.path.join(BIN, "postmap"), "-c", self.directory, *arguments], input=input, cwd=self.directory, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=2 * PATIENCE * SLOW)

    def ask(self, key, spec):
        done = self.postmap("-q", key, spec)
        if done.returncode == 1 and not done.stdout:
            return None
        return done.stdout.rstrip("\n")

    def ask_all(self, keys, spec):
        """Keys, asked by one process."""
        done = self.postmap("-q", "-", spec, input="".join(key + "\n" for key in keys))
        return dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)

    def check_rows(self, spec):
        """What every SQL database has to answer for ROWS."""
        assert self.ask("alice@one.example", spec) == "alice@home.example"
        assert self.ask("many@one.example", spec) == "a@x,b@x"
        assert "empty lookup result" in self.ask("empty@one.example", spec)
        assert self.ask("nobody@one.example", spec) is None
        wanted = {key: "value of " + key for key in ODD_KEYS}
        assert self.ask_all(ODD_KEYS + ("none",), spec) == wanted


SQL = "SELECT v FROM map WHERE k = '%s' ORDER BY v"


class Answering(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """talk(stream) serves a connection."""
    daemon_threads = allow_reuse_address = True

    def __init__(self, talk, port=0):
        self.talk, self.connections = talk, 0
        super().__init__(("127.0.0.1", port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *details):
        self.shutdown()
        super().__exit__(*details)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.connections += 1
        try:
            self.server.talk(self)
        except ConnectionError:
            pass


def tcp_server(answers, questions=None):
    """Answers "get KEY" lines with answers[KEY], and ends the connection for a key that is not there."""
    def talk(handler):
        for line in handler.rfile:
            if questions is not None:
                questions.append(line)
            answer = answers.get(line.decode().rstrip("\n")[4:])
            if answer is None:
                return
            handler.wfile.write(answer)
    return Answering(talk)


class Patient:
    """Answers of a tcp: table that knows nothing, and says so of one key only when it may."""

    def __init__(self, key):
        self.key, self.asked, self.go, self.keys = key, threading.Event(), threading.Event(), []

    def get(self, key):
        self.keys.append(key)
        if key == self.key:
            self.asked.set()
            self.go.wait(PATIENCE * SLOW)
        return b"500 unknown\n"


def socketmap_server(answers, questions=None):
    def talk(handler):
        while True:
            digits = b""
            while not digits.endswith(b":"):
                byte = handler.rfile.read(1)
                if not byte:
                    return
                digits += byte
            question = handler.rfile.read(int(digits[:-1]) + 1)[:-1].decode()
            if questions is not None:
                questions.append(question)
            answer = answers[question.split(" ", 1)[1]]
            raw = isinstance(answer, bytes)
            handler.wfile.write(answer if raw else b"%d:%s," % (len(answer.encode()), answer.encode()))
            if raw:
                return
    return Answering(talk)


def need(program, package):
    if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        pytest.skip("the Debian package %s is not installed" % package)
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def as_user():
    """Servers that refuse to run as root run as nobody."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def answers_at(port, path=None):
    """Whether a server takes connections at the port and, if it has one, at its socket."""
    with socket.socket() as s, socket.socket(socket.AF_UNIX) as local:
        return s.connect_ex(("127.0.0.1", port)) == 0 and (path is None or local.connect_ex(path) == 0)


class Memcached:
    def __init__(self, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen([need("memcached", "memcached"), "-l", "127.0.0.1", "-p", str(self.port), "-m", "8", "-t", "1"], **as_user())
        wait_for(lambda: answers_at(self.port), what="memcached")

    def say(self, text):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(text.encode())
            return s.recv(10000).decode()

    def put(self, key, value):
        assert self.say("set %s 0 0 %d\r\n%s\r\n" % (key, len(value.encode()), value)) == "STORED\r\n"

    def stop(self):
        self.process.kill()
        self.process.wait()


class Server:
    """A database server in a directory of its own, as an unprivileged user; port on 127.0.0.1 and socket."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="postern-db-")
        if os.geteuid() == 0:
            os.chown(self.directory, pwd.getpwnam("nobody").pw_uid, -1)
        os.chmod(self.directory, 0o755)
        self.port = free_port()
        self.process = None
        self.prepare()
        self.start()

    def path(self, name):
        return os.path.join(self.directory, name)

    def run(self, *arguments, **options):
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=4 * PATIENCE * SLOW, cwd="/", **options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def certificates(self):
        """A certificate for 127.0.0.1 and its key, and another one that has nothing to do with it."""
        for name, key in (("other", "other-key"), ("cert", "key")):
            self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650", "-subj",
                     "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.path(key + ".pem"), "-out", self.path(name + ".pem"))
            if os.geteuid() == 0:
                os.chown(self.path(key + ".pem"), pwd.getpwnam("nobody").pw_uid, -1)
            os.chmod(self.path(key + ".pem"), 0o600)

    def launch(self, *arguments):
        log = open(self.path("server.log"), "ab")
        self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd="/", start_new_session=True, **as_user())

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def stop(self):
        if self.process:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def end(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def fill(self):
        def quoted(text):
            return "'" + text.replace("\\", self.backslash).replace("'", "''") + "'"
        self.sql("CREATE TABLE map (k VARCHAR(100), v VARCHAR(200));" +
                 "".join("INSERT INTO map VALUES (%s, %s);" % (quoted(k), quoted(v)) for k, v in ROWS))


class Postgres(Server):
    kind, backslash = "pgsql", "\\"

    def prepare(self):
        self.programs = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [""])[-1]
        if not os.path.exists(os.path.join(self.programs, "initdb")):
            pytest.skip("the Debian package postgresql is not installed")
        with open(self.path("password"), "w") as f:
            f.write("pa'ss = $word\n")
        os.chmod(self.path("password"), 0o644)
        self.certificates()
        self.run(os.path.join(self.programs, "initdb"), "-D", self.path("data"), "-U", "mail", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8",
                 "--locale", "C", "--pwfile", self.path("password"), **as_user())
        self.settings = {"hosts": "127.0.0.1:%d" % self.port, "user": "mail", "password": "pa'ss = $word", "dbname": "postgres", "query": SQL,
                         "timeout": 30}
        self.socket = self.path(".s.PGSQL.%d" % self.port)

    def start(self):
        self.try_to_start()
        wait_for(self.has_started, 120, "PostgreSQL")

    def has_started(self):
        """Until the last process of a server that was killed has gone, a new one gives up."""
        if self.process.poll() is not None:
            self.try_to_start()
        return self.try_sql("SELECT 1")

    def try_to_start(self):
        self.launch(os.path.join(self.programs, "postgres"), "-D", self.path("data"), "-k", self.directory, "-p", str(self.port), "-F",
                    "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=1MB", "-c", "ssl=on", "-c", "ssl_cert_file=" + self.path("cert.pem"),
                    "-c", "ssl_key_file=" + self.path("key.pem"))

    def sql(self, text, *arguments):
        return self.run("psql", "-qtA", "-h", self.directory, "-p", str(self.port), "-U", "mail", "-v", "ON_ERROR_STOP=1", *arguments, "postgres",
                        input=text, env=dict(os.environ, PGPASSWORD="pa'ss = $word"))

    def try_sql(self, text):
        try:
            return self.sql(text)
        except AssertionError:
            return None

    def clients(self):
        return int(self.sql("SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL"))

    def disconnect_clients(self):
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL")


class MariaDB(Server):
    kind, backslash = "mysql", "\\\\"

    def prepare(self):
        self.program = need("mariadbd", "mariadb-server")
        self.certificates()
        # Names in /tmp are made of the process's number, which another test's server has too, in a namespace of its own.
        self.run("mariadb-install-db", "--no-defaults", "--datadir=" + self.path("data"), "--auth-root-authentication-method=normal",
                 "--skip-test-db", "--innodb-log-file-size=4M", env=dict(os.environ, TMPDIR=self.directory), **as_user())
        self.socket = self.path("socket")
        self.settings = {"hosts": "127.0.0.1:%d" % self.port, "user": "mail", "password": "pa'ss = $word", "dbname": "mail", "query": SQL,
                         "timeout": 30, "option_group": ""}
        self.start()
        self.run("mariadb", "--no-defaults", "-S", self.socket, "-u", "root", "-e",
                 "CREATE DATABASE mail CHARACTER SET utf8mb4; CREATE USER mail@'%' IDENTIFIED BY 'pa''ss = $word'; "
                 "CREATE USER mail@localhost IDENTIFIED BY 'pa''ss = $word'; GRANT ALL ON *.* TO mail@'%'; GRANT ALL ON *.* TO mail@localhost")

    def start(self):
        if self.process:
            return
        self.launch(self.program, "--no-defaults", "--datadir=" + self.path("data"), "--socket=" + self.socket, "--port=%d" % self.port,
                    "--bind-address=127.0.0.1", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=2", "--pid-file=" + self.path("pid"), "--ssl-cert=" + self.path("cert.pem"),
                    "--ssl-key=" + self.path("key.pem"), "--tmpdir=" + self.directory)
        wait_for(lambda: answers_at(self.port, self.socket), 120, "MariaDB")

    def sql(self, text):
        return self.run("mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-N", "-S", self.socket, "-u", "mail", "-ppa'ss = $word", "mail",
                        input=text)

    def others(self):
        return self.sql("SELECT id FROM information_schema.processlist WHERE user = 'mail' AND host NOT LIKE 'localhost%'").split()

    def clients(self):
        return len(self.others())

    def disconnect_clients(self):
        self.sql("".join("KILL %s;" % number for number in self.others()))


class Slapd(Server):
    """uid and mail are a row's key and value."""
    base = "dc=test,dc=example"

    def prepare(self):
        shutil.copy(need("slapd", "slapd"), self.path("slapd"))  # a copy: the system confines the other to its own directories
        self.certificates()
        os.mkdir(self.path("data"))
        if os.geteuid() == 0:
            os.chown(self.path("data"), pwd.getpwnam("nobody").pw_uid, -1)
        with open(self.path("slapd.conf"), "w") as f:
            f.write("".join("include /etc/ldap/schema/%s.schema\n" % name for name in ("core", "cosine", "inetorgperson")) +
                    "TLSCertificateFile %s\nTLSCertificateKeyFile %s\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nallow bind_v2\ndatabase mdb\nsuffix %s\nrootdn cn=admin,%s\n"
                    "rootpw secret\ndirectory %s\ndbnosync\n" % (self.path("cert.pem"), self.path("key.pem"), self.base, self.base, self.path("data")))
        self.load(self.path("slapd.conf"))
        self.socket = self.path("ldapi")
        self.settings = {"server_host": "127.0.0.1", "server_port": self.port, "search_base": "ou=people," + self.base, "query_filter": "(uid=%s)",
                         "result_attribute": "mail", "version": 3, "timeout": 30}

    def load(self, configuration):
        entries = ["dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n" % self.base]
        entries += ["dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n" % (name, self.base, name) for name in ("people", "groups")]
        values = {}
        for key, value in ROWS:
            values.setdefault(key, []).append(value)
        for number, (key, mail) in enumerate(values.items()):
            entries.append(self.person("cn=%d" % number, uid=[key], mail=[value for value in mail if value]))
        people = "ou=people," + self.base
        entries += [self.person("cn=all", uid=["all"], mail=["group@x"], seeAlso=["cn=0," + people, "cn=1," + people, "cn=gone," + people],
                                labeledURI=["ldap:///%s?mail?one?(uid=it's)" % people]),
                    self.person("cn=held", uid=["held"], mail=["m@x"], seeAlso=["cn=0," + people], description=["held@x"]),
                    self.person("cn=round", uid=["round"], seeAlso=["cn=round," + people]),
                    self.person("cn=o\\2Ck", uid=["in the name"], mail=["dn@x"])]
        self.run(self.path("slapd"), "-Tadd", "-f", configuration, input="\n".join(entries), **as_user())

    def person(self, name, **attributes):
        lines = ["dn: %s,ou=people,%s" % (name, self.base), "objectClass: inetOrgPerson", "sn: x"]
        for attribute, values in attributes.items():
            lines += ["%s:: %s" % (attribute, base64.b64encode(value.encode()).decode()) for value in values]
        return "\n".join(lines) + "\n"

    def start(self):
        self.launch(self.path("slapd"), "-f", self.path("slapd.conf"), "-d", "0",
                    "-h", "ldap://127.0.0.1:%d ldapi://%s" % (self.port, self.socket.replace("/", "%2F")))
        wait_for(lambda: answers_at(self.port, self.socket), 60, "slapd")
