"""The manual pages: their form, and that what their examples show is what happens.

An example is what stands between .EX and .EE behind a comment that says what it is:
  file NAME         a file in the configuration directory
  main.cf, master.cf   parameters, services
  run               commands after "$ ", and what they print
  tcp PORT, socketmap PORT   what a server is asked and answers
  sql TYPE FILE, ldap FILE, memcache FILE   what is in the server that FILE names
  smtp              a dialogue with our server, without its beginning
  rewritten, sent   lines of a message, and what becomes of them
  routes, recipients   addresses, and what postern resolve says of them
"""
import glob
import json
import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from postern import BIN, SLOW, Sink, exercises
from table_servers import MariaDB, Memcached, Postgres, Slapd, socketmap_server, tcp_server

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = os.path.join(ROOT, "docs/man")
EXAMPLE = re.compile(r'^\.\\" (file|main\.cf|master\.cf|run|tcp|socketmap|sql|ldap|memcache|smtp|rewritten|sent|routes|recipients)\b(.*)\n(?:\.EX\n((?:.*\n)*?)\.EE\n)?', re.M)
MAIN = {"myhostname": "mail.example.org", "mydomain": "example.org", "myorigin": "example.org", "mydestination": "example.org", "local_recipient_maps": "",
        "smtpd_relay_restrictions": "permit_mynetworks, reject", "recipient_delimiter": "+", "append_dot_mydomain": "no"}
SYSTEM_PAGES = {"regex(7)", "passwd(5)", "group(5)"}


def plain(text):
    return re.sub(r"\\([-e&])", lambda m: {"-": "-", "e": "\\", "&": ""}[m.group(1)], text)


def examples(page):
    with open(os.path.join(SOURCES, page)) as f:
        text = f.read()
    found = [(m.group(1), m.group(2).split(), plain(m.group(3) or "")) for m in EXAMPLE.finditer(text)]
    assert sum(bool(block) for _, _, block in found) == len(re.findall(r"^\.EX$", text, re.M)), "an example without a word of what it is"
    return found


PAGES = sorted(os.path.basename(p) for p in glob.glob(SOURCES + "/*.[1-8]"))
WITH_EXAMPLES = [p for p in PAGES if examples(p)]


class Page:
    """The examples of one page in an instance whose configuration directory stands for /etc/postern."""

    def __init__(self, mta):
        self.mta, self.instance, self.ports, self.ends = mta, mta(MAIN), {}, []

    def here(self, text):
        for shown, real in self.ports.items():
            text = re.sub(r"\b%s\b" % shown, str(real), text)
        return text.replace("/etc/postern", self.instance.config)

    def path(self, name):
        return os.path.join(self.instance.config, name)

    def started(self, **main):
        self.instance.set(**main)
        return self.instance.start()

    def sink(self):
        server = Sink()
        self.ends.append(server.close)
        return server

    def settings(self, name, **values):
        """Other values for settings of a table's file."""
        with open(self.path(name)) as f:
            text = f.read()
        for setting, value in values.items():
            text = re.sub(r"(?m)^%s = .*\n" % setting, "", text) + "%s = %s\n" % (setting, value)
        with open(self.path(name), "w") as f:
            f.write(text)

    def file(self, words, block):
        with open(self.path(words[0]), "w") as f:
            f.write(self.here(block))

    def main_cf(self, words, block):
        self.instance.set(**{line.split(" = ", 1)[0]: self.here(line.split(" = ", 1)[1]) for line in block.splitlines()})
        done = self.instance.command("postconf", "-n")
        assert "warning" not in done.stdout and all(self.here(line) in done.stdout for line in block.splitlines())

    def master_cf(self, words, block):
        self.instance.extra += self.here(block)
        self.instance.write_config()
        assert not re.search("warning|fatal", self.instance.command("postconf", "-M").stdout)

    def run(self, words, block):
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
            done = subprocess.run(["bash", "-c", self.here(command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOW,
                                  cwd=self.instance.config, env=dict(os.environ, MAIL_CONFIG=self.instance.config, PATH=BIN + ":" + os.environ["PATH"]))
            assert done.stdout.replace(self.instance.config, "/etc/postern") == expected, command

    def tcp(self, words, block):
        lines = block.splitlines()
        server = tcp_server({question[4:]: (answer + "\n").encode() for question, answer in zip(lines[::2], lines[1::2])})
        self.serve(words[0], server)

    def socketmap(self, words, block):
        answers = {}
        for lengths in re.findall(r"(?m)^(\d+):(.*), (\d+):(.*),$", block):
            assert int(lengths[0]) == len(lengths[1]) and int(lengths[2]) == len(lengths[3])
            answers[lengths[1].split(" ", 1)[1]] = lengths[3]
        self.serve(words[0], socketmap_server(answers))

    def serve(self, shown, server):
        self.ports[shown] = server.port
        self.ends += [server.shutdown, server.server_close]

    def sql(self, words, block):
        if words[0] == "sqlite":
            database = sqlite3.connect(self.path("access.db"))
            database.executescript(block)
            database.close()
            return
        server = {"mysql": MariaDB, "pgsql": Postgres}[words[0]]()
        self.ends.append(server.end)
        server.sql(block)
        self.settings(words[1], **{k: server.settings[k] for k in ("hosts", "user", "password", "dbname")})
        if words[0] == "mysql":
            self.settings(words[1], option_group="")

    def ldap(self, words, block):
        class Directory(Slapd):
            def load(self, configuration):
                entries = ["dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n" % self.base,
                           "dn: ou=people,%s\nobjectClass: organizationalUnit\nou: people\n" % self.base, block]
                options = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
                self.run(self.path("slapd"), "-Tadd", "-f", configuration, input="\n".join(entries), **options)
        server = Directory()
        self.ends.append(server.end)
        self.settings(words[0], server_host="127.0.0.1", server_port=server.port)

    def memcache(self, words, block):
        server = Memcached()
        self.ends.append(server.stop)
        self.settings(words[0], memcache="inet:127.0.0.1:%d" % server.port)

    def smtp(self, words, block):
        instance = self.started()
        for dialogue in block.strip().split("\n\n"):
            *lines, expected = dialogue.split("\n")
            with instance.client() as c:
                c.expect(250, "EHLO client.example")
                assert [c.command(line) for line in lines][-1] == expected, dialogue

    def message(self, block, **main):
        """Two columns: what a client says and writes, and what the next server gets."""
        rows = [re.split(r"  +", line) for line in block.strip().split("\n")]
        sink = self.sink()
        everything = "smtp:[127.0.0.1]:%d" % sink.port
        instance = self.started(default_transport=everything, local_transport=everything, **main)
        envelope = {said.split(":")[0]: re.search("<(.*)>", said).group(1) for said, _ in rows if said.startswith(("MAIL", "RCPT"))}
        headers = [said for said, _ in rows if not said.startswith(("MAIL", "RCPT"))]
        instance.send(sender=envelope["MAIL FROM"], recipients=[envelope["RCPT TO"]], body="\r\n".join(headers) + "\r\nSubject: x\r\n\r\nx\r\n")
        got = sink.wait()[0]
        heard = got["commands"] + got["data"].decode().split("\r\n")
        for _, shown in rows:
            assert any(line == shown or line.startswith(shown + " ") for line in heard), (shown, heard)

    def rewritten(self, words, block):
        self.message(block)

    def sent(self, words, block):
        self.message(block, mydestination="")

    def resolved(self, address):
        return json.loads(self.instance.command("postern", "resolve", address, "--json").stdout)["recipients"]

    def routes(self, words, block):
        for line in block.splitlines():
            address, transport, next_hop = re.split(r"  +", line)
            recipient, = self.resolved(address)
            assert (recipient["transport"], recipient["next_hop"]) == (transport, next_hop), line

    def recipients(self, words, block):
        for line in block.splitlines():
            address, expected = re.split(r"  +", line)
            found = self.resolved(address)
            if expected == "unknown":
                assert [r["verdict"] for r in found] == ["unknown"], line
            else:
                assert sorted(r["recipient"] for r in found) == expected.split(), line

    def end(self):
        for end in reversed(self.ends):
            end()


@pytest.fixture
def example_page(mta):
    page = Page(mta)
    yield page
    page.end()


@exercises("relocated_maps", "transport_maps", "smtp_generic_maps", "canonical_maps", "virtual_alias_maps")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(example_page, name):
    for kind, words, block in examples(name):
        getattr(example_page, kind.replace(".", "_"))(words, block)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([os.path.join(ROOT, "tools/manpages"), str(folder)], check=True)
    return folder


def test_form(rendered):
    if not shutil.which("mandoc"):
        pytest.skip("the Debian package mandoc is not installed")
    pages = [p for p in sorted(glob.glob(str(rendered) + "/man*/*")) if not open(p).readline().startswith(".so ")]
    assert len(pages) == len(PAGES)
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *pages], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout == ""


def test_references(rendered):
    known = {"%s(%s)" % tuple(os.path.basename(p).rsplit(".", 1)) for p in glob.glob(str(rendered) + "/man*/*")} | SYSTEM_PAGES
    for page in PAGES:
        with open(os.path.join(SOURCES, page)) as f:
            named = {"%s(%s)" % (plain(name), section) for name, section in re.findall(r"\\fB([\w\\-]+)\\fR\((\d)\)", f.read())}
        assert not named - known, page


TABLE_PAGES = {"hash": "hash_table", "btree": "btree_table", "lmdb": "lmdb_table", "cdb": "cdb_table", "cidr": "cidr_table", "pcre": "pcre_table", "regexp": "regexp_table", "ldap": "ldap_table",
               "memcache": "memcache_table", "mysql": "mysql_table", "pgsql": "pgsql_table", "sqlite": "sqlite_table", "socketmap": "socketmap_table", "tcp": "tcp_table"}


def test_every_type_of_table_has_its_place(rendered):
    overview = open(os.path.join(SOURCES, "postern_tables.5")).read()
    (rendered / "main.cf").write_text("compatibility_level = 3.6\n")
    done = subprocess.run([os.path.join(BIN, "postconf"), "-c", str(rendered), "-m"], stdout=subprocess.PIPE, text=True, check=True)
    for kind in done.stdout.split():
        assert re.search(r"\\fB%s\b|^\.B %s\b" % (kind, kind), overview, re.M), kind
        if kind in TABLE_PAGES:
            assert os.path.exists(rendered / "man5" / (TABLE_PAGES[kind] + ".5")), kind


def test_every_restriction_has_its_line():
    with open(os.path.join(ROOT, "src/smtpd/access_table.c")) as f:
        names = re.findall(r'^\t\{"(\w+)"', f.read(), re.M)
    with open(os.path.join(SOURCES, "restrictions.5")) as f:
        told = set(re.findall(r"\\fB(\w+)\\fR|^\.B (\w+)", f.read(), re.M))
    assert len(names) > 70 and not set(names) - {name for pair in told for name in pair}
