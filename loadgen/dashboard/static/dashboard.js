// Asks for the figures every five seconds and shows them.
//
// In: /api/figures. Out: the page. Texts of events reach the page by textContent only, so they can never become markup.
"use strict";

const REFRESH_MS = 5000;
const GIVE_UP_MS = 4500;
const N_ACTIVITIES = 20;
const LAG_S = 120; // more than this between the newest event and this clock is worth saying
const SHARELESS = ["top_artists", "top_tracks"]; // of so many, none has a share that could be seen as a bar
const SVG = "http://www.w3.org/2000/svg";

const number = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });
const permille = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const DONE = {
  play: "started", skip: "skipped to", like: "liked", dislike: "disliked", add_to_playlist: "added to a playlist:",
  search: "searched", browse: "browsed", home: "opened the home page", settings: "opened the settings", logout: "logged out",
};
const OF_A_TRACK = { // where the event does not say which, as in the format activity
  play: "started a track", skip: "skipped a track", like: "liked a track", dislike: "disliked a track", add_to_playlist: "added a track to a playlist",
};
const STATES = {
  starting: "Starting", waiting: "Waiting", reading: "Catching up", ok: "Live", stale: "Stale", silent: "No answer", paused: "Paused",
};

const byId = (id) => document.getElementById(id);
let paused = false;
let timer = 0;
let asking = null;
let latest = null;
let shownIds = null;
let newestId = null;

function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function day(ms) {
  return new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

function clock(ms, seconds = true) {
  return new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
}

function span(seconds) {
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = units.find(([size]) => seconds >= size) ?? [1, "second"];
  const count = Math.floor(seconds / size);
  return `${number.format(count)} ${name}${count === 1 ? "" : "s"}`;
}

// ---- what is going on

function source(health) {
  if (health.brokers) return `Topic ${health.topic} on ${health.brokers}`;
  return `Stored in ${health.store}`;
}

function noticeOf(state, health) {
  if (state === "silent") return "The dashboard does not answer. It is asked again every 5 seconds; the figures are the last ones.";
  if (state === "starting") return "";
  if (state === "waiting") return `Waiting for events: ${health.reason || "there are none yet"}.`;
  if (state === "stale") return `${health.reason}. The figures are the last ones that could be read.`;
  const anew = health.reason ? `${health.reason}. ` : "";
  if (state === "reading") {
    const what = health.brokers ? "what is in the topic" : "what is stored";
    return `${anew}Reading ${what}: ${percent.format(health.share ?? 0)}`;
  }
  return health.reason;
}

function showState(state, health) {
  const shown = paused ? "paused" : state;
  byId("live").dataset.state = shown;
  setText("live-text", shown === "reading" && health ? `${STATES.reading} ${percent.format(health.share ?? 0)}` : STATES[shown]);
  const text = noticeOf(state, health);
  const notice = byId("notice");
  notice.hidden = !text;
  notice.dataset.state = state === "ok" ? "trouble" : state;
  const said = byId("notice-text");
  // the share changes with each answer: said aloud once, not every five seconds
  said.setAttribute("aria-live", state === "reading" ? "off" : "polite");
  setText("notice-text", text);
  const progress = byId("progress");
  progress.hidden = state !== "reading";
  if (state === "reading") progress.value = health.share ?? 0;
  const rate = latest?.figures && state === "ok" ? ` · ${number.format(latest.figures.last_minute)}/min` : "";
  document.title = `${shown === "ok" ? "LIVE" : STATES[shown]}${paused ? "" : rate} – loadgen dashboard`;
}

function showClocks(answer) {
  const { figures } = answer;
  if (figures.newest_ms === null) {
    setText("rate-hint", "No event yet");
    setText("clock-hint", "");
    return;
  }
  setText("rate-hint", `in the 60 s up to the newest event: ${day(figures.newest_ms)}, ${clock(figures.newest_ms)} UTC`);
  const lagS = (answer.now_ms - figures.newest_ms) / 1000;
  const arrived = `${number.format(answer.arrived_last_minute)} read in the last minute of this computer’s clock`;
  let note = "";
  if (lagS > LAG_S) note = `Events’ time is ${span(lagS)} behind this computer’s clock; `;
  if (lagS < -LAG_S) note = `Events’ time is simulated, ${span(-lagS)} ahead of this computer’s clock; `;
  setText("clock-hint", note + arrived);
}

function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120000) return `${(ms / 1000).toFixed(1)} s`;
  return span(ms / 1000);
}

// how events get here; what is not known is not shown
function showFlow({ sent, stored, lag, unread, latency, is_timed: isTimed }) {
  const texts = {
    sent: sent === null ? null : number.format(sent),
    stored: stored === null ? null : number.format(stored),
    lag: lag === null ? null : number.format(lag),
    unread: unread === null ? null : number.format(unread),
    latency: latency === null ? null : duration(latency.p50_ms),
  };
  for (const [name, text] of Object.entries(texts)) {
    byId(`flow-${name}`).parentElement.hidden = text === null;
    setText(`flow-${name}`, text ?? "");
  }
  byId("flow").hidden = Object.values(texts).every((text) => text === null);
  const way = sent === null || stored === null ? 0 : sent - stored;
  setText("flow-stored-hint", way > 0 ? `${number.format(way)} more are on their way` : "since the pipeline began");
  if (latency === null) return;
  setText("flow-latency-term", isTimed ? "End-to-end latency" : "Age of events when read");
  const from = isTimed ? "from the time an event was due" : "from an event’s own time";
  setText("flow-latency-hint", `median, 99% within ${duration(latency.p99_ms)}: ${from} until it was read for this page, in the last minute`);
}

// ---- panels

function columns(id, counts, labels, lastIsOpen) {
  const svg = byId(id);
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  const most = Math.max(1, ...counts);
  const step = width / counts.length;
  const gap = Math.min(2, step / 4);
  svg.replaceChildren(...counts.map((count, place) => {
    const rect = document.createElementNS(SVG, "rect");
    const tall = count === 0 ? 0 : Math.max(1, (count / most) * (height - 8));
    const box = { x: place * step + gap / 2, y: height - tall, width: step - gap, height: tall };
    for (const [name, value] of Object.entries(box)) rect.setAttribute(name, value.toFixed(2));
    if (lastIsOpen && place === counts.length - 1) rect.setAttribute("class", "unended");
    const title = document.createElementNS(SVG, "title");
    title.textContent = `${labels[place]}: ${number.format(count)}`;
    rect.append(title);
    return rect;
  }));
  setText(`${id}-top`, Math.max(...counts) > 0 ? short.format(most) : "");
  byId(`${id}-rows`).replaceChildren(...counts.map((count, place) => {
    const row = make("tr");
    row.append(make("td", "", labels[place]), make("td", "number", number.format(count)));
    return row;
  }));
}

function bucketName(seconds) {
  const [size, name] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => seconds % size === 0);
  return seconds === size ? name : `${seconds / size} ${name}s`;
}

function bucketLabel(ms, bucketS) {
  if (bucketS >= 86400) return day(ms);
  if (bucketS >= 3600) return `${day(ms)}, ${clock(ms, false)}`;
  return clock(ms, bucketS < 60);
}

function showTimeline({ first_ms: firstMs, bucket_s: bucketS, counts, n_before: nBefore }) {
  if (firstMs === null) {
    for (const id of ["timeline-first", "timeline-middle", "timeline-last"]) setText(id, "");
    columns("timeline", [0], [""], false);
    byId("timeline").setAttribute("aria-label", "No events yet");
    return;
  }
  const name = bucketName(bucketS);
  const labels = counts.map((_, place) => bucketLabel(firstMs + place * bucketS * 1000, bucketS));
  const last = labels[labels.length - 1];
  columns("timeline", counts, labels, true);
  setText("timeline-first", counts.length > 1 ? labels[0] : "");
  setText("timeline-middle", counts.length > 4 ? labels[Math.floor(labels.length / 2)] : "");
  setText("timeline-last", `${last} UTC`);
  setText("timeline-column", `From (UTC), each ${name}`);
  const before = nBefore > 0 ? `; ${number.format(nBefore)} events are older` : "";
  setText("timeline-caption", `Events per ${name}, by the events’ own time${before}`);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const text = `Events per ${name}, ${labels[0]} to ${last} UTC: ${number.format(total)} in all, `
    + `at most ${number.format(Math.max(...counts))} per ${name}; the last bar may still grow`;
  byId("timeline").setAttribute("aria-label", text);
}

function showDurations({ bin_s: binS, counts, mean_s: meanS, n_open: nOpen }) {
  const at = (bin) => `${Math.floor((bin * binS) / 60)}:${String((bin * binS) % 60).padStart(2, "0")}`;
  const labels = counts.map((_, bin) => (bin === counts.length - 1 ? `${at(bin)} and more` : `${at(bin)} to ${at(bin + 1)}`));
  columns("durations", counts, labels, false);
  setText("durations-first", at(0));
  setText("durations-middle", at(Math.floor((counts.length - 1) / 2)));
  setText("durations-last", `${labels[labels.length - 1]} (min:s)`);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const mean = meanS === null ? "" : `, on average ${Math.floor(meanS / 60)}:${String(Math.floor(meanS % 60)).padStart(2, "0")} min`;
  const open = nOpen > 0 ? `; ${number.format(nOpen)} more have no end yet` : "";
  setText("durations-caption", `${total ? `${number.format(total)} plays${mean}` : "No play has ended yet"}${open}`);
  const most = counts.indexOf(Math.max(...counts));
  const text = total ? `Durations listened, of ${number.format(total)} plays${mean}; most often ${labels[most]} min` : "No durations yet";
  byId("durations").setAttribute("aria-label", text);
}

function countryName(code) {
  try {
    return `${new Intl.DisplayNames("en", { type: "region" }).of(code)}`;
  } catch {
    return code;
  }
}

function share(part) {
  return (part < 0.01 ? permille : percent).format(part);
}

function bar(share) {
  const track = make("span", "track");
  const fill = make("span", "fill");
  fill.style.width = `${(100 * share).toFixed(2)}%`;
  track.append(fill);
  track.setAttribute("aria-hidden", "true");
  return track;
}

function showBars(id, { top, n_events: nEvents, n_values: nValues }, nAll) {
  const list = byId(id);
  if (top.length === 0) {
    list.replaceChildren(make("li", "empty", nAll ? "These events do not say" : "Nothing yet"));
    setText(`${id}-hint`, "");
    return;
  }
  const hasBars = !SHARELESS.includes(id);
  list.replaceChildren(...top.map(([name, count]) => {
    const item = make("li");
    const shown = id === "countries" ? countryName(name) : id === "actions" ? name.replaceAll("_", " ") : name;
    const label = make("span", "name", shown === "" ? "(empty)" : shown);
    label.title = name;
    item.append(label, make("span", "count", number.format(count)), make("span", "share", share(count / nEvents)));
    if (hasBars) item.append(bar(count / nEvents));
    return item;
  }));
  const without = nAll - nEvents;
  const rest = without > 0 ? `; ${number.format(without)} events have none` : "";
  setText(`${id}-hint`, `${top.length} of ${number.format(nValues)}${rest}`);
}

function who(event) {
  return event.name ?? (event.listener === null ? "somebody" : `listener ${event.listener}`);
}

function time(event) {
  const element = make("time", "", clock(event.ts_ms));
  element.dateTime = new Date(event.ts_ms).toISOString();
  element.title = element.dateTime;
  return element;
}

function activity(event) {
  const item = make("li");
  const isNamed = event.title !== null || event.artist !== null;
  const done = (isNamed ? null : OF_A_TRACK[event.action]) ?? DONE[event.action] ?? event.action?.replaceAll("_", " ") ?? "did something";
  item.append(make("span", "who", who(event)), ` ${done}`);
  if (event.title !== null) item.append(` ${event.title}`);
  if (event.artist !== null) item.append(` by ${event.artist}`);
  const when = time(event);
  when.append([event.country, event.platform, event.device].filter((text) => text !== null).map((text) => ` · ${text}`).join(""));
  item.append(when);
  return item;
}

function streamRow(event) {
  const row = make("tr");
  const when = make("td", "time");
  when.append(time(event));
  const action = make("td", "action");
  action.append(make("span", "tag", (event.action ?? "–").replaceAll("_", " ")));
  const track = make("td", "", event.title ?? "");
  if (event.artist !== null) track.append(make("span", "of", `${event.title === null ? "" : " · "}${event.artist}`));
  const extra = ["genre", "platform", "device", "country"].map((name) => make("td", "extra", event[name] ?? ""));
  const name = make("td", "who");
  who(event).split(/(?<=[.@_-])/).forEach((part) => name.append(part, make("wbr"))); // a long name may go on below
  row.append(when, name, action, track, ...extra);
  row.setAttribute("role", "row"); // where the screen is narrow, it is not laid out as a table
  for (const cell of row.cells) cell.setAttribute("role", "cell");
  return row;
}

function showNewest(events) {
  const ids = events.map((event) => event.id).join();
  if (ids === shownIds) return;
  if (events.length === 0) {
    byId("activities").replaceChildren(make("li", "empty", "Nothing yet"));
    byId("stream").replaceChildren();
  }
  const isNew = (event) => newestId !== null && event.id > newestId;
  const fill = (id, made) => byId(id).replaceChildren(...made.map(([event, element]) => {
    if (isNew(event)) element.classList.add("new");
    return element;
  }));
  if (events.length) fill("activities", events.slice(0, N_ACTIVITIES).map((event) => [event, activity(event)]));
  fill("stream", events.map((event) => [event, streamRow(event)]));
  shownIds = ids;
  newestId = Math.max(0, ...events.map((event) => event.id));
}

function show(answer) {
  setText("source", source(answer.health));
  setText("version", `loadgen ${answer.health.version}`);
  const { figures } = answer;
  showFlow(answer.flow);
  if (figures) {
    const { totals } = figures;
    for (const id of ["events", "listeners", "artists", "tracks"]) setText(id, number.format(totals[id]));
    setText("rate", number.format(figures.last_minute));
    byId("unreadable").hidden = totals.unreadable === 0;
    setText("unreadable", `${number.format(totals.unreadable)} records are no events, and are not counted`);
    setText("events-term", answer.health.brokers ? "Events read" : "Events in the store");
    showClocks(answer);
    showTimeline(figures.timeline);
    for (const [id, group] of Object.entries(figures.groups)) showBars(id, group, totals.events);
    for (const [id, group] of Object.entries(figures.played)) showBars(id, group, 0);
    showDurations(figures.durations);
    showNewest(figures.newest);
  }
  showState(answer.health.status, answer.health);
}

// ---- asking

async function ask() {
  const mine = new AbortController();
  asking = mine;
  const limit = setTimeout(() => mine.abort(), GIVE_UP_MS);
  const beganMs = performance.now();
  try {
    const response = await fetch("/api/figures", { cache: "no-store", signal: mine.signal });
    if (!response.ok) throw new Error(String(response.status));
    latest = await response.json();
    if (!paused && asking === mine) show(latest);
  } catch {
    if (!paused && asking === mine) showState("silent", latest?.health);
  } finally {
    clearTimeout(limit);
    if (!paused && asking === mine) timer = setTimeout(ask, Math.max(0, REFRESH_MS - (performance.now() - beganMs)));
  }
}

function toggle() {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  setText("pause-text", paused ? "Play" : "Pause");
  clearTimeout(timer);
  const before = asking;
  asking = null;
  before?.abort();
  if (paused) showState(latest?.health.status ?? "starting", latest?.health);
  else ask();
}

byId("pause").addEventListener("click", toggle);
ask();
