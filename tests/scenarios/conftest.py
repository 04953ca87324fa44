"""Locust is imported here without what it does to a process when it is imported."""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
