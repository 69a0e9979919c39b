"""The one clock. Rules never look at it: time reaches them in events and ticks."""

import datetime as dt


def now() -> dt.datetime:
    """Return the present moment in UTC."""
    return dt.datetime.now(dt.UTC)  # noqa: TID251  (this is the place)
