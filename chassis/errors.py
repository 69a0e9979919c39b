"""What ends a process with a sentence instead of a traceback."""


class SaysWhatToDo(Exception):
    """The process cannot run. The message is all that an operator needs: what is wrong, and what to do."""
