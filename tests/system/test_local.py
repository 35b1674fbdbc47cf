"""Delivery on this host: Maildirs, mailbox files, the error and discard agents."""
import os
import pwd
import re
import stat

import pytest

from postern import ROOT_USER, exercises, owner, wait_for

USER = owner() if not ROOT_USER else "nobody"


@pytest.fixture
def local(mta):
    def make(mailbox=False, **main):
        """mailbox: mail goes to mailbox files, not to Maildirs."""
        instance = mta(dict({"recipient_delimiter": "+"}, **main))
        if mailbox:
            instance.set(mail_spool_directory=instance.mail)
        return instance.start()
    return make


def settled(instance, qid):
    instance.wait_log(r"%s: removed" % qid)


@exercises("mail_spool_directory", "recipient_delimiter")
def test_maildir(local):
    mta = local()
    first = mta.send("s@client.example", [USER + "@test.example"], "Subject: one\r\n\r\nFrom here\r\n.dot\r\n")
    settled(mta, first)
    second = mta.send("", [USER.upper() + "+ext@test.example"], "Subject: two\r\n\r\nx\r\n")
    settled(mta, second)
    one, two = mta.maildir(USER)
    assert one.startswith(b"Return-Path: <s@client.example>\nX-Original-To: %(u)s@test.example\nDelivered-To: %(u)s@test.example\nReceived: "
                          % {b"u": USER.encode()})
    assert one.endswith(b"\n\nFrom here\n.dot\n") and b"\r" not in one
    assert two.startswith(b"Return-Path: <>\nX-Original-To: %s+ext@test.example\n" % USER.upper().encode())
    line = mta.wait_log(r"%s: to=<%s@test.example>, relay=local, .*" % (first, USER)).group(0)
    assert line.endswith("dsn=2.0.0, status=sent (delivered to maildir)")
    base = os.path.join(mta.mail, USER)
    assert sorted(os.listdir(base)) == ["cur", "new", "tmp"] and not os.listdir(base + "/tmp")
    for path in [base, base + "/new", base + "/new/" + os.listdir(base + "/new")[0]]:
        info = os.stat(path)
        assert info.st_uid == pwd.getpwnam(USER).pw_uid and stat.S_IMODE(info.st_mode) & 0o077 == 0


@exercises("prepend_delivered_header")
def test_delivered_to_header_can_be_left_out(local):
    mta = local(prepend_delivered_header="command")
    settled(mta, mta.send(recipients=[USER + "@test.example"]))
    mail, = mta.maildir(USER)
    assert b"Delivered-To" not in mail and b"X-Original-To" in mail


@pytest.mark.parametrize("header", [
    "Delivered-To: %s@test.example\r\n",
    "DELIVERED-TO:\r\n <%s@Test.Example>\r\n",
    "X: " + "y" * 5000 + "\r\nDelivered-To: (a comment) \"%s\"@test.example\r\n",
    "".join("H%d: x\r\n" % i for i in range(2000)) + "Delivered-To: %s@test.example\r\n",
])
def test_loop_is_found_at_the_first_return(local, header):
    mta = local(header_size_limit="1000000")
    qid = mta.send(recipients=[USER + "@test.example"], body=(header % USER) + "Subject: loop\r\n\r\nbody\r\n")
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert "dsn=5.4.6, status=bounced (mail forwarding loop for %s@test.example)" % USER in line
    assert not mta.maildir(USER)


def test_delivered_to_of_others_and_in_the_body_is_no_loop(local):
    mta = local()
    settled(mta, mta.send(recipients=[USER + "@test.example"],
                          body="Delivered-To: other@test.example\r\nX-Delivered-To: %s@test.example\r\n\r\nDelivered-To: %s@test.example\r\n" % (USER, USER)))
    assert len(mta.maildir(USER)) == 1


@pytest.mark.parametrize("name", ["nosuchuser", "..", "a/b", "no such user"])
def test_unknown_user(local, name):
    mta = local()
    address = '"%s"@test.example' % name if " " in name or "/" in name or "." in name else name + "@test.example"
    qid = mta.send(recipients=[address])
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert line.endswith('dsn=5.1.1, status=bounced (unknown user: "%s")' % name)
    mta.wait_log(r"%s: sender non-delivery notification" % qid)


@exercises("mail_spool_directory", "mailbox_delivery_lock")
def test_mailbox_file(local):
    mta = local(mailbox=True)
    settled(mta, mta.send("s@client.example", [USER + "@test.example"], "Subject: one\r\n\r\nFrom here\r\n>From there\r\nlast\r\n"))
    settled(mta, mta.send("", [USER + "@test.example"], "Subject: two\r\n\r\nx\r\n"))
    text = open(os.path.join(mta.mail, USER), "rb").read()
    assert re.match(rb"From s@client\.example  \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <s@client\.example>\nX-Original-To: ", text)
    assert b"\n\n>From here\n>From there\nlast\n\nFrom MAILER-DAEMON  " in text and text.endswith(b"\n\nx\n\n")
    assert len(re.findall(rb"(?m)^From ", text)) == 2
    mta.wait_log(r"status=sent \(delivered to mailbox\)", count=2)
    assert os.listdir(mta.mail) == [USER]
    assert stat.S_IMODE(os.stat(os.path.join(mta.mail, USER)).st_mode) == 0o600


@exercises("deliver_lock_attempts", "deliver_lock_delay", "stale_lock_time")
def test_locked_mailbox_defers_and_stale_lock_is_removed(local):
    mta = local(mailbox=True, deliver_lock_attempts="2", deliver_lock_delay="1s", stale_lock_time="1000s")
    lock = os.path.join(mta.mail, USER + ".lock")
    open(lock, "w").close()
    qid = mta.send(recipients=[USER + "@test.example"])
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert "dsn=4.2.0, status=deferred (cannot update mailbox" in line and "unable to lock" in line
    mta.set(stale_lock_time="1s")
    mta.reload()
    wait_for(lambda: mta.command("postqueue", "-f") and re.search("%s: removed" % qid, mta.log()), what="delivery after a flush")
    assert not os.path.exists(lock)


@exercises("mailbox_size_limit")
def test_mailbox_size_limit(local):
    mta = local(mailbox=True, mailbox_size_limit="20000", message_size_limit="20000")
    path = os.path.join(mta.mail, USER)
    settled(mta, mta.send(recipients=[USER + "@test.example"], body="Subject: a\r\n\r\n" + ("x" * 70 + "\r\n") * 40))
    size = os.path.getsize(path)
    qid = mta.send(recipients=[USER + "@test.example"], body="Subject: b\r\n\r\n" + ("y" * 70 + "\r\n") * 250)
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert "dsn=5.2.2, status=bounced (cannot update mailbox" in line and "File too large" in line
    assert os.path.getsize(path) == size


@pytest.mark.skipif(not ROOT_USER, reason="needs a second user")
@exercises("strict_mailbox_ownership")
def test_what_belongs_to_others_is_not_written(local):
    mta = local()
    trap = os.path.join(mta.directory, "trap")
    os.mkdir(trap, 0o777)
    os.chmod(trap, 0o777)
    daemon = pwd.getpwnam("daemon").pw_uid
    os.symlink(trap, os.path.join(mta.mail, USER))
    os.chown(os.path.join(mta.mail, USER), daemon, -1, follow_symlinks=False)
    qid = mta.send(recipients=[USER + "@test.example"])
    assert "status=deferred (maildir delivery failed" in mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert not os.listdir(trap)
    os.unlink(os.path.join(mta.mail, USER))
    os.mkdir(os.path.join(mta.mail, USER), 0o777)
    os.chmod(os.path.join(mta.mail, USER), 0o777)
    qid = mta.send(recipients=[USER + "@test.example"])
    assert "not owned by recipient" in mta.wait_log(r"%s: to=<.*" % qid).group(0)


@pytest.mark.skipif(not ROOT_USER, reason="needs a second user")
@pytest.mark.parametrize("kind", ["hard link", "link", "pipe", "directory"])
def test_odd_mailbox_files_are_not_written(local, kind):
    mta = local(mailbox=True)
    path, other = os.path.join(mta.mail, USER), os.path.join(mta.directory, "other")
    open(other, "w").close()
    os.chown(other, pwd.getpwnam(USER).pw_uid, -1)
    {"hard link": lambda: os.link(other, path), "link": lambda: os.symlink(other, path), "pipe": lambda: os.mkfifo(path),
     "directory": lambda: os.mkdir(path)}[kind]()
    qid = mta.send(recipients=[USER + "@test.example"])
    assert re.search("status=(deferred|bounced)", mta.wait_log(r"%s: to=<.*" % qid).group(0))
    assert os.path.getsize(other) == 0


@pytest.mark.skipif(not ROOT_USER, reason="needs another user's home")
@exercises("home_mailbox")
def test_home_mailbox(mta, tmp_path):
    import subprocess
    home = tmp_path / "home"
    home.mkdir()
    user = pwd.getpwnam("daemon")
    os.chown(home, user.pw_uid, user.pw_gid)
    passwd = tmp_path / "passwd"
    passwd.write_text("".join("daemon:x:%d:%d::%s:/bin/sh\n" % (user.pw_uid, user.pw_gid, home) if line.startswith("daemon:") else line
                              for line in open("/etc/passwd")))
    instance = mta({"home_mailbox": "mail/in/"})
    subprocess.run(["mount", "--bind", str(passwd), "/etc/passwd"], check=True)
    try:
        instance.start()
        settled(instance, instance.send(recipients=["daemon@test.example"]))
        found = list((home / "mail/in/new").iterdir())
        assert len(found) == 1 and found[0].stat().st_uid == user.pw_uid
        instance.restart(home_mailbox="box")
        settled(instance, instance.send(recipients=["daemon@test.example"]))
        assert (home / "box").read_text().startswith("From s@client.example  ")
        assert (home / "box").stat().st_uid == user.pw_uid
        instance.stop()
    finally:
        subprocess.run(["umount", "--lazy", "/etc/passwd"], check=True)  # helpers of processes that ended may have it open still


@pytest.mark.parametrize("route,expected", [
    ("error:5.7.9 go away", "relay=none, .* dsn=5.7.9, status=bounced \\(go away\\)"),
    ("error:plain text", "dsn=5.0.0, status=bounced \\(plain text\\)"),
    ("error:4.3.3 odd", "dsn=5.0.0, status=bounced \\(odd\\)"),
    ("retry:4.2.2 not now", "relay=none, .* dsn=4.2.2, status=deferred \\(not now\\)"),
    ("retry:nothing", "dsn=4.0.0, status=deferred \\(nothing\\)"),
    ("discard:thrown", "relay=none, .* dsn=2.0.0, status=sent \\(thrown\\)"),
    ("discard:2.9.9 hmm", "dsn=2.9.9, status=sent \\(hmm\\)"),
])
@exercises("transport_maps")
def test_error_and_discard(local, route, expected):
    mta = local(transport_maps="inline:{{x.example=%s}}" % route, relay_domains="x.example")
    mta.command("sendmail", "-f", "", "a@x.example", input="Subject: x\n\nbody\n")
    qid = mta.wait_log(r"(\w+): to=<a@x.example>, .*%s" % expected).group(1)
    if not route.startswith("retry"):
        settled(mta, qid)
