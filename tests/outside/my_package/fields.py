"""Two further fields, whose values are drawn."""

from loadgen import Drawn, Field, Page

PLAN = Field("plan", Drawn.choice({"trial": 1, "family": 3, "student": 2}, per="listener"))
BUFFERING = Field("buffering_s", Drawn.log_normal(0.4, 0.9, decimals=3, highest=30), (Page.NEXT_SONG,))
