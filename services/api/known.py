"""Query parameters that an operation does not know are refused by name: a misspelt filter must not be no filter."""

from fastapi import Request
from fastapi.dependencies.models import Dependant

from services.api.problems import Fault, Problem

MOST_NAMED = 10
LONGEST_NAMED = 100


def names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters that an operation, and all that it depends on, reads."""
    own = frozenset(field.alias for field in dependant.query_params)
    return own.union(*(names(inner) for inner in dependant.dependencies))


async def only_known(request: Request) -> None:
    """Refuse a request whose query names what its operation does not know."""
    if not request.query_params:
        return
    known = names(request.scope["route"].dependant)
    unknown = [name for name in dict.fromkeys(request.query_params.keys()) if name not in known]
    if not unknown:
        return
    detail = f"there is no such parameter here; there is {', '.join(sorted(known)) or 'none at all'}"
    faults = [Fault(where="query", pointer=name[:LONGEST_NAMED], detail=detail) for name in unknown[:MOST_NAMED]]
    raise Problem("invalid", f"{faults[0].pointer}: {detail}", errors=faults)
