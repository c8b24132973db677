"""A simulated OpenAI with real HTTP, real server-sent events, and every failure that an upstream can have.

It serves newcomers who have no API key, and it is the upstream of the tests. `serve` runs it in an event loop,
`SimulatorThread` in a thread beside code that is not async, and `run` until a signal comes. A model fails in the way
that its `Behaviour` says, or its name: see `SIM_MODELS`. Token counts are approximate: one token for every four
characters of a prompt, and one for every content chunk of an answer.
"""

from llm.simulator.app import SimulatorApp, create_app
from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.catalogue import SIM_MODELS
from llm.simulator.script.sim_model import SimModel
from llm.simulator.script.state import SimulatorState
from llm.simulator.serving.server import RunningSimulator, run, serve
from llm.simulator.serving.thread import SimulatorThread

__all__ = [
    "SIM_MODELS",
    "Behaviour",
    "RunningSimulator",
    "SimModel",
    "SimulatorApp",
    "SimulatorState",
    "SimulatorThread",
    "create_app",
    "run",
    "serve",
]
