"""Grafana's dashboards, made by `make dashboards` (python -m grafana): dashboards/*.json are written, never edited.

throughput, latency and pipeline say what is shown, in words and queries; panels knows the kinds of panels, queries the
selectors, board the rest of a dashboard: places, variables, annotations, links. provisioning/ tells Grafana where it
all is.
"""
