"""A policy server of the tests: what it answers is up to the test, what it was asked is kept."""
import socket
import threading

from postern import PATIENCE, SLOW, stop_accepting


class PolicyServer:
    """answer: bytes to send, or a callable given the request (a dict) that returns bytes; None closes the connection, b"" says nothing.
    requests: [(number of the connection, [(name, value)])]."""

    def __init__(self, answer=b"action=DUNNO\n\n", path=None, port=0):
        self.answer, self.requests, self.connections, self.open = answer, [], 0, set()
        self.condition = threading.Condition()
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", port))
            self.port = self.socket.getsockname()[1]
            self.endpoint = "inet:127.0.0.1:%d" % self.port
        self.socket.listen(64)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.condition:
                self.connections += 1
                number = self.connections
                self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        attributes = []
        try:
            for line in connection.makefile("rb"):
                text = line.decode("utf-8", "replace").rstrip("\n")
                if text:
                    attributes.append(tuple(text.split("=", 1)))
                    continue
                with self.condition:
                    self.requests.append((number, attributes))
                    self.condition.notify_all()
                answer = self.answer(dict(attributes)) if callable(self.answer) else self.answer
                attributes = []
                if answer is None:
                    break
                connection.sendall(answer)
        except OSError:
            pass
        with self.condition:
            self.open.discard(connection)
            self.condition.notify_all()
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def wait(self, count, seconds=15.0):
        """Waits for so many requests in all; returns the dicts."""
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.requests) >= count, max(seconds, PATIENCE) * SLOW):
                raise AssertionError("%d of %d requests" % (len(self.requests), count))
            return [dict(attributes) for _, attributes in self.requests]

    def wait_open(self, count, seconds=15.0):
        """Waits until so many connections are open."""
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.open) == count, max(seconds, PATIENCE) * SLOW):
                raise AssertionError("%d connections are open, not %d" % (len(self.open), count))

    def drop(self):
        """Ends the connections that are open."""
        with self.condition:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # the other side was faster
                    pass

    def close(self):
        if self.thread.is_alive():
            stop_accepting(self.socket, self.thread)
        self.drop()
