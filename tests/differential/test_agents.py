"""The same mails for virtual(8) and pipe(8) of Debian's Postfix and ours: log lines, mailboxes, and what commands got must agree."""
import glob
import os
import re
import subprocess
import sys

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../system", "../peers")]
import postern  # noqa: E402
import postfix  # noqa: E402
from postern import exercises  # noqa: E402

pytestmark = pytest.mark.skipif(not postern.ROOT_USER, reason="the neighbour needs root")

UID = "7401"
BOXES = {"a@v.example": "box", "m@v.example": "own/m/", "deep@v.example": "own/x/y/", "q+ext@v.example": "ext", "q@v.example": "plain", "@w.example": "all",
         "abs@v.example": "/abs", "dbl@v.example": "own//d/", "nouid@v.example": "a", "low@v.example": "a", "bad@v.example": "a", "badgid@v.example": "a",
         "root@v.example": "a", "closed@v.example": "closed/box", "other@v.example": "other", "big@v.example": "big", "dots@v.example": "own/..x/",
         "dir@v.example": "own"}
IDS = {"low@v.example": "50", "bad@v.example": "70x", "root@v.example": "0"}
HOSTED = ["a@v.example", "A+x@V.example", "m@v.example", "deep@v.example", "q+ext@v.example", "q+other@v.example", "any@w.example", "abs@v.example", "dbl@v.example",
          "nouid@v.example", "low@v.example", "bad@v.example", "badgid@v.example", "root@v.example", "closed@v.example", "other@v.example", "big@v.example",
          "big@v.example", "big@v.example", "dots@v.example", "dir@v.example", "nosuch@v.example"]
PIPES = {
    "p1": "user=daemon argv=@ p1 ${sender} ${recipient} ${user} ${extension} ${domain} ${mailbox} ${nexthop} ${original_recipient} $recipient $(recipient) $$x "
          "${client_address} ${client_hostname} ${client_helo} ${client_protocol} ${sasl_method}x ${sasl_username} a${user}b",
    "p2": "flags=BDFORXhqu.> user=daemon:nogroup directory=/ argv=@ p2 ${sender} ${recipient} ${user} ${extension} ${domain} ${mailbox} ${nexthop}",
    "p3": "flags=F user=daemon null_sender=nobody@x argv=@ p3 ${sender}", "p4": "flags=R user=daemon null_sender= eol=\\r\\n argv=@ p4 -f ${sender} -- { a b } { ${user} x }",
    "p5": "user=daemon size=200 argv=@ p5", "p6": "user=daemon argv=/bin/sh -c {echo out put; exit 0}", "p7": "user=daemon argv=/bin/sh -c {echo 5.7.9 no; exit 3}",
    "p8": "user=daemon argv=/bin/sh -c {exit 75}", "p9": "user=daemon argv=/bin/sh -c {exit 3}", "pa": "user=daemon argv=/no/such/cmd",
    "pb": "user=daemon directory=/no/such argv=/bin/true", "pd": "user=daemon argv=/bin/true ${nosuch}",
    "pe": "user=daemon chroot=/no/such argv=/bin/true", "pf": "user=daemon argv=/bin/sh -c {kill -9 $$$$}", "pg": "flags=D user=daemon argv=/bin/true",
}
PIPED = [("s@client.example", ["U+Ext@p1.example", "v@p1.example", '"a b+c"@p1.example']),
         ('"S p"@Client.Example', ['"A b+C"@P2.Example']), ("", ["b@p3.example"]), ("", ["b@p4.example"])]
PIPED += [("s@client.example", ["X+y@%s.example" % name]) for name in sorted(PIPES)[4:]]
SCRIPT = '#!/bin/sh\nout=%s/out.$1\n(id; pwd; for a; do echo "[$a]"; done; env | sort; cat) >$out\n'
BASE = "/tmp/postern-agents"


class Side:
    def __init__(self, make, directory, ours):
        os.mkdir(BASE + "/closed", 0o700)
        for path in ("own",):
            os.mkdir("%s/%s" % (BASE, path))
            os.chown("%s/%s" % (BASE, path), int(UID), int(UID))
        self.write("other", "")
        self.write("script", SCRIPT % BASE, 0o755)
        master = "".join("%s unix - n n - - pipe\n  %s\n" % (name, text.replace("@", BASE + "/script", 1)) for name, text in PIPES.items())
        self.mta = mta = make(directory, master=master + ("virtual unix - n n - - virtual\n" if ours else ""), main=dict({
            "recipient_delimiter": "+", "virtual_mailbox_domains": "v.example w.example", "virtual_mailbox_base": BASE, "smtpd_reject_unlisted_recipient": "no",
            "enable_long_queue_ids": "no", "notify_classes": "", "deliver_lock_attempts": "1", "virtual_mailbox_limit": "20000", "message_size_limit": "20000",
            "default_transport": "discard:", "mail_name": "Postfix", "p1_destination_recipient_limit": "10",
            "p2_destination_recipient_limit": "1", "pg_destination_recipient_limit": "1", "relay_domains": " ".join(name + ".example" for name in PIPES),
            "transport_maps": "inline:{%s}" % ", ".join("{%s.example=%s:}" % (name, name) for name in PIPES)}))
        ids = {name: UID for name in BOXES if name != "nouid@v.example"}
        for name, rows in (("virtual_mailbox_maps", BOXES), ("virtual_uid_maps", dict(ids, **IDS)), ("virtual_gid_maps", dict(ids, **{"badgid@v.example": "-1"}))):
            self.write(name, "".join("%s %s\n" % row for row in rows.items()))
            mta.command("postmap", "hash:%s/%s" % (BASE, name))
            mta.main[name] = "hash:%s/%s" % (BASE, name)
        mta.write_config()
        mta.start()
        self.lines = [self.send("s@client.example", [to], 110 if to.startswith("big") else 0) for to in HOSTED] + [self.send(*mail, 0) for mail in PIPED]
        mta.stop()
        self.files = self.collect()

    def write(self, name, text, mode=0o644):
        with open("%s/%s" % (BASE, name), "w") as f:
            f.write(text)
        os.chmod("%s/%s" % (BASE, name), mode)

    def send(self, sender, recipients, more):
        body = "Delivered-To: x+Y@pg.example\r\nMessage-Id: <%s>\r\nSubject: x\r\n\r\nbody\r\n.dot\r\nFrom x\r\n%s" % (recipients[0].split("@")[-1], ("x" * 70 + "\r\n") * more)
        mark = self.mta.log_size()  # the neighbour's queue ids repeat
        qid = self.mta.send(sender, recipients, body)
        self.mta.wait_handled(qid)
        found = re.findall(r"%s: (to=.*?, relay=\w+), .*?(dsn=.*)" % qid, self.mta.log(mark))
        return sorted(re.sub(r"create maildir file .*?: ", "create maildir file: ", " ".join(line)) for line in found)

    def collect(self):
        found = {}
        for path in glob.glob(BASE + "/**", recursive=True):
            name = re.sub(r"/new/.*", "/new", path)
            if os.path.isfile(path) and not re.search(r"/virtual_|/script|\.lock$", path):
                with open(path, newline="", errors="replace") as f:
                    found[name] = "%d %o\n%s" % (os.stat(path).st_uid, os.stat(path).st_mode, self.plain(f.read()))
        return found

    def plain(self, text):
        text = re.sub(r"\b[0-9A-F]{10,14}\b", "ID", text.replace(self.mta.directory, "DIR"))
        text = re.sub(r"\s+\w{3}, \d+ \w{3} \d{4} [\d:]+ \+0000 \(UTC\)", " DATE", text)
        return re.sub(r"(?m)^(From .*?)  \w{3} \w{3} .*?(\r?)$", r"\1 DATE\2", text)


def alone(*arguments):
    """A side whose directory nobody else sees: its name is one for all."""
    os.makedirs(BASE, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=777", "none", BASE], check=True)
    try:
        return Side(*arguments)
    finally:
        subprocess.run(["umount", "--lazy", BASE], check=True)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    postfix.fetch()
    base = str(tmp_path_factory.mktemp("agents"))
    path = base
    while path not in ("/", "/tmp"):
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    yield alone(postern.Instance, base + "/ours", True), alone(postfix.Instance, base + "/theirs", False)


@exercises("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps", "virtual_minimum_uid", "virtual_mailbox_limit")
@pytest.mark.parametrize("number", range(len(HOSTED) + len(PIPED)))
def test_deliveries(sides, number):
    ours, theirs = sides
    assert ours.lines[number] == theirs.lines[number]


def test_files(sides):
    ours, theirs = sides
    assert sorted(ours.files) == sorted(theirs.files)
    for name in theirs.files:
        assert ours.files[name] == theirs.files[name], name
