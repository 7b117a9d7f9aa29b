"""proxy - TCP links that can be cut, made silent or slow: one listening port for each link, all of them on one thread.

What a link can be:
  pass       bytes go through
  cut        connections are reset, new ones too
  half_open  the far side has gone without a word: it is closed there, and silent here. At the end the near side is reset, as a host does that knows
             nothing of the connection
  stall      nothing moves in either direction, nothing is closed; at the end everything that was sent arrives
  delay      each piece arrives so many ms later

lose_answer(bytes) arms a link once: the next connection that sends these bytes is reset when the far side answers.
"""
import asyncio
import contextlib
import socket
import struct
import threading

MODES = ("pass", "cut", "half_open", "stall", "delay")
PIECE = 65536
LINGER_NOT = struct.pack("ii", 1, 0)


def reset(writer):
    """Ends the connection with a RST: the peer hears of it, and loses what it had not read."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    with contextlib.suppress(OSError, RuntimeError):
        writer.transport.abort()


class _Pair:
    """One connection: the near side is who connected to us."""

    def __init__(self, link, near):
        self.link, self.near, self.far = link, near, None
        self.losing = False  # what it has asked for will be done, and it will not hear of it
        self.dumb = False  # half-open: what still comes from the near side is swallowed

    def end(self):
        for writer in (self.near, self.far):
            if writer is not None:
                reset(writer)


class Link:
    """A port of ours in front of host:port. Changes of mode take effect at once, for connections that exist too."""

    def __init__(self, proxies, name, port, host="127.0.0.1"):
        self.proxies, self.name, self.target = proxies, name, (host, port)
        self.mode, self.delay_ms = "pass", 0
        self.lose = None
        self.pairs = set()
        self.moving = asyncio.Event()
        self.moving.set()
        self.server = None
        self.port = None

    async def _open(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=PIECE)
        self.port = self.server.sockets[0].getsockname()[1]

    def set(self, mode, delay_ms=0):
        assert mode in MODES, mode
        self.proxies.call(self._set(mode, delay_ms))

    def lose_answer(self, asked):
        self.lose = asked

    async def _set(self, mode, delay_ms):
        was, self.mode, self.delay_ms = self.mode, mode, delay_ms
        if mode == "stall":
            self.moving.clear()
        else:
            self.moving.set()
        for pair in list(self.pairs):
            if mode == "cut" or (was == "half_open" and pair.dumb):
                pair.end()
            elif mode == "half_open":
                pair.dumb = True
                if pair.far is not None:
                    reset(pair.far)

    async def _accept(self, reader, writer):
        pair = _Pair(self, writer)
        self.pairs.add(pair)
        try:
            await self._serve(pair, reader)
        finally:
            pair.end()
            self.pairs.discard(pair)

    async def _serve(self, pair, reader):
        if self.mode == "cut":
            return
        if self.mode == "half_open":
            pair.dumb = True
            await self._swallow(reader)
            return
        await self.moving.wait()
        try:
            far_reader, pair.far = await asyncio.open_connection(*self.target, limit=PIECE)
        except OSError:
            return
        ways = [asyncio.ensure_future(self._pump(pair, reader, pair.far)), asyncio.ensure_future(self._pump(pair, far_reader, pair.near))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        if pair.dumb:
            await self._swallow(reader)

    async def _pump(self, pair, reader, writer):
        with contextlib.suppress(OSError, RuntimeError):
            while data := await reader.read(PIECE):
                if self.mode == "delay":
                    await asyncio.sleep(self.delay_ms / 1000)
                await self.moving.wait()
                if pair.dumb or (pair.losing and writer is pair.near):
                    return
                if self.lose is not None and writer is pair.far and self.lose in data:
                    self.lose, pair.losing = None, True
                writer.write(data)
                await writer.drain()
            if not pair.dumb and writer.can_write_eof():
                await self.moving.wait()
                writer.write_eof()
                await asyncio.sleep(0.05)  # what is on its way may still arrive

    async def _swallow(self, reader):
        with contextlib.suppress(OSError, RuntimeError):
            while await reader.read(PIECE):
                pass


class Proxies:
    """All links, on a loop of their own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.links = {}
        self.thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self.thread.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def link(self, name, port):
        link = self.call(self._make(name, port))
        self.links[name] = link
        return link

    async def _make(self, name, port):
        link = Link(self, name, port)
        await link._open()
        return link

    def close(self):
        async def down():
            for link in self.links.values():
                link.server.close()
                for pair in list(link.pairs):
                    pair.end()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            self.call(down())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
