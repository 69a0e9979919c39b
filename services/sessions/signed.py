"""What meters sign is kept for ever, byte for byte: `readings` are not (CDR-08)."""

from collections.abc import Iterator

from contracts.sessions import ReadingsTaken, SignedValueTaken


def signed(taken: ReadingsTaken) -> Iterator[SignedValueTaken]:
    """Yield the signed values among the readings of a session."""
    if taken.session is None:
        return
    for reading in taken.readings:
        for sample in reading.samples:
            if sample.signed:
                yield SignedValueTaken(
                    at=reading.at,
                    tenant=taken.tenant,
                    station=taken.station,
                    session=taken.session,
                    report=taken.report,
                    evse=taken.evse,
                    context=sample.context,
                    data=sample.value,
                )
