"""The texts of contract section 2.4, one function per case: each gives (message, param, code)."""

from __future__ import annotations

Expected = tuple[str, str | None, str | None]


def unknown(param: str) -> Expected:
    return f"Unknown parameter: '{param}'.", param, "unknown_parameter"


def missing(param: str) -> Expected:
    return f"Missing required parameter: '{param}'.", param, "missing_required_parameter"


def wrong_type(param: str, expected: str, got: str) -> Expected:
    return f"Invalid type for '{param}': expected {expected}, but got {got} instead.", param, "invalid_type"


def not_supported(param: str, got: str, supported: str) -> Expected:
    return f"Invalid value: '{got}'. Supported values are: {supported}.", param, "invalid_value"


def too_long(param: str, maximum: int, got: int) -> Expected:
    text = f"Expected a string with maximum length {maximum}, but got a string with length {got} instead."
    return f"Invalid '{param}': string too long. {text}", param, "string_above_max_length"


def array_too_long(param: str, maximum: int, got: int) -> Expected:
    text = f"Expected an array with maximum length {maximum}, but got an array with length {got} instead."
    return f"Invalid '{param}': array too long. {text}", param, "array_above_max_length"


def empty_array(param: str) -> Expected:
    text = "Expected an array with minimum length 1, but got an empty array instead."
    return f"Invalid '{param}': empty array. {text}", param, "empty_array"


def integer_below(param: str, minimum: int, got: int) -> Expected:
    text = f"Expected a value >= {minimum}, but got {got} instead."
    return f"Invalid '{param}': integer below minimum value. {text}", param, "integer_below_min_value"


def integer_above(param: str, maximum: int, got: int) -> Expected:
    text = f"Expected a value <= {maximum}, but got {got} instead."
    return f"Invalid '{param}': integer above maximum value. {text}", param, "integer_above_max_value"


def decimal_below(param: str, minimum: int, got: float) -> Expected:
    text = f"Expected a value >= {minimum}, but got {got} instead."
    return f"Invalid '{param}': decimal below minimum value. {text}", param, "decimal_below_min_value"


def decimal_above(param: str, maximum: int, got: float) -> Expected:
    text = f"Expected a value <= {maximum}, but got {got} instead."
    return f"Invalid '{param}': decimal above maximum value. {text}", param, "decimal_above_max_value"


def bad_pattern(param: str) -> Expected:
    text = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    return f"Invalid '{param}': string does not match pattern. {text}", param, "invalid_value"
