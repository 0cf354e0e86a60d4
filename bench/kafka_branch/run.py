#!/usr/bin/env python3
"""Measures what a Kafka transaction costs by four clients, side by side on one broker: bench/run.sh kafka-branch.

Every cell is a process of its own, so that its threads, CPU and memory are the client's. The clients take turns within
each round, so that whatever changes on the machine meanwhile changes for all of them. After each cell kcat, which is none
of the measured programs, reads as a read_committed consumer what the cell has written: a figure counts only if exactly
the records are there whose commits were acknowledged.
"""
import argparse
import array
import collections
import dataclasses
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from report import machine, print_ratios, spread, text

FOLDER = pathlib.Path(__file__).resolve().parent
PARTITIONS = 8
VALUE_BYTES = 200
VERIFY_SECONDS = 30  # for the last markers to be written
CELL_SECONDS = 120
ATTEMPTS = 3  # of a cell whose client ends with an error; each failure is told
WARM_UP_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    program: str
    warm_up_ms: int = 1000


CLIENTS = [
    Client("bare", "assent_bench_kafka_bare"),
    Client("assent", "assent_bench_kafka_assent"),
    Client("librdkafka", "assent_bench_kafka_librdkafka"),
    Client("java", "JavaProducer", warm_up_ms=4000),  # until most of it is compiled
]


@dataclasses.dataclass(frozen=True)
class Work:
    name: str
    records: int
    in_flight: int


WORKS = [
    Work("1 record, 1 in flight", 1, 1),
    Work("1 record, 16 in flight", 1, 16),
    Work("1 record, 64 in flight", 1, 64),
    Work("100 records, 16 in flight", 100, 16),
]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of a figure of two clients in the same round."""

    name: str
    work: Work
    figure: str
    over: str
    under: str
    at_least: float | None = None


ONE, SIXTEEN, _, HUNDRED_RECORDS = WORKS
RATIOS = [
    Ratio("p50_librdkafka_over_assent", ONE, "p50_ms", "librdkafka", "assent", at_least=10),
    Ratio("p50_java_over_assent", ONE, "p50_ms", "java", "assent"),
    Ratio("p50_assent_over_bare", ONE, "p50_ms", "assent", "bare"),
    Ratio("throughput16_assent_over_librdkafka", SIXTEEN, "per_second", "assent", "librdkafka", at_least=8),
    Ratio("throughput16_assent_over_java", SIXTEEN, "per_second", "assent", "java"),
    Ratio("throughput16_assent_over_bare", SIXTEEN, "per_second", "assent", "bare", at_least=0.70),
    Ratio("throughput16_100_records_assent_over_librdkafka", HUNDRED_RECORDS, "per_second", "assent", "librdkafka"),
    Ratio("throughput16_100_records_assent_over_java", HUNDRED_RECORDS, "per_second", "assent", "java"),
    Ratio("throughput16_100_records_assent_over_bare", HUNDRED_RECORDS, "per_second", "assent", "bare"),
]


def say(text):
    print(f"kafka-branch: {text}", flush=True)


class Bench:
    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.scratch = pathlib.Path(scratch)
        self.server = os.environ["ASSENT_TEST_KAFKA"]
        self.failures = []
        self.make_topic()
        self.compile_java()

    def make_topic(self):
        self.topic = f"kafka-branch-{os.getpid()}-{time.time_ns()}"
        subprocess.run(
            [FOLDER.parents[1] / "deploy/kafka/admin.py", self.server, "create-topic", self.topic, str(PARTITIONS)],
            check=True)

    def compile_java(self):
        libraries = os.environ["ASSENT_TEST_KAFKA_LIBS"]
        self.java = [os.environ["ASSENT_TEST_JAVA"], "-cp", f"{libraries}/*:{self.scratch}"]
        javac = pathlib.Path(os.environ["ASSENT_TEST_JAVA"]).with_name("javac")
        subprocess.run([javac, "-cp", f"{libraries}/*", "-d", self.scratch, FOLDER / "JavaProducer.java"], check=True)

    def measure(self, client, work):
        """One cell: its figures, once its records were found. It is measured again where the client has failed."""
        while True:
            try:
                return self.attempt(client, work)
            except subprocess.CalledProcessError as error:
                self.failures.append({"client": client.name, "work": work.name})
                say(f"{work.name}, {client.name}: its process failed with exit status {error.returncode}, see above")
                if self.failures.count(self.failures[-1]) >= ATTEMPTS:
                    sys.exit("kafka-branch: there is no figure")
                # What the process has left open would hide what comes behind it from read_committed readers.
                self.make_topic()

    def attempt(self, client, work):
        samples = self.scratch / "samples"
        cell = {
            "server": self.server, "broker_pid": os.environ["ASSENT_TEST_KAFKA_PID"], "topic": self.topic,
            "partitions": PARTITIONS, "in_flight": work.in_flight, "records": work.records,
            "value_bytes": VALUE_BYTES, "warm_up_ms": client.warm_up_ms, "measured_ms": self.arguments.measured_ms,
            "samples": samples,
        }
        is_native = client.program.startswith("assent_")
        command = [self.arguments.programs / client.program] if is_native else [*self.java, client.program]
        began_ms = time.time_ns() // 1_000_000
        ran = subprocess.run([*command, *(f"{name}={value}" for name, value in cell.items())], text=True,
                             stdout=subprocess.PIPE, check=True, timeout=CELL_SECONDS)
        report = json.loads(ran.stdout)
        self.verify(began_ms, report["committed"] * work.records)
        latencies = array.array("q", samples.read_bytes())
        return figures_of(report, sorted(latencies))

    def verify(self, began_ms, records):
        """What the topic has from a moment on must be the records 0, 1, 2, … of the cell, each once."""
        give_up = time.monotonic() + VERIFY_SECONDS
        while True:
            found = self.read_committed(began_ms)
            if len(found) >= records or time.monotonic() > give_up:
                break
            time.sleep(0.1)
        if sorted(map(int, found)) != list(range(records)):
            sys.exit(f"kafka-branch: {records} records were acknowledged as committed, and a read_committed consumer "
                     f"finds {len(found)}, {len(set(found))} of them different: there is no figure")

    def read_committed(self, began_ms):
        command = ["kcat", "-C", "-b", self.server, "-t", self.topic, "-o", f"s@{began_ms}", "-e", "-q", "-f", "%k\n",
                   "-X", "isolation.level=read_committed", "-X", "fetch.wait.max.ms=10"]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout.split()


def figures_of(report, latencies):
    transactions = report["transactions"]
    return {
        "p50_ms": percentile(latencies, 50) / 1e6,
        "p99_ms": percentile(latencies, 99) / 1e6,
        "per_second": transactions / report["seconds"],
        "client_cpu_us": report["client_cpu_s"] / transactions * 1e6,  # of a transaction
        "broker_cpu_us": report["broker_cpu_s"] / transactions * 1e6,
        "peak_memory_mb": report["peak_memory_kb"] / 1024,
        **report,
    }


def percentile(ordered, percent):
    """By nearest rank: a latency that was measured."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def ratios_of(rounds):
    return {
        ratio.name: spread([one[ratio.work.name][ratio.over][ratio.figure] /
                            one[ratio.work.name][ratio.under][ratio.figure] for one in rounds])
        | ({"at_least": ratio.at_least} if ratio.at_least else {})
        for ratio in RATIOS
    }


def cells_of(rounds):
    figures = [name for name in rounds[0][ONE.name]["bare"]]
    return {
        work.name: {
            client.name: {figure: spread([one[work.name][client.name][figure] for one in rounds]) for figure in figures}
            for client in CLIENTS
        }
        for work in WORKS
    }


# ---- The table -------------------------------------------------------------------------------------------------------

COLUMNS = [("p50_ms", "p50 ms", 2), ("p99_ms", "p99 ms", 2), ("per_second", "txn/s", 0), ("threads", "threads", 0),
           ("client_cpu_us", "client µs/txn", 0), ("broker_cpu_us", "broker µs/txn", 0), ("peak_memory_mb", "MB", 0)]


def print_table(result):
    """Medians over the rounds, with the lowest and the highest."""
    for work, clients in result["cells"].items():
        rows = [[work] + [title for _, title, _ in COLUMNS]]
        rows += [["  " + name] + [text(figures[key], digits) for key, _, digits in COLUMNS]
                 for name, figures in clients.items()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        widths[0] = max(26, widths[0])
        print()
        for row in rows:
            print("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]))
    print()
    for failure in result["failures"]:
        print(f"{failure['client']} failed once at {failure['work']}, and was measured again")
    print_ratios(result["ratio_spreads"])


# ---- The run ---------------------------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh kafka-branch", description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="default 5; a figure is the median over them")
    parser.add_argument("--measured-ms", type=int, default=2500, help="of each cell, after its warm-up; default 2500")
    parser.add_argument("--quick", action="store_true", help="one round, to see that everything works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def run_round(bench, label, works):
    figures = collections.defaultdict(dict)
    for work, client in itertools.product(works, CLIENTS):
        found = bench.measure(client, work)
        figures[work.name][client.name] = found
        say(f"{label}, {work.name}, {client.name}: p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, "
            f"{found['per_second']:.0f} txn/s; {found['committed'] * work.records} records found")
    return figures


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="assent-kafka-branch-") as scratch:
        result = {"machine": machine() | {"kafka": os.environ["ASSENT_TEST_KAFKA_VERSION"]}}
        bench = Bench(arguments, scratch)
        # The broker's own code is compiled while it works: what it does first is slow, whoever asks.
        for _ in range(WARM_UP_ROUNDS):
            run_round(bench, "warming the broker up", [SIXTEEN])
        rounds = [run_round(bench, f"round {number + 1} of {arguments.rounds}", WORKS)
                  for number in range(arguments.rounds)]
    spreads = ratios_of(rounds)
    result |= {"ratios": {name: ratio["value"] for name, ratio in spreads.items()}, "ratio_spreads": spreads,
               "cells": cells_of(rounds), "rounds": rounds, "failures": bench.failures}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result)


if __name__ == "__main__":
    main()
