#!/usr/bin/env bash
# Which seats of a show are free, asked of booking-svc with `buf curl`, which learns the contract from the
# server (reflection). As the operator: each certificate may call what `holdfast certs callers` shows.
#
#   proto/examples/availability.sh https://127.0.0.1:7403 /var/lib/holdfast/tls SHOW_ID
set -euo pipefail
address=$1 tls=$2 show=$3

# An id is 16 bytes, which JSON has as base64.
bytes=$(sed 's/-//g; s/../\\x&/g' <<<"$show")
id=$(printf '%b' "$bytes" | base64)

exec "${BUF:-buf}" curl --protocol grpc \
    --cacert "$tls/ca.pem" --cert "$tls/operator.pem" --key "$tls/operator.key" \
    --servername booking.holdfast.internal \
    --data "{\"show_id\": \"$id\"}" \
    "$address/holdfast.booking.v1.BookingService/GetAvailability"
