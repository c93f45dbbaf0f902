"""The providers' wire protocols on localhost: an independent reading of their contracts, with faults on demand.

Imports nothing of the rest of the project, so that a misreading in a codec cannot hide behind the same one here.
"""

from .scenario import Scenario, load_scenario
from .server import Simulator, serve

__all__ = ["Scenario", "Simulator", "load_scenario", "serve"]
