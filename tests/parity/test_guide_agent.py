"""The guide's agent: tool calls reviewed by a person, over processes and turns."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage

from nbflow.func import entrypoint, task
from nbflow.graph import add_messages

if TYPE_CHECKING:
    from pathlib import Path

AGENT = """
import json, sys
from pathlib import Path
from typing import Union

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall, ToolMessage

from nbflow.checkpoint.duckdb import DuckDBSaver
from nbflow.func import entrypoint, task
from nbflow.graph.message import add_messages
from nbflow.types import Command, interrupt

folder = Path(sys.argv[1])


def call(name, id, **args):
    return {"name": name, "args": args, "id": id}


SCRIPT = [
    AIMessage(
        "",
        tool_calls=[call("weather", "1", city="sf"), call("weather", "2", city="ny")],
    ),
    AIMessage("", tool_calls=[call("weather", "3", city="boston")]),
    AIMessage("Sunny everywhere."),
    AIMessage("You asked about weather."),
]


def count(what):
    with (folder / "calls").open("a") as file:
        file.write(what + "\\n")


@task
def call_model(messages):
    answers = sum(1 for m in messages if m.type == "ai")
    count(f"model {answers}")
    model = GenericFakeChatModel(messages=iter([SCRIPT[answers]]))
    return model.invoke(messages)


@task
def call_tool(tool_call):
    count("tool " + tool_call["args"]["city"])
    content = "sunny in " + tool_call["args"]["city"]
    return ToolMessage(content, name=tool_call["name"], tool_call_id=tool_call["id"])


def review_tool_call(tool_call: ToolCall) -> Union[ToolCall, ToolMessage]:
    human_review = interrupt({"question": "Is this correct?", "tool_call": tool_call})
    review_action = human_review["action"]
    review_data = human_review.get("data")
    if review_action == "continue":
        return tool_call
    elif review_action == "update":
        return {**tool_call, **{"args": review_data}}
    elif review_action == "feedback":
        return ToolMessage(
            content=review_data, name=tool_call["name"], tool_call_id=tool_call["id"]
        )


@entrypoint(checkpointer=DuckDBSaver(folder / "agent.duckdb"))
def agent(messages, previous):
    if previous is not None:
        messages = add_messages(previous, messages)

    llm_response = call_model(messages).result()
    while True:
        if not llm_response.tool_calls:
            break
        tool_results = []
        tool_calls = []
        for i, tool_call in enumerate(llm_response.tool_calls):
            review = review_tool_call(tool_call)
            if isinstance(review, ToolMessage):
                tool_results.append(review)
            else:
                tool_calls.append(review)
                if review != tool_call:
                    llm_response.tool_calls[i] = review
        tool_result_futures = [call_tool(tool_call) for tool_call in tool_calls]
        remaining_tool_results = [fut.result() for fut in tool_result_futures]
        messages = add_messages(
            messages, [llm_response, *tool_results, *remaining_tool_results]
        )
        llm_response = call_model(messages).result()

    messages = add_messages(messages, llm_response)
    return entrypoint.final(value=llm_response, save=messages)


what, given = json.loads(sys.argv[2])
config = {"configurable": {"thread_id": "1"}}
given = Command(resume=given) if what == "answer" else add_messages([], given)
result = agent.invoke(given, config)
if isinstance(result, dict):
    (asked,) = result["__interrupt__"]
    print(json.dumps({"asks": asked.value["tool_call"]["args"]}))
else:
    print(json.dumps({"says": result.content}))
"""


@pytest.mark.timeout(90)
def test_each_model_call_happens_once_though_every_answer_comes_in_a_new_process(
    tmp_path: Path,
) -> None:
    script = tmp_path / "agent.py"
    script.write_text(AGENT, encoding="utf-8")

    def step(what: str, given: Any) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, script, tmp_path, json.dumps([what, given])],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    replies = [
        step("input", [{"role": "user", "content": "weather?"}]),
        step("answer", {"action": "continue"}),
        step("answer", {"action": "update", "data": {"city": "nyc"}}),
        step("answer", {"action": "feedback", "data": "use the full name"}),
        step("input", [{"role": "user", "content": "what did I ask?"}]),
    ]

    assert replies == [
        {"asks": {"city": "sf"}},
        {"asks": {"city": "ny"}},
        {"asks": {"city": "boston"}},
        {"says": "Sunny everywhere."},
        {"says": "You asked about weather."},
    ]
    calls = (tmp_path / "calls").read_text(encoding="utf-8").split("\n")[:-1]
    assert sorted(calls) == sorted(
        ["model 0", "tool sf", "tool nyc", "model 1", "model 2", "model 3"]
    )


def test_chatbot_remembers_the_conversation(
    saver: Any, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    replies = iter([AIMessage("Hi Bob!"), AIMessage("Your name is Bob.")])
    model = GenericFakeChatModel(messages=replies)
    heard: list[int] = []

    @task
    def call_model(messages: list[BaseMessage]) -> BaseMessage:
        heard.append(len(messages))
        return model.invoke(messages)

    @entrypoint(checkpointer=saver)
    def workflow(inputs: Any, *, previous: Any) -> Any:
        if previous:
            inputs = add_messages(previous, inputs)
        response = call_model(inputs).result()
        return entrypoint.final(value=response, save=add_messages(inputs, response))

    for text in ("hi! I'm bob", "what's my name?"):
        message = {"role": "user", "content": text}
        for chunk in workflow.stream([message], config, stream_mode="values"):
            chunk.pretty_print()

    assert "Your name is Bob." in capsys.readouterr().out
    assert heard == [1, 3]
