"""The proxy does to a connection what its mode says, and nothing when it says pass."""
import contextlib
import socket
import threading
import time

import pytest

import proxy


@pytest.fixture
def link():
    """A link to a server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve(conn):
        with contextlib.suppress(OSError), conn:
            while data := conn.recv(65536):
                conn.sendall(data)
        seen.append("closed")

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    proxies = proxy.Proxies()
    made = proxies.link("echo", server.getsockname()[1])
    made.seen = seen
    yield made
    proxies.close()
    server.close()


def dial(link):
    s = socket.create_connection(("127.0.0.1", link.port), 5)
    s.settimeout(5)
    return s


def echo(s, data=b"hello"):
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = s.recv(65536)
        if not piece:
            break
        got += piece
    return got


def is_reset(s):
    try:
        s.sendall(b"anyone?")
        return s.recv(10) == b""  # the end, if it was told before we spoke
    except ConnectionError:
        return True


def test_bytes_go_through(link):
    with dial(link) as s:
        assert echo(s, b"x" * 300000) == b"x" * 300000


def test_cut_resets_what_is_there_and_what_comes(link):
    with dial(link) as s:
        assert echo(s) == b"hello"
        link.set("cut")
        assert is_reset(s)
    with contextlib.suppress(ConnectionError), dial(link) as s:  # it may be over before we have looked
        assert is_reset(s)
    link.set("pass")
    with dial(link) as s:
        assert echo(s) == b"hello"


def test_half_open_is_closed_there_and_silent_here_and_reset_at_the_end(link):
    with dial(link) as s:
        assert echo(s) == b"hello"
        link.set("half_open")
        deadline = time.monotonic() + 5
        while not link.seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert link.seen == ["closed"]
        s.settimeout(0.3)
        s.sendall(b"anyone?")
        with pytest.raises(TimeoutError):
            s.recv(10)
        with dial(link) as late:
            late.settimeout(0.3)
            late.sendall(b"anyone?")
            with pytest.raises(TimeoutError):
                late.recv(10)
            link.set("pass")
            late.settimeout(5)
            with pytest.raises(ConnectionResetError):
                late.recv(10)
        s.settimeout(5)
        with pytest.raises(ConnectionResetError):
            s.recv(10)


def test_stall_keeps_everything_until_the_end(link):
    with dial(link) as s:
        assert echo(s) == b"hello"
        link.set("stall")
        s.settimeout(0.3)
        s.sendall(b"later")
        with pytest.raises(TimeoutError):
            s.recv(10)
        link.set("pass")
        s.settimeout(5)
        assert s.recv(10) == b"later"


def test_an_answer_is_lost_once(link):
    with dial(link) as s:
        assert echo(s) == b"hello"
        link.lose_answer(b"commit")
        assert echo(s) == b"hello"
        s.sendall(b"please commit this")
        assert is_reset(s)
    with dial(link) as s:
        assert echo(s, b"commit") == b"commit"


def test_delay_is_kept(link):
    with dial(link) as s:
        link.set("delay", 150)
        began = time.monotonic()
        assert echo(s) == b"hello"
        assert time.monotonic() - began >= 0.3
