"""Logging in to servers."""
import base64
import hashlib
import hmac
import re
import socket
import ssl
import threading

import pytest

from postern import exercises
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401
from test_smtp_tls import keys  # noqa: F401

USERS = {"me": "secret", "you@any.example": "pa:ss wörd"}


class AuthSink(threading.Thread):
    """A server with AUTH PLAIN, LOGIN, CRAM-MD5. Records who sent what and how."""

    def __init__(self, mechanisms="PLAIN LOGIN CRAM-MD5", folder=None, verdict=None, trick=None):
        super().__init__(daemon=True)
        self.mechanisms, self.verdict, self.trick, self.context = mechanisms, verdict, trick, None
        if folder:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(folder / "self.pem", folder / "self.key")
        self.logins, self.mails, self.commands, self.connections = [], [], [], 0
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(20)
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection = self.socket.accept()[0]
            self.connections += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            self.serve(connection)
        except (OSError, ValueError, IndexError):
            pass
        connection.close()

    def serve(self, connection):
        stream, secure, who = connection.makefile("rb"), False, None

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        def ask(challenge):
            say("334 " + (base64.b64encode(challenge).decode() if isinstance(challenge, bytes) else challenge))
            line = stream.readline()
            if not line:
                raise ConnectionError
            return base64.b64decode(line)

        say("220 sink ESMTP")
        for raw in iter(lambda: stream.readline(), b""):
            line = raw.decode().strip()
            self.commands.append(re.sub(r"(AUTH \S+) .*", r"\1 ...", line))
            verb = line[:4].upper()
            if verb == "EHLO":
                say("250-sink\r\n" + ("250-STARTTLS\r\n" if self.context and not secure else "") + ("250-AUTH " + self.mechanisms + "\r\n" if self.mechanisms else "") + "250 8BITMIME")
            elif verb == "STAR":
                say("220 go")
                connection = self.context.wrap_socket(connection, server_side=True)
                stream, secure = connection.makefile("rb"), True
            elif verb == "AUTH":
                who = self.login(line.split(" ", 2)[1:], ask)
                self.logins.append((line.split(" ")[1], who, secure))
                say(self.verdict or ("235 2.7.0 welcome" if who else "535 5.7.8 no"))
            elif verb == "DATA":
                say("354 go")
                while stream.readline() not in (b".\r\n", b""):
                    pass
                self.mails.append(who)
                say("250 2.0.0 taken")
            else:
                say("250 ok")
                if verb == "QUIT":
                    return

    def login(self, words, ask):
        if self.trick == "challenges":
            while True:
                ask(b"more")
        if self.trick == "garbage":
            ask("$$$ not base64 $$$")
        if words[0] == "PLAIN":
            _, user, password = (base64.b64decode(words[1]) if len(words) > 1 else ask(b"")).split(b"\0")
        elif words[0] == "LOGIN":
            user, password = ask(b"Username:"), ask(b"Password:")
        else:
            user, _, proof = ask(b"<1.2@sink>").rpartition(b" ")
            right = USERS.get(user.decode(), "")
            return user.decode() if hmac.new(right.encode(), b"<1.2@sink>", hashlib.md5).hexdigest().encode() == proof else None
        return user.decode() if USERS.get(user.decode()) == password.decode() else None


def run(mta, sink, passwords, **main):
    defaults = {"relayhost": "[127.0.0.1]:%d" % sink.port, "smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "inline:{ %s }" % passwords.replace("HERE", "[127.0.0.1]:%d" % sink.port),
                "smtp_sasl_security_options": "noanonymous"}
    return mta(dict(dict(CLIENT, **defaults), **main)).start()


def deliver(instance, sender="s@client.example", recipient="u@any.example"):
    instance.wait_handled(instance.send(sender=sender, recipients=[recipient]))
    return outcome(instance, recipient)


TAKEN = ("2.0.0", "sent", "250 2.0.0 taken")


INCOMPATIBLE = ("4.7.0", "deferred", "SASL authentication failed: server 127.0.0.1[127.0.0.1] offered no compatible authentication mechanisms for this type of connection security")


def cannot(reason):
    return "4.7.0", "deferred", "SASL authentication failed; cannot authenticate to server 127.0.0.1[127.0.0.1]: " + reason


@exercises("smtp_sasl_auth_enable", "smtp_sasl_password_maps", "smtp_sasl_security_options", "smtp_sasl_mechanism_filter", "smtp_sasl_auth_soft_bounce", "smtp_sasl_type",
           "smtp_sasl_password_result_delimiter")
@pytest.mark.parametrize("passwords, main, server, expected, logins", [
    ("{ HERE = me:secret }", {}, {"mechanisms": "PLAIN"}, TAKEN, [("PLAIN", "me", False)]),
    ("{ HERE = me:secret }", {}, {"mechanisms": "LOGIN"}, TAKEN, [("LOGIN", "me", False)]),
    ("{ HERE = me:secret }", {}, {"mechanisms": "PLAIN CRAM-MD5"}, TAKEN, [("CRAM-MD5", "me", False)]),
    ("{ 127.0.0.1 = you@any.example:pa:ss wörd }", {}, {"mechanisms": "PLAIN"}, TAKEN, [("PLAIN", "you@any.example", False)]),
    ("{ HERE = me|secret }", {"smtp_sasl_password_result_delimiter": "|"}, {"mechanisms": "PLAIN"}, TAKEN, [("PLAIN", "me", False)]),
    ("{ other.example = me:secret }", {}, {}, TAKEN, []),
    ("{ HERE = me:secret }", {"smtp_sasl_auth_enable": "no"}, {}, TAKEN, []),
    ("{ HERE = me:secret }", {}, {"mechanisms": ""}, TAKEN, []),
    ("{ HERE = me:secret }", {"smtp_sasl_mechanism_filter": "plain"}, {}, TAKEN, [("PLAIN", "me", False)]),
    ("{ HERE = me:secret }", {"smtp_sasl_mechanism_filter": "!cram-md5, !plain, static:all"}, {}, TAKEN, [("LOGIN", "me", False)]),
    ("{ HERE = me:secret }", {"smtp_sasl_mechanism_filter": "gssapi"}, {}, INCOMPATIBLE, []),
    ("{ HERE = me:secret }", {"smtp_sasl_security_options": "noplaintext, noanonymous"}, {"mechanisms": "PLAIN LOGIN"}, cannot("no mechanism available"), []),
    ("{ HERE = me:secret }", {"smtp_sasl_security_options": "noplaintext, noanonymous"}, {}, TAKEN, [("CRAM-MD5", "me", False)]),
    ("{ HERE = me:wrong }", {}, {"mechanisms": "PLAIN"},
     ("4.7.8", "deferred", "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 no"), [("PLAIN", None, False)]),
    ("{ HERE = me:wrong }", {"smtp_sasl_auth_soft_bounce": "no"}, {"mechanisms": "PLAIN"},
     ("5.7.8", "bounced", "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 535 5.7.8 no"), [("PLAIN", None, False)]),
    ("{ HERE = me:secret }", {"smtp_sasl_auth_soft_bounce": "no"}, {"mechanisms": "PLAIN", "verdict": "454 4.7.0 later"},
     ("4.7.0", "deferred", "SASL authentication failed; server 127.0.0.1[127.0.0.1] said: 454 4.7.0 later"), [("PLAIN", "me", False)]),
    ("{ HERE = me:secret }", {}, {"mechanisms": "CRAM-MD5", "trick": "garbage"}, cannot("malformed SASL challenge"), []),
])
def test_logins(mta, passwords, main, server, expected, logins):
    sink = AuthSink(**server)
    instance = run(mta, sink, passwords, **main)
    assert deliver(instance, sender="")[:3] == expected  # no notification that would log in too
    assert sink.logins == logins
    assert sink.mails == ([logins[0][1] if logins else None] if expected == TAKEN else [])
    assert not re.search(r"/smtp\[.*(secret|wrong)", instance.log())


def test_hostile_server(mta):
    """A server that never stops asking."""
    sink = AuthSink(mechanisms="LOGIN", trick="challenges")
    instance = run(mta, sink, "{ HERE = me:secret }")
    assert deliver(instance)[1] == "deferred"


def test_long_response(mta):
    """A first response that would make the command too long follows in answer to an empty challenge."""
    USERS["long"] = "x" * 600
    sink = AuthSink(mechanisms="PLAIN")
    instance = run(mta, sink, "{ HERE = long:%s }" % USERS["long"])
    assert deliver(instance)[:3] == TAKEN
    assert sink.mails == ["long"] and "AUTH PLAIN" in sink.commands


def test_failing_table_defers(mta):
    sink = AuthSink()
    instance = run(mta, sink, "", smtp_sasl_password_maps="fail:temporary")
    assert deliver(instance)[:3] == ("4.3.0", "deferred", "SASL password lookup error")
    assert sink.connections == 0


@exercises("smtp_sasl_tls_security_options", "smtp_sasl_tls_verified_security_options")
@pytest.mark.parametrize("main, expected", [
    ({}, ["me"]),
    ({"smtp_sasl_tls_security_options": "noplaintext"}, []),
    ({"smtp_tls_security_level": "none"}, []),
    ({"smtp_tls_security_level": "fingerprint", "smtp_sasl_tls_verified_security_options": "noplaintext"}, []),
])
def test_options_with_tls(mta, keys, main, expected):  # noqa: F811
    from test_smtp_tls import fingerprint
    sink = AuthSink(mechanisms="PLAIN", folder=keys)
    defaults = {"smtp_tls_security_level": "may", "smtp_sasl_security_options": "noplaintext", "smtp_sasl_tls_security_options": "noanonymous",
                "smtp_tls_fingerprint_cert_match": fingerprint(keys, "self")}
    instance = run(mta, sink, "{ HERE = me:secret }", **dict(defaults, **main))
    assert deliver(instance)[1] == ("sent" if expected else "deferred")
    assert sink.mails == expected


@exercises("smtp_sasl_tls_verified_security_options", "smtp_tls_dane_insecure_mx_policy")
@pytest.mark.parametrize("secure, expected", [(True, ["me"]), (False, [])])
def test_forged_mail_hosts_are_not_verified(mta, keys, secure, expected):  # noqa: F811
    """A host with good TLSA records, whose name came from an answer that anybody may have made, gets no more than any other."""
    from test_smtp_tls import SecureDns, tlsa
    sink = AuthSink(mechanisms="PLAIN", folder=keys)
    resolver = SecureDns({"relay.example": {"MX": [(10, "mx.example")], "SECURE": secure}, "mx.example": {"A": ["127.0.0.1"], "SECURE": True},
                          "_%d._tcp.mx.example" % sink.port: {"TLSA": [tlsa(keys, "self")], "SECURE": True}})
    try:
        instance = run(mta, sink, "", relayhost="relay.example:%d" % sink.port, smtp_tls_security_level="dane", smtp_dns_support_level="dnssec", smtp_tls_loglevel="1",
                       smtp_tls_dane_insecure_mx_policy="dane", smtp_sasl_password_maps="static:me:secret", smtp_sasl_security_options="noplaintext",
                       smtp_sasl_tls_security_options="noplaintext", smtp_sasl_tls_verified_security_options="noanonymous")
        assert deliver(instance)[1] == ("sent" if expected else "deferred")
        assert sink.mails == expected
        instance.wait_log(r"%s TLS connection established to mx.example" % ("Verified" if secure else "Trusted"))
    finally:
        resolver.close()


@exercises("smtp_sender_dependent_authentication")
def test_by_sender(mta):
    """Each sender has a login, and no sender's mail goes over another's connection."""
    sink = AuthSink(mechanisms="PLAIN")
    instance = run(mta, sink, "{ s@one.example = me:secret } { @two.example = you@any.example:pa:ss wörd }", smtp_sender_dependent_authentication="yes",
                   smtp_connection_cache_destinations="static:all", smtp_connection_cache_time_limit="20s")
    for i, sender in enumerate(("s@one.example", "x@two.example", "s@one.example", "s@three.example")):
        assert deliver(instance, sender, "u%d@any.example" % i)[:3] == TAKEN
    assert sink.mails == ["me", "you@any.example", "me", None]
    assert sink.connections == 3


CACHE = {"smtp_sasl_auth_cache_name": "proxy:btree:$data_directory/sasl_auth_cache"}
SOFT, HARD = {"smtp_sasl_auth_soft_bounce": "yes"}, {"smtp_sasl_auth_soft_bounce": "no"}
# What the server answers, and how often it is asked by two messages.
REMEMBERED = [
    ({}, None, 1),
    (HARD, None, 1),
    (dict(SOFT, soft_bounce="yes"), None, 1),
    ({}, "535 no code of its own", 1),
    ({}, "550 5.7.1 another code", 2),
    ({}, "454 4.7.0 later", 2),
    ({}, "235 2.7.0 fine", 2),
    ({"smtp_sasl_auth_cache_name": ""}, None, 2),
]


@exercises("smtp_sasl_auth_cache_name", "smtp_sasl_auth_soft_bounce")
@pytest.mark.parametrize("main, verdict, logins", REMEMBERED)
def test_refused_logins_are_remembered(mta, main, verdict, logins):
    sink = AuthSink(mechanisms="PLAIN", verdict=verdict)
    instance = run(mta, sink, "{ HERE = me:wrong }", **dict(CACHE, worker_processes="1", **main))
    first, second = (deliver(instance, sender="", recipient=name + "@any.example")[:3] for name in "ab")
    assert len(sink.logins) == logins
    assert first[:2] == second[:2]
    if logins == 1:
        assert second[2] == first[2].replace("SASL auth", "SASL [CACHED] auth").replace("127.0.0.1[127.0.0.1]", "127.0.0.1")


@exercises("smtp_sasl_auth_cache_name", "smtp_sasl_auth_cache_time", "lmtp_sasl_auth_cache_name", "lmtp_sasl_auth_cache_time")
@pytest.mark.parametrize("what, change, logins", [
    ("nothing", {}, 1),
    ("password", {"smtp_sasl_password_maps": "inline:{ {HERE = me:secret} }"}, 2),
    ("user", {"smtp_sasl_password_maps": "inline:{ {HERE = you@any.example:wrong} }"}, 2),
    ("time", {"smtp_sasl_auth_cache_time": "0"}, 2),
])
def test_a_refusal_counts_for_one_login(mta, what, change, logins):
    """After a restart too, and the password is not in the file."""
    sink = AuthSink(mechanisms="PLAIN")
    instance = run(mta, sink, "{ HERE = me:wrong }", **CACHE)
    assert deliver(instance, sender="", recipient="a@any.example")[1] == "deferred"
    instance.stop()
    with open(instance.data + "/sasl_auth_cache.db", "rb") as f:
        content = f.read()
    assert b"wrong" not in content and b"535 5.7.8 no" in content
    instance.set(**{p: v.replace("HERE", "[127.0.0.1]:%d" % sink.port) for p, v in change.items()})
    instance.start()
    assert deliver(instance, sender="", recipient="b@any.example")[1] == ("sent" if what == "password" else "deferred")
    assert len(sink.logins) == logins


def test_no_cache_no_difference(mta):
    """A file that cannot be used is warned of, and each login is tried."""
    sink = AuthSink(mechanisms="PLAIN")
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % sink.port, smtp_sasl_auth_enable="yes", smtp_sasl_password_maps="inline:{ {[127.0.0.1]:%d = me:secret} }" % sink.port,
                        smtp_sasl_security_options="noanonymous", **CACHE))
    with open(instance.data + "/sasl_auth_cache.db", "w") as f:
        f.write("no cache" * 1000)
    instance.start()
    assert deliver(instance)[:3] == TAKEN
    instance.wait_log("warning: SASL authentication cache .*sasl_auth_cache.db: ")
