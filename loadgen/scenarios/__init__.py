"""Locust drives listeners: `locust -f loadgen/scenarios/locustfile.py`. Only files that Locust loads import Locust."""
