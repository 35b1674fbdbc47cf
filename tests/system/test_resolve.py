"""postern resolve: the steps that the resolver took, as text and as JSON, and that mail goes the way it tells."""
import json

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
    done = mta(main=MAIN).command("postern", "resolve", "team@test.example")
    assert "alias     virtual_alias_maps: team@test.example -> b@other.example" in done.stdout
    assert "= class default, transport discard, next hop far, recipient b@other.example" in done.stdout


def test_trouble(mta):
    instance = mta(main=dict(MAIN, transport_maps="regexp:/nonexistent"))
    done = instance.command("postern", "resolve", "user@far.example", "--json", check=False)
    assert done.returncode == 1 and "/nonexistent" in done.stdout
    for words in ((), ("a@b", "c@d"), ("--sender",), ("--other", "a@b")):
        assert "usage:" in instance.command("postern", "resolve", *words, check=False).stdout


def test_mail_goes_there(mta):
    instance = mta(main=dict(MAIN, smtpd_relay_restrictions="permit_mynetworks, reject", local_transport="discard:here")).start()
    instance.send(recipients=["team@test.example"])
    instance.wait_log(r"to=<b@other\.example>, orig_to=<team@test\.example>, relay=none|to=<b@other\.example>.*relay=discard|to=<b@other\.example>.*\(far\)")
