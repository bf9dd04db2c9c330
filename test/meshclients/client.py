"""Makes the calls that it reads, a line of JSON each, as a proxyless client, and writes what came of them in the same way."""

import json
import sys

import grpc

CALL_TIMEOUT = 60  # seconds


def call(channel, request):
    # Without serializers, messages are bytes.
    method = channel.unary_unary(request["method"])
    metadata = [(name, value) for name, value in request["metadata"]]
    try:
        return {"backend": method(b"", metadata=metadata, timeout=CALL_TIMEOUT).decode()}
    except grpc.RpcError as error:
        return {"code": error.code().name, "message": error.details()}


def main():
    channels = {}
    for line in sys.stdin:
        request = json.loads(line)
        host = request["host"]
        if host not in channels:
            channels[host] = grpc.insecure_channel("xds:///" + host)
        print(json.dumps(call(channels[host], request)), flush=True)
    for channel in channels.values():
        channel.close()


if __name__ == "__main__":
    main()
