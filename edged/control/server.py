"""The daemon's end of the control socket: HTTP and JSON on a unix socket.

Strangers do not come as far as this (`door`). Of the others the kernel says who may do what (`peer`, `rights`): readers get the
status, which tells of nobody's traffic; the rest is for operators. Each change leaves a line in the log with who asked for it
and what came of it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from edged.addresses import Address
from edged.config.problem import InvalidConfiguration
from edged.control.asked import Apply, Unreadable, read_apply, read_reload
from edged.control.messages import Asked, Changes, Confirmed, Failure, Standing, Status, Top, TornDown
from edged.control.peer import Peer, peer_of
from edged.control.rights import Rights, Role
from edged.errors import EdgedError, ExitCode, Refused, TableHeld
from edged.lockout.farend import Login
from edged.reception import Reception

_log = logging.getLogger(__name__)

_LARGEST_REQUEST = 64 * 1024
_LIMIT_DIGITS = 9

Answer = Mapping[str, Any]


class Service(Protocol):
    """What the control socket offers; each change raises EdgedError, and then nothing has changed."""

    def status(self) -> Awaitable[Status]:
        """What the daemon does and sees now."""
        ...

    def top(self, limit: int) -> Awaitable[Top]:
        """Who uses most of what is capped, at most so many."""
        ...

    def blocklist_test(self, address: Address) -> Awaitable[Standing]:
        """How an address stands with the lists in force."""
        ...

    def blocklist_update(self) -> Awaitable[Asked]:
        """Ask the lists' addresses on the web now."""
        ...

    def reload(self, login: Login | None) -> Awaitable[Changes]:
        """Take the files anew, asked for over that login."""
        ...

    def apply(self, asked: Apply) -> Awaitable[Changes]:
        """Take the files anew, and roll them back after so long unless confirm comes; without a time: as reload."""
        ...

    def confirm(self) -> Awaitable[Confirmed]:
        """Keep the change that waits."""
        ...

    def rollback(self) -> Awaitable[Changes]:
        """Take the change that waits back."""
        ...

    def teardown(self) -> Awaitable[TornDown]:
        """Remove all that edged made."""
        ...


def application(service: Service, rights: Callable[[], Rights], reception: Reception) -> web.Application:
    """The service as an aiohttp application, behind the reception of its connections; `rights` are asked at each request."""

    def operator(request: web.Request, action: str) -> Peer:
        """The peer, who may do what is asked. Raises HTTPForbidden."""
        peer, present = _peer(request), rights()
        role = present.role(peer)
        if role is not Role.OPERATOR:
            _log.warning("control: %s refused (%s)", action, peer)
            raise web.HTTPForbidden(text=present.refusal(role))
        return peer

    async def apply(request: web.Request) -> Answer:
        return await service.apply(read_apply(await _body(request)))

    async def reload(request: web.Request) -> Answer:
        return await service.reload(read_reload(await _body(request)))

    async def status(_: web.Request) -> web.Response:
        return web.json_response(await service.status())

    async def top(request: web.Request) -> web.Response:
        operator(request, "top")
        return web.json_response(await service.top(_limit(request)))

    async def blocklist_test(request: web.Request) -> web.Response:
        peer = operator(request, "blocklist test")
        answer = await service.blocklist_test(_address(await _body(request)))
        _log.info("control: blocklist test (%s)", peer)  # without the address: semantics BL-10
        return web.json_response(answer)

    changes: dict[str, Callable[[web.Request], Awaitable[Answer]]] = {
        "blocklist/update": lambda _: service.blocklist_update(),
        "reload": reload,
        "apply": apply,
        "confirm": lambda _: service.confirm(),
        "rollback": lambda _: service.rollback(),
        "teardown": lambda _: service.teardown(),
    }
    app = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[_failures])
    app.router.add_get("/v1/status", status)
    app.router.add_get("/v1/top", top)
    app.router.add_post("/v1/blocklist/test", blocklist_test)
    for name, change in changes.items():
        app.router.add_post(f"/v1/{name}", _audited(name, change, operator))
    reception.guard(app)
    return app


def _audited(
    action: str, change: Callable[[web.Request], Awaitable[Answer]], operator: Callable[[web.Request, str], Peer]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The change, for those who may, with a line in the log about who asked and what came of it."""

    async def handle(request: web.Request) -> web.Response:
        peer = operator(request, action)
        try:
            answer = await change(request)
        except EdgedError as error:
            _log.warning("control: %s failed (%s): %s", action, peer, error)
            raise
        _log.info("control: %s done (%s)", action, peer)
        return web.json_response(answer)

    return handle


@web.middleware
async def _failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong, the answer is JSON that says what it was."""
    try:
        return await handler(request)
    except InvalidConfiguration as wrong:
        problems = [str(problem) for problem in wrong.problems]
        text = f"the files are wrong ({len(problems)} problems); nothing changed, the policy in force stays"
        return _failed(HTTPStatus.UNPROCESSABLE_ENTITY, text, wrong.exit_code, problems)
    except (Refused, TableHeld) as refused:
        return _failed(HTTPStatus.CONFLICT, str(refused), refused.exit_code)
    except EdgedError as error:
        return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, str(error), error.exit_code)
    except Unreadable as unreadable:
        return _failed(HTTPStatus.BAD_REQUEST, str(unreadable), ExitCode.USAGE)
    except web.HTTPForbidden as forbidden:
        return _failed(HTTPStatus.FORBIDDEN, forbidden.text or "", ExitCode.UNREACHABLE)
    except web.HTTPException as error:
        return _failed(HTTPStatus(error.status), error.text or error.reason, ExitCode.USAGE)
    except Exception:  # noqa: BLE001  edged's own fault must not end the daemon
        _log.exception("control: %s %s", request.method, request.path)
        text = "edged failed over this request, the daemon's log has the details; the policy in force stays"
        return _failed(HTTPStatus.INTERNAL_SERVER_ERROR, text, ExitCode.FAILED)


def _failed(status: HTTPStatus, text: str, exit_code: ExitCode, problems: list[str] | None = None) -> web.Response:
    content: Failure = {"error": text, "exit_code": int(exit_code), "problems": problems or []}
    return web.json_response(content, status=status)


def _peer(request: web.Request) -> Peer:
    connection = request.get_extra_info("socket")
    if connection is None:
        raise web.HTTPForbidden(text="the connection is gone")
    return peer_of(connection)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        content = await request.json() if await request.read() else {}
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text="the body is not a JSON object")
    return content


def _limit(request: web.Request) -> int:
    word = request.query.get("limit", "")
    if not (word.isascii() and word.isdecimal() and len(word) <= _LIMIT_DIGITS):
        raise web.HTTPBadRequest(text="limit: expected a number")
    return int(word)


def _address(body: dict[str, Any]) -> Address:
    try:
        return ip_address(body.get("address", ""))
    except ValueError as error:
        raise web.HTTPBadRequest(text="address: expected an IPv4 or IPv6 address") from error
