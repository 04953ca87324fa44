"""The scenario of the Locust pods: loadgen's own crowds. Weights, or crowds of your own, go here."""

from loadgen.scenarios.locustfile import *  # noqa: F403  Locust looks for users among the names of this file
