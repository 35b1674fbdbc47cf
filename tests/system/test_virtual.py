"""virtual(8): mailboxes whose path, user and group come from tables."""
import glob
import os
import re
import stat

import pytest

from postern import ROOT_USER, exercises, wait_for

pytestmark = pytest.mark.skipif(not ROOT_USER, reason="needs users of its own")

UID, GID = 7301, 7302


@pytest.fixture
def hosted(mta):
    def make(boxes, uids=None, gids=None, **main):
        """Tables of {recipient: value}; all mailboxes below base, which belongs to UID."""
        rows = {"virtual_mailbox_maps": boxes, "virtual_uid_maps": uids or {}, "virtual_gid_maps": gids or {}}
        instance = mta(dict({
            "recipient_delimiter": "+", "virtual_mailbox_domains": "v.example, w.example", "smtpd_reject_unlisted_recipient": "no",
            "notify_classes": "", "default_transport": "discard:"}, **main))
        instance.extra += "virtual unix - n n - - virtual\n"
        base = os.path.join(instance.directory, "base")
        os.mkdir(base)
        os.chmod(base, 0o755)
        os.chown(base, UID, GID)
        for name, table in rows.items():
            source = os.path.join(instance.directory, name)
            with open(source, "w") as f:
                f.write("".join("%s %s\n" % row for row in table.items()) + ("" if name == "virtual_mailbox_maps" else "@v.example %d\n@w.example %d\n" % (
                    (UID if "uid" in name else GID,) * 2)))
            instance.command("postmap", "lmdb:" + source)
            instance.main[name] = "lmdb:" + source
        instance.main["virtual_mailbox_base"] = base
        instance.write_config()
        instance.base = base
        return instance.start()
    return make


def outcome(instance, recipient, body="Subject: x\r\n\r\nFrom here\r\n"):
    """'status text' of the delivery, when the message is removed or deferred."""
    qid = instance.send("s@client.example", [recipient], body)
    wait_for(lambda: re.search(r"%s: removed" % qid, instance.log()) or qid in instance.queued("deferred"), 30, "%s\n%s" % (qid, instance.log()))
    return re.search(r"%s: to=<[^>]*>, relay=virtual, .*dsn=([\d.]+), status=(\w+) \((.*)\)" % qid, instance.log()).groups()


@exercises("virtual_mailbox_base", "virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps", "virtual_transport", "virtual_mailbox_domains", "virtual_mailbox_lock")
def test_mailbox_and_maildir(hosted):
    mta = hosted({"a@v.example": "box", "m@v.example": "deep/dir/", "@w.example": "catchall", "q+ext@v.example": "ext", "q@v.example": "plain"})
    assert outcome(mta, "A+x@V.example") == ("2.0.0", "sent", "delivered to mailbox")
    assert outcome(mta, "a@v.example")[0] == "2.0.0"
    text = open(mta.base + "/box").read()
    assert re.match(r"From s@client\.example  .*\nReturn-Path: <s@client.example>\nX-Original-To: A\+x@V.example\nDelivered-To: A\+x@V.example\nReceived: ", text)
    assert len(re.findall("(?m)^From ", text)) == 2 and "\n\n>From here\n\n" in text
    info = os.stat(mta.base + "/box")
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (UID, GID, 0o600)
    assert outcome(mta, "m@v.example") == ("2.0.0", "sent", "delivered to maildir")
    path, = glob.glob(mta.base + "/deep/dir/new/*")
    assert os.stat(path).st_uid == UID and open(path).read().endswith("\n\nFrom here\n")
    outcome(mta, "anybody@w.example")
    outcome(mta, "q+ext@v.example")
    outcome(mta, "q+other@v.example")
    assert sorted(os.listdir(mta.base)) == ["box", "catchall", "deep", "ext", "plain"]


@exercises("enable_original_recipient")
def test_no_header_for_original_recipients(hosted):
    mta = hosted({"a@v.example": "box"}, enable_original_recipient="no")
    assert outcome(mta, "a@v.example")[0] == "2.0.0"
    assert "\nReturn-Path: <s@client.example>\nDelivered-To: a@v.example\nReceived: " in open(mta.base + "/box").read()


def test_unknown_user_bounces(hosted):
    mta = hosted({"a@v.example": "box"})
    assert outcome(mta, "Nobody@v.example") == ("5.1.1", "bounced", 'unknown user: "Nobody@v.example"')


@exercises("virtual_minimum_uid", "virtual_uid_maps", "virtual_gid_maps")
@pytest.mark.parametrize("uid,gid", [
    ("99", "7302"), ("0", "7302"), ("4294967295", "7302"), ("4294967296", "7302"), ("4295967296", "7302"), ("-1", "7302"), ("1000abc", "7302"), ("0x3e8", "7302"),
    ("18446744073709551617", "7302"), ("7301", "0"), ("7301", "4294967295"), ("7301", "-1"), ("7301", "7302 7303"),
])
def test_ids_that_are_none_wait(hosted, uid, gid):
    mta = hosted({"a@v.example": "box"}, {"a@v.example": uid}, {"a@v.example": gid})
    assert outcome(mta, "a@v.example") == ("4.3.5", "deferred", "mail system configuration error")
    mta.wait_log(r"warning: recipient a@v.example: bad [ug]id ")
    assert not os.listdir(mta.base)


@exercises("virtual_mailbox_base")
@pytest.mark.parametrize("path", ["../etc/x", "a/../../b", "a/../b/", ".."])
def test_paths_do_not_lead_out(hosted, path):
    mta = hosted({"a@v.example": path})
    assert outcome(mta, "a@v.example") == ("4.3.5", "deferred", "mail system configuration error")
    assert sorted(os.listdir(mta.directory)) and not os.listdir(mta.base)


def test_absolute_paths_are_below_the_base_too(hosted):
    mta = hosted({"a@v.example": "/abs", "d@v.example": "x//y/"})
    assert outcome(mta, "a@v.example")[0] == "2.0.0" and outcome(mta, "d@v.example")[0] == "2.0.0"
    assert sorted(os.listdir(mta.base)) == ["abs", "x"]


@exercises("virtual_mailbox_limit", "virtual_delivery_status_filter")
def test_limit_and_filter(hosted):
    mta = hosted({"a@v.example": "box"}, virtual_mailbox_limit="3000", message_size_limit="3000",
                 virtual_delivery_status_filter="inline:{{2.0.0 delivered to mailbox=2.1.5 kept}}")
    body = "Subject: x\r\n\r\n" + ("y" * 70 + "\r\n") * 20
    assert outcome(mta, "a@v.example", body) == ("2.1.5", "sent", "kept")
    size = os.path.getsize(mta.base + "/box")
    status, action, text = outcome(mta, "a@v.example", body)
    assert (status, action) == ("5.2.2", "bounced") and text == "delivery failed to mailbox %s/box: error writing message: File too large" % mta.base
    assert os.path.getsize(mta.base + "/box") == size


@exercises("virtual_mailbox_lock", "strict_mailbox_ownership")
def test_what_is_in_the_way_waits(hosted):
    mta = hosted({"locked@v.example": "locked", "other@v.example": "other", "link@v.example": "link", "dir@v.example": "dir", "closed@v.example": "closed/box",
                  "omd@v.example": "omd/"}, deliver_lock_attempts="1")
    open(mta.base + "/locked.lock", "w").close()
    for name in ("other", "victim"):
        open(mta.base + "/" + name, "w").close()
        os.chmod(mta.base + "/" + name, 0o666)
    os.symlink(mta.base + "/victim", mta.base + "/link")
    os.mkdir(mta.base + "/dir")
    os.mkdir(mta.base + "/closed", 0o700)
    os.makedirs(mta.base + "/omd/new")
    for name in ("locked", "other", "link", "dir", "closed", "omd"):
        status, action, text = outcome(mta, name + "@v.example")
        assert action == "deferred" and status.startswith("4.2."), (name, text)
    assert os.path.getsize(mta.base + "/other") == 0 and os.path.getsize(mta.base + "/victim") == 0


@exercises("virtual_mailbox_maps")
def test_tables_that_cannot_be_asked_make_mail_wait(hosted):
    mta = hosted({"a@v.example": "box"})
    mta.stop()
    mta.set(virtual_uid_maps="lmdb:/no/such/table")
    mta.start()
    assert outcome(mta, "a@v.example")[:2] == ("4.3.5", "deferred")
    assert not os.listdir(mta.base)
