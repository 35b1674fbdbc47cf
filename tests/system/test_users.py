"""What users of this host may do: who submits mail and from which addresses, who sees the queue and who hurries it."""
import grp
import os
import pwd

import pytest

from postern import BIN, PATIENCE, ROOT_USER, exercises

import subprocess

pytestmark = pytest.mark.skipif(not ROOT_USER, reason="becomes other users")

# Login names that every Debian has, and a user without one.
UID = {name: pwd.getpwnam(name).pw_uid for name in ("root", "nobody", "daemon", "bin", "games", "man")}
UID[None] = 4242


def run(instance, user, *argv, text="Subject: x\n\ny\n"):
    """A command as somebody else; the group is what the set-group-id bit of installed commands gives."""
    gid = grp.getgrnam(instance.main["setgid_group"]).gr_gid
    return subprocess.run([os.path.join(BIN, argv[0]), *argv[1:]], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, user=UID[user], group=gid,
                          extra_groups=[], env=dict(os.environ, MAIL_CONFIG=instance.config), timeout=2 * PATIENCE)


def refused(instance, user, status, text, *argv):
    done = run(instance, user, *argv)
    assert done.returncode == status and done.stdout == "%s: fatal: %s\n" % (argv[0], text), (user, argv, done)


def works(instance, user, *argv):
    done = run(instance, user, *argv)
    assert done.returncode == 0, (user, argv, done)


FLUSH = (["postqueue", "-f"], ["postqueue", "-i", "ABC1234567"], ["postqueue", "-s", "a.example"], ["sendmail", "-q"])
LIST = (["postqueue", "-p"], ["postqueue", "-j"], ["sendmail", "-bp"])


@exercises("authorized_flush_users", "authorized_mailq_users")
def test_who_sees_and_hurries_the_queue(mta):
    instance = mta(main={"authorized_flush_users": "!nobody, static:all", "authorized_mailq_users": "daemon", "fast_flush_domains": "a.example"}).start()
    for argv in FLUSH + LIST:
        works(instance, "root", *argv)
        works(instance, "daemon", *argv)
    for argv in FLUSH:
        works(instance, None, *argv)
        done = run(instance, "nobody", *argv)
        assert done.returncode == 69 and done.stdout == "postqueue: fatal: User nobody(65534) is not allowed to flush the mail queue\n", done
    for user, name in (("nobody", "nobody(65534)"), (None, "unknown(4242)")):
        for argv in LIST:
            done = run(instance, user, *argv)
            assert done.returncode == 69 and done.stdout == "postqueue: fatal: User %s is not allowed to view the mail queue\n" % name, done
    instance.set(authorized_mailq_users="hash:/nonexistent")
    assert "/nonexistent" in run(instance, "daemon", "postqueue", "-p").stdout


@exercises("authorized_submit_users")
def test_who_submits(mta):
    instance = mta(main={"authorized_submit_users": "!bin, static:all"})
    instance.control("start")
    instance.started = True
    works(instance, "nobody", "sendmail", "x@test.example")
    works(instance, None, "sendmail", "x@test.example")
    for argv in (["x@test.example"], ["-bv", "x@test.example"], ["-bs"]):
        refused(instance, "bin", 75, "User bin(2) is not allowed to submit mail", "sendmail", *argv)
    helper = run(instance, "bin", "postdrop", text="")
    assert helper.returncode == 75 and "User bin(2) is not allowed to submit mail" in helper.stdout
    instance.set(authorized_submit_users="")
    refused(instance, "root", 75, "User root(0) is not allowed to submit mail", "sendmail", "x@test.example")
    instance.set(authorized_submit_users="hash:/nonexistent")
    assert run(instance, "nobody", "sendmail", "x@test.example").returncode == 75


SENDERS = ["", "nobody", "nobody+x", "NOBODY", "nobody@test.example", "a@b.example", "a+x@B.example", "c@b.example", "x@y.example", "root", "null"]
ALLOWED = {"root": set(), "nobody": {"nobody", "nobody+x", "NOBODY", "a@b.example", "a+x@B.example"}, "daemon": set(SENDERS), "bin": {""},
           "games": {"a@b.example", "a+x@B.example", "c@b.example"}, "man": set(), None: {"x@y.example"}}


@exercises("local_login_sender_maps", "empty_address_local_login_sender_maps_lookup_key", "recipient_delimiter")
def test_who_sends_from_where(mta):
    instance = mta(main={"recipient_delimiter": "+", "empty_address_local_login_sender_maps_lookup_key": "Null", "local_login_sender_maps":
                         "inline:{{nobody=nobody, a@b.example}, {daemon=*, <>, null}, {games=@b.example}, {bin=null}, {man=<>}, {uid:4242=X@y.example}}"})
    instance.control("start")
    instance.started = True
    for user, senders in ALLOWED.items():
        for sender in SENDERS:
            if sender in senders:
                works(instance, user, "sendmail", "-f", sender, "x@test.example")
            else:
                refused(instance, user, 75, "%s(%d): not authorized to use sender='%s'" % (sender, UID[user], sender), "sendmail", "-f", sender, "x@test.example")
    instance.set(local_login_sender_maps="hash:/nonexistent")
    done = run(instance, "nobody", "sendmail", "-f", "nobody", "x@test.example")
    assert done.returncode == 75 and "/nonexistent" in done.stdout
