"""postmap and postalias: tables made, changed and asked; what root does not do for others."""
import concurrent.futures
import os
import re
import resource
import select
import socketserver
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from postern import BIN, ROOT_USER, SLOW, exercises, wait_for

TYPES = ("hash", "btree", "lmdb", "cdb")
OTHER_USER = 12345


@pytest.fixture
def tables(tmp_path):
    """A function that runs a command in a directory with a configuration."""
    directory = tmp_path / "conf"
    directory.mkdir()
    (directory / "main.cf").write_text("myhostname = mail.test.example\ncompatibility_level = 3.6\nmaillog_file = /nonexistent/log\n")

    def run(name, *arguments, files=None, main=None, input="", text=True):
        for file, content in (files or {}).items():
            (directory / file).write_text(content, errors="surrogateescape")
        for parameter, value in (main or {}).items():
            with open(directory / "main.cf", "a") as f:
                f.write("%s = %s\n" % (parameter, value))
        return subprocess.run([os.path.join(BIN, name), "-c", str(directory), *arguments], cwd=directory, input=input, text=text,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * SLOW)
    run.directory = directory
    return run


@pytest.mark.parametrize("kind", TYPES)
def test_make_ask_change(tables, kind):
    table = kind + ":map"
    made = tables("postmap", table, files={"map": "Abc DEF\nghi jkl\nabc again\n"})
    assert (made.returncode, made.stdout) == (0, 'postmap: warning: %s: duplicate entry: "abc"\n' % table)
    assert tables("postmap", "-q", "ABC", table).stdout == "DEF\n"
    assert tables("postmap", "-fq", "ABC", table).returncode == 1
    assert tables("postmap", "-q", "-", table, input="ghi\nnone\nabc\n").stdout == "ghi\tjkl\nabc\tDEF\n"
    assert tables("postmap", "-i", table, input="new one\nghi two\n").stdout == 'postmap: warning: %s: duplicate entry: "ghi"\n' % table
    assert tables("postmap", "-ir", table, input="ghi three\n").stdout == ""
    assert tables("postmap", "-iw", table, input="ghi four\n").stdout == ""
    assert sorted(tables("postmap", "-s", table).stdout.splitlines()) == ["abc\tDEF", "ghi\tthree", "new\tone"]
    assert tables("postmap", "-d", "GHI", table).returncode == 0
    assert tables("postmap", "-d", "GHI", table).returncode == 1
    assert tables("postmap", "-d", "-", table, input="x\nnew\n").returncode == 0
    assert tables("postmap", "-s", table).stdout == "abc\tDEF\n"


def test_answer_before_the_next_question(tables):
    """A program that asks one question after the other has each answer at once; a warning stays between the answers."""
    argv = [os.path.join(BIN, "postmap"), "-c", str(tables.directory), "-q", "-", "inline:{a=1,b=2}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        for question, answer in ((b"a\n", b"a\t1\n"), (b"none\nb\n", b"b\t2\n"), (b"a\nb\n", b"a\t1\nb\t2\n")):
            process.stdin.write(question)
            assert select.select([process.stdout], [], [], 20 * SLOW)[0], "no answer"
            assert process.stdout.read(100) == answer
        process.stdin.close()
        assert process.wait(20 * SLOW) == 0
    mixed = tables("postmap", "-q", "-", "inline:{a=1,b=2}", input=b"a\n\xe4\nb\n", text=False).stdout.splitlines()
    assert (mixed[0], mixed[-1]) == (b"a\t1", b"b\t2") and b"non-UTF-8 key" in mixed[1]


@exercises("default_database_type", "smtputf8_enable")
def test_default_type_and_utf8(tables):
    source = "k v\n\udce4 v\nk2 \udce4\n  cont\n\u00c4b v3\n"
    made = tables("postmap", "map", files={"map": source}, main={"default_database_type": "btree"})
    assert made.stdout == ('postmap: warning: map, line 2: non-UTF-8 input "? v" -- ignoring this line\n'
                           'postmap: warning: map, line 3: non-UTF-8 input "k2 ?  cont" -- ignoring this line\n')
    assert (tables.directory / "map.db").exists()
    assert tables("postmap", "-q", "\u00e4B", "btree:map").stdout == "v3\n"
    assert tables("postmap", "-u", "map").stdout == ""
    assert tables("postmap", "-us", "map", text=False, input=b"").stdout.count(b"\n") == 4
    tables("postmap", "-q", "x", "map", main={"smtputf8_enable": "no"})
    assert tables("postmap", "map").stdout == ""


def test_complaints_about_the_source(tables):
    source = " lead\nx y\nkey:  v\nalone\n\"open x\n"
    made = tables("postmap", "lmdb:map", files={"map": source})
    assert made.stdout.splitlines() == [
        'postmap: warning: map, line 1: logical line must not start with whitespace: " lead"',
        'postmap: warning: map, line 3: record is in "key: value" format; is this an alias file?',
        "postmap: warning: map, line 4: expected format: key whitespace value",
        "postmap: warning: map, line 5: unbalanced '\"' in '\"open x' -- ignoring this line"]


def test_aliases(tables):
    source = 'A: root\nb:c,d, "e f"\n"q r": x\ninc: :include:/x/y, |cmd, "|cmd arg"\nnoval\nx:\n: y\nfoo@bar: z\nO.P: r\n  cont\n'
    made = tables("postalias", "lmdb:aliases", files={"aliases": source})
    assert made.stdout.splitlines() == [
        "postalias: warning: aliases, line 5: need name:value pair", "postalias: warning: aliases, line 6: need name:value pair",
        "postalias: warning: aliases, line 7: need name:value pair", "postalias: warning: aliases, line 8: name must be local"]
    assert sorted(tables("postalias", "-s", "lmdb:aliases").stdout.splitlines()) == [
        "a:\troot", 'b:\tc, d, "e f"', 'inc:\t:include:/x/y, |cmd, "|cmd arg"', "o.p:\tr cont", "q r:\tx"]
    assert tables("postalias", "-q", "B", "lmdb:aliases").stdout == 'c, d, "e f"\n'


@pytest.mark.parametrize("arguments,complaint", [
    ((), "fatal: usage: postmap [-"),
    (("-q", "a"), "fatal: usage: postmap [-"),
    (("-q", "a", "-s", "x"), "fatal: specify only one of -d -i -q or -s"),
    (("-h", "-q", "a", "static:x"), 'fatal: specify -b -h or -m only with "-q -"'),
    (("-m", "static:x"), 'fatal: specify -b -h or -m only with "-q -"'),
    (("-d", "k", "hash:nosuch"), "fatal: open database nosuch.db: No such file or directory"),
    (("-q", "k", "static:"), 'fatal: open dictionary: expecting "type:name" form instead of "static:"'),
    (("-q", "k", "inline:{k=\udcff}"), 'warning: inline:{k=?}: key "k": non-UTF-8 value "?": malformed UTF-8 or invalid codepoint'),
    (("foo:x",), "fatal: unsupported dictionary type: foo"),
    (("regexp:x",), "fatal: unsupported dictionary type: regexp does not support bulk-mode creation."),
    (("-d", "k", "regexp:x"), "fatal: regexp:x map requires O_RDONLY access mode"),
    (("lmdb:nosuch",), "fatal: open nosuch: No such file or directory"),
    (("-q", "k", "lmdb:nosuch"), "fatal: open database nosuch.lmdb: No such file or directory"),
    (("-s", "static:x"), "fatal: table static:x: sequence operation is not supported"),
    (("-q", "k", "fail:x"), "fatal: table fail:x: query error: Application error"),
])
def test_errors(tables, arguments, complaint):
    done = tables("postmap", *arguments, files={"x": ""})
    assert done.returncode == 1 and "postmap: " + complaint in done.stdout
    assert not list(tables.directory.glob("*.new"))


def test_message_as_keys(tables):
    message = "From: x\nSubject: a\n b\n\nbody\n: more\n"
    assert tables("postmap", "-hq", "-", "static:v", input=message).stdout == "From: x\tv\nSubject: a\n b\tv\n"
    assert tables("postmap", "-bq", "-", "static:v", input=message).stdout == "\tv\nbody\tv\n: more\tv\n"
    assert tables("postmap", "-bhq", "-", "regexp:{{/^(.*)o/ $1}}", input=message).stdout == "From: x\tFr\nbody\tb\n: more\t: m\n"


def test_message_with_parts_as_keys(tables):
    message = ("Subject : s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ntext\n"
               "--b\nX-Part: p\n\nSubject: no header\n--b--\nend\n")
    keys = lambda mode, text: tables("postmap", mode, "-", "static:v", input=text).stdout.replace("\tv\n", "|")  # noqa: E731
    assert keys("-hmq", message) == "Subject: s|Content-Type: multipart/mixed; boundary=b|Content-Type: message/rfc822|Subject: inner|X-Part: p|"
    assert keys("-bmq", message) == "|--b|||text|--b||Subject: no header|--b--|end|"
    assert keys("-hq", message) == "Subject: s|Content-Type: multipart/mixed; boundary=b|"
    assert keys("-bhq", "A: b\nno header\nC: d\n") == "A: b||no header|C: d|"
    assert "ignoring -m option without -b or -h" in tables("postmap", "-mq", "-", "static:v", input="k\n").stdout
    bad = b"X: \xff\n\n\xff\n"
    assert tables("postmap", "-bhq", "-", "static:v", input=bad, text=False).stdout == b"X: \xff\tv\n\tv\n\xff\tv\n"
    assert tables("postmap", "-Ubhq", "-", "static:v", input=bad, text=False).stdout.count(b"non-UTF-8 key") == 2


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_access_is_inherited(tables):
    (tables.directory / "map").write_text("a b\n")
    os.chmod(tables.directory / "map", 0o640)
    tables("postmap", "lmdb:map")
    assert mode(tables.directory / "map.lmdb") == 0o640
    os.chmod(tables.directory / "map.lmdb", 0o600)
    tables("postmap", "lmdb:map")
    assert mode(tables.directory / "map.lmdb") == 0o600
    os.unlink(tables.directory / "map.lmdb")
    tables("postmap", "-p", "lmdb:map")
    assert mode(tables.directory / "map.lmdb") == 0o644


def test_old_table_stays_until_the_new_one_is_complete(tables):
    tables("postmap", "lmdb:map", files={"map": "a b\n"})
    before = (tables.directory / "map.lmdb").read_bytes()
    (tables.directory / "map").write_text("".join("key%d %s\n" % (i, "v" * 1000) for i in range(1000)))
    full = subprocess.run([os.path.join(BIN, "postmap"), "-c", str(tables.directory), "lmdb:map"], cwd=tables.directory, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, restore_signals=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))
    assert full.returncode == 1 and "write error" in full.stdout, full
    assert (tables.directory / "map.lmdb").read_bytes() == before
    assert sorted(os.listdir(tables.directory)) == ["main.cf", "map", "map.lmdb"]


@pytest.mark.parametrize("kind", TYPES[:3])
def test_keys_that_a_table_cannot_have(tables, kind):
    made = tables("postmap", kind + ":map", files={"map": "%s v\n%s w\na b\n" % ("k" * 512, "l" * 511)})
    assert made.stdout == 'postmap: warning: map, line 1: key "%s": keys of %s: tables have 1 to 511 bytes -- ignoring this line\n' % ("k" * 30, kind)
    assert made.returncode == 0
    assert tables("postmap", "-s", kind + ":map").stdout == "a\tb\n%s\tw\n" % ("l" * 511)
    assert tables("postmap", "-q", "k" * 512, kind + ":map").returncode == 1
    made = tables("postalias", kind + ":map", files={"map": '"": a\nb: c\n'})
    assert made.stdout == "postalias: warning: map, line 1: need name:value pair\n"
    assert tables("postalias", "-s", kind + ":map").stdout == "b:\tc\n"


@pytest.mark.parametrize("kind", TYPES)
def test_lookups_while_it_is_replaced(tables, kind):
    """One process that asks all the time, new ones, and a table that is made anew: each answer is that of a whole table, first the old one, then the new one."""
    table = kind + ":map"
    source = lambda n: "".join("key%d %d\n" % (i, n) for i in range(200))  # noqa: E731
    tables("postmap", table, files={"map": source(0)})
    argv = [os.path.join(BIN, "postmap"), "-c", str(tables.directory), "-q", "-", table]
    with subprocess.Popen(argv, cwd=tables.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as asking:
        for n in range(1, 25):
            (tables.directory / "map").write_text(source(n))
            building = subprocess.Popen([argv[0], "-c", str(tables.directory), table], cwd=tables.directory)
            for i in (0, 199, n):
                asking.stdin.write("key%d\n" % i)
                assert asking.stdout.readline().split()[0] == "key%d" % i
            answers = tables("postmap", "-q", "-", table, input="".join("key%d\n" % i for i in range(200))).stdout.split("\n")
            values = [int(a.split("\t")[1]) for a in answers[:-1]]
            assert len(values) == 200 and set(values) <= {n - 1, n} and values == sorted(values)
            assert building.wait() == 0
            assert tables("postmap", "-q", "key7", table).stdout == "%d\n" % n
        asking.stdin.close()


@pytest.mark.parametrize("kind", TYPES)
def test_killed_while_building(tables, kind):
    """Whenever the command is killed, the table is the old one or the new one; the next build needs no help."""
    table = kind + ":map"
    source = lambda n: "".join("key%d %d\n" % (i, n) for i in range(20000))  # noqa: E731
    tables("postmap", table, files={"map": source(0)})
    now = "0"
    for n in range(1, 12):
        (tables.directory / "map").write_text(source(n))
        building = subprocess.Popen([os.path.join(BIN, "postmap"), "-c", str(tables.directory), table], cwd=tables.directory)
        try:
            building.wait(0.004 * n)
        except subprocess.TimeoutExpired:
            building.kill()
        done = building.wait()
        answers = set(tables("postmap", "-q", "-", table, input="".join("key%d\n" % i for i in range(0, 20000, 999))).stdout.split())
        values = {a for a in answers if not a.startswith("key")}
        assert values == {str(n)} or (done != 0 and values == {now})
        now = values.pop()
    tables("postmap", table, files={"map": "key0 end\n"})
    assert tables("postmap", "-s", table).stdout == "key0\tend\n"


def test_planted_links_are_not_followed(tables):
    victim = tables.directory / "victim"
    victim.write_text("precious")
    (tables.directory / "map.lmdb").symlink_to(victim)
    os.link(victim, tables.directory / "map.db")
    for table in ("lmdb:map", "hash:map"):
        tables("postmap", table, files={"map": "a b\n"})
    assert victim.read_text() == "precious"
    assert not (tables.directory / "map.lmdb").is_symlink()


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_root_builds_with_the_rights_of_the_owner(tables, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")  # they cannot be looked for after giving up root
    place = tables.directory / "place"
    place.mkdir()
    (place / "map").write_text("a b\n")
    os.chown(place / "map", OTHER_USER, OTHER_USER)
    refused = tables("postmap", "lmdb:place/map")
    assert refused.returncode == 1 and "Permission denied" in refused.stdout
    os.chown(place, OTHER_USER, OTHER_USER)
    for directory in (tables.directory, *list(tables.directory.parents)[:4]):
        os.chmod(directory, os.stat(directory).st_mode | 0o755)
    assert tables("postmap", "lmdb:place/map").stdout == ""
    assert os.stat(place / "map.lmdb").st_uid == OTHER_USER
    os.chown(place / "map", 0, 0)
    refused = tables("postmap", "lmdb:place/map")
    assert refused.returncode == 1 and "belongs to user %d" % OTHER_USER in refused.stdout
    assert tables("postmap", "-o", "lmdb:place/map").returncode == 0


def test_hundred_thousand_entries_with_duplicates(tables):
    lines = ["dup v0\n"] + ["key%d value%d\n" % (i, i) for i in range(100000)] + ["dup v1\n"]
    lines.insert(50000, "dup v2\n")
    for flags, kept in (((), "v0"), (("-r",), "v1"), (("-w",), "v0")):
        made = tables("postmap", *flags, "lmdb:map", files={"map": "".join(lines)})
        assert made.returncode == 0 and made.stdout.count("duplicate") == (0 if flags else 2)
        assert tables("postmap", "-q", "dup", "lmdb:map").stdout == kept + "\n"
        assert len(tables("postmap", "-s", "lmdb:map").stdout.splitlines()) == 100001


# ---- changed while daemons use them

def answers(mail, senders, name="smtpd"):
    """The codes of MAIL FROM, in a session of its own."""
    with mail.client(name) as c:
        c.command("EHLO client.example")
        codes = []
        for sender in senders:
            codes.append(c.command("MAIL FROM:<%s@client.example>" % sender)[:3])
            c.command("RSET")
    return codes


def checks(*specs):
    return {"smtpd_sender_restrictions": ", ".join("check_sender_access " + spec for spec in specs), "smtpd_delay_reject": "no"}


class Place:
    """Tables in a directory that everybody may read, each with the key of its type."""
    kinds = ("lmdb", "hash", "cdb", "texthash", "regexp", "pcre")

    def __init__(self, directory):
        self.directory = directory
        os.chmod(directory, 0o755)

    def spec(self, kind):
        return "%s:%s" % (kind, self.directory / kind)

    def write(self, kind, action):
        text = ("/^%s@/ %s\n" if kind in ("regexp", "pcre") else "%s@client.example %s\n") % (kind, action)
        (self.directory / (kind + ".new")).write_text(text)
        os.rename(self.directory / (kind + ".new"), self.directory / kind)
        if kind in ("lmdb", "hash", "cdb"):
            subprocess.run([os.path.join(BIN, "postmap"), "-c", str(self.directory), self.spec(kind)], check=True)

    def write_all(self, action):
        (self.directory / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file = /nonexistent/log\n")
        for kind in self.kinds:
            self.write(kind, action)


@pytest.mark.parametrize("columns", ["n - n - -", pytest.param("n - y - -", marks=pytest.mark.skipif(not ROOT_USER, reason="needs root"))],
                         ids=["outside", "jail"])
def test_changed_tables_are_taken_up(mta, tmp_path, columns):
    place = Place(tmp_path)
    place.write_all("REJECT")
    mail = mta(main=checks(*map(place.spec, place.kinds)), listener_columns=columns).start()
    assert answers(mail, place.kinds) == ["554"] * len(place.kinds)
    place.write_all("OK")
    wait_for(lambda: answers(mail, place.kinds) == ["250"] * len(place.kinds), 60, "the new tables")
    place.write("lmdb", "REJECT")
    wait_for(lambda: answers(mail, place.kinds) == ["554"] + ["250"] * (len(place.kinds) - 1), 60, "the changed table")
    if "y" in columns:
        mail.wait_log(r"table \S+ has changed -- restarting")
    assert " 451 4." not in mail.log()
    assert "warning" not in mail.log()


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_table_of_roots_is_taken_up(mta, tmp_path):
    """Only a process that is still root can open it: the old one makes room for a new one."""
    place = Place(tmp_path)
    place.write_all("REJECT")
    os.chmod(tmp_path / "hash.db", 0o600)
    mail = mta(main=checks(place.spec("hash"))).start()
    assert answers(mail, ["hash"]) == ["554"]
    place.write("hash", "OK")
    assert mode(tmp_path / "hash.db") == 0o600
    wait_for(lambda: answers(mail, ["hash"]) == ["250"], 60, "the new table")
    mail.wait_log(r"table hash:\S+ has changed -- restarting")


@pytest.mark.parametrize("mode", [0o600, 0o644], ids=["of root", "of all"])
def test_queue_manager_takes_up_a_table(mta, tmp_path, mode):
    """Routes of mail that comes after the change; what only root reads needs a new queue manager."""
    place = Place(tmp_path)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file = /nonexistent/log\n")

    def route(reason):
        (tmp_path / "transport").write_text("far.example discard:%s\n" % reason)
        subprocess.run([os.path.join(BIN, "postmap"), "-c", str(tmp_path), "hash:%s" % (tmp_path / "transport")], check=True)
        os.chmod(tmp_path / "transport.db", mode)

    def sent(reason):
        position = mail.log_size()
        mail.send(recipients=["u@far.example"])
        return mail.wait_log(r"to=<u@far\.example>.*status=sent \((\w+)\)", 60, since=position).group(1) == reason
    route("first")
    mail = mta(main={"transport_maps": "hash:%s" % (tmp_path / "transport"), "relay_domains": "far.example"}).start()
    assert sent("first")
    route("second")
    wait_for(lambda: sent("second"), 60, "the new table")
    assert place


@pytest.mark.parametrize("columns", ["n - n - -", pytest.param("n - y - -", marks=pytest.mark.skipif(not ROOT_USER, reason="needs root"))],
                         ids=["outside", "jail"])
def test_file_of_a_list_is_taken_up(mta, tmp_path, columns):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "networks").write_text("192.0.2.0/24\n")
    mail = mta(main={"mynetworks": str(tmp_path / "networks"), "smtpd_delay_reject": "no",
                     "smtpd_sender_restrictions": "permit_mynetworks, reject"}, listener_columns=columns).start()
    assert answers(mail, ["any"]) == ["554"]
    (tmp_path / "networks").write_text("192.0.2.0/24\n127.0.0.0/8\n")
    wait_for(lambda: answers(mail, ["any"]) == ["250"], 60, "the new file")
    mail.wait_log("table %s has changed -- restarting" % (tmp_path / "networks"))


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_no_client_notices_that_a_process_makes_room(mta, tmp_path):
    place = Place(tmp_path)
    place.write_all("REJECT")
    mail = mta(main=dict(checks(place.spec("hash")), smtpd_client_connection_rate_limit="0"), listener_columns="n - y - -").start()
    seen = []

    def connect_all_the_time(_):
        until = time.monotonic() + 60 * SLOW
        while time.monotonic() < until:
            codes = answers(mail, ["hash", "other"])
            seen.extend(codes)
            if codes == ["250", "250"]:
                return True
        return False
    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        running = threads.map(connect_all_the_time, range(5))
        wait_for(lambda: len(seen) > 20, 60, "clients")
        place.write("hash", "OK")
        assert all(running)
    assert set(seen) == {"554", "250"}
    mail.wait_log(r"table hash:\S+ has changed -- restarting")
    assert not re.search(r" (421|451) \d\.", mail.log())


class Socketmap(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Refuses everybody."""
    daemon_threads = True

    def __init__(self, path):
        super().__init__(str(path), self.Talk)
        os.chmod(path, 0o777)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Talk(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.peek(1):
                digits = b""
                while not digits.endswith(b":"):
                    digits += self.rfile.read(1)
                self.rfile.read(int(digits[:-1]) + 1)
                self.wfile.write(b"9:OK REJECT,")


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_databases_of_jailed_services_are_asked_outside(mta, tmp_path):
    """proxymap(8) was never in a jail, and SQLite opened its file before it."""
    place = Place(tmp_path)
    for name, action in (("one", "REJECT"), ("two", "OK")):
        with sqlite3.connect(tmp_path / (name + ".db")) as database:
            database.execute("CREATE TABLE map (k TEXT, v TEXT)")
            database.execute("INSERT INTO map VALUES ('lite@client.example', ?)", (action,))
        database.close()
    (tmp_path / "lite.cf").write_text("dbpath = %s\nquery = SELECT v FROM map WHERE k = '%%s'\n" % (tmp_path / "one.db"))
    with Socketmap(tmp_path / "socket") as server:
        mail = mta(services={"smtpd": checks("sqlite:%s" % (tmp_path / "lite.cf")),
                             "inside": checks("socketmap:unix:%s:x" % (tmp_path / "socket")),
                             "proxied": checks("proxy:socketmap:unix:%s:x" % (tmp_path / "socket"))}, listener_columns="n - y - -").start()
        assert answers(mail, ["lite", "other"]) == ["554", "250"]
        assert answers(mail, ["any"], "inside") == ["451"]
        assert answers(mail, ["any", "more"], "proxied") == ["554", "554"]
        os.rename(tmp_path / "two.db", tmp_path / "one.db")
        wait_for(lambda: answers(mail, ["lite"]) == ["250"], 60, "the new database")
        server.shutdown()
    assert place


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
def test_table_that_appears_later_is_found_from_the_jail(mta, tmp_path):
    place = Place(tmp_path)
    mail = mta(main=checks(place.spec("hash")), listener_columns="n - y - -").start()
    assert answers(mail, ["hash"]) == ["451"]
    place.write_all("REJECT")
    wait_for(lambda: answers(mail, ["hash", "other"]) == ["554", "250"], 60, "the table")


@pytest.mark.skipif(not ROOT_USER, reason="needs root")
@pytest.mark.parametrize("columns", ["n - n - -", "n - y - -"], ids=["outside", "jail"])
def test_table_of_roots_that_appears_later(mta, tmp_path, columns):
    """A process that could not open it, and has not the rights to do so now, makes room for one that has."""
    place, prepared = Place(tmp_path), tmp_path / "prepared"
    prepared.mkdir()
    Place(prepared).write_all("REJECT")
    os.chmod(prepared / "hash.db", 0o600)
    mail = mta(main=checks(place.spec("hash"), "static:{OK}"), listener_columns=columns).start()
    assert answers(mail, ["hash"]) == ["451"]
    os.rename(prepared / "hash.db", tmp_path / "hash.db")
    wait_for(lambda: answers(mail, ["hash", "other"]) == ["554", "250"], 60, "the table")
    mail.wait_log(r"table hash:\S+ has changed -- restarting")


@exercises("alias_maps", "virtual_mailbox_maps")
def test_servers_that_anybody_may_be_do_not_choose_commands(mta):
    """Mail waits: an alias may be a command, and a mailbox any file."""
    mail = mta(main={"alias_maps": "tcp:127.0.0.1:1", "local_recipient_maps": "", "virtual_mailbox_domains": "hosted.example",
                     "virtual_mailbox_maps": "socketmap:inet:127.0.0.1:1:x", "virtual_mailbox_base": "/nonexistent", "virtual_uid_maps": "static:5000",
                     "virtual_gid_maps": "static:5000"}).start()
    mail.send(recipients=["postmaster@test.example"])
    mail.wait_log(r"warning: tcp:127\.0\.0\.1:1 is unavailable\. tcp:127\.0\.0\.1:1 map is not allowed for security-sensitive data")
    mail.wait_log(r"to=<postmaster@test\.example>.*status=deferred")


@exercises("daemon_table_open_error_is_fatal")
@pytest.mark.parametrize("fatal", ["no", "yes"])
def test_table_that_is_not_there(mta, fatal):
    """What the table is for fails, or the whole daemon does, until the table is there."""
    instance = mta({"daemon_table_open_error_is_fatal": fatal, "smtpd_recipient_restrictions": "check_recipient_access hash:$config_directory/later",
                    "smtpd_relay_restrictions": "permit_mynetworks, reject", "service_throttle_time": "1s", "worker_processes": "1"}).start()
    if fatal == "yes":
        instance.wait_log(r"postfix/smtpd\[\d+\]: fatal: open database .*/later\.db: No such file")
    else:
        with instance.client() as c:
            c.expect(250, "EHLO c")
            c.expect(250, "MAIL FROM:<>")
            c.expect(451, "RCPT TO:<user@test.example>")
    with open(os.path.join(instance.config, "later"), "w") as f:
        f.write("user@test.example OK\n")
    instance.command("postmap", "hash:" + os.path.join(instance.config, "later"))

    def accepted():
        try:
            with instance.client() as c:
                c.expect(250, "EHLO c")
                c.expect(250, "MAIL FROM:<>")
                return c.command("RCPT TO:<user@test.example>").startswith("250")
        except (AssertionError, OSError):
            return False
    wait_for(accepted, 20, "use of the table")
