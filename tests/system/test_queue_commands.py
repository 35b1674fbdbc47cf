"""postcat and postsuper: on a queue at rest, and beside a running queue manager."""
import email.utils
import json
import os
import re
import time

import pytest

from postern import ROOT_USER, Sink, exercises, owner, wait_for

HELD = {"defer_transports": "smtp", "relayhost": "[127.0.0.1]:9"}


@pytest.fixture
def queue(mta):
    """An instance whose mail for elsewhere stays deferred."""
    return mta(main=HELD).start()


def put(instance, recipient="user@elsewhere.example", body="Subject: hello\r\nX-A: b\r\n\tfolded\r\n\r\nfirst\r\n..dots\r\nlast\r\n"):
    queue_id = instance.send(recipients=(recipient,), body=body)
    wait_for(lambda: queue_id in instance.queued("deferred"), 10, "deferred message")
    return queue_id


def postsuper(instance, *arguments, **keywords):
    return instance.command("postsuper", "-c", instance.config, *arguments, **keywords)


def postcat(instance, *arguments, **keywords):
    return instance.command("postcat", "-c", instance.config, *arguments, **keywords)


def flush_until(instance, sink, count):
    """The queue manager that a reload retires may still answer the first call."""
    def arrived():
        instance.command("postqueue", "-f")
        return len(sink.mails) >= count
    wait_for(arrived, 20, "%d messages" % count)
    return list(sink.mails)


def listed(instance):
    return instance.command("postqueue", "-j").stdout


def test_postcat_parts(queue):
    queue_id = put(queue)
    whole = postcat(queue, "-q", queue_id).stdout
    assert re.match(r"\*\*\* ENVELOPE RECORDS deferred/%s \*\*\*\nmessage_size: +\d+" % queue_id, whole)
    for line in ("sender: s@client.example", "recipient: user@elsewhere.example", "*** MESSAGE CONTENTS deferred/%s ***" % queue_id,
                 "*** HEADER EXTRACTED deferred/%s ***" % queue_id, "*** MESSAGE FILE END deferred/%s ***" % queue_id):
        assert "\n%s\n" % line in whole
    header, body = postcat(queue, "-qh", queue_id).stdout, postcat(queue, "-qb", queue_id).stdout
    assert "Subject: hello\nX-A: b\n\tfolded\n" in header and "first" not in header
    assert body == "\nfirst\n..dots\nlast\n"
    assert postcat(queue, "-qbh", queue_id).stdout == header + body
    envelope = postcat(queue, "-qe", queue_id).stdout
    assert "sender: " in envelope and "Subject" not in envelope
    assert re.search(r"(?m)^ 83 sender: ", postcat(queue, "-qd", queue_id).stdout)
    assert re.search(r"(?m)^ +\d+ \*\*\* MESSAGE CONTENTS", postcat(queue, "-qo", queue_id).stdout)


def test_postcat_files(queue, tmp_path):
    queue_id = put(queue)
    path, = [os.path.join(folder, queue_id) for folder, _, names in os.walk(queue.queue) if queue_id in names]
    by_path = postcat(queue, path).stdout
    assert "recipient: user@elsewhere.example" in by_path
    with open(path, "rb") as f:
        assert "recipient: user@elsewhere.example" in postcat(queue, stdin=f).stdout
    data = open(path, "rb").read()
    for name, content in (("empty", b""), ("zeros", bytes(1000)), ("half", data[:200]), ("other", b"x" * 5000)):
        broken = tmp_path / name
        broken.write_bytes(content)
        done = postcat(queue, str(broken), check=False)
        assert done.returncode == 1 and "warning: %s" % broken in done.stdout
    assert postcat(queue, str(tmp_path), check=False).returncode == 1
    os.mkfifo(tmp_path / "pipe")
    assert postcat(queue, str(tmp_path / "pipe"), check=False).returncode == 1


def test_postcat_refusals(queue):
    assert "open queue file NOSUCH123: No such file" in postcat(queue, "-q", "NOSUCH123", check=False).stdout
    for text in ("A", "../../etc/passwd", "x" * 300):
        done = postcat(queue, "-q", text, check=False)
        assert done.returncode == 1 and "bad mail queue ID: " + text in done.stdout
    assert "usage: postcat" in postcat(queue, "-Z", check=False).stdout
    queue_id = put(queue)
    with open("/dev/full", "w") as full:
        import subprocess
        from postern import BIN
        done = subprocess.run([os.path.join(BIN, "postcat"), "-c", queue.config, "-q", queue_id], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1 and b"write standard output" in done.stderr


def test_postcat_hostile_text(queue):
    with queue.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "MAIL FROM:<s@client.example> ENVID=a+1B+5Bm")
        c.expect(250, "RCPT TO:<user@elsewhere.example>")
        queue_id = c.data("Subject: x\r\n\r\nx\r\n")
    wait_for(lambda: queue_id in queue.queued("deferred"))
    assert "\x1b" not in postcat(queue, "-qe", queue_id).stdout


def test_hold_and_release(queue):
    queue_id = put(queue)
    done = postsuper(queue, "-h", queue_id)
    assert "%s: placed on hold" % queue_id in done.stdout and "Placed on hold: 1 message\n" in done.stdout
    assert queue.queued("hold") == [queue_id] and '"queue_name": "hold"' in listed(queue)
    assert "Placed on hold: 0 messages" in postsuper(queue, "-h", queue_id).stdout
    done = postsuper(queue, "-H", queue_id)
    assert "%s: released from hold" % queue_id in done.stdout and "Released from hold: 1 message\n" in done.stdout
    assert queue.queued("hold") == [] and queue.queued("deferred") == [queue_id]
    assert "Released from hold: 0 messages" in postsuper(queue, "-H", queue_id).stdout


def test_hold_then_delivery(mta):
    """What is released is delivered, what is held is not."""
    sink = Sink()
    instance = mta(main={"relayhost": "[127.0.0.1]:%d" % sink.port, "defer_transports": "smtp"}).start()
    held, free = put(instance), put(instance, "other@elsewhere.example")
    postsuper(instance, "-h", held)
    instance.set(defer_transports="")
    instance.reload()
    assert flush_until(instance, sink, 1)[0]["recipients"][0].startswith("<other@")
    assert instance.queued("hold") == [held]
    postsuper(instance, "-H", "ALL")
    flush_until(instance, sink, 2)
    wait_for(lambda: not instance.queued("hold", "deferred", "incoming"))
    sink.close()


def test_delete(queue):
    ids = [put(queue) for _ in range(3)]
    done = postsuper(queue, "-d", ids[0], "-d", ids[0])
    assert done.stdout.count("%s: removed" % ids[0]) == 1 and "Deleted: 1 message\n" in done.stdout
    wait_for(lambda: ids[0] not in listed(queue))
    done = postsuper(queue, "-d", "-", input="%s \n\nNOSUCH123\n" % ids[1])
    assert "Deleted: 1 message\n" in done.stdout and "invalid mail queue id: \n" in done.stdout
    assert "Deleted: 0 messages" in postsuper(queue, "-d", "ALL", "hold").stdout
    assert "Deleted: 0 messages" in postsuper(queue, "-d", "all").stdout
    assert "Deleted: 1 message\n" in postsuper(queue, "-d", "ALL").stdout
    wait_for(lambda: listed(queue) == "")


def test_what_was_asked_is_counted(queue):
    """Whether or not there was something to do, in one order."""
    done = postsuper(queue, "-e", "NOSUCH123", "-h", "-", "-d", "-", "-H", "NOSUCH123", "-r", "-", input="")
    assert done.stdout == "".join("postsuper: %s: 0 messages\n" % what for what in ("Requeued", "Deleted", "Force-expired", "Placed on hold", "Released from hold"))


@exercises("enable_long_queue_ids")
def test_long_ids(mta):
    instance = mta(main=dict(HELD, enable_long_queue_ids="yes")).start()
    queue_id = put(instance)
    assert "z" in queue_id
    assert "recipient: user@elsewhere.example" in postcat(instance, "-q", queue_id).stdout
    assert "Deleted: 1 message\n" in postsuper(instance, "-d", queue_id).stdout


def test_names_that_are_no_ids(queue):
    for text in ("", "A", "#tmp", "a.b", "x" * 255, "../../etc", "ab\x07cdefg"):
        done = postsuper(queue, "-d", text, "-h", text, "-r", text)
        assert "invalid mail queue id" in done.stdout and "Deleted: 0 messages" in done.stdout
    assert "invalid directory name: nosuch" in postsuper(queue, "-d", "ALL", "nosuch", check=False).stdout
    assert postsuper(queue, "-Z", check=False).returncode == 1


@exercises("bounce_queue_lifetime", "maximal_queue_lifetime")
def test_expire(queue):
    queue_id = put(queue)
    done = postsuper(queue, "-e", queue_id)
    assert "%s: expired" % queue_id in done.stdout and "Force-expired: 1 message\n" in done.stdout
    assert '"forced_expire": true' in listed(queue) and "%s#" % queue_id in queue.command("postqueue", "-p").stdout
    assert "Force-expired: 0 messages" in postsuper(queue, "-e", queue_id).stdout
    queue.command("postqueue", "-i", queue_id)
    queue.wait_log(r"%s: from=<s@client.example>, status=force-expired, returned to sender" % queue_id)
    queue.wait_log(r"%s: removed" % queue_id)


def test_expire_on_hold(queue):
    queue_id = put(queue)
    postsuper(queue, "-h", queue_id)
    done = postsuper(queue, "-f", "ALL")
    assert "Force-expired: 1 message\n" in done.stdout and "Released from hold: 1 message\n" in done.stdout
    queue.wait_log(r"%s: from=<s@client.example>, status=force-expired" % queue_id)


def test_requeue(mta):
    """Goes through cleanup again under a new id, with what is still to do."""
    sink = Sink(rules={"RCPT": lambda text: "450 4.1.1 later" if "late@" in text else "250 2.1.5 ok"})
    instance = mta(main={"relayhost": "[127.0.0.1]:%d" % sink.port}).start()
    queue_id = instance.send(recipients=("user@elsewhere.example", "late@elsewhere.example"))
    sink.wait(1)
    wait_for(lambda: queue_id in instance.queued("deferred"))
    sink.rules.clear()
    done = postsuper(instance, "-r", queue_id)
    assert "%s: requeued" % queue_id in done.stdout and "Requeued: 1 message\n" in done.stdout
    mail = sink.wait(2, 90)[1]
    assert [r.split(">")[0] for r in mail["recipients"]] == ["<late@elsewhere.example"] and b"hello" in mail["data"]
    instance.wait_log(r"pickup\[\d+\]: \w+: uid=.* from=<s@client.example> orig_id=%s" % queue_id)
    wait_for(lambda: not instance.queued("maildrop", "deferred", "incoming"))
    sink.close()


def test_arrival(mta):
    """Is when the message was handed over, whatever it waited for in the maildrop, and however often it goes through cleanup."""
    instance = mta(main=HELD).start()
    instance.stop()
    start = int(time.time())
    instance.command("sendmail", "-f", "s@client.example", "user@elsewhere.example", input="Subject: x\n\ny\n")
    end = time.time()
    wait_for(lambda: time.time() > end + 2)
    instance.start()

    def arrival():
        queue_id = wait_for(lambda: instance.queued("deferred"))[0]
        return queue_id, json.loads(instance.command("postqueue", "-j").stdout)["arrival_time"]
    first, arrived = arrival()
    assert start <= arrived <= end
    assert "Date: %s" % email.utils.formatdate(arrived)[:25] in postcat(instance, "-q", first).stdout
    postsuper(instance, "-r", first)
    instance.wait_log(r"orig_id=%s" % first)
    wait_for(lambda: instance.queued("deferred") not in ([], [first]))
    assert arrival()[1] == arrived


def test_repair(queue):
    """Files at the wrong level, leftovers and damaged files."""
    ids = [put(queue) for _ in range(3)]
    queue.stop()
    hashed = queue.queued("deferred")
    queue.set(hash_queue_depth="2")
    with open(os.path.join(queue.queue, "hold", "64200000001"), "wb") as f:
        os.fchmod(f.fileno(), 0o600)
    with open(os.path.join(queue.queue, "hold", "64200000002"), "wb") as f:
        f.write(b"n" * 500)
    import pwd
    for name in ("64200000001", "64200000002"):
        os.chown(os.path.join(queue.queue, "hold", name), pwd.getpwnam(owner()).pw_uid, -1)
    done = postsuper(queue, "-s", "-p")
    assert "Moved to the right place: 3 messages" in done.stdout
    assert "Removed unfinished files: 1 file" in done.stdout
    assert "Damaged and moved to the corrupt queue: 1 file" in done.stdout
    assert sorted(queue.queued("deferred")) == sorted(hashed) == sorted(ids)
    for queue_id in ids:
        assert "recipient: user@elsewhere.example" in postcat(queue, "-q", queue_id).stdout
    assert postsuper(queue).stdout == ""


@pytest.mark.skipif(not ROOT_USER, reason="becomes another user")
def test_others_are_refused(queue):
    queue_id = put(queue)

    def as_other():
        os.setgid(12345)
        os.setuid(12345)

    done = postsuper(queue, "-d", "ALL", check=False, preexec_fn=as_other)
    assert done.returncode != 0 and "reserved for the superuser" in done.stdout
    assert "Permission denied" in postcat(queue, "-q", queue_id, check=False, preexec_fn=as_other).stdout
    assert queue.queued("deferred") == [queue_id]
