"""What holds for one request whatever the server does: a deadline, and where it may lead.

A socket's own time-out starts anew with each byte, so a server that sends one every few seconds
holds a client for ever. A guard shuts the connection down when the time is up, from another thread,
wherever the request is then: connecting, in a TLS handshake, in the headers or in the body.

It also resolves host names itself and connects to none but the addresses it has checked, so that a
name that resolves to another address the second time gains nothing.
"""

import contextlib
import heapq
import ipaddress
import itertools
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from featurestore.errors import BlockedHost, Dns

_active = threading.local()  # .guard: that of this thread's current request
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")  # all that was given out for the public internet


class Guard:
    """Watches over the requests of one thread; use it in a ``with`` statement.

    Parameters
    ----------
    seconds : float
        Until all connections used within are shut down.
    allow_private : bool
        Whether loopback, link-local, private and multicast addresses may be connected to.
    """

    def __init__(self, seconds: float, allow_private: bool) -> None:
        self.ends = time.monotonic() + seconds
        self._allow_private = allow_private
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._over = False
        self.expired = False

    def __enter__(self) -> Self:
        _active.guard = self
        _watchdog.watch(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _active.guard = None
        with self._lock:
            self._over = True
            for watched in self._watched:
                watched.close()
            self._watched.clear()

    def remaining(self) -> float:
        """Return the seconds that are left, at least a thousandth."""
        return max(self.ends - time.monotonic(), 0.001)

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Return a socket connected to an allowed address of ``host``.

        Raises
        ------
        Dns
            If the name can't be resolved.
        BlockedHost
            If all its addresses are forbidden.
        OSError
            If none can be connected to.
        """
        found = self._resolve(host, port)
        allowed = [f for f in found if self._allow_private or is_public(str(f[4][0]))]
        if not allowed:
            shown = ", ".join(dict.fromkeys(str(f[4][0]) for f in found))
            raise BlockedHost(f"{host} is {shown}, which is not a public address")
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in allowed:
            connection = socket.socket(family, kind, protocol)
            try:
                self.watch(connection)
                connection.settimeout(min(timeout or self.remaining(), self.remaining()))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
                return connection
            except OSError as error:
                connection.close()
                failure = error
        raise failure

    def watch(self, connection: socket.socket) -> None:
        """Shut ``connection`` down when the time is up."""
        # A copy of the handle: urllib3 wraps and replaces sockets on its way to TLS.
        copy = socket.fromfd(connection.fileno(), connection.family, connection.type)
        with self._lock:
            self._watched.append(copy)
        if self.expired:
            self.shut_down()

    def _resolve(self, host: str, port: int) -> list[Any]:
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            again = error.errno == socket.EAI_AGAIN
            raise Dns(f"{host}: {error.strerror}", heals=again) from None
        except UnicodeError:
            raise Dns(f"{host}: not a host name", heals=False) from None

    def shut_down(self) -> None:
        """End all connections, unless the requests are over."""
        with self._lock:
            self.expired = not self._over
            for watched in self._watched:
                with contextlib.suppress(OSError):  # not connected (any more)
                    watched.shutdown(socket.SHUT_RDWR)


class _Watchdog:
    """One thread for all guards: a timer for each would cost as much as a small image."""

    def __init__(self) -> None:
        self._guards: list[tuple[float, int, Guard]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, guard: Guard) -> None:
        """Shut a guard's connections down when its time is up."""
        with self._changed:
            heapq.heappush(self._guards, (guard.ends, next(self._number), guard))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="watchdog")
                self._thread.start()
            elif self._guards[0][2] is guard:  # sooner than what the thread waits for
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._guards or self._guards[0][0] > time.monotonic():
                    self._changed.wait(
                        self._guards[0][0] - time.monotonic() if self._guards else None
                    )
                guard = heapq.heappop(self._guards)[2]
            guard.shut_down()


_watchdog = _Watchdog()


def is_public(address: str) -> bool:
    """Return whether an IP address, as text, belongs to the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            ip = inner
        elif ip not in _IPV6_UNICAST:  # Python calls some of that global
            return False
    return ip.is_global and not ip.is_multicast


class GuardedAdapter(requests.adapters.HTTPAdapter):
    """An adapter for requests sessions whose connections obey the thread's guard."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Have urllib3 make guarded connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:
        """Have urllib3 make guarded connections to a proxy, too."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Guarded(HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # a connection that is used again
            _active.guard.watch(self.sock)
        super().request(*args, **kwargs)

    def _new_conn(self) -> socket.socket:
        guard: Guard = _active.guard
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            if self.proxy is not None:  # chosen by the user; it decides where requests may go
                connection = super()._new_conn()
                guard.watch(connection)
                return connection
            return guard.connect(self._dns_host, self.port, timeout)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise NewConnectionError(self, f"{self.host}:{self.port}: {reason}") from error


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


_POOLS: dict[str, Any] = {"http": _Pool, "https": _PoolTLS}
