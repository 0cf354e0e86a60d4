#!/usr/bin/env python3
"""Asks a Kafka broker for the few things that our scripts need, in its own protocol, without starting a JVM.

    admin.py HOST:PORT ready                       waits until the broker serves groups and transactions
    admin.py HOST:PORT create-topic NAME [PARTITIONS]

Message layouts: https://kafka.apache.org/protocol. The old, fixed-width versions, which brokers 2.1 to 4.x answer.
"""
import socket
import struct
import sys
import time

METADATA, FIND_COORDINATOR, CREATE_TOPICS = 3, 10, 19
TOPIC_ALREADY_EXISTS = 36
GROUP, TRANSACTION = 0, 1  # kinds of coordinator
PATIENCE_SECONDS = 60


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


class Reader:
    """Takes an answer apart, from front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        (value,) = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return value

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def array(self, element):
        return [element() for _ in range(self.take("i"))]


class Broker:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=5)

    def ask(self, api, version, body):
        request = struct.pack(">hhi", api, version, 1) + string("assent-deploy") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", self.receive(4))
        answer = Reader(self.receive(length))
        answer.take("i")  # correlation id
        return answer

    def receive(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the broker closed the connection")
            data += piece
        return data

    def coordinator_error(self, kind):
        answer = self.ask(FIND_COORDINATOR, 1, string("assent-ready") + struct.pack(">b", kind))
        answer.take("i")  # throttled
        return answer.take("h")

    def leaders(self, topic):
        """The leader of each partition; empty while the topic is not known."""
        answer = self.ask(METADATA, 4, struct.pack(">i", 1) + string(topic) + b"\0")
        answer.take("i")  # throttled
        answer.array(lambda: (answer.take("i"), answer.string(), answer.take("i"), answer.string()))  # brokers
        answer.string(), answer.take("i")  # cluster, controller
        found = []

        def partition():
            error, _, leader = answer.take("h"), answer.take("i"), answer.take("i")
            answer.array(lambda: answer.take("i")), answer.array(lambda: answer.take("i"))  # replicas, in sync
            found.append(leader if error == 0 else -1)

        answer.array(lambda: (answer.take("h"), answer.string(), answer.take("?"), answer.array(partition)))
        return found

    def create_topic(self, topic, partitions):
        body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihiii?", partitions, 1, 0, 0, 30_000, False)
        answer = self.ask(CREATE_TOPICS, 2, body)
        answer.take("i"), answer.take("i"), answer.string()  # throttled, one topic, its name
        error, message = answer.take("h"), answer.string()
        if error not in (0, TOPIC_ALREADY_EXISTS):
            sys.exit(f"admin.py: the broker did not create topic {topic}: {message} (error {error})")
        self.await_topic(topic, partitions if error == 0 else 1)

    def await_topic(self, topic, partitions):
        def led():
            leaders = self.leaders(topic)
            return len(leaders) >= partitions and min(leaders) >= 0

        wait_for(led, f"every partition of {topic} to have a leader")


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"admin.py: waited {PATIENCE_SECONDS} s in vain for {what}")
        time.sleep(0.05)


def is_ready(address):
    try:
        broker = Broker(address)
        return broker.coordinator_error(GROUP) == 0 and broker.coordinator_error(TRANSACTION) == 0
    except OSError:
        return False


def main(arguments):
    if len(arguments) == 2 and arguments[1] == "ready":
        wait_for(lambda: is_ready(arguments[0]), f"the broker at {arguments[0]}")
    elif len(arguments) in (3, 4) and arguments[1] == "create-topic":
        Broker(arguments[0]).create_topic(arguments[2], int(arguments[3]) if len(arguments) == 4 else 1)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
