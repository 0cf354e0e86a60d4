#!/usr/bin/env python3
"""Measures how fast assentd recovers what a crash left in doubt, beside a bare loop of COMMIT PREPARED: bench/run.sh recovery.

Every cell has a data folder of its own, and as many transactions behind it as every other. Some of them are decided and
not finished when assentd is ended by SIGKILL: a proxy spoils each COMMIT PREPARED on its way to the server. Then, without
the proxy, either assentd is started again, or a loop that knows nothing of any decision commits what the server lists.
The arms take turns within each round. After each cell both databases must hold every row, and nothing may be prepared any
more: else there is no figure.
"""
import argparse
import asyncio
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from report import machine, print_ratios, spread, text

FOLDER = pathlib.Path(__file__).resolve().parent
LOCAL_SERVERS = FOLDER.parents[1] / "deploy/local.sh"
DATABASES = {"orders-db": "orders", "stock-db": "stock"}
CONNECTIONS = 16  # of each participant, its default, and of the bare loop to each database
IN_FLIGHT = 64  # transactions at a time, while they are made
START_SECONDS = 60
CELL_SECONDS = 300


def say(text):
    print(f"recovery: {text}", flush=True)


class SpoilingProxy(threading.Thread):
    """A way to the server on which a word, while `spoils`, arrives as another one of the same length."""

    WORD, SPOILED = b"COMMIT PREPARED", b"COMMIT_PREPARED"

    def __init__(self, server_port):
        super().__init__(daemon=True)
        self.server_port = server_port
        self.spoils = False
        self.listens = threading.Event()
        self.start()
        self.listens.wait()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.listens.set()
        await server.serve_forever()

    async def connect(self, client_reader, client_writer):
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        await asyncio.gather(self.forward(client_reader, server_writer, self.spoil),
                             self.forward(server_reader, client_writer, lambda held: (held, b"")))

    async def forward(self, reader, writer, change):
        rest = b""
        try:
            while arrived := await reader.read(1 << 16):
                passed, rest = change(rest + arrived)
                writer.write(passed)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    def spoil(self, held):
        """What may go on, and a piece of the word that the rest of it may follow."""
        if not self.spoils:
            return held, b""
        held = held.replace(self.WORD, self.SPOILED)
        piece = next((size for size in range(len(self.WORD) - 1, 0, -1) if held.endswith(self.WORD[:size])), 0)
        return held[:len(held) - piece], held[len(held) - piece:]


class Bench:
    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.programs = arguments.programs / "bench/recovery"
        self.assentd = arguments.programs / "coordinator/server/assentd"
        self.scratch = pathlib.Path(scratch)
        self.numbers = itertools.count(1)
        self.server = os.environ["ASSENT_TEST_POSTGRES"]
        self.prepare_server()
        self.proxy = SpoilingProxy(int(self.server.split("port=")[1].split()[0]))

    # ---- The server ----

    def sql(self, statements, database="postgres"):
        conninfo = f"{os.environ['ASSENT_TEST_POSTGRES_ADMIN']} dbname={database}"
        # One call for each statement: some of them must not run in a transaction with others.
        command = [f"{os.environ['ASSENT_TEST_POSTGRES_BIN']}/psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1",
                   "-d", conninfo]
        for statement in statements if isinstance(statements, list) else [statements]:
            command += ["-c", statement]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout.strip()

    def prepare_server(self):
        """Room for all that is to be in doubt, and nothing that runs at times of its own."""
        settings = {
            "max_prepared_transactions": 2 * self.arguments.transactions + 300, "max_locks_per_transaction": 10,
            "max_pred_locks_per_transaction": 10,
            "checkpoint_timeout": "1h", "max_wal_size": "16GB", "autovacuum": "off",
        }
        self.sql([f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()])
        self.restart_server()
        for database in DATABASES.values():
            self.sql(["CREATE TABLE orders (id int PRIMARY KEY)", "ALTER TABLE orders OWNER TO assent"], database)

    def restart_server(self):
        for command in ("stop", "start"):
            subprocess.run([LOCAL_SERVERS, command, "postgres", "--dir", os.environ["ASSENT_TEST_DIR"]], check=True,
                           stdout=subprocess.DEVNULL)

    def prepared(self):
        return int(self.sql("SELECT count(*) FROM pg_prepared_xacts"))

    # ---- One cell ----

    def write_configuration(self, folder, name, server, settings=""):
        participants = "".join(
            f'[[participant]]\nname = "{participant}"\ntype = "postgres"\nconninfo = "{server} dbname={database}"\n'
            f"max_connections = {CONNECTIONS}\n" for participant, database in DATABASES.items())
        (folder / name).write_text(
            f'coordinator = "{folder.name}"\ndata_dir = "{folder / "data"}"\n{settings}{participants}')

    def leave(self, in_doubt):
        """The folder of an assentd that was killed, with so many transactions in doubt."""
        folder = self.scratch / f"recovery{next(self.numbers)}"
        folder.mkdir()
        # One attempt for each branch: what cannot be finished shall not be tried while more is made.
        self.write_configuration(folder, "before.toml", f"{self.server} port={self.proxy.port}",
                                 '[transactions]\nfirst_retry = "1m"\nlast_retry = "1h"\n')
        self.write_configuration(folder, "after.toml", self.server)
        # PostgreSQL searches its prepared transactions in the order in which their places in memory became free: what the
        # last cell ended leaves that in disorder, and the next a quarter slower, whichever it is.
        self.restart_server()
        for database in DATABASES.values():
            self.sql("TRUNCATE orders", database)
        self.sql("CHECKPOINT")
        with open(folder / "log", "w") as log:
            assentd = subprocess.Popen(
                [self.assentd, "--config", folder / "before.toml", "--listen", "127.0.0.1:0", "--address-file",
                 folder / "before.address"], stderr=log)
        try:
            self.run_transactions(self.await_address(folder / "before.address", assentd), in_doubt)
        finally:
            assentd.send_signal(signal.SIGKILL)
            assentd.wait()
        if self.prepared() != 2 * in_doubt:
            sys.exit(f"recovery: {self.prepared()} branches are prepared instead of {2 * in_doubt}")
        return folder

    def await_address(self, file, assentd):
        give_up = time.monotonic() + START_SECONDS
        while not file.exists():
            if assentd.poll() is not None or time.monotonic() > give_up:
                sys.exit(f"recovery: assentd does not serve: see {file.parent / 'log'}")
            time.sleep(0.01)
        return file.read_text().split()[0]

    def run_transactions(self, address, in_doubt):
        finished = self.arguments.transactions - in_doubt
        for first, transactions, self.proxy.spoils in ((1, finished, False), (1 + finished, in_doubt, True)):
            if transactions > 0:
                self.run_program("leave", address=address, first=first, transactions=transactions, in_flight=IN_FLIGHT,
                                 wait="decided" if self.proxy.spoils else "databases")

    def run_program(self, name, **arguments):
        command = [self.programs / f"assent_bench_recovery_{name}", *(f"{key}={value}" for key, value in arguments.items())]
        ran = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True, timeout=CELL_SECONDS)
        return json.loads(ran.stdout) if ran.stdout else None

    def verify(self, rows):
        if self.prepared() != 0:
            sys.exit(f"recovery: {self.prepared()} branches are still prepared: there is no figure")
        for database in DATABASES.values():
            found = int(self.sql("SELECT count(*) FROM orders", database))
            if found != rows:
                sys.exit(f"recovery: {database} has {found} rows instead of {rows}: there is no figure")

    def databases(self):
        return {database: f"{self.server} dbname={database}" for database in DATABASES.values()}

    def bare(self):
        self.leave(self.arguments.transactions)
        report = self.run_program("bare", connections=CONNECTIONS, **self.databases())
        self.verify(self.arguments.transactions)
        return report | {"per_second": report["branches"] / report["seconds"]}

    def start(self, in_doubt):
        folder = self.leave(in_doubt)
        new_id = self.arguments.transactions + 1
        report = self.run_program("start", assentd=self.assentd, config=folder / "after.toml", log=folder / "log",
                                  address_file=folder / "after.address", new_id=new_id, **self.databases())
        self.verify(new_id)
        if in_doubt < self.arguments.transactions:
            return report
        return report | {"per_second": 2 * in_doubt / report["seconds"]}


# ---- The table -------------------------------------------------------------------------------------------------------

def print_table(result):
    """Medians over the rounds, with the lowest and the highest."""
    print(f"\n{'':<34}{'branches/s':>24}")
    for arm in ("bare", "assentd"):
        print(f"{arm:<34}{text(result['cells'][arm]['per_second'], 0):>24}")
    print(f"\n{'start with so many in doubt':<34}{'serves, ms':>24}{'first transaction, ms':>24}")
    for in_doubt, figures in result["cells"]["starts"].items():
        print(f"{in_doubt:<34}{text(figures['serves_s'], 0, 1000):>24}{text(figures['first_transaction_s'], 0, 1000):>24}")
    print()
    print_ratios(result["ratio_spreads"])


# ---- The run ---------------------------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="default 5; a figure is the median over them")
    parser.add_argument("--transactions", type=int, default=10_000, help="of two branches each; default 10000")
    parser.add_argument("--quick", action="store_true", help="one round of 1000 transactions, to see that everything works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.transactions = 1, 1000
    return arguments


def fewer_in_doubt(transactions):
    return [number for number in (0, 100, 1000) if number < transactions]


def run_round(bench, label, is_bare_first):
    transactions = bench.arguments.transactions
    figures = {}
    for arm in ("bare", "assentd") if is_bare_first else ("assentd", "bare"):
        figures[arm] = bench.bare() if arm == "bare" else bench.start(transactions)
        say(f"{label}, {arm}: {figures[arm]['per_second']:.0f} branches/s")
    figures["starts"] = {number: bench.start(number) for number in fewer_in_doubt(transactions)}
    figures["starts"][transactions] = figures["assentd"]
    for number, start in figures["starts"].items():
        say(f"{label}, {number} in doubt: serves after {start['serves_s'] * 1000:.0f} ms, the first transaction is "
            f"committed after {start['first_transaction_s'] * 1000:.0f} ms")
    return figures


def ratios_of(rounds, transactions):
    ratios = {"recovery_rate_over_bare":
              spread([one["assentd"]["per_second"] / one["bare"]["per_second"] for one in rounds]) | {"at_least": 0.80}}
    for number in fewer_in_doubt(transactions):
        ratios[f"start_with_{transactions}_over_{number}"] = spread(
            [one["starts"][transactions]["first_transaction_s"] / one["starts"][number]["first_transaction_s"]
             for one in rounds])
    return ratios


def cells_of(rounds):
    def figures(cells):
        return {name: spread([cell[name] for cell in cells]) for name in cells[0]}
    return {arm: figures([one[arm] for one in rounds]) for arm in ("bare", "assentd")} | {
        "starts": {number: figures([one["starts"][number] for one in rounds]) for number in rounds[0]["starts"]}}


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="assent-recovery-") as scratch:
        result = {"machine": machine()}
        bench = Bench(arguments, scratch)
        rounds = [run_round(bench, f"round {number + 1} of {arguments.rounds}", number % 2 == 0)
                  for number in range(arguments.rounds)]
    spreads = ratios_of(rounds, arguments.transactions)
    result |= {"ratios": {name: ratio["value"] for name, ratio in spreads.items()}, "ratio_spreads": spreads,
               "cells": cells_of(rounds), "rounds": rounds}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print_table(result)


if __name__ == "__main__":
    main()
