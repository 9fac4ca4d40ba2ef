"""An asyncio server that echoes, over TCP and UDP, and a client with many connections at once.

asyncio_echo.py serve PORT
asyncio_echo.py talk IPV4 IPV6 PORT
"""

import asyncio
import sys


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


class OneAnswer(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, address):
        if not self.answer.done():
            self.answer.set_result(data)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(EchoDatagrams, local_addr=("::", port))  # and IPv4, mapped
    server = await asyncio.start_server(echo, None, port)
    await server.serve_forever()


async def talk_tcp(host, port, size):
    reader, writer = await asyncio.open_connection(host, port)
    message = b"m" * size
    writer.write(message)
    assert await reader.readexactly(size) == message
    writer.close()
    await writer.wait_closed()


async def talk_udp(host, port):
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(OneAnswer, remote_addr=(host, port))
    transport.sendto(b"datagram")
    assert await asyncio.wait_for(protocol.answer, 10) == b"datagram"
    transport.close()


async def talk(hosts, port):
    await asyncio.gather(*[talk_tcp(host, port, 1000 * i) for host in hosts for i in range(1, 11)],
                         *[talk_udp(host, port) for host in hosts for _ in range(5)])


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(talk(sys.argv[2:4], int(sys.argv[4])))
