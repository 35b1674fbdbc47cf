"""A milter for tests: speaks the filter side of the protocol (version 6), notes what it was sent, answers as the test says."""
import socket
import struct
import threading

from postern import stop_accepting

# Answers; edits are sent before the final answer of the end of the message.
CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, SKIP, PROGRESS, SHUTDOWN_CLIENT = ((c, b"") for c in (b"c", b"a", b"r", b"t", b"d", b"s", b"p", b"4"))
NO_REPLY, HANG_UP = object(), object()
CUT = object()  # a packet that is not whole, and the end of the connection


def text(*parts):
    return b"".join(p.encode("utf-8", "surrogateescape") + b"\0" for p in parts)


def reply_code(line):
    return b"y", text(line)


def add_header(name, value):
    return b"h", text(name, value)


def insert_header(index, name, value):
    return b"i", struct.pack(">I", index) + text(name, value)


def change_header(index, name, value):
    return b"m", struct.pack(">I", index) + text(name, value)


def body(data):
    return b"b", data


def add_recipient(*parts):
    return (b"+" if len(parts) == 1 else b"2"), text(*parts)


def delete_recipient(address):
    return b"-", text(address)


def change_sender(*parts):
    return b"e", text(*parts)


def quarantine(reason):
    return b"q", text(reason)


class Dialogue:
    """One connection: events [(command, data)], macros {command: {name: value}}, state for the test's own use."""

    def __init__(self):
        self.events, self.macros, self.offer, self.state, self.closed = [], {}, None, {}, False


class Milter:
    """answer(dialogue, command, data): an answer, a list of them, None (continue), or NO_REPLY. `hello` overrides what is answered to the options."""

    def __init__(self, answer=None, version=6, actions=0x1FF, protocol=0, requests=(), hello=None, path=None):
        self.answer, self.version, self.actions, self.protocol, self.requests, self.hello = answer, version, actions, protocol, requests, hello
        self.dialogues, self.lock = [], threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = None if path else self.listener.getsockname()[1]
        self.endpoint = "unix:" + path if path else "inet:127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def close(self):
        stop_accepting(self.listener, self.thread)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def send(connection, answer):
        connection.sendall(struct.pack(">I", 1 + len(answer[1])) + answer[0] + answer[1])

    def greet(self, dialogue, data):
        version, actions, protocol = struct.unpack(">III", data[:12])
        dialogue.offer = version, actions, protocol
        requests = b"".join(struct.pack(">I", stage) + text(names) for stage, names in self.requests)
        return b"O", struct.pack(">III", min(version, self.version), actions & self.actions, protocol & self.protocol) + requests

    def respond(self, dialogue, connection, command, data):
        if command == "O":
            if self.hello is not NO_REPLY:
                self.send(connection, self.hello or self.greet(dialogue, data))
            return True
        if command == "D":
            parts = data[1:].decode("utf-8", "surrogateescape").split("\0")[:-1]
            dialogue.macros[data[:1].decode()] = dict(zip(parts[::2], parts[1::2]))
            return True
        dialogue.events.append((command, data))
        answers = self.answer(dialogue, command, data) if self.answer else None
        if command in "AKQ":
            return command != "Q"
        for answer in answers if isinstance(answers, list) else [answers or CONTINUE]:
            if answer is CUT:
                connection.sendall(struct.pack(">I", 100) + b"b")
            if answer is CUT or answer is HANG_UP:
                return False
            if answer is not NO_REPLY:
                self.send(connection, answer)
        return True

    def serve(self, connection):
        dialogue = Dialogue()
        with self.lock:
            self.dialogues.append(dialogue)
        with connection, connection.makefile("rb") as stream:
            try:
                while True:
                    head = stream.read(4)
                    if len(head) < 4:
                        break
                    packet = stream.read(struct.unpack(">I", head)[0])
                    if not self.respond(dialogue, connection, packet[:1].decode(), packet[1:]):
                        break
            except OSError:
                pass
        dialogue.closed = True
