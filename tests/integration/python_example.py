#!/usr/bin/env python3
"""The README's example without the C++ library: nothing but grpcio and what protoc makes of proto/assent/v1.

    python3 -m grpc_tools.protoc -I proto --python_out=OUT --grpc_python_out=OUT proto/assent/v1/*.proto
    PYTHONPATH=OUT python3 tests/integration/python_example.py 127.0.0.1:7411

Places order 42 and its event, both or neither. Exit 0: committed; 1: rolled back; 2: not known yet.
"""
import argparse
import json
import sys

import grpc

from assent.v1 import coordinator_pb2, coordinator_pb2_grpc, types_pb2

FAILURE = "type.googleapis.com/assent.v1.TransactionFailure"


def failure_of(error):
    """The coordinator's own words about the transaction, from the details of a status; None if there are none."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in types_pb2.StatusDetails.FromString(value).details:
            if detail.type_url == FAILURE:
                return types_pb2.TransactionFailure.FromString(detail.value)
    return None


def order(number, item, quantity, topic, request_id):
    insert = types_pb2.SqlStatement(
        sql="INSERT INTO orders VALUES ($1, $2, $3)",
        parameter_sets=[
            types_pb2.ParameterSet(
                values=[
                    types_pb2.Value(int64=number),
                    types_pb2.Value(text=item),
                    types_pb2.Value(int64=quantity),
                ]
            )
        ],
    )
    value = json.dumps({"item": item, "quantity": quantity}).encode()
    event = types_pb2.KafkaRecord(topic=topic, key=str(number).encode(), value=value)
    return coordinator_pb2.SubmitRequest(
        request_id=request_id,
        branches=[
            coordinator_pb2.SubmitBranch(
                participant="orders-db",
                operations=[types_pb2.Operation(sql=types_pb2.SqlOperation(statements=[insert]))],
            ),
            coordinator_pb2.SubmitBranch(
                participant="events",
                operations=[types_pb2.Operation(kafka=types_pb2.KafkaOperation(records=[event]))],
            ),
        ],
    )


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("coordinator")
    arguments.add_argument("--id", type=int, default=42)
    arguments.add_argument("--quantity", type=int, default=2)
    arguments.add_argument("--topic", default="orders")
    arguments.add_argument("--request-id", default="place-order-42")
    given = arguments.parse_args()
    with grpc.insecure_channel(given.coordinator) as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        request = order(given.id, "tea", given.quantity, given.topic, given.request_id)
        try:
            result = stub.Submit(request, timeout=60, wait_for_ready=True)
        except grpc.RpcError as error:
            failure = failure_of(error)
            if failure is not None and failure.outcome == types_pb2.ABORTED:
                print(f"rolled back: {failure.reason} (SQLSTATE {failure.sqlstate})")
                return 1
            print(f"not known yet: {error.code().name}: {error.details()}")
            return 2
    print(f"committed as {result.txn_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
