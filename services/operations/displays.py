"""What a station can be told to show, and what it cannot, as it has said or by its silence: that it is asked again only after its next boot."""

from msgspec.structs import replace

from contracts.operations import (
    CommandFailed,
    CommandRejected,
    OfCommand,
    ShowFinalCost,
    ShowPrice,
    ShowRunningCost,
    Shows,
    Task,
    TransferData,
)
from services.operations.station import Command, Known

KNOWS_NOTHING = frozenset({"UnknownVendorId", "NotImplemented", "NotSupported"})
"""How a station says that it can show none of it."""
EVERYTHING = tuple(kind.__name__ for kind in (ShowFinalCost, ShowPrice, ShowRunningCost))


def can_show(known: Known, task: Task) -> bool:
    """Tell whether nothing is known against asking this of the station."""
    return type(task).__name__ not in known.cannot


def learnt(known: Known, event: CommandRejected | CommandFailed, command: Command | None) -> Known:
    """Return the station with what it has said of itself by not doing what was asked."""
    if command is None or not isinstance(command.task, Shows):
        return known
    word = event.status if isinstance(event, CommandRejected) else event.detail.partition(":")[0]
    if word in KNOWS_NOTHING:
        return replace(known, cannot=EVERYTHING)
    if word == "UnknownMessageId":
        return replace(known, cannot=tuple(sorted({*known.cannot, type(command.task).__name__})))
    return known


def silent(known: Known, event: OfCommand, command: Command) -> Known:
    """Return the station with what it does not answer: others of our calls would wait behind the next one of the kind."""
    if not isinstance(command.task, Shows) or not isinstance(event, CommandFailed) or event.reason != "TimedOut":
        return known
    return replace(known, cannot=tuple(sorted({*known.cannot, type(command.task).__name__})))


def heeded(known: Known, command: Command) -> Known:
    """Return the station with what it takes in after all, however late."""
    return replace(known, cannot=tuple(kind for kind in known.cannot if kind != type(command.task).__name__))


def remembered(task: Task) -> Task:
    """Return what a state keeps of a task: its texts, which may be long, are in the log."""
    match task:
        case TransferData():
            return replace(task, data=None)
        case ShowPrice() | ShowFinalCost():
            return replace(task, text="")
        case _:
            return task
