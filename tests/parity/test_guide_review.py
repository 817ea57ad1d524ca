"""The guide's review of tool calls and its chatbot, in both worlds and savers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from nbflow.func import entrypoint, task
from nbflow.graph import add_messages
from nbflow.types import Command, interrupt

if TYPE_CHECKING:
    from nbflow.checkpoint.base import BaseCheckpointSaver

Config = dict[str, Any]

ANSWERS = [
    {"action": "continue"},
    {"action": "update", "data": {"city": "nyc"}},
    {"action": "feedback", "data": "use the full name"},
]


def _call(identity: str, city: str) -> dict[str, Any]:
    return {"name": "weather", "args": {"city": city}, "id": identity}


def _reply(messages: list[BaseMessage]) -> AIMessage:
    """Stand for a model: three tool calls, then a summary of what came back."""
    heard = [message for message in messages if isinstance(message, ToolMessage)]
    if heard:
        return AIMessage("; ".join(str(message.content) for message in heard))
    cities = ("sf", "ny", "boston")
    calls = [_call(str(number), city) for number, city in enumerate(cities)]
    return AIMessage("", tool_calls=calls)


def _reviewed(tool_call: Any) -> Any:
    """Return a tool call as a person left it, or the person's words."""
    human_review = interrupt({"question": "Is this correct?", "tool_call": tool_call})
    match human_review["action"]:
        case "continue":
            return tool_call
        case "update":
            return {**tool_call, "args": human_review["data"]}
        case _:
            return ToolMessage(
                human_review["data"],
                name=tool_call["name"],
                tool_call_id=tool_call["id"],
            )


def _result(tool_call: Any) -> ToolMessage:
    text = f"sunny in {tool_call['args']['city']}"
    return ToolMessage(text, name=tool_call["name"], tool_call_id=tool_call["id"])


SAID = "use the full name; sunny in sf; sunny in nyc"


def test_review_tool_calls(saver: BaseCheckpointSaver, config: Config) -> None:
    ran: list[str] = []

    @task
    def call_model(messages: list[BaseMessage]) -> AIMessage:
        ran.append("model")
        return _reply(messages)

    @task
    def call_tool(tool_call: dict[str, Any]) -> ToolMessage:
        ran.append(tool_call["args"]["city"])
        return _result(tool_call)

    @entrypoint(checkpointer=saver)
    def agent(messages: Any, previous: Any) -> Any:
        messages = add_messages(previous or [], messages)
        response = call_model(messages).result()
        while response.tool_calls:
            reviews = [_reviewed(tool_call) for tool_call in response.tool_calls]
            said = [r for r in reviews if isinstance(r, ToolMessage)]
            allowed = [r for r in reviews if not isinstance(r, ToolMessage)]
            results = [future.result() for future in map(call_tool, allowed)]
            messages = add_messages(messages, [response, *said, *results])
            response = call_model(messages).result()
        saved = add_messages(messages, response)
        return entrypoint.final(value=response, save=saved)

    asked = [agent.invoke([{"role": "user", "content": "weather?"}], config)]
    asked += [agent.invoke(Command(resume=answer), config) for answer in ANSWERS]

    *questions, answer = asked
    cities = [q["__interrupt__"][0].value["tool_call"]["args"] for q in questions]
    assert cities == [{"city": "sf"}, {"city": "ny"}, {"city": "boston"}]
    assert answer.content == SAID
    assert sorted(ran) == ["model", "model", "nyc", "sf"]


async def test_review_tool_calls_async(
    saver: BaseCheckpointSaver, config: Config
) -> None:
    ran: list[str] = []

    @task
    async def call_model(messages: list[BaseMessage]) -> AIMessage:
        ran.append("model")
        return _reply(messages)

    @task
    async def call_tool(tool_call: dict[str, Any]) -> ToolMessage:
        ran.append(tool_call["args"]["city"])
        return _result(tool_call)

    @entrypoint(checkpointer=saver)
    async def agent(messages: Any, previous: Any) -> Any:
        messages = add_messages(previous or [], messages)
        response = await call_model(messages)
        while response.tool_calls:
            reviews = [_reviewed(tool_call) for tool_call in response.tool_calls]
            said = [r for r in reviews if isinstance(r, ToolMessage)]
            allowed = [r for r in reviews if not isinstance(r, ToolMessage)]
            results = [await future for future in map(call_tool, allowed)]
            messages = add_messages(messages, [response, *said, *results])
            response = await call_model(messages)
        saved = add_messages(messages, response)
        return entrypoint.final(value=response, save=saved)

    await agent.ainvoke([{"role": "user", "content": "weather?"}], config)
    for answer in ANSWERS[:-1]:
        await agent.ainvoke(Command(resume=answer), config)
    said = await agent.ainvoke(Command(resume=ANSWERS[-1]), config)

    assert said.content == SAID
    assert sorted(ran) == ["model", "model", "nyc", "sf"]


async def test_chatbot_async(saver: BaseCheckpointSaver, config: Config) -> None:
    heard: list[int] = []

    @task
    async def call_model(messages: list[BaseMessage]) -> AIMessage:
        heard.append(len(messages))
        return AIMessage(f"heard {len(messages)}")

    @entrypoint(checkpointer=saver)
    async def workflow(inputs: Any, *, previous: Any) -> Any:
        messages = add_messages(previous or [], inputs)
        response = await call_model(messages)
        saved = add_messages(messages, response)
        return entrypoint.final(value=response, save=saved)

    said: list[Any] = []
    for text in ("hi! I'm bob", "what's my name?"):
        message = {"role": "user", "content": text}
        chunks = workflow.astream([message], config, stream_mode="values")
        said += [chunk.content async for chunk in chunks]

    assert said == ["heard 1", "heard 3"]
    assert heard == [1, 3]
