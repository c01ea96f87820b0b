"""What gRPC's own generator makes of our `.proto`, made anew for each run. `generate` comes before the first import
of a module that uses this one's names."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import grpc_tools
from grpc_tools import protoc

FILES = ("accounts", "auth", "blobs", "channels", "errors", "mailbox", "prekeys", "server", "statement")

messages = SimpleNamespace()
services = SimpleNamespace()


def generate(proto: Path, folder: Path) -> None:
    sources = [str(path) for path in sorted(proto.glob("sottovoce/v1/*.proto"))]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    out = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    status = protoc.main(["protoc", f"-I{proto}", f"-I{well_known}", *out, *sources])
    assert status == 0, "the generator does not take our .proto"
    assert sorted(Path(source).stem for source in sources) == sorted(FILES), "list the new file"
    sys.path.insert(0, str(folder))
    for name in FILES:
        for suffix, names in (("_pb2", messages), ("_pb2_grpc", services)):
            module = importlib.import_module(f"sottovoce.v1.{name}{suffix}")
            vars(names).update({key: value for key, value in vars(module).items() if not key.startswith("_")})
