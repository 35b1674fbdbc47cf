"""Aliases, .forward and :include: files, commands and files, other transports: what becomes of a local recipient."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from postern import ROOT_USER, Sink, exercises, wait_for

pytestmark = pytest.mark.skipif(not ROOT_USER, reason="needs users of its own")

USERS = {"alice": 7001, "bob": 7002, "carol": 7003}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Users that the test's own passwd file has, with homes."""
    base = str(tmp_path_factory.mktemp("homes"))
    path = base
    while path not in ("/", "/tmp"):
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    passwd = os.path.join(base, "passwd")
    with open(passwd, "w") as f:
        f.write(open("/etc/passwd").read())
        for name, uid in USERS.items():
            f.write("%s:x:%d:%d::%s/%s:/bin/sh\n" % (name, uid, uid, base, name))
    os.chmod(passwd, 0o644)
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    yield base
    subprocess.run(["umount", "--lazy", "/etc/passwd"], check=True)


class Local:
    def __init__(self, mta, homes):
        self.make, self.homes = mta, homes

    def start(self, aliases=None, forwards=None, **main):
        """forwards: {"bob/.forward": text}; "@/" in texts is a directory that everybody may write to."""
        for name, uid in USERS.items():
            shutil.rmtree(os.path.join(self.homes, name), ignore_errors=True)
            os.mkdir(os.path.join(self.homes, name))
            os.chown(os.path.join(self.homes, name), uid, uid)
        self.mta = self.make(dict({
            "recipient_delimiter": "+", "transport_maps": "inline:{{remote.example=discard:gone}}", "relay_domains": "remote.example",
            "default_transport": "discard:default", "notify_classes": "",
        }, **main))
        self.out = os.path.join(self.mta.directory, "out")
        os.mkdir(self.out)
        os.chmod(self.out, 0o777)
        for path, text in (forwards or {}).items():
            self.write(os.path.join(self.homes, path), text.replace("@/", self.out + "/"), USERS[path.split("/")[0]])
        if aliases:
            source = os.path.join(self.mta.directory, "aliases")
            self.write(source, "".join("%s: %s\n" % pair for pair in aliases.items()).replace("@/", self.out + "/"))
            self.mta.set(alias_maps="hash:" + source)
            self.mta.command("postalias", "hash:" + source)
        self.mta.start()
        return self.mta

    def write(self, path, text, uid=0, mode=0o644):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        os.chown(path, uid, uid)

    def change(self, **main):
        """Not by a reload: mail sent right after it may still meet the old settings."""
        self.mta.restart(**main)

    def send(self, name, sender="s@client.example", parameters="", body="Subject: x\r\n\r\nbody\r\n"):
        """Sends and waits until the message is removed or deferred; the log lines of its deliveries."""
        with self.mta.client() as c:
            c.expect(250, "EHLO x")
            c.expect(250, "MAIL FROM:<%s>" % sender)
            c.expect(250, "RCPT TO:<%s> %s" % (name if "@" in name else name + "@test.example", parameters))
            qid = c.data(body)
        return self.settled(qid)

    def settled(self, qid):
        wait_for(lambda: re.search(r"%s: removed" % qid, self.mta.log()) or qid in self.mta.queued("deferred"), 30, "end of %s\n%s" % (qid, self.mta.log()))
        return re.findall(r"%s: to=.*" % qid, self.mta.log())

    def forwarded(self, lines):
        """The deliveries of the message that a recipient was forwarded as."""
        return self.settled(re.search(r"forwarded as (\w+)", "\n".join(lines)).group(1))

    def read(self, name):
        with open(os.path.join(self.out, name)) as f:
            return f.read()


@pytest.fixture
def local(mta, homes):
    return Local(mta, homes)


def outcome(line):
    """'to orig_to dsn text' of a log line."""
    m = re.search(r"to=<([^>]*)>(?:, orig_to=<([^>]*)>)?, relay=local, .*dsn=([\d.]+), status=\w+ \((.*)\)$", line)
    return m.groups()


@exercises("alias_maps", "default_privs", "export_environment", "command_expansion_filter")
def test_alias_to_command(local):
    local.start({"cmd": '"|(id -un; umask; pwd; env; cat) > @/out"'}, export_environment="TZ { GREETING=hello you }")
    line, = local.send("cmd+a`b")
    assert outcome(line)[2] == "2.0.0" and "delivered to command: (id -un;" in line
    text = local.read("out")
    assert text.startswith("nobody\n0077\n%s\n" % local.mta.queue)
    for wanted in ("PATH=/usr/bin:/bin", "GREETING=hello you", "USER=cmd", "LOGNAME=cmd", "EXTENSION=a_b", "LOCAL=cmd+a_b", "DOMAIN=test.example",
                   "RECIPIENT=cmd+a_b@test.example", "SENDER=s@client.example", "CLIENT_ADDRESS=127.0.0.1", "CLIENT_PROTOCOL=ESMTP"):
        assert wanted + "\n" in text
    assert "HOME=" not in text and "\nFrom s@client.example  " in text
    assert "\nReturn-Path: <s@client.example>\nX-Original-To: cmd+a`b@test.example\nDelivered-To: cmd+a`b@test.example\nReceived: " in text
    assert text.endswith("\n\nbody\n")


@exercises("alias_maps")
def test_alias_to_several(local):
    local.start({"team": "alice, bob, x@remote.example, nosuch", "postmaster": "alice", "self": "self, alice", "esc": '"\\\\bob"'},
                {"bob/.forward": "alice\n"})
    lines = local.send("team")
    assert {outcome(line)[:3] for line in lines} == {
        ("alice@test.example", "team@test.example", "2.0.0"), ("nosuch@test.example", "team@test.example", "5.1.1"),
        ("team@test.example", None, "2.0.0")}
    report = local.mta.wait_log(r"sender non-delivery notification: (\w+)")
    assert report
    again = local.forwarded(lines)
    assert [line for line in again if "to=<x@remote.example>, orig_to=<team@test.example>" in line and "(gone)" in line]
    assert outcome(local.send("Postmaster")[0])[:2] == ("alice@test.example", "Postmaster@test.example")
    assert ("self@test.example", None, "5.1.1", 'unknown user: "self"') in map(outcome, local.send("self"))
    line, = local.send("esc")
    assert outcome(line)[:2] == ("bob@test.example", "esc@test.example") and "delivered to maildir" in line
    assert len(local.mta.maildir("bob")) == 1


def test_report_of_a_failure_below_an_alias(local):
    sink = Sink()
    local.start({"bad": "nosuch", "cmd": '"|echo because; exit 67"'}, transport_maps="inline:{{client.example=smtp:[127.0.0.1]:%d}}" % sink.port)
    local.send("bad")
    sink.wait(1)
    local.send("cmd")
    first, second = [m["data"].decode() for m in sink.wait(2)]
    assert "<nosuch@test.example> (expanded from <bad@test.example>): unknown user:" in first
    assert "Final-Recipient: rfc822; nosuch@test.example\nOriginal-Recipient: rfc822;bad@test.example" in first.replace("\r", "")
    assert "<cmd@test.example>: user unknown. Command output: because" in second
    sink.close()


@exercises("frozen_delivered_to", "prepend_delivered_header")
def test_forwarding_loop_is_found(local):
    local.start({}, {"alice/.forward": "bob\n", "bob/.forward": "alice\n"})
    lines = local.send("alice")
    lines = local.forwarded(local.forwarded(lines))
    assert outcome(lines[0])[2:] == ("5.4.6", "mail forwarding loop for alice@test.example")


@exercises("frozen_delivered_to")
def test_delivered_to_follows_the_aliases_when_it_is_not_frozen(local):
    local.start({"one": "two", "two": "alice"}, frozen_delivered_to="no")
    local.send("one")
    mail, = local.mta.maildir("alice")
    assert b"\nDelivered-To: alice@test.example\n" in mail


def test_alias_loops_and_long_chains_end(local):
    aliases = {"a%d" % i: "a%d" % (i + 1) for i in range(200)}
    local.start(dict(aliases, loop1="loop2", loop2="loop1", inc=":include:@/a"))
    local.write(local.out + "/a", ":include:%s/b\n" % local.out)
    local.write(local.out + "/b", ":include:%s/a\n" % local.out)
    assert outcome(local.send("loop1")[0])[2:] == ("5.4.6", "alias database loop for loop2")
    assert outcome(local.send("a0")[0])[2] == "5.4.6"
    assert outcome(local.send("inc")[0])[2] == "5.4.6"


@exercises("allow_mail_to_commands", "allow_mail_to_files")
def test_what_include_files_may_do(local):
    local.start({"inc": ":include:@/inc", "mine": ":include:@/mine", "no": ":include:@/nosuch", "open": ":include:@/open", "rel": ":include:x"})
    for name, uid, mode in (("inc", 0, 0o644), ("mine", USERS["alice"], 0o600), ("open", 0, 0o666)):
        local.write(local.out + "/" + name, '# comment\n\n"|id -un > %s/%s.id"\n%s/%s.box\nbob\n' % (local.out, name, local.out, name), uid, mode)
    lines = local.send("inc")
    assert sorted(outcome(line)[2:] for line in lines if "forwarded" not in line) == [
        ("5.7.1", "mail to command is restricted"), ("5.7.1", "mail to file is restricted")]
    assert outcome(local.forwarded(lines)[0])[0] == "bob@test.example"
    for name in ("no", "open", "rel"):
        assert outcome(local.send(name)[0])[2:] == ("5.3.5", "mail system configuration error")
    local.change(allow_mail_to_commands="include", allow_mail_to_files="include")
    local.send("inc")
    local.send("mine")
    assert local.read("inc.id") == "nobody\n" and local.read("mine.id") == "alice\n"
    assert os.stat(local.out + "/mine.box").st_uid == USERS["alice"] and os.stat(local.out + "/inc.box").st_uid == 65534


def test_aliases_of_a_user_are_done_with_the_users_rights(local):
    local.start({"cmd": '"|id -un > @/id"', "box": "@/box"})
    os.chown(os.path.join(local.mta.directory, "aliases.db"), USERS["carol"], USERS["carol"])
    local.send("cmd")
    assert local.read("id") == "carol\n"
    os.rename(os.path.join(local.mta.directory, "aliases.db"), os.path.join(local.mta.directory, "aliases.lmdb"))
    local.change()
    local.send("box")
    assert local.read("id") == "carol\n" and os.stat(local.out + "/box").st_uid == USERS["carol"]


def test_files(local):
    local.start({"box": "@/box", "dir": "@/dir/", "null": "/dev/null", "link": "@/link", "twice": "@/twice", "no": "/no/such/file", "pipe": "@/pipe"})
    victim = os.path.join(local.mta.directory, "victim")
    local.write(victim, "mine\n", 65534)
    os.symlink(victim, local.out + "/link")
    os.link(victim, local.out + "/twice")
    os.mkfifo(local.out + "/pipe")
    os.chmod(local.out + "/pipe", 0o666)
    line, = local.send("box", body="Subject: x\r\n\r\nFrom here\r\n")
    assert outcome(line)[2:] == ("2.0.0", "delivered to file: %s/box" % local.out)
    local.send("box")
    text = local.read("box")
    assert len(re.findall(r"(?m)^From ", text)) == 2 and "\n>From here\n\n" in text and text.endswith("\nbody\n\n")
    assert not os.path.exists(local.out + "/box.lock")
    assert outcome(local.send("dir")[0])[3] == "delivered to maildir" and len(glob.glob(local.out + "/dir/new/*")) == 1
    assert outcome(local.send("null")[0])[3] == "delivered to file: /dev/null"
    assert outcome(local.send("no")[0])[2] == "5.2.0"
    for name in ("link", "twice", "pipe"):
        assert re.search("status=(deferred|bounced)", local.send(name)[0])
    assert open(victim).read() == "mine\n"


@exercises("command_time_limit")
def test_time_limit_kills_the_whole_group(local):
    local.start({"slow": '"|trap true TERM; sleep 98765.%d & sleep 98765.%d"' % (os.getpid(), os.getpid())}, command_time_limit="1s")
    line, = local.send("slow")
    assert outcome(line)[2] == "4.3.0" and "Command time limit exceeded" in line
    running = lambda: any(b"98765.%d" % os.getpid() in open(p, "rb").read() for p in glob.glob("/proc/[0-9]*/cmdline") if os.path.exists(p))  # noqa: E731
    wait_for(lambda: not quiet(running), what="the command's children are killed")


def quiet(call):
    """Processes may end while they are looked at."""
    try:
        return call()
    except OSError:
        return True


@exercises("forward_path", "forward_expansion_filter")
def test_forward(local):
    local.start({}, {"bob/.forward": "# mine\n\n\\bob\n\"|id -un > @/id\"\n~/box, x@remote.example\n", "bob/.forward+Ext": "nobody\n",
                     "bob/.forward+ext": "alice\n", "carol/.forward": "\n"})
    lines = local.send("bob+other")
    found = {outcome(line)[0::3] for line in lines}
    assert ("bob@test.example", "delivered to maildir") in found and ("bob+other@test.example", "delivered to file: %s/bob/box" % local.homes) in found
    assert local.read("id") == "bob\n" and os.stat(local.homes + "/bob/box").st_uid == USERS["bob"]
    assert "to=<x@remote.example>, orig_to=<bob+other@test.example>" in local.forwarded(lines)[0]
    lines = local.send("bob+EXT")
    assert outcome(local.forwarded(lines)[0])[:2] == ("alice@test.example", "bob+EXT@test.example")
    assert "delivered to maildir" in local.send("carol")[0]
    os.makedirs(local.homes + "/forwards")
    local.write(local.homes + "/forwards/bob.a_", "alice\n", USERS["bob"])
    local.change(forward_path="%s/forwards/$user.$extension" % local.homes, forward_expansion_filter="abcdefghijklmnopqrstuvwxyz")
    assert outcome(local.forwarded(local.send("bob+a="))[0])[0] == "alice@test.example"
    shutil.rmtree(local.homes + "/forwards")


@pytest.mark.parametrize("kind", ["of another", "open to all", "link", "directory", "pipe"])
def test_forward_that_is_not_to_be_trusted_is_not_used(local, kind):
    local.start({}, {})
    path = local.homes + "/bob/.forward"
    if kind == "link":
        local.write(local.homes + "/alice/f", "alice\n", USERS["alice"])
        os.symlink(local.homes + "/alice/f", path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
        os.chmod(path, 0o644)
    else:
        local.write(path, "alice\n", USERS["alice"] if kind == "of another" else USERS["bob"], 0o666 if kind == "open to all" else 0o644)
    line, = local.send("bob")
    assert outcome(line)[0] == "bob@test.example" and "delivered to maildir" in line
    local.mta.wait_log(r"warning: file %s" % re.escape(path))


def test_forward_that_users_cannot_read_is_not_read(local):
    local.start({}, {})
    secret = local.homes + "/alice/.forward"
    local.write(secret, "x@remote.example\n", 0, 0o600)
    line, = local.send("alice")
    assert "delivered to maildir" in line


@exercises("mailbox_command", "mailbox_command_maps", "command_execution_directory", "local_command_shell", "execution_directory_expansion_filter")
def test_mailbox_command(local):
    command = 'echo "$USER $EXTENSION `id -un` `pwd`" > %s/$USER; cat >/dev/null'
    local.start({}, {"bob/x": ""})
    local.change(mailbox_command=command % local.out, mailbox_command_maps="inline:{{alice=exit 67}, {carol+odd=exit 75}}",
                  command_execution_directory="$home", execution_directory_expansion_filter="/abcdefghijklmnopqrstuvwxyz0123456789_-")
    local.send("bob+e")
    assert local.read("bob") == "bob e bob %s/bob\n" % local.homes.replace("\n", "")
    assert outcome(local.send("alice+x")[0])[2:] == ("5.1.1", "user unknown")
    assert outcome(local.send("carol+odd")[0])[2] == "4.3.0"
    local.send("root")
    assert not os.path.exists(local.out + "/root") or " nobody " in local.read("root")
    local.change(mailbox_command="anything", local_command_shell="/bin/echo 5.5.5", mailbox_command_maps="", command_execution_directory="/no/such/$user")
    assert outcome(local.send("bob")[0])[2:] == ("4.3.0", "temporary failure")
    local.change(command_execution_directory="")
    assert outcome(local.send("bob")[0])[3] == "delivered to command: anything"


@exercises("mailbox_transport", "mailbox_transport_maps", "fallback_transport", "fallback_transport_maps")
def test_other_transports(local):
    local.start({"list": "alice, \"|true\"", "also": "alice"}, mailbox_transport_maps="inline:{{alice=discard:by map}}", fallback_transport="discard:fallback",
                fallback_transport_maps="inline:{{ghost=error:5.1.6 ghost moved}}")
    assert "to=<alice+x@test.example>, relay=none" in local.send("alice+x")[0]
    local.mta.wait_log(r"passing <alice\+x@test.example> to transport=discard")
    assert "delivered to maildir" in local.send("bob")[0]
    assert "(fallback)" in local.send("nosuch")[0]
    assert "dsn=5.1.6, status=bounced (ghost moved)" in local.send("ghost+y")[0]
    assert "(by map)" in local.forwarded(local.send("also"))[0]
    lines = local.send("list")
    assert any("delivered to command: true" in line for line in lines) and "(by map)" in local.forwarded(lines)[0]
    local.change(mailbox_transport="discard:all")
    assert "(all)" in local.send("bob")[0] and "(all)" in local.send("nosuch")[0]
    local.change(mailbox_transport="local")
    assert "mail transport loop" in local.send("bob")[0]


@exercises("mailbox_transport")
def test_lmtp_behind_local(local):
    sink = Sink(lmtp=True)
    local.start({}, {}, mailbox_transport="lmtp:inet:127.0.0.1:%d" % sink.port)
    assert "status=sent (250" in local.send("bob")[0]
    mail, = sink.wait(1)
    assert "bob@test.example" in str(mail["recipients"])
    sink.close()


@exercises("luser_relay")
@pytest.mark.parametrize("value,to,text", [
    ("$local+x@remote.example", "ghost+q+x@remote.example", "gone"), ("$user", "ghost@test.example", 'unknown user: "ghost"'),
    ("alice", "alice@test.example", "delivered to maildir"), ("nobody-there", "nobody-there@test.example", 'unknown user: "nobody-there"'),
    ("alice, bob", "ghost+q@test.example", "mail system configuration error"),
])
def test_luser_relay(local, value, to, text):
    local.start({}, {}, luser_relay=value)
    lines = local.send("ghost+q")
    if "forwarded" in lines[0]:
        lines = local.forwarded(lines)
    assert "to=<%s>" % to in lines[0] and text in lines[0]


@exercises("require_home_directory")
def test_missing_home_defers(local):
    local.start({}, {}, require_home_directory="yes")
    shutil.rmtree(local.homes + "/alice")
    assert "delivered to maildir" in local.send("bob")[0]
    assert outcome(local.send("alice")[0])[2:] == ("4.3.0", "cannot access home directory %s/alice: No such file or directory" % local.homes)


@exercises("expand_owner_alias", "owner_request_special", "reset_owner_alias")
def test_list_owner(local):
    local.start({"list": '"|echo $SENDER > @/sender", alice, sub', "owner-list": "bob", "sub": "carol"})
    lines = local.send("list")
    assert local.read("sender") == "owner-list@test.example\n"
    again = local.forwarded(lines)
    assert {outcome(line)[:2] for line in again} == {("alice@test.example", None), ("carol@test.example", None)}
    mail, = local.mta.maildir("alice")
    assert mail.startswith(b"Return-Path: <owner-list@test.example>\nX-Original-To: alice@test.example\nDelivered-To: alice@test.example\nReceived: by ")
    assert b"\nDelivered-To: list@test.example\n" in mail
    local.change(expand_owner_alias="yes", reset_owner_alias="yes")
    lines = local.send("list")
    assert local.read("sender") == "bob@test.example\n"
    assert ("carol@test.example", None) in {outcome(line)[:2] for line in lines}
    assert {outcome(line)[0] for line in local.forwarded(lines)} == {"alice@test.example"}
    local.change(owner_request_special="no")
    local.send("list")
    assert local.read("sender") == "s@client.example\n"


@exercises("propagate_unmatched_extensions")
def test_extensions_go_on(local):
    local.start({"al": "alice, x@remote.example, bob+own"}, {"carol/.forward": "y@remote.example\n"}, propagate_unmatched_extensions="alias, forward")
    lines = local.send("al+foo")
    assert {outcome(line)[0] for line in lines} == {"alice+foo@test.example", "bob+own@test.example", "al+foo@test.example"}
    assert "to=<x+foo@remote.example>" in local.forwarded(lines)[0]
    assert "to=<y+bar@remote.example>" in local.forwarded(local.send("carol+bar"))[0]


@exercises("local_delivery_status_filter", "default_delivery_status_filter")
def test_status_filter(local):
    local.start({}, {}, default_delivery_status_filter="inline:{{5.1.1 unknown user: \"ghost\"=4.1.1 not yet}, {2.0.0 delivered to maildir=2.1.5 in its place}}")
    assert outcome(local.send("ghost")[0])[2:] == ("4.1.1", "not yet")
    assert outcome(local.send("bob")[0])[2:] == ("2.1.5", "in its place")


def test_one_destination_that_waits_repeats_no_other(local):
    local.start({"mix": '"|echo x >> @/first", "|test -e @/go || exit 75", alice'})
    lines = local.send("mix")
    assert sorted(outcome(line)[2] for line in lines) == ["2.0.0", "2.0.0", "2.0.0", "4.3.0"]
    waiting = local.forwarded(lines)
    assert len(waiting) == 1 and outcome(waiting[0])[2:] == ("4.3.0", "temporary failure")
    local.write(local.out + "/go", "")
    qid = re.search(r"forwarded as (\w+)", "\n".join(lines)).group(1)
    wait_for(lambda: local.mta.command("postqueue", "-f") and re.search("%s: removed" % qid, local.mta.log()), 30, "the rest")
    assert local.read("first") == "x\n" and len(local.mta.maildir("alice")) == 1
    assert not local.mta.queued()


def test_a_crash_loses_nothing_and_repeats_only_what_was_begun(local):
    local.start({"mix": '"|echo x >> @/first", "|echo $PPID > @/pid.new; mv @/pid.new @/pid; until test -e @/go; do sleep 0.1; done", alice, x@remote.example'})
    qid = local.mta.send(recipients=["mix@test.example"])
    wait_for(lambda: os.path.exists(local.out + "/pid"), 30, "the second command")
    os.kill(int(local.read("pid")), 9)
    local.write(local.out + "/go", "")
    lines = local.settled(qid)
    assert [outcome(line)[2] for line in lines] == ["2.0.0"] * 4
    assert local.read("first") == "x\nx\n" and len(local.mta.maildir("alice")) == 1
    assert len(local.forwarded(lines)) == 1 and len(re.findall("forwarded as", local.mta.log())) == 1


def test_names_that_need_quotes(local):
    local.start({'"john smith"': "alice", "a.b": "bob", '"c d+e"': "carol"})
    assert outcome(local.send('"john smith"@test.example')[0])[0] == "alice@test.example"
    assert outcome(local.send('"John Smith+ext"@test.example')[0])[0] == "alice@test.example"
    assert outcome(local.send('"a.b"@test.example')[0])[0] == "bob@test.example"
    assert outcome(local.send("a.b")[0])[0] == "bob@test.example"
    assert outcome(local.send('"c d+e"@test.example')[0])[0] == "carol@test.example"


def test_trouble_with_aliases_defers(local):
    local.start({}, {}, alias_maps="hash:/no/such/file", local_recipient_maps="")
    assert outcome(local.send("alice")[0])[2:] == ("4.3.0", "alias database unavailable")
    assert not local.mta.maildir("alice")


@exercises("soft_bounce")
def test_soft_bounce_holds_below_aliases(local):
    local.start({"two": "alice, nosuch"}, {}, soft_bounce="yes")
    lines = local.send("two")
    assert ("nosuch@test.example", "two@test.example", "4.1.1", 'unknown user: "nosuch"') in map(outcome, lines)
    assert len(local.mta.maildir("alice")) == 1


def test_reports_of_success_say_that_an_alias_was_expanded(local):
    sink = Sink()
    local.start({"both": "alice, x@remote.example"}, {},
                transport_maps="inline:{{client.example=smtp:[127.0.0.1]:%d},{remote.example=discard:gone}}" % sink.port)
    local.send("both", parameters="NOTIFY=SUCCESS ORCPT=rfc822;o@x.example")
    mail, = sink.wait(1)
    text = mail["data"].decode().replace("\r", "")
    assert "Final-Recipient: rfc822; both@test.example\nOriginal-Recipient: rfc822;o@x.example\nAction: expanded\nStatus: 2.0.0\n" in text
    assert "<both@test.example>: delivery via local: alias expanded" in text
    sink.close()


@exercises("local_recipient_maps")
def test_users_and_aliases_are_known_at_rcpt(local):
    local.start({"list": "alice"}, {}, local_recipient_maps="proxy:unix:passwd.byname $alias_maps")
    with local.mta.client() as c:
        c.expect(250, "EHLO x")
        c.expect(250, "MAIL FROM:<>")
        for name in ("alice", "Alice+x", "list", "list+x", "postmaster"):
            c.expect(250, "RCPT TO:<%s@test.example>" % name)
        assert "User unknown in local recipient table" in c.expect(550, "RCPT TO:<ghost@test.example>")
