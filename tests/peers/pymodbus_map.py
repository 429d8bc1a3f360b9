"""Devices with given registers, served by pymodbus 3.16; ends when stdin closes.

    pymodbus_map.py rtu TTY MAP | rtu-tcp ADDRESS MAP | tcp ADDRESS MAP

MAP is a JSON file: {"identity": ["vendor", "product", "revision"],
                     "units": {"5": {"holding": {"0": [1, 2]}, "input": {"16": [3]}}}}
Registers that are not in it do not exist; units that are not in it stay silent. On a serial port `ready` is printed,
else `port N`.
"""

import asyncio
import json
import sys

from pymodbus import ModbusDeviceIdentification, pymodbus_apply_logging_config
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

BITS = [SimData(0, count=16, values=False, datatype=DataType.BITS)]


def registers(table):
    """Blocks of registers; pymodbus wants at least one."""
    blocks = sorted((int(address), words) for address, words in table.items())
    data = [SimData(address, values=words, datatype=DataType.REGISTERS) for address, words in blocks]
    return data or [SimData(65535, count=1, values=0, datatype=DataType.REGISTERS)]


async def main():
    pymodbus_apply_logging_config("CRITICAL")
    kind, where, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        served = json.load(file)
    units = []
    for unit, tables in served["units"].items():
        holding, inputs = (registers(tables.get(name, {})) for name in ("holding", "input"))
        units.append(SimDevice(int(unit), simdata=(BITS, BITS, holding, inputs)))
    names = dict(enumerate(served.get("identity", [])))
    unit_at = 6 if kind == "tcp" else 0

    def only_own(sending, packet):
        """pymodbus 3.16 answers exception 04 for units that are not there."""
        return packet if not sending or str(packet[unit_at]) in served["units"] else b""

    more = {"identity": ModbusDeviceIdentification(info=names), "trace_packet": only_own}
    if kind == "rtu":
        server = ModbusSerialServer(units, framer=FramerType.RTU, port=where, baudrate=9600, **more)
        await server.serve_forever(background=True)
        print("ready", flush=True)
    else:
        framer = FramerType.RTU if kind == "rtu-tcp" else FramerType.SOCKET
        server = ModbusTcpServer(units, framer=framer, address=(where, 0), **more)
        await server.serve_forever(background=True)
        print("port", server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
