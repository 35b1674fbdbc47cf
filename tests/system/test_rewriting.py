"""Addresses on their way through the system: envelope, headers, aliases, routes."""
import re

import pytest

from postern import ROOT_USER, Sink, exercises, owner

USER = owner() if not ROOT_USER else "nobody"


class Mail:
    """A message as the sink got it: addresses without brackets and parameters."""

    def __init__(self, got):
        self.sender, *self.recipients = [re.match("<(.*?)>", text).group(1) for text in [got["sender"], *got["recipients"]]]
        self.content = got["data"].decode("latin-1")


class MailSink(Sink):
    def wait(self, *arguments, **keywords):
        return [Mail(got) for got in super().wait(*arguments, **keywords)]


@pytest.fixture
def relay(mta):
    """An instance that hands all mail to a sink; main adds parameters. Returns (instance, sink)."""
    sinks = []

    def make(**main):
        sink = MailSink()
        sinks.append(sink)
        everything = "smtp:[127.0.0.1]:%d" % sink.port
        settings = dict(default_transport=everything, local_transport=everything, smtpd_reject_unlisted_recipient="no",
                        smtpd_relay_restrictions="permit_mynetworks, reject")
        return mta(main=dict(settings, **main)).start(), sink

    yield make
    for sink in sinks:
        sink.close()


@exercises("append_at_myorigin", "append_dot_mydomain", "myorigin", "swap_bangpath", "allow_percent_hack")
def test_envelope_in_standard_form(relay):
    instance, sink = relay(append_dot_mydomain="yes")
    instance.send("sender", ["user", "user@host", "site!user", "a%b"])
    mail = sink.wait(1)[0]
    assert mail.sender == "sender@test.example"
    assert sorted(mail.recipients) == ["a@b.test.example", "user@host.test.example", "user@site.test.example", "user@test.example"]


@exercises("local_header_rewrite_clients", "remote_header_rewrite_domain", "always_add_missing_headers")
def test_headers_of_local_and_of_remote_clients(relay):
    body = "From: user (U)\r\nTo: a, B <b@host>\r\n\r\ntext\r\n"
    instance, sink = relay()
    instance.send(body=body)
    content = sink.wait(1)[0].content
    assert "From: user@test.example (U)\r\nTo: a@test.example, B <b@host>\r\n" in content
    assert re.search(r"Message-Id: <[0-9A-F.]+@mail.test.example>\r\nDate: ", content)
    instance, sink = relay(local_header_rewrite_clients="")
    instance.send(body=body)
    assert sink.wait(1)[0].content.endswith("\r\n" + body)
    instance, sink = relay(local_header_rewrite_clients="", remote_header_rewrite_domain="domain.invalid",
                           always_add_missing_headers="yes")
    instance.send(body=body)
    content = sink.wait(1)[0].content
    assert "From: user@domain.invalid (U)\r\nTo: a@domain.invalid, B <b@host>\r\n" in content and "Message-Id: " in content


@exercises("virtual_alias_maps", "virtual_alias_domains", "recipient_delimiter", "propagate_unmatched_extensions")
def test_virtual_aliases(relay):
    tables = "inline:{{a@va.example=b@y.example, c@y.example}, {@all.example=@y.example}}"
    instance, sink = relay(virtual_alias_maps=tables, virtual_alias_domains="va.example", recipient_delimiter="+")
    instance.send(recipients=["a+ext@va.example", "d@all.example"])
    assert sorted(sink.wait(1)[0].recipients) == ["b+ext@y.example", "c+ext@y.example", "d@y.example"]
    instance.wait_log(r"to=<b\+ext@y.example>, orig_to=<a\+ext@va.example>")
    instance, sink = relay(virtual_alias_maps=tables, virtual_alias_domains="va.example", recipient_delimiter="+",
                           propagate_unmatched_extensions="canonical")
    instance.send(recipients=["a+ext@va.example"])
    assert sorted(sink.wait(1)[0].recipients) == ["b@y.example", "c@y.example"]


@exercises("enable_original_recipient", "duplicate_filter_limit")
def test_original_recipients(mta):
    """They make two recipients of one, and a header; the log has them in any case."""
    user = USER + "@test.example"
    for value, copies in (("yes", 2), ("no", 1)):
        instance = mta(main=dict(enable_original_recipient=value, virtual_alias_maps="inline:{{a@test.example=%s}}" % user)).start()
        qid = instance.send(recipients=["a@test.example", user])
        instance.wait_log("%s: removed" % qid)
        mails = instance.maildir(USER)
        assert len(mails) == copies and all((b"\nX-Original-To: " in mail) == (value == "yes") for mail in mails)
        instance.wait_log(r"to=<%s>, orig_to=<a@test.example>" % user)


@exercises("virtual_alias_expansion_limit", "virtual_alias_recursion_limit", "virtual_alias_address_length_limit")
@pytest.mark.parametrize("rule,limit,complaint", [
    ("{/^(.+)@x$$/ $${1}$${1}@x}", {}, "address length"),
    ("{/^(.+)@x$$/ a$${1}@x}", {"virtual_alias_recursion_limit": "20"}, "nesting"),
    ("{/^0@x$$/ 1@x, 2@x, 3@x, 4@x}", {"virtual_alias_expansion_limit": "3"}, "expansion size"),
])
def test_virtual_alias_limits(relay, rule, limit, complaint):
    instance, sink = relay(virtual_alias_maps="regexp:{%s}" % rule, **limit)
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "MAIL FROM:<s@x.example>")
        c.expect(250, "RCPT TO:<0@x>")
        c.expect(354, "DATA")
        c.raw("Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply() == "451 4.6.0 Alias expansion error"
    instance.wait_log("unreasonable virtual_alias_maps map " + complaint)


@exercises("canonical_maps", "sender_canonical_maps", "recipient_canonical_maps", "canonical_classes", "sender_canonical_classes",
           "recipient_canonical_classes")
def test_canonical(relay):
    main = dict(canonical_maps="inline:{{login=First.Last}}", sender_canonical_maps="inline:{{s@x.example=t@x.example}}",
                recipient_canonical_maps="inline:{{r@x.example=q@x.example}}")
    instance, sink = relay(**main)
    instance.send("s@x.example", ["r@x.example", "s@x.example"], "From: s@x.example\r\nTo: r@x.example\r\nCc: login\r\n\r\nx\r\n")
    mail = sink.wait(1)[0]
    assert mail.sender == "t@x.example" and sorted(mail.recipients) == ["q@x.example", "s@x.example"]
    assert "From: t@x.example\r\nTo: q@x.example\r\nCc: First.Last@test.example\r\n" in mail.content
    instance, sink = relay(sender_canonical_classes="header_sender", recipient_canonical_classes="header_recipient",
                           canonical_classes="envelope_recipient", **main)
    instance.send("s@x.example", ["r@x.example"], "From: s@x.example\r\nTo: r@x.example\r\nCc: login\r\n\r\nx\r\n")
    mail = sink.wait(1)[0]
    assert mail.sender == "s@x.example" and mail.recipients == ["r@x.example"]
    assert "From: t@x.example\r\nTo: q@x.example\r\nCc: login@test.example\r\n" in mail.content


@exercises("masquerade_domains", "masquerade_exceptions", "masquerade_classes")
def test_masquerading(relay):
    instance, sink = relay(masquerade_domains="!no.m.example m.example", masquerade_exceptions="root")
    instance.send("s@a.m.example", ["r@a.m.example"], "From: s@a.m.example\r\nTo: x@no.m.example, root@b.m.example\r\n\r\nx\r\n")
    mail = sink.wait(1)[0]
    assert (mail.sender, mail.recipients) == ("s@m.example", ["r@a.m.example"])
    assert "From: s@m.example\r\nTo: x@no.m.example, root@b.m.example\r\n" in mail.content
    instance, sink = relay(masquerade_domains="m.example", masquerade_classes="envelope_recipient")
    instance.send("s@a.m.example", ["r@a.m.example"])
    mail = sink.wait(1)[0]
    assert (mail.sender, mail.recipients) == ("s@a.m.example", ["r@m.example"])


@exercises("always_bcc", "sender_bcc_maps", "recipient_bcc_maps", "receive_override_options")
def test_automatic_copies(relay):
    main = dict(always_bcc="all@b.example", sender_bcc_maps="inline:{{s@x.example=sent@b.example}}",
                recipient_bcc_maps="inline:{{@r.example=got@b.example}}")
    instance, sink = relay(**main)
    instance.send("s@x.example", ["u@r.example"])
    assert sorted(sink.wait(1)[0].recipients) == ["all@b.example", "got@b.example", "sent@b.example", "u@r.example"]
    instance, sink = relay(receive_override_options="no_address_mappings", **main)
    instance.send("s@x.example", ["u@r.example"])
    assert sink.wait(1)[0].recipients == ["u@r.example"]


@exercises("transport_maps", "relocated_maps", "empty_address_recipient")
def test_routes(relay, mta):
    instance, sink = relay(relocated_maps="inline:{{moved@x.example=new@y.example}}",
                           transport_maps="inline:{{gone.example=error:5.1.2 no such place}}")
    with instance.client() as c:
        c.expect(250, "EHLO client.example")
        c.expect(250, "MAIL FROM:<>")
        c.expect(250, "RCPT TO:<moved@x.example>")
        c.expect(250, "RCPT TO:<u@gone.example>")
        c.data("x\r\n")
    instance.wait_log(r"to=<moved@x.example>.*dsn=5.1.6, status=bounced \(User has moved to new@y.example\)")
    instance.wait_log(r"to=<u@gone.example>.*dsn=5.1.2, status=bounced \(no such place\)")


@exercises("hopcount_limit", "message_drop_headers", "message_strip_characters", "message_reject_characters", "header_size_limit",
           "undisclosed_recipients_header")
def test_content_rules(relay):
    instance, sink = relay(hopcount_limit="3", message_strip_characters="\\033", message_reject_characters="\\007",
                           header_size_limit="300", undisclosed_recipients_header="To: nobody:;")
    instance.send(body="Bcc: secret@x\r\nSubject: a\033b\r\nX-Long: %s\r\n beyond\r\n\r\nx\r\n" % ("y" * 400))
    content = sink.wait(1)[0].content
    assert "secret" not in content and "Subject: ab\r\n" in content and "X-Long: " + "y" * 292 + "\r\n" in content and "beyond" not in content
    instance.send(body="Subject: x\r\n\r\nx\r\n")
    assert "To: nobody:;\r\n" in sink.wait(2)[1].content
    for body, reply in (("Received: x\r\n" * 4, "554 5.4.0 Error: too many hops"), ("a\007b\r\n", "550 5.7.1 disallowed character")):
        with instance.client() as c:
            c.expect(250, "EHLO client.example")
            c.expect(250, "MAIL FROM:<s@x.example>")
            c.expect(250, "RCPT TO:<u@x.example>")
            c.expect(354, "DATA")
            c.raw(body + "\r\n.\r\n")
            assert c.reply() == reply


@exercises("cleanup_service_name")
def test_cleanup_service_with_settings_of_its_own(mta):
    sink = MailSink()
    master = "other unix n - n - 0 cleanup\n  -o always_bcc=copy@b.example -o message_strip_characters=\\007\n"
    instance = mta(main=dict(default_transport="smtp:[127.0.0.1]:%d" % sink.port, smtpd_reject_unlisted_recipient="no",
                             smtpd_relay_restrictions="permit_mynetworks, reject"),
                   services={"plain": {}, "special": {"cleanup_service_name": "other"}}, master=master).start()
    instance.send(recipients=["u@x.example"], body="Subject: a\007b\r\n\r\nx\r\n", name="plain")
    mail = sink.wait(1)[0]
    assert mail.recipients == ["u@x.example"] and "Subject: a\007b\r\n" in mail.content
    instance.send(recipients=["u@x.example"], body="Subject: a\007b\r\n\r\nx\r\n", name="special")
    mail = sink.wait(2)[1]
    assert sorted(mail.recipients) == ["copy@b.example", "u@x.example"] and "Subject: ab\r\n" in mail.content
    sink.close()


@exercises("resolve_numeric_domain", "resolve_null_domain", "resolve_dequoted_address", "allow_min_user")
def test_addresses_that_lead_nowhere(relay):
    strange = ["u@192.0.2.1", "u@", "-u@x.example", '"u@x..example"@test.example', "u@-x", "u@[192.0.2.300]"]
    for main, refused in (({}, strange), (dict(resolve_numeric_domain="yes", resolve_null_domain="yes", allow_min_user="yes",
                                               resolve_dequoted_address="no"), strange[4:])):
        instance, sink = relay(**main)
        with instance.client() as c:
            c.expect(250, "EHLO client.example")
            for address in strange[:4] if refused is strange else []:
                assert c.command("MAIL FROM:<%s>" % address).startswith("501 5.1.7 Bad sender address syntax"), address
            c.expect(250, "MAIL FROM:<>")
            replies = {address: c.command("RCPT TO:<%s>" % address) for address in strange}
        assert [a for a, reply in replies.items() if reply == "501 5.1.3 Bad recipient address syntax"] == refused, replies
