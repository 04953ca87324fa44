"""The statistics of targets.toml once more, from lines of JSON, in plain pandas: slow, and easy to check by eye."""

from typing import Any

import numpy as np
import orjson
import pandas as pd

from loadgen.places import CITIES

DAY_S = 86_400
ZONES = {city.location: city.zone for city in CITIES}


def statistics(lines: bytes) -> dict[str, float]:
    """Every statistic that the formats `activity` and `full` tell."""
    events = pd.DataFrame([orjson.loads(line) for line in lines.splitlines()])
    plays = events[events["page"] == "NextSong"]
    return {
        **_people(events, plays),
        **_sessions(plays),
        **_skips(plays),
        **_days(events, plays),
        **_music(plays),
        **_feedback(events, plays),
    }


def _gini(values: Any) -> float:
    """Half the mean difference between any two, relative to the mean."""
    ordered = np.sort(np.asarray(values, float))
    weights = 2 * np.arange(len(ordered)) - len(ordered) + 1
    return float((weights * ordered).sum() / (len(ordered) * ordered.sum()))


def _top(values: pd.Series, share: float) -> float:
    return float(values.nlargest(round(share * len(values))).sum() / values.sum())


def _people(events: pd.DataFrame, plays: pd.DataFrame) -> dict[str, float]:
    people = events.sort_values("ts").groupby("userId").last()
    paid = people["level"] == "paid"
    groups = pd.cut(people["age"], [15, 24, 34, 44, 54, 64], labels=["16_24", "25_34", "35_44", "45_54", "55_64"])
    by_age = paid.groupby(groups, observed=True).mean()
    counts = plays.groupby("userId").size().reindex(people.index, fill_value=0)
    per_day = counts / ((events["ts"].max() - events["ts"].min()) / 1000 / DAY_S)
    found = {f"paid_{name}": by_age[name] / by_age["25_34"] for name in ("16_24", "35_44", "45_54", "55_64")}
    return found | {
        "paid_listeners": paid.mean(),
        "paid_steps_down": float((by_age.iloc[1:].diff().dropna() < 0).sum()),
        "paid_plays": (plays["level"] == "paid").mean(),
        "plays_mean": per_day.mean(),
        "plays_median": per_day.median(),
        "plays_p90_p50": counts.quantile(0.9) / counts.median(),
        "plays_p95_p50": counts.quantile(0.95) / counts.median(),
        "plays_top_fifth": _top(counts, 0.2),
        "plays_gini": _gini(counts),
    }


def _sessions(plays: pd.DataFrame) -> dict[str, float]:
    sizes = plays.groupby("sessionId").size()
    hazard = {n: (sizes == n).sum() / (sizes >= n).sum() for n in (10, 17, 18, 19)}
    later = (hazard[17] + hazard[18] + hazard[19]) / 3
    return {
        "session_mean": sizes.mean(),
        "session_median": sizes.quantile(0.5, "lower"),
        "session_single": (sizes == 1).mean(),
        "hazard_10": hazard[10],
        "hazard_17_19": later,
        "hazard_falls": later / hazard[10],
        "session_20_of_10": (sizes >= 20).sum() / (sizes >= 10).sum(),
    }


def _skips(plays: pd.DataFrame) -> dict[str, float]:
    ordered = plays.sort_values(["sessionId", "ts", "itemInSession"])
    sessions = ordered.groupby("sessionId")
    heard_ms = sessions["ts"].shift(-1) - ordered["ts"]
    position = sessions.cumcount() + 1
    told = heard_ms.notna()
    heard_ms, position, length_ms = heard_ms[told], position[told], (1000 * ordered["length"][told]).round()
    age, level = ordered["age"][told], ordered["level"][told]
    skipped = heard_ms < length_ms - 1000
    played = np.floor(1000 * heard_ms / length_ms).clip(upper=1000) / 1000
    teens, thirties = skipped[age.between(13, 19)].mean(), skipped[age.between(30, 39)].mean()
    return {
        "skip_5_s": (skipped & (heard_ms < 5000)).mean(),
        "skip_30_s": (skipped & (heard_ms < 30_000)).mean(),
        "skip_end": skipped.mean(),
        "skip_first": skipped[position == 1].mean(),
        "skip_fourth_on": skipped[position >= 4].mean(),
        "skip_teens": teens,
        "skip_thirties": thirties,
        "skip_teens_less_thirties": teens - thirties,
        "skip_free": skipped[level == "free"].mean(),
        "skip_paid": skipped[level == "paid"].mean(),
        "played_p25": played.quantile(0.25, "lower"),
        "played_p50": played.quantile(0.5, "lower"),
        "played_half": (played >= 0.5).mean(),
    }


def _days(events: pd.DataFrame, plays: pd.DataFrame) -> dict[str, float]:
    """Per zone: plays on days that lie within the events, over the number of days of that weekday."""
    ends = pd.to_datetime([events["ts"].min(), events["ts"].max() + 1], unit="ms", utc=True)
    average = np.zeros((7, 24))
    for zone, some in plays.groupby(plays["location"].map(ZONES)):
        local = pd.to_datetime(some["ts"], unit="ms", utc=True).dt.tz_convert(zone).dt.tz_localize(None)
        first, last = (moment.tz_convert(zone).tz_localize(None) for moment in ends)
        days = pd.date_range(first.ceil("D"), last.floor("D"), freq="D", inclusive="left")
        whole = local[(local >= days[0]) & (local < days[-1] + pd.Timedelta(days=1))]
        counted = whole.groupby([whole.dt.day_of_week, whole.dt.hour]).size()
        for (weekday, hour), count in counted.items():
            average[weekday, hour] += count / (days.day_of_week == weekday).sum()
    weekday, weekend = average[:5].mean(axis=0), average[5:].mean(axis=0)
    hours, of_day = average.mean(axis=0), average.sum(axis=1)
    return {
        "evening_over_night": hours[16:20].mean() / hours[:5].mean(),
        "trough_hour": float(hours.argmin()),
        "peak_hour": float(hours.argmax()),
        "morning_weekday_over_weekend": weekday[7:10].sum() / weekday.sum() / (weekend[7:10].sum() / weekend.sum()),
        "sunday_over_friday": of_day[6] / of_day[4],
        "friday_over_others": of_day[4] / max(of_day[[0, 1, 2, 3, 5, 6]]),
    }


def _music(plays: pd.DataFrame) -> dict[str, float]:
    artists = plays["artist"].value_counts()
    logs = np.log(artists.to_numpy()), np.log(np.arange(1, len(artists) + 1))
    body, head = (np.polyfit(logs[1][part], logs[0][part], 1)[0] for part in (slice(9, 1000), slice(0, 100)))
    tiers = plays["artist_tier"].value_counts(normalize=True)
    counts = plays.groupby("userId").size()
    top = artists.rename_axis("artist").reset_index().sort_values(["count"], ascending=False)
    n_top = round(0.01 * len(artists))
    top_names = set(top["artist"].head(n_top))
    share = plays["artist"].isin(top_names).groupby(plays["userId"]).mean()[counts >= 50]
    pairs = plays[["userId", "artist", "song"]].drop_duplicates()
    return {
        "artists_top_1": _top(artists, 0.01),
        "artists_top_10": _top(artists, 0.1),
        "artists_gini": _gini(artists),
        "zipf_10_1000": body,
        "zipf_1_100": head,
        "zipf_flatter": head - body,
        **{f"tier_{name}": tiers[name] for name in ("mega", "top", "famous", "indie")},
        "mainstream_p10": share.quantile(0.1),
        "mainstream_p50": share.quantile(0.5),
        "mainstream_p90": share.quantile(0.9),
        "repeats": 1 - len(pairs) / len(plays),
        "length_mean_s": plays["length"].mean(),
    }


def _feedback(events: pd.DataFrame, plays: pd.DataFrame) -> dict[str, float]:
    pages = events["page"].value_counts()
    return {
        "likes": pages["Thumbs Up"] / len(plays),
        "dislikes": pages["Thumbs Down"] / len(plays),
        "likes_over_dislikes": pages["Thumbs Up"] / pages["Thumbs Down"],
        "playlist_adds": pages["Add to Playlist"] / len(plays),
        "plays_of_events": len(plays) / len(events),
    }
