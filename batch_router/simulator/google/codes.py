"""The codes of `google.rpc.Code`."""

CANCELLED, INVALID_ARGUMENT, INTERNAL = 1, 3, 13

#: The code of a row's error, by the HTTP status that a scenario names.
BY_STATUS = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
