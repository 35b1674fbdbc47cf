"""Address verification: probes go the way of mail and deliver nothing, what they find out is kept, and the parameters say how long and how it is told."""
import os
import pwd
import re
import signal
import threading
import time

import pytest

from postern import MASTER as BASIC_MASTER
from postern import ROOT_USER, Sink, exercises, processes, wait_for

UNVERIFIED = "450 4.1.1 <%s>: Recipient address rejected: unverified address: "
PROGRESS = "Address verification in progress"


class Target(Sink):
    """A server that knows which recipients are good; asked: the addresses of all RCPT commands, from: of all MAIL commands."""

    def __init__(self, **keywords):
        self.asked, self.senders, self.bad, self.gate = [], [], {}, None
        super().__init__(rules=dict({"RCPT": self.answer, "MAIL": self.note}, **keywords.pop("rules", {})), **keywords)
        self.route = "smtp:[127.0.0.1]:%d" % self.port

    def note(self, line):
        self.senders.append(re.search("<(.*?)>", line).group(1))
        return "250 2.1.0 ok"

    def answer(self, line):
        address = re.search("<(.*?)>", line).group(1)
        self.asked.append(address)
        if self.gate and not self.gate.wait(60):
            return None
        return self.bad.get(address.split("@")[0], "250 2.1.5 fine")


BAD = {"bad": "550 5.1.1 no such user", "temp": "451 4.2.0 try later", "nasty": "550 5.1.1 \x1b[31mred\x7f and \xff\ttab"}


@pytest.fixture
def target():
    made = []

    def make(**keywords):
        made.append(Target(**keywords))
        made[-1].bad = dict(BAD)
        return made[-1]

    yield make
    for server in made:
        if server.gate:
            server.gate.set()
        server.close()


def basic(target, **more):
    return dict({"default_transport": target.route, "smtpd_relay_restrictions": "permit_mynetworks, reject", "notify_classes": "",
                 "smtpd_recipient_restrictions": "reject_unverified_recipient", "address_verify_poll_delay": "20s",
                 "smtpd_hard_error_limit": "100"}, **more)


def ask(instance, recipient, sender="s@client.example", name=None):
    """The reply to one RCPT."""
    with instance.client(name) as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "MAIL FROM:<%s>" % sender)
        return c.command("RCPT TO:<%s>" % recipient)


def nothing_left(instance, target):
    """No probe is in the queue, and none was delivered or returned."""
    wait_for(lambda: not instance.queued(), what="an empty queue")
    assert target.mails == []
    assert not re.search("non-delivery|delay notification|status=(bounced|sent|deferred)", instance.log()), instance.log()


@exercises("reject_unverified_recipient", "unverified_recipient_reject_code", "unverified_recipient_defer_code",
           "unverified_recipient_reject_reason", "unverified_recipient_tempfail_action")
def test_recipients(mta, target):
    t = target()
    instance = mta(basic(t), {
        "plain": {},
        "firm": {"unverified_recipient_reject_code": "550", "unverified_recipient_defer_code": "452", "unverified_recipient_tempfail_action": "defer",
                 "smtpd_recipient_restrictions": "reject_unverified_recipient, reject"},
        "soft": {"unverified_recipient_tempfail_action": "defer_if_permit", "smtpd_recipient_restrictions": "reject_unverified_recipient, reject"},
        "open": {"unverified_recipient_reject_code": "250", "unverified_recipient_defer_code": "250"},
        "mute": {"unverified_recipient_reject_code": "550", "unverified_recipient_reject_reason": "we cannot tell you"},
    }).start()
    said = "host 127.0.0.1[127.0.0.1] said: %s (in reply to RCPT TO command)"
    assert ask(instance, "good@w.example", name="plain") == "250 2.1.5 Ok"
    assert ask(instance, "bad@w.example", name="plain") == UNVERIFIED % "bad@w.example" + said % BAD["bad"]
    assert ask(instance, "temp@w.example", name="plain") == UNVERIFIED % "temp@w.example" + said % BAD["temp"]
    assert ask(instance, "bad@w.example", name="firm").startswith("550 5.1.1 <bad@w.example>: Recipient address rejected: undeliverable address: host")
    assert ask(instance, "temp@w.example", name="firm").startswith("452 4.1.1 <temp@w.example>")
    assert ask(instance, "temp@w.example", name="soft").startswith("554 5.7.1")
    assert ask(instance, "bad@w.example", name="open") == ask(instance, "temp@w.example", name="open") == "250 2.1.5 Ok"
    assert ask(instance, "bad@w.example", name="mute") == "550 5.1.1 <bad@w.example>: Recipient address rejected: undeliverable address: we cannot tell you"
    assert t.asked == ["good@w.example", "bad@w.example", "temp@w.example"]
    assert set(t.senders) == {"double-bounce@test.example"}
    instance.wait_log(r"to=<good@w.example>, relay=127.0.0.1\[127.0.0.1\]:\d+, .*dsn=2.1.5, status=deliverable \(250 2.1.5 fine\)")
    instance.wait_log(r"to=<bad@w.example>, .*dsn=5.1.1, status=undeliverable")
    nothing_left(instance, t)


@exercises("reject_unverified_sender", "unverified_sender_reject_code", "unverified_sender_defer_code", "unverified_sender_reject_reason",
           "unverified_sender_tempfail_action")
def test_senders(mta, target):
    t = target()
    sender = {"smtpd_recipient_restrictions": "", "smtpd_sender_restrictions": "reject_unverified_sender"}
    instance = mta(basic(t), {
        "plain": sender,
        "firm": dict(sender, unverified_sender_reject_code="550", unverified_sender_defer_code="451", unverified_sender_tempfail_action="defer",
                     smtpd_recipient_restrictions="reject"),
        "early": dict(sender, smtpd_delay_reject="no", unverified_sender_reject_code="550", unverified_sender_reject_reason="unknown to us"),
        "table": dict(sender, smtpd_sender_restrictions="check_sender_access inline:{w.example=reject_unverified_sender}"),
    }).start()
    assert ask(instance, "u@w.example", "good@w.example", name="plain") == "250 2.1.5 Ok"
    assert ask(instance, "u@w.example", "", name="plain") == "250 2.1.5 Ok"
    assert ask(instance, "u@w.example", "temp@w.example", name="plain").startswith(
        "450 4.1.7 <temp@w.example>: Sender address rejected: unverified address: host")
    assert ask(instance, "u@w.example", "bad@w.example", name="firm").startswith(
        "550 5.1.7 <bad@w.example>: Sender address rejected: undeliverable address: host")
    assert ask(instance, "u@w.example", "temp@w.example", name="firm").startswith("451 4.1.7")
    assert ask(instance, "u@w.example", "bad@w.example", name="table").startswith("450 4.1.7 <bad@w.example>")
    assert ask(instance, "u@w.example", "bad@other.example", name="table") == "250 2.1.5 Ok"
    with instance.client("early") as c:
        c.expect(250, "EHLO client.example")
        assert c.command("MAIL FROM:<bad@w.example>") == "550 5.1.7 <bad@w.example>: Sender address rejected: undeliverable address: unknown to us"
    assert t.asked == ["good@w.example", "temp@w.example", "bad@w.example"]
    nothing_left(instance, t)


@exercises("address_verify_poll_count", "address_verify_poll_delay")
def test_waiting(mta, target):
    """One question is not waited for, longer than any client of ours waits; a probe that takes longer than all of them neither."""
    t = target()
    t.gate = threading.Event()
    instance = mta(basic(t), {"one": {"address_verify_poll_count": "1", "address_verify_poll_delay": "1h"},
                              "two": {"address_verify_poll_count": "2", "address_verify_poll_delay": "1s"}}).start()
    assert ask(instance, "good@w.example", name="one") == UNVERIFIED % "good@w.example" + PROGRESS
    begin = time.monotonic()
    assert ask(instance, "good@w.example", name="two") == UNVERIFIED % "good@w.example" + PROGRESS
    assert time.monotonic() - begin > 0.9
    t.gate.set()
    wait_for(lambda: ask(instance, "good@w.example", name="one") == "250 2.1.5 Ok", what="the outcome")
    assert t.asked == ["good@w.example"]


@exercises("reject_unverified_recipient")
def test_one_probe_for_many(mta, target):
    t = target()
    t.gate = threading.Event()
    instance = mta(basic(t), {"a": {}}).start()
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(ask(instance, "good@w.example"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: t.asked, what="the probe")
    t.gate.set()
    for thread in threads:
        thread.join()
    assert replies == ["250 2.1.5 Ok"] * 8
    assert t.asked == ["good@w.example"]


@exercises("address_verify_positive_refresh_time", "address_verify_negative_refresh_time")
def test_refresh(mta, target):
    """What is old is asked again behind the client's back; a failure does not take a success away."""
    t = target()
    instance = mta(basic(t, address_verify_positive_refresh_time="1s", address_verify_negative_refresh_time="1s"), {"a": {}}).start()
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert ask(instance, "bad@w.example").startswith("450")
    t.bad = {"good": "550 5.1.1 gone"}

    def again(address, reply):
        assert ask(instance, address).startswith(reply)
        return t.asked.count(address) > 1
    wait_for(lambda: again("good@w.example", "250"), what="a second probe")
    instance.wait_log(r"to=<good@w.example>.*status=undeliverable")
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    wait_for(lambda: ask(instance, "bad@w.example") == "250 2.1.5 Ok", what="better news")


@exercises("address_verify_positive_expire_time", "address_verify_negative_expire_time", "address_verify_cache_cleanup_interval")
def test_expiry(mta, target):
    t = target()
    instance = mta(basic(t, address_verify_positive_expire_time="1s", address_verify_negative_expire_time="1s",
                         address_verify_cache_cleanup_interval="2s"), {"a": {}}).start()
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert ask(instance, "bad@w.example").startswith("450")
    t.bad = {"good": "550 5.1.1 gone"}
    wait_for(lambda: ask(instance, "good@w.example").startswith("450"), what="the end of good news")
    wait_for(lambda: ask(instance, "bad@w.example") == "250 2.1.5 Ok", what="the end of bad news")
    instance.wait_log(r"qmgr\[\d+\]: cache \S+verify_cache.lmdb full cleanup: retained=\d+ dropped=[1-9]\d* entries")


@exercises("address_verify_negative_cache")
def test_without_negative_cache(mta, target):
    t = target()
    instance = mta(basic(t, address_verify_negative_cache="no"), {"a": {}}).start()
    for _ in range(3):
        assert ask(instance, "bad@w.example") == UNVERIFIED % "bad@w.example" + "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 no such user " \
            "(in reply to RCPT TO command)"
        assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert t.asked.count("bad@w.example") == 3 and t.asked.count("good@w.example") == 1


@exercises("address_verify_map")
def test_what_lasts(mta, target):
    """The table outlives the system; without one, what is known ends with it."""
    t = target()
    instance = mta(basic(t), {"a": {}}).start()

    def stop():
        wait_for(lambda: not instance.queued(), what="the end of the probe")  # one that is left in the queue goes again
        instance.stop()
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    stop()
    instance.start()
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert t.asked == ["good@w.example"]
    stop()
    instance.set(address_verify_map="")
    for _ in range(2):
        instance.start()
        assert ask(instance, "good@w.example") == ask(instance, "good@w.example") == "250 2.1.5 Ok"
        stop()
    assert t.asked == ["good@w.example"] * 3


@exercises("default_cache_db_type", "address_verify_map")
def test_type_of_the_table(mta, target):
    """A path alone has the type of all caches."""
    t = target()
    instance = mta(basic(t, address_verify_map="$data_directory/cache", default_cache_db_type="btree"), {"a": {}}).start()
    assert ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert os.path.exists(instance.data + "/cache.db") and not os.path.exists(instance.data + "/cache.lmdb")
    instance.stop()
    instance.set(default_cache_db_type="tables")
    instance.start()
    assert ask(instance, "good@w.example").endswith("Address verification status unavailable")
    instance.wait_log('lmdb:, btree: or hash: is wanted, not "tables"')


@exercises("address_verify_map")
def test_unusable_table(mta, target):
    """R133: no probes while what they find out cannot be kept; afterwards all is well."""
    t = target()
    instance = mta(basic(t), {"a": {}})
    path = instance.data + "/verify_cache.lmdb"
    with open(path, "w") as f:
        f.write("not a database " * 1000)
    instance.start()
    for i in range(20):
        assert ask(instance, "u%d@w.example" % i) == UNVERIFIED % ("u%d@w.example" % i) + "Address verification status unavailable"
    assert not t.asked
    instance.wait_log(r"warning: address verification cache .*verify_cache.lmdb")
    os.unlink(path)
    wait_for(lambda: ask(instance, "u@w.example") == "250 2.1.5 Ok", 30, "recovery")


@exercises("address_verify_sender", "address_verify_sender_ttl", "double_bounce_sender")
def test_probe_senders(mta, target):
    t = target()
    instance = mta(basic(t), {
        "own": {"address_verify_sender": "probe@my.example"},
        "null": {"address_verify_sender": "<>"},
        "timed": {"address_verify_sender_ttl": "3600"},
    }).start()
    assert ask(instance, "a@w.example", name="own") == ask(instance, "b@w.example", name="null") == ask(instance, "c@w.example", name="timed") == "250 2.1.5 Ok"
    assert t.senders[:2] == ["probe@my.example", ""]
    assert re.fullmatch(r"double-bounce[0-9a-v]{7}@test.example", t.senders[2])


@exercises("address_verify_sender", "address_verify_sender_ttl")
def test_mail_to_the_probe_sender(mta, target):
    """It is never refused, so that probes of probes end, and a sender that changes goes nowhere."""
    t = target()
    instance = mta(basic(t, address_verify_sender_ttl="3600", local_transport=t.route), {"a": {}, "shut": {"smtpd_client_restrictions": "reject"}}).start()
    assert ask(instance, "u@w.example", name="a") == "250 2.1.5 Ok"
    sender = t.senders[0]
    assert ask(instance, sender, name="shut") == "250 2.1.5 Ok"
    assert ask(instance, "double-bounce@test.example", name="shut").startswith("554")
    queue_id = instance.send(recipients=[sender], name="shut")
    instance.wait_log(queue_id + r": to=<%s>, relay=none, .*status=sent \(undeliverable postmaster notification discarded\)" % sender)
    assert t.asked == ["u@w.example"]


@exercises("address_verify_transport_maps", "address_verify_default_transport", "address_verify_relayhost", "address_verify_local_transport",
           "address_verify_relay_transport", "address_verify_virtual_transport", "address_verify_sender_dependent_relayhost_maps",
           "address_verify_sender_dependent_default_transport_maps")
@pytest.mark.parametrize("recipient, mail, probe", [
    ("u@w.example", {}, {"address_verify_transport_maps": "inline:{w.example=%s}"}),
    ("u@w.example", {}, {"address_verify_default_transport": "%s"}),
    ("u@w.example", {"default_transport": "smtp:"}, {"address_verify_relayhost": "[127.0.0.1]:%d"}),
    ("u@test.example", {}, {"address_verify_local_transport": "%s"}),
    ("u@relay.example", {"relay_domains": "relay.example"}, {"address_verify_relay_transport": "%s"}),
    ("u@virtual.example", {"virtual_mailbox_domains": "virtual.example", "virtual_mailbox_maps": ""}, {"address_verify_virtual_transport": "%s"}),
    ("u@w.example", {"default_transport": "smtp:"}, {"address_verify_sender_dependent_relayhost_maps": "inline:{double-bounce@test.example=[127.0.0.1]:%d}"}),
    ("u@w.example", {}, {"address_verify_sender_dependent_default_transport_maps": "inline:{double-bounce@test.example=%s}"}),
])
def test_routes_of_probes(mta, target, recipient, mail, probe):
    """Probes go where the address_verify_ settings say, mail where the others do."""
    t, usual = target(), target()
    main = basic(usual, local_transport=usual.route, relay_transport=usual.route, virtual_transport=usual.route)
    main.update(mail)
    main.update({k: v % (t.port if "%d" in v else t.route) for k, v in probe.items()})
    if "relayhost" in next(iter(probe)):
        main["relayhost"] = "[127.0.0.1]:%d" % usual.port
    instance = mta(main, {"a": {}}).start()
    instance.send(recipients=[recipient])
    assert t.asked == [recipient] and usual.wait()[0]["recipients"][0].startswith("<%s>" % recipient)
    assert len(usual.mails) == 1 and usual.asked == [recipient] and t.mails == []


@exercises("smtp_address_verify_target")
def test_answer_to_data(mta, target):
    """Servers that judge recipients late: the answer to DATA is awaited, and no message follows."""
    late = target(rules={"DATA": lambda line: "550 5.1.1 not here after all"})
    patient = target()
    instance = mta(basic(late, transport_maps="inline:{patient.example=data:[127.0.0.1]:%d, late.example=data:[127.0.0.1]:%d}" % (patient.port, late.port)),
                   {"a": {}}, master="data unix - - n - - smtp\n  -o smtp_address_verify_target=data\n").start()
    assert ask(instance, "u@w.example") == "250 2.1.5 Ok"
    assert ask(instance, "u@late.example").endswith("said: 550 5.1.1 not here after all (in reply to DATA command)")
    assert ask(instance, "u@patient.example") == "250 2.1.5 Ok"
    instance.wait_log(r"to=<u@patient.example>.*status=deliverable \(354 go ahead\)")
    wait_for(lambda: patient.open == 0, what="the end of the connection")
    assert patient.mails == []
    nothing_left(instance, late)


@exercises("address_verify_pending_request_limit")
def test_pending_limit(mta, target):
    """R014: a flood of probes to a server that does not answer leaves the queue to the mail."""
    t, other = target(), target()
    t.gate = threading.Event()
    instance = mta(basic(t, address_verify_pending_request_limit="3", address_verify_poll_count="1", transport_maps="inline:{other.example=%s}" % other.route,
                         smtp_destination_concurrency_limit="20"), {"a": {}, "mail": {"smtpd_recipient_restrictions": ""}}).start()
    for i in range(10):
        assert ask(instance, "u%d@w.example" % i, name="a").endswith(PROGRESS)
    put_off = instance.wait_log(r"to=<(u\d@w\.example)>.* status=undeliverable \(too many address verification requests\)", count=7).group(1)
    instance.send(recipients=["u@other.example"], name="mail")
    other.wait()
    assert len(t.asked) <= 3
    t.gate.set()
    wait_for(lambda: not instance.queued(), what="an empty queue")
    assert ask(instance, put_off, name="a").endswith(PROGRESS)
    wait_for(lambda: ask(instance, put_off, name="a") == "250 2.1.5 Ok", what="an outcome of what was put off")


@exercises("reject_unverified_recipient")
def test_hostile_answers(mta, target):
    """R058: what a server says is cleaned before it is kept or told to others."""
    t = target()
    t.bad["long"] = "550 5.1.1 " + "x" * 1990
    instance = mta(basic(t), {"a": {}}).start()
    for _ in range(2):
        reply = ask(instance, "nasty@w.example")
        assert reply.startswith(UNVERIFIED % "nasty@w.example") and re.search("red.*tab", reply)
        assert not re.search("[\x00-\x1f\x7f-\x9f\ufffd]", reply)
        assert 300 < len(ask(instance, "long@w.example")) < 2000
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", instance.log())


@exercises("reject_unverified_recipient")
def test_addresses_here(mta, target):
    """Users, aliases and programs: asked of the agents, with nothing done."""
    t = target()
    instance = mta(basic(t, alias_maps="inline:{ {team=one, two} {pipe=|/bin/false} {file=/nowhere/file} {away=u@w.example} }",
                         virtual_alias_maps="inline:{ {both@v.example=good@w.example, bad@w.example} {single@v.example=bad@w.example} }",
                         virtual_alias_domains="v.example", transport_maps="inline:{ {gone.example=error:5.1.2 no such place} {void.example=discard:} }"),
                   {"a": {}}).start()
    user = "root" if ROOT_USER else os.environ.get("USER", "nobody")
    for good in (user, "team", "pipe", "file", "away"):
        assert ask(instance, good + "@test.example") == "250 2.1.5 Ok", good
    assert ask(instance, "no-such-user@test.example").endswith('unknown user: "no-such-user"')
    assert ask(instance, "both@v.example") == ask(instance, "u@void.example") == "250 2.1.5 Ok"
    assert ask(instance, "single@v.example").endswith("no such user (in reply to RCPT TO command)")
    assert ask(instance, "other@v.example").endswith("User unknown in virtual alias table")
    assert ask(instance, "u@gone.example").endswith("no such place")
    assert os.listdir(instance.mail) == []
    nothing_left(instance, t)


@exercises("reject_unverified_recipient")
def test_crash(mta, target):
    """A queue manager that dies with a probe in hand: the next one finds it and tells its outcome; nothing is returned."""
    t = target()
    t.gate = threading.Event()
    instance = mta(basic(t, address_verify_poll_count="1"), {"a": {}}).start()
    assert ask(instance, "bad@w.example").endswith(PROGRESS)
    wait_for(lambda: t.asked, what="the probe")
    for pid in processes(instance, "qmgr"):
        os.kill(pid, signal.SIGKILL)
    t.gate.set()
    wait_for(lambda: "no such user" in ask(instance, "bad@w.example"), 30, "the outcome")
    nothing_left(instance, t)


@exercises("reject_unverified_recipient")
def test_requeued_probe(mta, target):
    """postsuper -r, -h and -e make no mail of a probe."""
    t = target()
    t.gate = threading.Event()
    instance = mta(basic(t, address_verify_poll_count="1"), {"a": {}}).start()
    assert ask(instance, "good@w.example").endswith(PROGRESS)
    wait_for(lambda: t.asked, what="the probe")
    instance.command("postsuper", "-r", "ALL")
    t.gate.set()
    wait_for(lambda: ask(instance, "good@w.example") == "250 2.1.5 Ok", 30, "the outcome")
    wait_for(lambda: not instance.queued("maildrop", "incoming", "active", "deferred"), 30, "an empty queue")
    t.gate.clear()
    assert ask(instance, "other@w.example").endswith(PROGRESS)
    wait_for(lambda: "other@w.example" in t.asked, what="the probe")
    instance.command("postsuper", "-h", "ALL")
    t.gate.set()
    wait_for(lambda: instance.queued("hold"), what="the probe on hold")
    instance.command("postsuper", "-e", "ALL")
    instance.command("postsuper", "-H", "ALL")
    wait_for(lambda: not instance.queued("hold", "incoming", "active", "deferred"), 30, "an empty queue")
    nothing_left(instance, t)


@exercises("address_verify_service_name")
def test_settings_of_the_service(mta, target):
    t = target()
    instance = mta(basic(t), {"a": {}, "b": {"address_verify_service_name": "other"}},
                   master="verify unix - - n - 1 verify\n  -o address_verify_sender=from-verify@my.example\n"
                          "other unix - - n - 1 verify\n  -o address_verify_sender=from-other@my.example\n").start()
    assert ask(instance, "u@w.example", name="a") == ask(instance, "v@w.example", name="b") == "250 2.1.5 Ok"
    assert t.senders == ["from-verify@my.example", "from-other@my.example"]


@exercises("reject_unverified_recipient", "address_verify_map")
@pytest.mark.skipif(not ROOT_USER, reason="chroot needs root")
def test_jail(mta, target):
    """The table is opened before the jail, by nobody but mail_owner."""
    t = target()
    master = "".join(re.sub(r"^(smtp|qmgr)( +unix +\S+ +\S+ +)n", r"\1\2y", line) + "\n" for line in BASIC_MASTER.splitlines())
    instance = mta(basic(t), {"a": {}}, basic=master, listener_columns="n - y - -").start()
    assert ask(instance, "good@w.example") == ask(instance, "good@w.example") == "250 2.1.5 Ok"
    assert ask(instance, "bad@w.example").startswith("450")
    assert t.asked == ["good@w.example", "bad@w.example"]
    status = os.stat(instance.data + "/verify_cache.lmdb")
    assert status.st_uid == pwd.getpwnam(instance.main["mail_owner"]).pw_uid and status.st_mode & 0o077 == 0
