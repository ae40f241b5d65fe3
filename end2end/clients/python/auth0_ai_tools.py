"""Auth0's auth0-ai-langchain, unmodified: its tools in a LangGraph graph.

Each line of standard input is a JSON object and is carried out at once, beside
those before it; each line of standard output answers the one with that `id`.
With `tool` a graph named `graph` is made, whose one tool is wrapped by that
method of the SDK with `options`; without, that graph goes on where it stopped.
"""

import asyncio
import json
import sys

from auth0_ai_langchain.async_authorization import get_async_authorization_credentials
from auth0_ai_langchain.auth0_ai import Auth0AI
from auth0_ai_langchain.token_vault import get_access_token_from_token_vault
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode


def ring() -> str:
    """Says its token."""
    return get_async_authorization_credentials()["access_token"]


def read() -> str:
    """Says its token."""
    return get_access_token_from_token_vault()


WRAPPED = {"with_async_authorization": ring, "with_token_vault": read}
graphs = {}


def graph_of(ask):
    """A graph that calls the tool, as a model would."""
    function = WRAPPED[ask["tool"]]
    wrap = getattr(Auth0AI(ask["auth0"]), ask["tool"])(**ask["options"])
    tool = wrap(StructuredTool.from_function(function))
    # Errors are the caller's here, not a message for a model.
    node = ToolNode([tool], handle_tool_errors=False)
    builder = StateGraph(MessagesState).add_node("tools", node)
    builder.add_edge(START, "tools").add_edge("tools", END)
    call = {"name": function.__name__, "args": {}, "id": "one"}
    start = {"messages": [AIMessage(content="", tool_calls=[call])]}
    return builder.compile(checkpointer=InMemorySaver()), start


async def carry_out(ask):
    if "tool" in ask:
        graph, start = graph_of(ask)
        graphs[ask["graph"]] = graph
    else:
        graph, start = graphs[ask["graph"]], None
    config = {"configurable": {"thread_id": "thread", **ask.get("configurable", {})}}
    answer = {"id": ask["id"]}
    try:
        last = (await graph.ainvoke(start, config))["messages"][-1]
        if isinstance(last, ToolMessage):
            answer["said"] = last.content
        for task in (await graph.aget_state(config)).tasks:
            for interrupt in task.interrupts:
                answer["interrupt"] = interrupt.value
    except Exception as error:
        answer["error"] = type(error).__name__
        answer["message"] = str(error)
        # The server's, where it is one.
        answer["code"] = getattr(error, "error_code", None)
    print(json.dumps(answer, default=str), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    running = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        running.add(asyncio.create_task(carry_out(json.loads(line))))
    await asyncio.gather(*running)


asyncio.run(main())
