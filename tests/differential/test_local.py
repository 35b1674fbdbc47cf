"""The same aliases, .forward and :include: files and mails for the local delivery agents of Debian's Postfix and ours: log lines, files, what commands
saw and reports must agree. What differs on purpose (docs/differences.md) is not among the cases."""
import glob
import os
import re
import shutil
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises, wait_for  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

HOMES = "/tmp/postern-homes"  # the neighbour's passwd file stays, so its homes are always there
USERS = {"alice": 7001, "bob": 7002, "carol": 7003, "dave": 7004}
COMMAND = '#!/bin/sh\n(id; pwd; umask; echo ARGS: "$@"; ulimit -f; env | sort; cat) > %s/out.$USER.$1\n'
ALIASES = {
    "one": "alice", "two": "alice, bob", "mixed": "alice, ext@remote.example", "remote": "one@remote.example, two@remote.example",
    "cmd": '"|@/cmd 1 b"', "cmd-shell": '"|@/cmd 2 \'x y\' $USER"', "unquoted": "|@/cmd 3", "cmd-out": '"|echo out put; echo two"',
    "fail": '"|exit 1"', "with-status": '"|echo 5.7.9 no way; exit 99"', "later-status": '"|echo 4.5.6 hmm; exit 1"', "signal": '"|kill -9 $$"',
    "some-output": '"|echo some output; exit 67"', "binary": '"|printf \'a\\\\001b\\\\377c\\\\n\'; exit 67"', "no-read": '"|true"',
    "quotes": '"|echo \\"hi there\\" > @/q"', "file": "@/file", "dir": "@/dir/", "null": "/dev/null", "bad-file": "/no/such/dir/file", "a-dir": "@",
    "shadow": "/etc/shadow", "inc": ":include:@/inc", "inc-alice": ":include:@/inc-alice", "inc-none": ":include:/no/such/file", "inc-dir": ":include:@",
    "inc-open": ":include:@/inc-open", "inc-shut": ":include:@/inc-shut", "inc-relative": ":include:inc", "loop1": "loop2", "loop2": "loop1",
    "self": "self", "self-too": "self-too, alice", "carol": "carol, alice", "unknown": "nosuch1, alice", "unknowns": "nosuch1, nosuch2",
    "owned": "alice, ext@remote.example", "owner-owned": "bob", "owned-bad": "nosuch1", "owner-owned-bad": "bob, carol", "sub-owned": "lst, x@remote.example",
    "owner-sub-owned": "dave", "lst": "alice, bob", "group": "grp: alice, bob;", "bare": '"\\\\\\\\bob"', "quoted": '"alice"', "ext": "alice+foo",
    "named": "Alice <alice@test.example>", "postmaster": "alice", "twice": "alice, alice, ALICE, alice@test.example, x@remote.example, X@REMOTE.example",
    "plus": "alice+zz", "unknown-ext": "NoSuch+foo@test.example", "first": "alice", "to-dave": "dave", "null-address": "<>",
}
ALIASES.update({"exit%d" % i: '"|exit %d"' % i for i in list(range(64, 79)) + [2, 126, 127]})
ALIASES.update({"chain%d" % i: "chain%d" % (i + 1) for i in range(40)})
OWNED = {"own-cmd": '"|@/cmd 4"', "own-file": "@/own-file", "own-address": "alice", "own-inc": ":include:@/inc"}
FORWARDS = {"bob/.forward": '"|@/cmd 5"\n@/forward-file, \\bob\n~/own\n', "bob/.forward+ext": "alice\n", "carol/.forward": "carol, x@remote.example\n",
            "dave/.forward": "\n"}
INCLUDES = {"inc": (0, 0o644, '# list\n  \nalice\n"|@/cmd 6"\n@/inc-file\ndave+bar@test.example\n'), "inc-alice": (7001, 0o644, '"|@/cmd 7"\n@/alice-file\nbob'),
            "inc-open": (0, 0o666, "alice\n"), "inc-shut": (0, 0o000, "alice\n")}
MORE = ["alice", "alice+ext", "bob", "bob+ext", "bob+none", "carol", "dave", "nosuch", "ALICE", "one+foo", "cmd+Foo", "root", "nosuch+x"]
SETTINGS = {
    "include": {"allow_mail_to_commands": "alias forward include", "allow_mail_to_files": "alias forward include"},
    "extensions": {"propagate_unmatched_extensions": "alias, forward, include"},
    "command": {"mailbox_command": '@/cmd 8 -d "$USER" $EXTENSION $HOME $NOSUCH ${DOMAIN}'},
    "commands": {"mailbox_command_maps": "inline:{{alice=exit 3}, {bob=exit 5}}", "command_execution_directory": "$home"},
    "shell": {"mailbox_command": "foo; exit 67", "local_command_shell": "/bin/sh -x -c"},
    "transport": {"mailbox_transport": "error:5.1.2 no"},
    "transports": {"mailbox_transport_maps": "inline:{{alice=discard:maps}}", "fallback_transport_maps": "inline:{{nosuch=discard:fm}}"},
    "fallback": {"fallback_transport": "discard:fall"},
    "relay": {"luser_relay": "$local+x@remote.example"}, "relay-self": {"luser_relay": "$user"}, "relay-ghost": {"luser_relay": "ghost"},
    "home": {"require_home_directory": "yes", "home_mailbox": "Mailbox"}, "maildir": {"home_mailbox": "Maildir/"},
    "expanded-owner": {"expand_owner_alias": "yes"}, "frozen": {"frozen_delivered_to": "no", "reset_owner_alias": "yes"},
    "no-header": {"prepend_delivered_header": "forward"}, "not-special": {"owner_request_special": "no"},
}
FEW = ["alice", "alice+ext", "bob", "carol+x", "nosuch", "nosuch+q", "one+foo", "mixed", "owned", "inc", "sub-owned", "root"]


class Side:
    """One of the two systems with all cases behind it: results[case] are the normalized lines."""

    def __init__(self, make, directory):
        self.make, self.directory = make, directory
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        self.results, self.files = {}, {}
        self.play("main", {}, list(ALIASES) + list(OWNED) + MORE)
        for name, main in SETTINGS.items():
            self.play(name, main, FEW)

    def play(self, setting, main, names):
        out = self.prepare(setting)
        main = {k: v.replace("@/", out + "/") for k, v in main.items()}
        mta = self.make(os.path.join(self.directory, setting + ".mta"), main=dict({
            "recipient_delimiter": "+", "local_recipient_maps": "", "transport_maps": "inline:{{remote.example=discard:}}", "enable_long_queue_ids": "no",
            "notify_classes": "", "deliver_lock_attempts": "2", "mail_name": "Postfix", "default_transport": "discard:",
            "alias_maps": "hash:%s/aliases hash:%s/owned" % (out, out)}, **main))
        mta.set(mail_spool_directory=mta.mail)
        for source in ("aliases", "owned"):
            mta.command("postalias", "hash:%s/%s" % (out, source))
        for path in glob.glob(out + "/owned*"):
            os.chown(path, USERS["carol"], USERS["carol"])
        mta.start()
        for name in names:
            if name.startswith("chain") and name != "chain0":
                continue
            mark = mta.log_size()  # the neighbour's queue ids repeat
            qid = mta.send("s@client.example", [name + "@test.example"], "Message-Id: <%s@x>\r\nSubject: %s\r\n\r\nbody\r\nFrom x\r\n" % (name, name))
            wait_for(lambda: self.settled(mta, mark, qid), 30, "%s: %s\n%s" % (setting, name, mta.log()))
            self.results[setting, name] = self.lines(mta, mark, qid)
        mta.stop()
        self.files[setting] = self.collect(mta, out)

    def prepare(self, setting):
        for name, uid in USERS.items():
            shutil.rmtree("%s/%s" % (HOMES, name), ignore_errors=True)
            os.mkdir("%s/%s" % (HOMES, name))
            os.chown("%s/%s" % (HOMES, name), uid, uid)
        out = os.path.join("/tmp/postern-homes/out")
        shutil.rmtree(out, ignore_errors=True)
        os.mkdir(out)
        os.chmod(out, 0o1777)
        self.write(out + "/cmd", COMMAND % out, 0, 0o755)
        for name, rows in (("aliases", ALIASES), ("owned", OWNED)):
            self.write("%s/%s" % (out, name), "".join("%s: %s\n" % row for row in rows.items()).replace("@/", out + "/").replace(": @", ": " + out)
                       .replace("include:@\n", "include:%s\n" % out))
        for name, (uid, mode, text) in INCLUDES.items():
            self.write("%s/%s" % (out, name), text.replace("@/", out + "/"), uid, mode)
        for path, text in FORWARDS.items():
            self.write("%s/%s" % (HOMES, path), text.replace("@/", out + "/"), USERS[path.split("/")[0]])
        return out

    def write(self, path, text, uid=0, mode=0o644):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        os.chown(path, uid, uid)

    def settled(self, mta, mark, qid):
        """The message, and what it was forwarded as, is removed or waits."""
        waiting = set(mta.queued("incoming", "active"))
        if qid in waiting:
            return False
        mta.wait_logged()
        log, todo, seen = mta.log(mark), [qid], set()
        while todo:
            one = todo.pop()
            seen.add(one)
            if one in waiting:
                return False
            todo += [i for i in re.findall(r"%s: .*(?:forwarded as|notification:) (\w+)" % one, log) if i not in seen]
        return True

    def lines(self, mta, mark, qid):
        """Deliveries and reports of the message and of what it became, without what differs between any two runs."""
        log, todo, found = mta.log(mark), [qid], []
        while todo:
            one = todo.pop()
            for line in re.findall(r"%s: (?:to=|sender |passing ).*" % one, log):
                todo += re.findall(r"(?:forwarded as|notification:) (\w+)", line)
                line = re.sub(r"^\w+: ", "", line)
                line = re.sub(r", delay=.*?, dsn=", ", dsn=", line)
                line = re.sub(r"(forwarded as|notification:) \w+", r"\1 ID", line)
                line = re.sub(r"create maildir file .*?: ", "create maildir file: ", line)
                found.append(line.replace(mta.directory, "DIR"))
        return sorted(found)

    def collect(self, mta, out):
        """What was delivered to files and told to commands: {name: owner, mode, text}."""
        found = {}
        paths = glob.glob(out + "/*") + glob.glob(out + "/dir/new/*") + glob.glob(mta.mail + "/*")
        paths += glob.glob(HOMES + "/*/own") + glob.glob(HOMES + "/*/Mailbox") + glob.glob(HOMES + "/*/Maildir/new/*")
        for path in paths:
            name = re.sub(r"/new/.*", "/new", path.replace(mta.mail, "MAIL"))
            if os.path.isfile(path) and not re.search(r"/(aliases|owned)", path):
                info = os.stat(path)
                found.setdefault(name, []).append("%d:%d %o\n%s" % (info.st_uid, info.st_gid, info.st_mode, self.plain(open(path, errors="replace").read(), mta)))
        return {name: sorted(texts) for name, texts in found.items()}

    def plain(self, text, mta):
        text = text.replace(mta.directory, "DIR")
        text = re.sub(r"\b[0-9A-F]{10,14}\b", "ID", text)
        text = re.sub(r"\w{3}, \d+ \w{3} \d{4} [\d:]+ \+0000 \(UTC\)", "DATE", text)
        text = re.sub(r"(?m)^(From \S+)  .*", r"\1 DATE", text)
        mails = re.split(r"(?m)^(?=From \S+ DATE$)", text)
        return "".join(sorted(mail for mail in mails if not mail.startswith("From MAILER-DAEMON"))) if mails else text


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    postfix.fetch()
    tree = os.path.join(postfix.TREE, "etc/passwd")
    rows = "".join("%s:x:%d:%d::%s/%s:/bin/sh\n" % (name, uid, uid, HOMES, name) for name, uid in USERS.items())
    others = "".join(line for line in open(tree) if line.split(":")[0] not in USERS)
    with open(tree, "w") as f:
        f.write(others + rows)
    base = str(tmp_path_factory.mktemp("local"))
    path = base
    while path not in ("/", "/tmp"):
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    os.makedirs(HOMES, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", HOMES], check=True)
    with open(base + "/passwd", "w") as f:
        f.write(open("/etc/passwd").read() + rows)
    subprocess.run(["mount", "--bind", base + "/passwd", "/etc/passwd"], check=True)
    try:
        yield Side(postern.Instance, base + "/ours"), Side(postfix.Instance, base + "/theirs")
    finally:
        subprocess.run(["umount", "--lazy", "/etc/passwd"], check=True)
        subprocess.run(["umount", "--lazy", HOMES], check=True)


# On purpose (docs/differences.md): what an alias or file gives to another transport; and Postfix delivers twice to a member with an extension.
DIFFERENT = {(setting, name) for setting in ("transport", "transports") for name in ("bob", "carol+x", "one+foo", "mixed", "owned", "inc", "sub-owned")}
DIFFERENT |= {("extensions", "carol+x")}
# The report of a failure below a .forward is a report of its own.
DIFFERENT |= {("commands", "sub-owned"), ("shell", "sub-owned")}
CASES = [("main", name) for name in list(ALIASES) + list(OWNED) + MORE if not name.startswith("chain") or name == "chain0"]
CASES += [(setting, name) for setting in SETTINGS for name in FEW]


@exercises("mailbox_transport", "fallback_transport", "luser_relay", "home_mailbox", "require_home_directory", "expand_owner_alias", "frozen_delivered_to",
           "prepend_delivered_header", "propagate_unmatched_extensions", "local_command_shell", "mailbox_command", "reset_owner_alias")
@pytest.mark.parametrize("setting,name", [c for c in CASES if c not in DIFFERENT])
def test_deliveries(sides, setting, name):
    ours, theirs = sides
    assert ours.results[setting, name] == theirs.results[setting, name]


@pytest.mark.parametrize("setting", ["main"] + [s for s in SETTINGS if not s.startswith("transport") and s != "extensions"])
def test_files(sides, setting):
    ours, theirs = (side.files[setting] for side in sides)
    assert sorted(ours) == sorted(theirs)
    for name in theirs:
        assert ours[name] == theirs[name], name
