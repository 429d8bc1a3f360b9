"""Meters served by pymodbus 3.16; ends when stdin closes. Without arguments on a free loopback port by Modbus TCP, with
`rtu-tcp` by RTU frames over TCP: the port is printed as `port N`. With `rtu TTY` on a serial port: `ready` is printed.

Unit 1  input registers, most significant word first (ABCD); registers 4 and 5 do not exist
Unit 2  holding registers, least significant word first (CDAB); 16 coils and 16 discrete inputs, all off
Both    say who they are (function 43)
Any other unit: pymodbus answers exception 04.
"""

import asyncio
import sys

from pymodbus import ModbusDeviceIdentification, pymodbus_apply_logging_config
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

KIND = ModbusClientMixin.DATATYPE


def swapped(address, value, kind):
    """A value as pymodbus itself writes it with the least significant word first."""
    words = ModbusClientMixin.convert_to_registers(value, kind, word_order="little")
    return SimData(address, values=words, datatype=DataType.REGISTERS)


BITS = [SimData(0, count=16, values=False, datatype=DataType.BITS)]
SPARE = [SimData(0, count=1, values=0, datatype=DataType.REGISTERS)]

ABCD = [
    SimData(0, values=230.5, datatype=DataType.FLOAT32),
    SimData(2, values=float("nan"), datatype=DataType.FLOAT32),
    SimData(6, values=-12.25, datatype=DataType.FLOAT32),
    SimData(8, values=4_000_000_007, datatype=DataType.UINT32),
]
CDAB = [
    swapped(0, 50.0625, KIND.FLOAT32),
    swapped(2, 305_419_896, KIND.UINT32),
    swapped(4, -42_000, KIND.INT32),
    SimData(6, values=0xFFFF, datatype=DataType.REGISTERS),
]


async def main():
    pymodbus_apply_logging_config("CRITICAL")
    units = [SimDevice(1, simdata=(BITS, BITS, SPARE, ABCD)), SimDevice(2, simdata=(BITS, BITS, CDAB, SPARE))]
    who = ModbusDeviceIdentification(
        info_name={"VendorName": "Pymodbus", "ProductCode": "PM", "MajorMinorRevision": "3.16"}
    )
    wire = sys.argv[1:]
    if wire[:1] == ["rtu"]:
        server = ModbusSerialServer(units, framer=FramerType.RTU, identity=who, port=wire[1], baudrate=9600)
        await server.serve_forever(background=True)
        print("ready", flush=True)
    else:
        framer = FramerType.RTU if wire == ["rtu-tcp"] else FramerType.SOCKET
        server = ModbusTcpServer(units, framer=framer, identity=who, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        print("port", server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
