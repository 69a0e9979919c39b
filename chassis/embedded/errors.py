"""What went wrong, in ClickHouse's own numbers."""

import re

SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
NOT_IMPLEMENTED = 48
CANNOT_PARSE_TEXT = 6
CANNOT_DECOMPRESS = 271
UNKNOWN_SETTING = 115
ACCESS_DENIED = 497
REQUIRED_PASSWORD = 194
QUERY_WAS_CANCELLED = 394
NOT_ENOUGH_SPACE = 243
AUTHENTICATION_FAILED = 516
SUPPORT_IS_DISABLED = 344
UNKNOWN_EXCEPTION = 1002

_STATUS = {
    400: (6, 7, 16, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 427),
    401: (REQUIRED_PASSWORD,),
    403: (192, 193, ACCESS_DENIED, AUTHENTICATION_FAILED),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 511),
    408: (159,),
    413: (223,),
    501: (NOT_IMPLEMENTED,),
    503: (76, 209, 439),
}
_STATUS_OF_CODE = {code: status for status, codes in _STATUS.items() for code in codes}


class Failed(Exception):
    """A query that cannot be answered: ClickHouse's code for it, and a sentence for a person."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse gives this code."""
        return _STATUS_OF_CODE.get(self.code, 500)

    @property
    def text(self) -> str:
        """The body of the answer, in ClickHouse's shape."""
        message = str(self)
        return message if message.startswith("Code: ") else f"Code: {self.code}. DB::Exception: {message}"


def from_chdb(message: str) -> Failed:
    """Find the code in what chDB says."""
    found = re.search(r"Code: (\d+)\. DB::Exception", message)
    if found is None:
        return Failed(UNKNOWN_EXCEPTION, message)
    return Failed(int(found[1]), message[found.start() :])
