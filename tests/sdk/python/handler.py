"""An event handler for the SDKs' streams that writes down every callback with copies of its arguments."""

from __future__ import annotations

from typing import Any, Callable

CALLBACKS = (
    "on_end",
    "on_event",
    "on_exception",
    "on_image_file_done",
    "on_message_created",
    "on_message_delta",
    "on_message_done",
    "on_run_step_created",
    "on_run_step_delta",
    "on_run_step_done",
    "on_text_created",
    "on_text_delta",
    "on_text_done",
    "on_timeout",
    "on_tool_call_created",
    "on_tool_call_delta",
    "on_tool_call_done",
)


class Calls(list[tuple[str, tuple[Any, ...]]]):
    """What was called, in order; `on_event` and the deltas can be left out when comparing names."""

    def names(self, *without: str) -> list[str]:
        return [name for name, _ in self if name not in without]

    def arguments(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for called, arguments in self if called == name]


def recording_handler(base: type, react: dict[str, Callable[[Any], None]] | None = None) -> Any:
    """A handler made from the SDK's own base class. `react` maps an event name to what to do when it comes."""

    def callback(name: str) -> Callable[..., None]:
        def method(self: Any, *arguments: Any) -> None:
            copies = tuple(argument.model_copy(deep=True) if hasattr(argument, "model_copy") else argument for argument in arguments)
            self.calls.append((name, copies))
            if name == "on_event" and react and arguments[0].event in react:
                react[arguments[0].event](arguments[0].data)

        return method

    def __init__(self: Any) -> None:
        base.__init__(self)
        self.calls = Calls()

    return type("Handler", (base,), {"__init__": __init__, **{name: callback(name) for name in CALLBACKS}})()
