"""Parameters that other tests know with their defaults alone: what another value does."""
import glob
import os

import pytest

import milter as M
from postern import ROOT_USER, Sink, exercises, wait_for
from test_local import USER
from test_local import local as system  # noqa: F401
from test_local_expansion import homes, local, outcome  # noqa: F401
from test_milter import mail, sink, talk, told  # noqa: F401
from test_qmgr_retry import OPEN, routes
from test_rewriting import relay  # noqa: F401
from test_virtual import hosted  # noqa: F401

needs_root = pytest.mark.skipif(not ROOT_USER, reason="needs users of its own")


@exercises("smtpd_forbidden_commands")
def test_forbidden_commands(mta):
    instance = mta(services={"default": {}, "more": {"smtpd_forbidden_commands": "FOO HELP"}}).start()
    with instance.client("default") as c:
        c.expect(500, "FOO bar")
    with instance.client("more") as c:
        assert c.command("FOO bar") == "221 2.7.0 Error: I can break rules, too. Goodbye."


@exercises("cleanup_replace_stray_cr_lf")
@pytest.mark.parametrize("replace, line", [("yes", b"one two"), ("no", b"one\rtwo")])
def test_stray_carriage_returns(relay, replace, line):  # noqa: F811
    instance, server = relay(cleanup_replace_stray_cr_lf=replace, default_transport="local:", local_transport="local:", mydestination="x.example", alias_maps="",
                             local_recipient_maps="")
    instance.send(recipients=["%s@x.example" % USER], body=b"Subject: x\r\n\r\none\rtwo\r\n")
    text, = wait_for(lambda: instance.maildir(USER), 20, "delivery")
    assert line in text


@exercises("default_verp_delimiters", "verp_delimiter_filter")
def test_verp(mta, sink):  # noqa: F811
    far, home = sink, Sink()
    far.rules["RCPT"] = "550 5.1.1 no such user"
    main = dict(OPEN, transport_maps=routes(far=far, home=home), smtpd_authorized_verp_clients="127.0.0.1", default_verp_delimiters="#=", verp_delimiter_filter="#=")
    instance = mta(main).start()
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(501, "MAIL FROM:<s@home.example> XVERP=+=")
        c.expect(250, "MAIL FROM:<s@home.example> XVERP")
        c.expect(250, "RCPT TO:<u@far.example>")
        c.data("Subject: x\r\n\r\nx\r\n")
    assert home.wait()[0]["recipients"][0].startswith("<s#u=far.example@home.example>")
    home.close()


@exercises("double_bounce_sender", "notify_classes")
def test_sender_of_notices(mta, sink):  # noqa: F811
    sink.rules["RCPT"] = lambda text: "550 5.1.1 no such user" if "u@" in text else "250 ok"
    instance = mta(dict(OPEN, transport_maps=routes(far=sink), notify_classes="bounce", bounce_notice_recipient="pm@far.example", double_bounce_sender="nobody-home")).start()
    instance.send(sender="s@far.example", recipients=["u@far.example"])
    assert sorted(mail["sender"].split(">")[0] for mail in sink.wait(2)) == ["<", "<nobody-home@test.example"]


@exercises("virtual_alias_address_length_limit")
@pytest.mark.parametrize("limit, reply", [("20", "451"), ("1000", "250")])
def test_length_of_alias_results(relay, limit, reply):  # noqa: F811
    instance, _ = relay(virtual_alias_maps="inline:{{a@x.example=a-long-name-of-somebody@y.example}}", virtual_alias_address_length_limit=limit)
    with instance.client() as c:
        c.expect(250, "EHLO c")
        c.expect(250, "MAIL FROM:<s@x.example>")
        c.expect(250, "RCPT TO:<a@x.example>")
        c.expect(354, "DATA")
        c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().startswith(reply)


@exercises("smtp_sasl_type")
def test_client_logins_of_an_unknown_type(mta):
    instance = mta({"smtp_sasl_auth_enable": "yes", "smtp_sasl_type": "nosuch", "relayhost": "[127.0.0.1]:9"}).start()
    instance.send(recipients=["u@far.example"])
    instance.wait_log(r'smtp_sasl_type: "nosuch" is not supported')


@exercises("maillog_file_compressor")
def test_log_is_not_compressed(mta):
    instance = mta({"maillog_file_rotate_suffix": "old", "maillog_file_compressor": "true"}).start()
    instance.control("logrotate")
    assert glob.glob(instance.logfile + ".*") == [instance.logfile + ".old"]


MACROS = {"connect": "C", "helo": "H", "mail": "M", "rcpt": "R", "data": "T", "end_of_header": "N", "end_of_data": "E"}


@exercises("milter_macro_daemon_name", *("milter_%s_macros" % stage for stage in MACROS))
def test_macros_of_each_stage(mail):  # noqa: F811
    main = {"milter_%s_macros" % stage: "{daemon_name} {of_%s}" % stage for stage in MACROS}
    main.update(milter_macro_daemon_name="our name", milter_macro_defaults=", ".join("{of_%s}=%s" % (stage, stage) for stage in MACROS))
    with M.Milter() as m:
        instance = mail(m, main=main)
        assert talk(instance)[-1].startswith("250")
        dialogue = told(m)
    for stage, letter in MACROS.items():
        assert dialogue.macros[letter] == {"{daemon_name}": "our name", "{of_%s}" % stage: stage}, stage


@exercises("mailbox_delivery_lock", "sun_mailtool_compatibility")
@pytest.mark.parametrize("how, mailtool, waits", [("dotlock", "no", True), ("fcntl", "no", False), ("fcntl", "yes", True)])
def test_how_mailboxes_are_locked(system, how, mailtool, waits):  # noqa: F811
    """Somebody else's lock file."""
    mta = system(mailbox_delivery_lock=how, sun_mailtool_compatibility=mailtool, deliver_lock_attempts="1", stale_lock_time="1000s")
    mta.stop()
    mta.set(mail_spool_directory=mta.mail)
    mta.start()
    open(os.path.join(mta.mail, USER + ".lock"), "w").close()
    qid = mta.send(recipients=[USER + "@test.example"])
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert ("unable to lock" in line) == waits and ("status=sent" in line) != waits


@needs_root
@exercises("strict_mailbox_ownership")
@pytest.mark.parametrize("strict", ["yes", "no"])
def test_mailbox_of_somebody_else(system, strict):  # noqa: F811
    mta = system(strict_mailbox_ownership=strict)
    mta.stop()
    mta.set(mail_spool_directory=mta.mail)
    mta.start()
    box = os.path.join(mta.mail, USER)
    open(box, "w").close()
    os.chmod(box, 0o666)
    os.chown(box, 1, 1)
    qid = mta.send(recipients=[USER + "@test.example"])
    line = mta.wait_log(r"%s: to=<.*" % qid).group(0)
    assert ("status=sent" in line) == (strict == "no"), line


@needs_root
@exercises("default_privs", "command_expansion_filter", "local_delivery_status_filter")
def test_commands_of_aliases(local):  # noqa: F811
    local.start({"cmd": '"|(id -un; echo $EXTENSION) > @/out"'}, default_privs="daemon", command_expansion_filter="abc",
                local_delivery_status_filter="inline:{{5.1.1 unknown user: \"ghost\"=5.1.9 gone}}")
    assert outcome(local.send("cmd+abcd")[0])[2] == "2.0.0"
    assert local.read("out") == "daemon\nabc_\n"
    assert outcome(local.send("ghost")[0])[2:] == ("5.1.9", "gone")


@needs_root
@exercises("virtual_minimum_uid", "virtual_mailbox_lock", "virtual_delivery_status_filter")
def test_hosted_mailboxes(hosted):  # noqa: F811
    mta = hosted({"a@v.example": "box"}, virtual_minimum_uid="7302")
    mta.send(recipients=["a@v.example"])
    mta.wait_log(r"bad uid 7301 in virtual_uid_maps")
    mta = hosted({"a@v.example": "box", "b@v.example": "other"}, virtual_mailbox_lock="fcntl", deliver_lock_attempts="1",
                 virtual_delivery_status_filter="inline:{{2.0.0 delivered to mailbox=2.1.5 in its box}}")
    lock = os.path.join(mta.base, "box.lock")
    open(lock, "w").close()
    mta.send(recipients=["a@v.example"])
    mta.wait_log(r"to=<a@v.example>, .*dsn=2.1.5, status=sent \(in its box\)")
