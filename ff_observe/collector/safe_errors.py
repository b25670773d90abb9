"""Says of an error what may be said where what senders sent must never appear."""


def without_values(error: BaseException) -> str:
    """The kind of an error and where it was raised, without its text: that can quote what was being handled."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    return f"{type(error).__name__} at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
