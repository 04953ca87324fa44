"""Hosts in one machine: network namespaces on a bridge, each with an address of its own (Linux, root).

In: names and the broker's address. Out: what to put before a command so that it runs on a host. The embedded broker is
on this machine's loopback; a relay at the bridge and one on each host make it appear on theirs.
"""

import os
import shutil
import subprocess
import sys
from typing import Self

import psutil

RELAY = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def main(listen, port, target):
    async def serve(reader, writer):
        try:
            there, back = await asyncio.open_connection(target, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, back), copy(there, writer))
    server = await asyncio.start_server(serve, listen, port)
    await server.serve_forever()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
"""


def can_have_hosts() -> bool:
    """Whether network namespaces and bridges can be made here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    made = subprocess.run(["ip", "link", "add", "lgtry", "type", "bridge"], capture_output=True, check=False)
    if made.returncode == 0:
        _ip("link", "del", "lgtry")
    return made.returncode == 0


class Hosts:
    """Some hosts, as long as the block lasts.

    Attributes:
        address: name → IPv4 address.
    """

    def __init__(self, names: list[str], broker_port: int) -> None:
        """Make them; 127.0.0.1:broker_port is reached from each."""
        self._tag = f"lg{os.getpid() % 10_000}"
        self._net = f"10.203.{os.getpid() % 250}"
        self.address = {name: f"{self._net}.{number}" for number, name in enumerate(names, 2)}
        self._port = broker_port
        self._relays: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        _ip("link", "add", self._tag, "type", "bridge")
        _ip("addr", "add", f"{self._net}.1/24", "dev", self._tag)
        _ip("link", "set", self._tag, "up")
        self._relay([], f"{self._net}.1", "127.0.0.1")
        for name in self.address:
            self._make(name)
        return self

    def __exit__(self, *_: object) -> None:
        for relay in self._relays:
            for member in [*psutil.Process(relay.pid).children(recursive=True), relay]:
                member.kill()
            relay.wait(10)
        for name in self.address:
            _ip("netns", "del", self._space(name))
        _ip("link", "del", self._tag)

    def on(self, name: str) -> list[str]:
        """What comes before a command that is to run on a host."""
        return ["ip", "netns", "exec", self._space(name)]

    def cut(self, name: str) -> None:
        """Pull a host's cable."""
        _ip("link", "set", self._cable(name), "down")

    def mend(self, name: str) -> None:
        """Plug it in again."""
        _ip("link", "set", self._cable(name), "up")

    def _make(self, name: str) -> None:
        space, cable = self._space(name), self._cable(name)
        _ip("netns", "add", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", self._tag, "up")
        _ip("-n", space, "addr", "add", f"{self.address[name]}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", device, "up")
        self._relay(self.on(name), "127.0.0.1", f"{self._net}.1")

    def _relay(self, prefix: list[str], listen: str, target: str) -> None:
        command = [*prefix, sys.executable, "-c", RELAY, listen, str(self._port), target]
        self._relays.append(subprocess.Popen(command))

    def _space(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _cable(self, name: str) -> str:
        return f"{self._tag}{name}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
