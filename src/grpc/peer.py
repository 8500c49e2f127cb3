"""gRPC's own implementation as the other side of peers_test.c.

    peer.py client DIR ADDRESS          makes the calls below, prints `NAME STATUS WHAT` for each
    peer.py server DIR [--demand]       prints `port N`, serves until its standard input ends; --demand: client certificates

DIR holds PEM files: mesh.pem (the root), and for each of server, web, stranger: NAME.pem, NAME.key.
"""

import concurrent.futures
import os
import pathlib
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails here is meant to
import grpc

HOST = "istiod.istio-system.svc"
ECHO, FAIL = "/hark.test.Echo/Say", "/hark.test.Echo/Fail"
LIMIT = 60  # s; more than anything here takes: it ends a hang


def channel(folder, address, leaf):
    read = lambda name: (folder / name).read_bytes()
    pair = (read(f"{leaf}.key"), read(f"{leaf}.pem")) if leaf else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(read("mesh.pem"), *pair), [
        ("grpc.ssl_target_name_override", HOST), ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)])


def tell(name, call):
    try:
        print(name, "OK", call(), flush=True)
    except grpc.RpcError as e:
        print(name, e.code().name, e.details(), flush=True)


def client(folder, address):
    def call(ch, method, message=b"", **more):
        return ch.unary_unary(method)(message, timeout=LIMIT, **more)

    def fail(ch, status, text):
        return call(ch, FAIL, metadata=[("x-status", str(status)), ("x-text", text)])

    with channel(folder, address, "web") as ch:
        tell("echo", lambda: call(ch, ECHO, b"hello", metadata=[("authorization", "Bearer a.b.c")]).decode())
        tell("empty", lambda: len(call(ch, ECHO)))
        tell("large", lambda: call(ch, ECHO, bytes(range(256)) * 256) == bytes(range(256)) * 256)
        tell("too-large", lambda: call(ch, ECHO, bytes(64 * 1024 + 1)))
        tell("much-too-large", lambda: call(ch, ECHO, bytes(3 << 20)))
        tell("status", lambda: fail(ch, 16, "no 100% valid token"))
        tell("unknown-method", lambda: call(ch, "/hark.test.Echo/Nothing"))
        tell("unknown-method-large", lambda: call(ch, "/hark.test.Echo/Nothing", bytes(3 << 20)))
        tell("gzip", lambda: call(ch, ECHO, bytes(4096), compression=grpc.Compression.Gzip))
        tell("metadata-too-large", lambda: call(ch, ECHO, metadata=[("x-much", "x" * 20000)]))
        # more at once than one connection may have
        many = [ch.unary_unary(ECHO).future(str(i).encode() * 1000, timeout=LIMIT) for i in range(300)]
        tell("many", lambda: all(f.result() == str(i).encode() * 1000 for i, f in enumerate(many)))
    for leaf in None, "stranger":
        with channel(folder, address, leaf) as ch:
            tell(f"as-{leaf}", lambda: call(ch, ECHO, b"hello").decode())


class Methods(grpc.GenericRpcHandler):
    def service(self, details):
        found = getattr(self, details.method.rpartition("/")[2].lower(), None)
        return found and grpc.unary_unary_rpc_method_handler(found)

    def say(self, message, context):
        return message

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "50% of “it”\nand a line")

    def show(self, message, context):
        """What we made of the call's metadata, its time and the client's certificate."""
        metadata = dict(context.invocation_metadata())
        uri = context.auth_context().get("x509_subject_alternative_name", [b"none"])[0].decode()
        return f"{metadata.get('authorization')} {0 < context.time_remaining() <= LIMIT} {uri}".encode()

    def big(self, message, context):
        return b"x" * int(message)

    def zip(self, message, context):
        context.set_compression(grpc.Compression.Gzip)
        return bytes(10000)

    def hang(self, message, context):
        gone = concurrent.futures.Future()
        context.add_callback(lambda: gone.set_result(None))
        gone.result(LIMIT)


def server(folder, demand):
    read = lambda name: (folder / name).read_bytes()
    credentials = grpc.ssl_server_credentials([(read("server.key"), read("server.pem"))], read("mesh.pem"), demand)
    s = grpc.server(concurrent.futures.ThreadPoolExecutor(4), [Methods()])
    print("port", s.add_secure_port("127.0.0.1:0", credentials), flush=True)
    s.start()
    sys.stdin.read()
    s.stop(None).wait()


if __name__ == "__main__":
    role, folder, *rest = sys.argv[1:]
    if role == "client":
        client(pathlib.Path(folder), *rest)
    else:
        server(pathlib.Path(folder), "--demand" in rest)
