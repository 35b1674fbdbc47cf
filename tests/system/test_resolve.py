"""postern resolve: the steps that the resolver took, as text and as JSON, and that mail goes the way it tells."""
import json
import re

MAIN = {
    "virtual_alias_maps": "inline:{{team@test.example = a@test.example b@other.example}, {loop@test.example = loop@test.example}}",
    "transport_maps": "inline:{{other.example = discard:far}, {moved@test.example = smtp:[192.0.2.1]}}",
    "relay_domains": "relay.example", "relay_transport": "relay:[192.0.2.2]", "default_transport": "smtp", "relayhost": "[gw.example]",
    "virtual_alias_domains": "alias.example", "local_transport": "local:here",
    "sender_dependent_relayhost_maps": "inline:{s@client.example=[own.example]}",
}


def ask(instance, *words):
    return json.loads(instance.command("postern", "resolve", *words, "--json").stdout)


def only(answer):
    assert len(answer["recipients"]) == 1
    return answer["recipients"][0]


def route(recipient):
    return recipient["class"], recipient["transport"], recipient["next_hop"], recipient["recipient"]


def decided(recipient, step):
    """The parameters that had an answer."""
    return [s["parameter"] for s in recipient["steps"] if s["step"] == step and s["value"] is not None]


def test_classes(mta):
    instance = mta(main=MAIN)
    local = only(ask(instance, "user"))
    assert route(local) == ("local", "local", "here", "user@test.example")
    assert decided(local, "class") == ["mydestination"] and decided(local, "transport") == ["local_transport"]
    relay = only(ask(instance, "user@relay.example"))
    assert route(relay) == ("relay", "relay", "[192.0.2.2]", "user@relay.example")
    assert decided(relay, "class") == ["relay_domains"]
    far = only(ask(instance, "user@far.example"))
    assert route(far) == ("default", "smtp", "[gw.example]", "user@far.example") and decided(far, "next hop") == ["relayhost"]
    unknown = only(ask(instance, "user@alias.example"))
    assert unknown["class"] == "virtual alias" and unknown["verdict"] == "unknown" and "virtual alias table" in unknown["refusal"]


def test_rewriting(mta):
    found = only(ask(mta(main=MAIN), "user%far.example@localhost"))
    assert found["recipient"] == "user@far.example"
    assert [(s["key"], s["value"]) for s in found["steps"] if s["step"] == "rewrite"] == [("user%far.example@localhost", "user@far.example")]


def test_addresses_as_they_are_written(mta):
    instance = mta(main=MAIN)
    for written, recipient in (('"a b"@far.example', "a b@far.example"), ("<(c) user@far.example>", "user@far.example"), ("@x.example:user@far.example", "user@far.example"),
                               ('"a%b"@far.example', "a%b@far.example"), ("a b@far.example", "a b@far.example")):
        assert only(ask(instance, written))["recipient"] == recipient
    assert [ask(instance, "user", "--sender", sender)["envelope_sender"] for sender in ('"s t"@x.example', "mailer-daemon", "<>")] == ["s t@x.example", "", ""]
    assert only(ask(instance, "user@far..example"))["transport"] == "error"


def changes(steps, *names):
    return [(s["parameter"], s["key"], s["value"]) for s in steps if s["step"] in names]


REWRITING = {
    "canonical_maps": "inline:{{login@test.example=First.Last}, {both@test.example=one@test.example}}",
    "recipient_canonical_maps": "inline:{{old@test.example=both@test.example}}", "sender_canonical_maps": "inline:{{s@in.mask.example=t@in.mask.example}}",
    "masquerade_domains": "mask.example", "masquerade_exceptions": "root", "recipient_delimiter": "+",
}


def test_canonical_and_masquerading(mta):
    instance = mta(main=REWRITING)
    found = ask(instance, "old+x@test.example", "--sender", "s@in.mask.example")
    assert changes(found["steps"], "canonical") == [
        ("recipient_canonical_maps", "old+x@test.example", "both+x@test.example"), ("recipient_canonical_maps", "both+x@test.example", None),
        ("canonical_maps", "both+x@test.example", "one+x@test.example"), ("canonical_maps", "one+x@test.example", None)]
    assert found["result"] == "one+x@test.example" and only(found)["recipient"] == "one+x@test.example"
    assert changes(found["sender_steps"], "canonical", "masquerade") == [
        ("sender_canonical_maps", "s@in.mask.example", "t@in.mask.example"), ("sender_canonical_maps", "t@in.mask.example", None),
        ("canonical_maps", "t@in.mask.example", None), ("masquerade_domains", "t@in.mask.example", "t@mask.example")]
    assert found["envelope_sender"] == "t@mask.example"
    for address, place, result in (("s@in.mask.example", "envelope_recipient", "s@in.mask.example"), ("s@in.mask.example", "header_recipient", "s@mask.example"),
                                   ("s@in.mask.example", "header_sender", "t@mask.example"), ("root@in.mask.example", "envelope_sender", "root@in.mask.example"),
                                   ("login", "header_recipient", "First.Last@test.example"), ("old@test.example", "header_sender", "old@test.example")):
        found = ask(instance, address, "--class", place)
        assert found["result"] == result and bool(found["recipients"]) == (place == "envelope_recipient")


def test_every_key_of_every_table(mta):
    instance = mta(main=dict(REWRITING, relocated_maps="inline:{z=y} inline:{{@far.example=there}}", local_recipient_maps="inline:{known=x}"))
    steps = only(ask(instance, "user+x@far.example"))["steps"]
    relocated = next(s for s in steps if s["step"] == "relocated")
    assert [(look["key"], look["value"]) for look in relocated["lookups"]] == [
        (key, "there" if key == "@far.example" and table == 1 else None)
        for key in ("user+x@far.example", "user@far.example", "@far.example") for table in (0, 1)]
    found = only(ask(instance, "known+x"))
    listed = next(s for s in found["steps"] if s["step"] == "recipient" and s["parameter"] == "local_recipient_maps")
    assert [look["key"] for look in listed["lookups"]] == ["known+x@test.example", "known@test.example", "known+x", "known"]
    assert found["verdict"] == "accepted" and listed["value"] == "x"
    unknown = only(ask(instance, "other"))
    assert (unknown["verdict"], unknown["code"], unknown["status"]) == ("unknown", 550, "5.1.1") and "local recipient table" in unknown["refusal"]
    moved = only(ask(instance, "user@far.example"))
    assert (moved["transport"], moved["verdict"], moved["refusal"]) == ("error", "unknown", "User has moved to there")


def test_copies(mta):
    instance = mta(main=dict(MAIN, always_bcc="all", recipient_bcc_maps="inline:{{u@far.example=team@test.example}}", sender_bcc_maps="inline:{{s@client.example=sent}}"))
    found = ask(instance, "u@far.example", "--sender", "s@client.example")
    assert [(r["address"], r["copy_by"]) for r in found["recipients"]] == [
        ("u@far.example", None), ("a@test.example", "recipient_bcc_maps"), ("b@other.example", "recipient_bcc_maps"), ("all@test.example", "always_bcc"),
        ("sent@test.example", "sender_bcc_maps")]
    copied = mta(main=dict(REWRITING, always_bcc="old+x"))
    assert [r["address"] for r in ask(copied, "user")["recipients"]] == ["user@test.example", "one+x@test.example"]
    instance = mta(main=dict(instance.main, receive_override_options="no_address_mappings"))
    assert [r["address"] for r in ask(instance, "team", "--sender", "s@client.example")["recipients"]] == ["team@test.example"]


def test_settings_of_cleanup_and_rewrite_services(mta):
    """The entries of master.cf have their say: new mail is the cleanup service's, routes are the rewrite service's."""
    from postern import MASTER
    basic = MASTER.replace(" cleanup\n", " cleanup\n  -o canonical_maps=inline:{{u@test.example=v@far.example}}\n").replace(
        " trivial-rewrite\n", " trivial-rewrite\n  -o default_transport=far:hop\n")
    found = ask(mta(basic=basic), "u@test.example")
    assert found["result"] == "v@far.example" and route(only(found)) == ("default", "far", "hop", "v@far.example")


def test_tables(mta):
    instance = mta(main=MAIN)
    team = ask(instance, "team")
    assert [s["value"] for s in team["steps"] if s["key"] == "team@test.example"] == ["a@test.example", "b@other.example"]
    assert [route(r)[1:3] for r in team["recipients"]] == [("local", "here"), ("discard", "far")]
    assert decided(team["recipients"][1], "transport")[-1] == "transport_maps"
    assert only(ask(instance, "loop"))["recipient"] == "loop@test.example"
    assert route(only(ask(instance, "moved")))[1:3] == ("smtp", "[192.0.2.1]")
    assert route(only(ask(instance, "user@far.example", "--sender", "s@client.example")))[2] == "[own.example]"


def test_text(mta):
    done = mta(main=dict(MAIN, local_recipient_maps="inline:{b=x}")).command("postern", "resolve", "<team@test.example>", "--sender", "<s@x.example>")
    assert done.stdout.startswith("from s@x.example\n")
    assert "\n  = unknown: 550 5.1.1 User unknown in local recipient table\n" in done.stdout
    assert re.search(r"\n  alias     virtual_alias_maps: .*\n +inline:\{.*\.\.\.: team@test.example -> a@test.example b@other.example\n", done.stdout)
    assert "alias     virtual_alias_maps: team@test.example -> b@other.example" in done.stdout
    assert "= class default, transport discard, next hop far, recipient b@other.example" in done.stdout


def test_trouble(mta):
    instance = mta(main=dict(MAIN, transport_maps="regexp:/nonexistent"))
    done = instance.command("postern", "resolve", "user@far.example", "--json", check=False)
    assert done.returncode == 1 and "/nonexistent" in done.stdout
    for words in ((), ("a@b", "c@d"), ("--sender",), ("--other", "a@b"), ("a@b", "--class", "x"), ("a@b", "--class")):
        assert "usage:" in instance.command("postern", "resolve", *words, check=False).stdout


def test_mail_goes_there(mta):
    instance = mta(main=dict(MAIN, smtpd_relay_restrictions="permit_mynetworks, reject", local_transport="discard:here")).start()
    instance.send(recipients=["team@test.example"])
    instance.wait_log(r"to=<b@other\.example>, orig_to=<team@test\.example>, relay=none, .*status=sent \(far\)\n")
    instance.wait_log(r"to=<a@test\.example>, orig_to=<team@test\.example>, relay=none, .*status=sent \(here\)\n")
