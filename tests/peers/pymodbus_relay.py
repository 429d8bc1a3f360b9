"""A relay module served by pymodbus 3.16 on a free loopback port, printed as `port N`; ends when stdin closes.

Unit 1 has coils 0 to 15 and holding registers 0 to 15. A line on stdin is answered by one on stdout:

coil N          the coil's state, 0 or 1
register N      the register's value
set N 0|1       somebody at the device switches the coil
stuck on|off    while on, writes are echoed and switch nothing
dead on|off     while on, nothing is answered
writes          how many writes came in all
"""

import asyncio
import sys

from pymodbus import pymodbus_apply_logging_config
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

COILS, REGISTERS = "c", "h"
TABLES = {1: COILS, 5: COILS, 15: COILS, 3: REGISTERS, 6: REGISTERS, 16: REGISTERS}


class Relay:
    def __init__(self):
        self.frozen = None
        self.writes = 0
        self.alive = asyncio.Event()
        self.alive.set()
        bits = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
        words = [SimData(0, count=16, values=0, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(bits, bits, words, words), action=self.asked)
        self.server = ModbusTcpServer(device, address=("127.0.0.1", 0))

    def table(self, name):
        return self.server.context.devices[1].block[name][2]

    async def asked(self, function, _start, _address, _count, current, written):
        await self.alive.wait()
        if written is not None:
            self.writes += 1
        if self.frozen and function in (1, 3):
            current[:] = self.frozen[TABLES[function]]

    def coil(self, number):
        if self.frozen:
            return self.frozen[COILS][number // 16] >> (number % 16) & 1
        return self.table(COILS)[number // 16] >> (number % 16) & 1

    def set_coil(self, number, on):
        words = self.table(COILS)
        mask = 1 << (number % 16)
        words[number // 16] = words[number // 16] & ~mask | (mask if on else 0)

    def order(self, words):
        match words:
            case ["coil", number]:
                return self.coil(int(number))
            case ["register", number]:
                return self.table(REGISTERS)[int(number)]
            case ["set", number, value]:
                self.set_coil(int(number), value == "1")
            case ["stuck", "on"]:
                self.frozen = {name: list(self.table(name)) for name in (COILS, REGISTERS)}
            case ["stuck", "off"]:
                for name in self.frozen or {}:
                    self.table(name)[:] = self.frozen[name]
                self.frozen = None
            case ["dead", "on"]:
                self.alive.clear()
            case ["dead", "off"]:
                self.alive.set()
            case ["writes"]:
                return self.writes
            case _:
                raise ValueError(words)
        return "ok"


async def main():
    pymodbus_apply_logging_config("CRITICAL")
    relay = Relay()
    await relay.server.serve_forever(background=True)
    print("port", relay.server.transport.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(relay.order(line.split()), flush=True)
    await relay.server.shutdown()


asyncio.run(main())
