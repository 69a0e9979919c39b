"""Whose an account is, sealed on its way through Kafka and SQL, and open only to whom it may be shown (architecture §7)."""

import msgspec

from chassis.secrets import Secrets
from contracts.event import Sealed
from contracts.reference import CustomerAccount, Person


def sealed(secrets: Secrets, tenant: str, account: str, person: Person) -> Sealed | None:
    """Return a person as only this deployment can read it, the same each time for the same account; None: nothing is said of it."""
    if person == Person():
        return None
    return secrets.seal_same(msgspec.json.encode(person).decode(), f"{tenant}/{account}")


def opened(secrets: Secrets, sealed: Sealed) -> Person:
    """Return who it is; raises `CannotOpen`."""
    return msgspec.json.decode(secrets.open(sealed), type=Person)


def person_of(secrets: Secrets, account: CustomerAccount) -> Person:
    """Return whose an account is; older releases wrote that in clear. Raises `CannotOpen`."""
    if account.person is not None:
        return opened(secrets, account.person)
    return Person(name=account.name, email=account.email, address=account.address, vat_id=account.vat_id)
