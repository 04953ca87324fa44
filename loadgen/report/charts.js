// Draws the charts in the colours of the page, which change with the reader's scheme and for print.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("charts").textContent);
  const places = [...document.querySelectorAll("[data-chart]")];
  const root = document.documentElement;
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = {
    displaylogo: false, responsive: true, displayModeBar: touch ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "pan2d"],
  };

  // A text such as "--accent" anywhere in a figure is the name of a colour of the style sheet.
  const coloured = (value, colours) => {
    if (typeof value === "string") return value.startsWith("--") ? colours.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((one) => coloured(one, colours));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, colours)]));
  };

  // On a narrow screen every other tick is enough.
  const thinned = (axis, narrow) => {
    if (!narrow || !axis.tickvals || axis.tickvals.length < 6) return axis;
    const kept = (values) => values.filter((_, place) => place % 2 === 0);
    return { ...axis, tickvals: kept(axis.tickvals), ticktext: kept(axis.ticktext) };
  };

  const layoutOf = (given, narrow) => {
    const axis = { gridcolor: "--line", zeroline: false, linecolor: "--line", tickcolor: "--line", ticks: "outside", ticklen: 4, automargin: true, fixedrange: touch };
    return {
      ...given,
      xaxis: { ...axis, showgrid: false, nticks: narrow ? 5 : 10, ...thinned(given.xaxis, narrow), title: { ...given.xaxis.title, standoff: 8 } },
      yaxis: { ...axis, nticks: 6, ...given.yaxis, title: { ...given.yaxis.title, standoff: 8 } },
      margin: { l: 8, r: 12, t: 8, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "--quiet" },
      hoverlabel: { bgcolor: "--surface", bordercolor: "--line", font: { color: "--text", size: 12 } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: "--text" } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "--quiet", activecolor: "--accent" },
      hoverdistance: -1, dragmode: touch ? false : "zoom",
    };
  };

  const draw = (place) => {
    const colours = getComputedStyle(root);
    const { data, layout } = figures[place.dataset.chart];
    Plotly.newPlot(place, coloured(data, colours), coloured(layoutOf(layout, place.clientWidth < 480), colours), config);
    place.on("plotly_relayout", (change) => zoom(place, change));
  };
  const drawAll = () => places.forEach(draw);

  // Who zooms into one chart over time wants to see the same minutes in the others.
  const timed = places.filter((place) => place.dataset.chart !== "spectrum");
  let following = false;
  const zoom = (source, change) => {
    if (following || !timed.includes(source)) return;
    if (!Object.keys(change).some((key) => key.startsWith("xaxis."))) return;
    following = true;
    const update = { "xaxis.range": [...source.layout.xaxis.range] };
    Promise.all(timed.filter((place) => place !== source).map((place) => Plotly.relayout(place, update)))
      .finally(() => { following = false; });
  };

  // The browser paints the figures first; each chart then has a frame of its own.
  const drawNext = (at) => {
    if (at < places.length) { draw(places[at]); requestAnimationFrame(() => drawNext(at + 1)); } else root.dataset.drawn = "all";
  };
  requestAnimationFrame(() => drawNext(0));

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { root.dataset.print = ""; drawAll(); });
  addEventListener("afterprint", () => { delete root.dataset.print; drawAll(); });
})();
