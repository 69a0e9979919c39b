"""A route that calls its function at once where a request is plain: FastAPI's search for what a function wants costs more.

FastAPI describes the route as any other, and deals with every request that is not plain, so what is wrong is said as everywhere.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

Values = dict[str, Any]


class Direct(APIRoute):
    """A read is direct: its function returns a response, of parameters of path and query and of what the request alone leads to.

    Of what an inclusion adds, it knows `only_known`: a plain request names nothing else.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        thorough = super().get_route_handler()
        if self.methods != {"GET"}:
            return thorough
        wanted = Wanted(self.dependant)

        async def handle(request: Request) -> Response:
            values = wanted.said(request)
            if values is None:
                return await thorough(request)
            response: Response = await self.endpoint(**values, **await wanted.found(request))
            return response

        return handle


class Wanted:
    """What the function of a route wants."""

    def __init__(self, dependant: Dependant) -> None:
        self._path = {field.alias: field for field in dependant.path_params}
        self._query = {field.alias: field for field in dependant.query_params}
        self._lists = {field.alias for field in dependant.query_params if _is_list(field.field_info.annotation)}
        self._defaults = {field.name: field.default for field in dependant.query_params}
        self._found = [(inner.name, _alone(inner)) for inner in dependant.dependencies if inner.name is not None]
        self._request, self._response = dependant.request_param_name, dependant.response_param_name

    def said(self, request: Request) -> Values | None:
        """Return the parameters of path and query; None if one is unknown, or is not as it should be."""
        values: Values = dict(self._defaults)
        for alias, field in self._path.items():
            values[field.name], wrong = field.validate(request.path_params[alias], values, loc=("path", alias))
            if wrong:
                return None
        if not request.scope["query_string"]:
            return values
        asked = request.query_params
        for alias in asked:
            known = self._query.get(alias)
            if known is None:
                return None
            said = asked.getlist(alias) if alias in self._lists else asked[alias]
            values[known.name], wrong = known.validate(said, values, loc=("query", alias))
            if wrong:
                return None
        return values

    async def found(self, request: Request) -> Values:
        """Return what the request alone leads to."""
        values: Values = {name: await find(request) for name, find in self._found}
        if self._request:
            values[self._request] = request
        if self._response:
            values[self._response] = response = Response()
            del response.headers["content-length"]
        return values


def _alone(dependant: Dependant) -> Callable[[Request], Awaitable[Any]]:
    """Return the function of a dependency that wants the request and nothing else."""
    others = (dependant.dependencies, dependant.path_params, dependant.query_params, dependant.header_params)
    if dependant.call is None or dependant.request_param_name != "request" or any(others):
        raise TypeError(f"{dependant.call} wants more than the request: no route for it is direct")
    return dependant.call


def _is_list(annotation: Any) -> bool:
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
