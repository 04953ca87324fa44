"""Fields of somebody else's, whose values are drawn."""

from loadgen import Drawn, Field, Page, Source

PLAN = Field("plan", Drawn.choice({"trial": 1, 'fam"ily': 3, "학생": 2}, per="listener"))
VERSION = Field("app_version", Drawn.choice(["8.9.1", "9.0.0"], per="session"))
BUFFERING = Field("buffering_s", Drawn.log_normal(0.4, 0.9, decimals=3, highest=30), (Page.NEXT_SONG,))
DRIFT = Field("drift", Drawn.normal(0, 20, decimals=6))
BALANCE = Field("balance", Drawn.uniform(-3, 3, decimals=0), (Page.HOME, Page.SEARCH))
HOME = Field("home", Source.COUNTRY, (Page.LOGOUT,))
ALL = (PLAN, VERSION, BUFFERING, DRIFT, BALANCE, HOME)
NAMES = [f"tests.own_fields:{name}" for name in ("PLAN", "VERSION", "BUFFERING", "DRIFT", "BALANCE", "HOME")]
SONG = Field("song", Drawn.choice([1, 2]))
NO_FIELD = 3
