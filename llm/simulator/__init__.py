"""A simulated OpenAI: real HTTP and real server-sent events, and every failure that an upstream can have.

For newcomers with no key, and as the upstream of the tests. `serve` runs it in an event loop, `SimulatorThread` beside
code that is not async, `run` for good. A model fails as its `Behaviour` says, or as its name does: see `SIM_MODELS`.
Tokens are an approximation: a token for four characters of a prompt, and one for every content chunk of an answer.
"""

from llm.simulator.app import SimulatorApp, create_app
from llm.simulator.behaviour import Behaviour
from llm.simulator.catalogue import SIM_MODELS, SimModel
from llm.simulator.server import RunningSimulator, SimulatorThread, run, serve
from llm.simulator.state import SimulatorState

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
