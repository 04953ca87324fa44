"""What a run's figures mean: while it goes on, and when it is over.

`history` cuts it into windows of a second; `rolling` and `thresholds` hold these against what the run must keep;
`stalls` finds when nothing was delivered; `verdict` sums up, `verdict_lines` says it; `percentile_log` writes it down.
"""
