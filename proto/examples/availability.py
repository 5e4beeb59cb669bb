"""Which seats of a show are free, asked of booking-svc with grpcio, without generated code: the contract
comes from the server (reflection). As the operator: each certificate may call what `holdfast certs callers`
shows. Needs `grpcio` and `grpcio-reflection`.

    proto/examples/availability.py https://127.0.0.1:7403 /var/lib/holdfast/tls SHOW_ID
"""

import collections
import json
import pathlib
import sys
import uuid

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

SERVICE = "holdfast.booking.v1.BookingService"
METHOD = "GetAvailability"
# A call without a deadline waits for as long as its server does.
DEADLINE_S = 10
# An answer about 100,000 seats has some 3 MB.
ANSWER_BYTES_MAX = 32 * 1024 * 1024


def main(address: str, tls: str, show: str) -> int:
    folder = pathlib.Path(tls)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(folder / "ca.pem").read_bytes(),
        private_key=(folder / "operator.key").read_bytes(),
        certificate_chain=(folder / "operator.pem").read_bytes(),
    )
    options = [
        # Certificates name the part, wherever it listens.
        ("grpc.ssl_target_name_override", "booking.holdfast.internal"),
        ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ]
    with grpc.secure_channel(address.removeprefix("https://"), credentials, options) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).FindMethodByName(METHOD)
        request = GetMessageClass(method.input_type)(show_id=uuid.UUID(show).bytes)
        call = channel.unary_unary(
            f"/{SERVICE}/{METHOD}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        try:
            answer = call(request, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            # Why, for programs, is `google.rpc.ErrorInfo` in `grpc-status-details-bin`.
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    states = collections.Counter(seat.state for seat in answer.seats)
    print(json.dumps({"show_state": answer.show_state, "revision": str(answer.revision), "seats": states}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
