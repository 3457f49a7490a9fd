"""Keeps other sites' pages out, and errors in one line.

The server listens to this computer alone, but a browser on it also runs pages of strangers. They
may send requests here (hence the check of where a request comes from), and may have their own name
point here to read the answers as their own (hence the check of the name).
"""

import sys
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY = "; ".join(
    (
        *("default-src 'none'", "img-src 'self' data: blob:", "style-src 'self'"),
        *("script-src 'self'", "connect-src 'self'", "base-uri 'none'"),
        *("frame-ancestors 'none'", "form-action 'none'"),
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Wraps an application.

    Parameters
    ----------
    app : ASGI application
    port : int
        Where it listens.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:  # which browsers leave out
            self._hosts |= {"127.0.0.1", "localhost"}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with 400 or 403."""
        if scope["type"] != "http":
            return
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        status, why = self._refuse(scope)
        try:
            if why:
                refusal = JSONResponse({"error": why}, status)
                await refusal(scope, receive, send_guarded)
            else:
                await self._app(scope, receive, send_guarded)
        except ClientDisconnect:
            pass
        except Exception as error:
            # A bug, or a store that was deleted meanwhile: a line here, a line there.
            print(f"{scope['path']!r}: {one_line(error)}", file=sys.stderr)
            if not begun:
                answer = JSONResponse({"error": one_line(error)}, 500)
                await answer(scope, receive, send_guarded)

    def _refuse(self, scope: Scope) -> tuple[int, str]:
        """Return a status and why a request is refused, or (0, "")."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 400, "this server answers under 127.0.0.1 and localhost alone"
        if any(origin.lower() not in self._origins for origin in headers.getlist("origin")):
            return 403, "requests from pages of other sites are refused"
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not _is_visit(scope, headers):
            return 403, "requests from pages of other sites are refused"
        return 0, ""


def one_line(error: Exception) -> str:
    """Return what an unforeseen error says."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _is_visit(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Return whether someone follows a link to the page itself, from wherever."""
    return (
        scope["method"] in ("GET", "HEAD")
        and scope["path"] == "/"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
