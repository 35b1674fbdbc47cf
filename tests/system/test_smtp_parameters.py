"""The SMTP client's parameters, each shown by a transport of its own that has it set."""
import re
import socket
import threading
import time

import pytest

from postern import Sink, exercises, wait_for
from test_smtp_client import CLIENT, dns, outcome  # noqa: F401


class Script(threading.Thread):
    """A server that does as told on each connection: "text" is sent as a line, None reads a line, a number sleeps, "..." sends slowly, "." reads content,
    "wait for end" reads to the end. Records lines, peers, and how long after its last word each connection ended."""

    def __init__(self, *steps, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.steps, self.lines, self.peers, self.ended = steps, [], [], []
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, 0))
        self.socket.listen(20)
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            connection, peer = self.socket.accept()
            self.peers.append(peer[0])
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        spoke = time.monotonic()
        try:
            for step in self.steps:
                if isinstance(step, str) and step not in (".", "wait for end"):
                    spoke = time.monotonic()
                self.step(connection, stream, step)
        except OSError:
            pass
        connection.close()
        self.ended.append(time.monotonic() - spoke)

    def step(self, connection, stream, step):
        if step is None:
            line = stream.readline()
            if not line:
                raise ConnectionError
            self.lines.append(line.decode("latin1").rstrip("\r\n"))
        elif step == ".":
            while stream.readline() not in (b".\r\n", b""):
                pass
        elif step == "wait for end":
            while connection.recv(100):
                pass
        elif isinstance(step, (int, float)):
            time.sleep(step)
        elif isinstance(step, tuple):
            for byte in (step[0] + "\r\n").encode():
                connection.sendall(bytes([byte]))
                time.sleep(step[1])
        else:
            connection.sendall(step.encode() + b"\r\n")


OPEN = ["220 hello", None, "250 ok"]
MAIL, RCPT, DATA, DOT = [None, "250 ok"], [None, "250 ok"], [None, "354 go"], [".", "250 ok"]
ALL = OPEN + MAIL + RCPT + DATA + DOT
SILENT = 90

# name: (options, script, recipient's local part, expected outcome pattern, expected lines pattern)
TIMED = r"4.4.2 deferred conversation with 127.0.0.1\[127.0.0.1\] timed out while "
CASES = {
    "helo": ({"smtp_helo_name": "helo.example"}, ALL, "u", "2.0.0 sent", r"EHLO helo\.example\|MAIL"),
    "noehlo": ({"smtp_never_send_ehlo": "yes"}, ALL, "u", "2.0.0 sent", r"HELO mail\.test\.example\|MAIL"),
    "byword": ({"smtp_always_send_ehlo": "no"}, ALL, "u", "2.0.0 sent", r"HELO mail\.test\.example\|MAIL"),
    "quoted": ({"smtp_quote_rfc821_envelope": "yes"}, ALL, '"a b"', "2.0.0 sent", r'RCPT TO:<"a b"@'),
    "unquoted": ({"smtp_quote_rfc821_envelope": "no"}, ALL, '"a b"', "2.0.0 sent", r"RCPT TO:<a b@"),
    "discard": ({"smtp_discard_ehlo_keywords": "size"}, ["220 hello", None, "250-ok", "250-DSN", "250 SIZE"] + MAIL + RCPT + DATA + DOT, "u", "2.0.0 sent",
                r"MAIL FROM:<s@client.example>\|RCPT TO:<u@discard.example> ORCPT"),
    "discardmap": ({"smtp_discard_ehlo_keyword_address_maps": "inline:{ { 127.0.0.1 = dsn } }"},
                   ["220 hello", None, "250-ok", "250-DSN", "250 SIZE"] + MAIL + RCPT + DATA + DOT, "u", "2.0.0 sent",
                   r"MAIL FROM:<s@client.example> SIZE=\d+\|RCPT TO:<u@discardmap.example>\|"),
    "thelo": ({"smtp_helo_timeout": "1s"}, [SILENT], "u", TIMED + "receiving the initial server greeting", ""),
    "tehlo": ({"smtp_helo_timeout": "4s"}, ["220 hello", None, SILENT], "u", TIMED + "performing the EHLO handshake", ""),
    "tmail": ({"smtp_mail_timeout": "1s"}, OPEN + [None, SILENT], "u", TIMED + "sending MAIL FROM", ""),
    "trcpt": ({"smtp_rcpt_timeout": "1s"}, OPEN + MAIL + [None, SILENT], "u", TIMED + "sending RCPT TO", ""),
    "tdata": ({"smtp_data_init_timeout": "1s"}, OPEN + MAIL + RCPT + [None, SILENT], "u", TIMED + "sending DATA command", ""),
    "tdot": ({"smtp_data_done_timeout": "1s"}, OPEN + MAIL + RCPT + DATA + [".", SILENT], "u",
             TIMED + "sending end of data -- message may be sent more than once", ""),
    "slow": ({"smtp_helo_timeout": "5s"}, [("220 hello", 0.7)] + ALL[1:], "u", "2.0.0 sent", ""),
    "deadline": ({"smtp_helo_timeout": "1s", "smtp_per_request_deadline": "yes", "smtp_min_data_rate": "500"}, [("220 hello", 0.2)] + ALL[1:], "u",
                 TIMED + "receiving the initial server greeting", ""),
    "bind": ({"smtp_bind_address": "127.0.0.77"}, ALL, "u", "2.0.0 sent", ""),
    "bindfree": ({"smtp_bind_address": "192.0.2.77"}, ALL, "u", "2.0.0 sent", ""),
    "bindbad": ({"smtp_bind_address": "192.0.2.77", "smtp_bind_address_enforce": "yes"}, ALL, "u",
                r"4.4.1 deferred connect to 127.0.0.1\[127.0.0.1\]:\d+: Cannot assign requested address", ""),
    "final5xx": ({"smtp_skip_5xx_greeting": "no"}, ["554 5.7.1 go"], "u", r"5.7.1 bounced host 127.0.0.1\[127.0.0.1\] refused to talk to me: 554 5.7.1 go", ""),
    "skip5xx": ({"smtp_skip_5xx_greeting": "yes"}, ["554 5.7.1 go"], "u", r"4.7.1 deferred host 127.0.0.1\[127.0.0.1\] refused to talk to me: 554 5.7.1 go", ""),
    "nodns": ({"smtp_dns_support_level": "disabled"}, None, "u", r"5.4.4 bounced unable to look up host nodns.example: Name or service not known", ""),
}


def transports(cases, targets):
    """master.cf and transport_maps for them."""
    master, table = "", []
    for name, options in cases.items():
        master += "to-%s unix - - n - - smtp\n" % name
        master += "".join("  -o { %s = %s }\n" % pair for pair in options.items())
        table.append("{ %s.example = to-%s:%s }" % (name, name, targets.get(name, "")))
    return master, "inline:{ %s }" % " ".join(table)


@exercises(*{option for case in CASES.values() for option in case[0]})
def test_each(mta, dns):
    dns({})
    servers = {name: Script(*case[1]) for name, case in CASES.items() if case[1]}
    targets = {name: "[127.0.0.1]:%d" % server.port for name, server in servers.items()}
    master, table = transports({name: case[0] for name, case in CASES.items()}, targets)
    instance = mta(dict(CLIENT, transport_maps=table), master=master).start()
    for name, case in CASES.items():
        instance.send(recipients=["%s@%s.example" % (case[2], name)], sender="" if name in ("final5xx", "nodns") else "s@client.example")
    for name, (options, script, local, expected, lines) in CASES.items():
        found = outcome(instance, "%s@%s.example" % (local, name))
        assert re.match(expected, " ".join(found[:3])), (name, found)
        if lines:
            assert re.search(lines, "|".join(servers[name].lines)), (name, servers[name].lines)
    assert servers["bind"].peers == ["127.0.0.77"] and servers["bindfree"].peers == ["127.0.0.1"]


@exercises("smtp_data_xfer_timeout")
def test_server_that_stops_reading(mta):
    server = Script(*OPEN, *MAIL, *RCPT, *DATA, SILENT)
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, smtp_data_xfer_timeout="1s", message_size_limit="0")).start()
    instance.send(recipients=["u@any.example"], body="Subject: big\r\n\r\n" + ("x" * 70 + "\r\n") * 400000)
    assert outcome(instance, "u@any.example", seconds=30)[2] == "conversation with 127.0.0.1[127.0.0.1] timed out while sending message body"


@exercises("smtp_quit_timeout", "smtp_skip_quit_response", "smtp_rset_timeout")
@pytest.mark.parametrize("main, script, least", [
    ({"smtp_skip_quit_response": "yes", "smtp_quit_timeout": "1000s"}, ALL + [None, "wait for end"], 0),
    ({"smtp_skip_quit_response": "no", "smtp_quit_timeout": "1s"}, ALL + [None, "wait for end"], 0.9),
    ({"smtp_rset_timeout": "1s"}, OPEN + MAIL + [None, "550 no", None, "wait for end"], 0.9),
], ids=["skip", "quit", "rset"])
def test_farewell(mta, main, script, least):
    """How long the client stays after the server's last word: at least so long, and far less than without the limit."""
    server = Script(*script)
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, **main)).start()
    instance.send(recipients=["u@any.example"], sender="")
    wait_for(lambda: server.ended, 10, "the connection's end")
    assert server.ended[0] >= least


@exercises("smtp_connection_cache_on_demand", "smtp_connection_cache_time_limit", "smtp_connection_reuse_time_limit")
@pytest.mark.parametrize("main, pause, connections", [
    ({"smtp_connection_cache_time_limit": "500s"}, lambda server: None, 1),
    ({"smtp_connection_cache_time_limit": "1s"}, lambda server: wait_for(lambda: not server.open), 2),
    ({"smtp_connection_cache_time_limit": "500s", "smtp_connection_reuse_time_limit": "1s"}, lambda server: time.sleep(1.6), 2),
    ({"smtp_connection_cache_time_limit": "500s", "smtp_connection_cache_destinations": "example.net"}, lambda server: None, 2),
], ids=["kept", "idle", "old", "other"])
def test_reuse_limits(mta, main, pause, connections):
    server = Sink()
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, **dict({"smtp_connection_cache_destinations": "static:all"}, **main))).start()
    for i in range(2):
        instance.wait_handled(instance.send(recipients=["u%d@any.example" % i]))
        outcome(instance, "u%d@any.example" % i)
        pause(server)
    assert server.connections == connections
    server.close()


@exercises("smtp_connection_cache_on_demand")
@pytest.mark.parametrize("demand", ["yes", "no"])
def test_backlog_keeps_connections(mta, demand):
    queued = threading.Event()
    server = Sink(rules={"DOT": lambda line: queued.wait(300) and "250 2.0.0 queued"})
    instance = mta(dict(CLIENT, relayhost="[127.0.0.1]:%d" % server.port, smtp_connection_cache_on_demand=demand, smtp_destination_concurrency_limit="2",
                        initial_destination_concurrency="2")).start()
    for i in range(30):
        instance.send(recipients=["u%d@any.example" % i])
    instance.wait_log("queue active", count=30)
    queued.set()
    server.wait(30)
    assert server.connections == 30 if demand == "no" else server.connections < 15
    server.close()


@exercises("smtp_address_preference", "smtp_randomize_addresses", "smtp_balance_inet_protocols", "smtp_bind_address6", "smtp_tcp_port", "smtp_mx_address_limit")
def test_address_families(mta, dns):
    """Both families, of which only one answers: who is asked first, and that the other gets its turn."""
    dns({"%s.example" % name: {"MX": [(10, "mx.example")]} for name in ("six", "four", "odd")} | {
        "mx.example": {"A": ["127.0.0.2"], "AAAA": ["::1"]},
        "balanced.example": {"MX": [(10, "many.example"), (20, "live.example")]}, "unbalanced.example": {"MX": [(10, "many.example"), (20, "live.example")]},
        "many.example": {"AAAA": ["2001:db8::%d" % i for i in range(1, 5)]}, "live.example": {"A": ["127.0.0.3"]},
    })
    server = Sink("127.0.0.3", 2599)
    cases = {
        "six": {"smtp_address_preference": "ipv6"}, "four": {"smtp_address_preference": "ipv4"},
        "odd": {"smtp_bind_address6": "2001:db8::77", "smtp_bind_address_enforce": "yes", "smtp_address_preference": "ipv4"},
        "balanced": {"smtp_mx_address_limit": "2"}, "unbalanced": {"smtp_mx_address_limit": "2", "smtp_balance_inet_protocols": "no"},
    }
    for options in cases.values():
        options.update(smtp_tcp_port="2599", inet_protocols="all", smtp_randomize_addresses="yes", smtp_connect_timeout="2s")
    master, table = transports(cases, {})
    instance = mta(dict(CLIENT, transport_maps=table), master=master).start()
    for name in cases:
        instance.send(recipients=["u@%s.example" % name])
    found = {name: outcome(instance, "u@%s.example" % name) for name in cases}
    assert [found[n][2] for n in ("six", "four", "odd")] == [
        "connect to mx.example[127.0.0.2]:2599: Connection refused", "connect to mx.example[::1]:2599: Connection refused",
        "connect to mx.example[::1]:2599: Cannot assign requested address"]
    assert found["balanced"][1] == "sent" and found["unbalanced"][1] == "deferred"
    server.close()
