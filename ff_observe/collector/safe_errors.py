"""Describes an exception for the log without its message, which may quote the request."""


def without_values(error: BaseException) -> str:
    """The exception's type and where it was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    return f"{type(error).__name__} at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
