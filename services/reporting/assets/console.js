// The console's one script. Every page works without it; it draws charts, follows what is going on, filters the
// catalogue while one types, and copies a command.
"use strict";

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const palette = () => Array.from({ length: 8 }, (_, at) => token(`--c${at + 1}`));

function writer(drawing) {
  const options = { minimumFractionDigits: drawing.places, maximumFractionDigits: drawing.places };
  const whole = new Intl.NumberFormat("en", options);
  return (value) => `${whole.format(value)}${drawing.unit ? ` ${drawing.unit}` : ""}`;
}

function options(drawing) {
  const write = writer(drawing);
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const lying = drawing.kind === "lying";
  const soft = token("--soft");
  const line = token("--line");
  const many = drawing.series.length > 1;
  const trim = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text);
  const names = {
    grid: { display: false },
    border: { color: line },
    ticks: { color: soft, autoSkip: !lying, maxRotation: 0, callback(value) { return trim(String(this.getLabelForValue(value))); } },
    stacked: drawing.kind === "bar" && many,
  };
  const values = {
    grid: { color: line },
    border: { display: false },
    ticks: { color: soft, maxTicksLimit: 7, callback: (value) => short.format(value) },
    beginAtZero: drawing.kind !== "line" || undefined,
    stacked: drawing.kind === "bar" && many,
  };
  const tooltip = {
    backgroundColor: token("--ink"), titleColor: token("--card"), bodyColor: token("--card"), padding: 10, cornerRadius: 8, displayColors: many || drawing.kind === "pie",
    callbacks: {
      label(item) {
        const value = drawing.kind === "pie" ? item.parsed : lying ? item.parsed.x : item.parsed.y;
        const name = many ? `${item.dataset.label}: ` : "";
        if (drawing.kind !== "pie") return ` ${name}${write(value)}`;
        const all = item.dataset.data.reduce((sum, each) => sum + each, 0);
        return ` ${write(value)} (${((100 * value) / all).toFixed(1)} %)`;
      },
    },
  };
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    indexAxis: lying ? "y" : "x",
    interaction: { mode: drawing.kind === "line" ? "index" : "nearest", intersect: drawing.kind !== "line", axis: lying ? "y" : "x" },
    scales: drawing.kind === "pie" ? {} : lying ? { x: values, y: names } : { x: names, y: values },
    plugins: {
      legend: { display: many || drawing.kind === "pie", position: drawing.kind === "pie" ? "right" : "bottom", labels: { color: token("--ink"), boxWidth: 12, boxHeight: 12, usePointStyle: true, pointStyle: "rectRounded" } },
      tooltip,
    },
  };
}

function datasets(drawing) {
  const colours = palette();
  const card = token("--card");
  return drawing.series.map((series, at) => {
    const colour = colours[at % colours.length];
    const set = { label: series.name || drawing.y, data: series.values, backgroundColor: colour, borderColor: colour };
    if (drawing.kind === "pie") {
      return { ...set, backgroundColor: colours, borderColor: card, borderWidth: 2, hoverOffset: 4 };
    }
    if (drawing.kind === "line") {
      const points = drawing.labels.length > 60 ? 0 : 2.5;
      return { ...set, borderWidth: 2, pointRadius: points, pointHoverRadius: 5, tension: 0.25, cubicInterpolationMode: "monotone", spanGaps: true };
    }
    return { ...set, borderRadius: 4, maxBarThickness: 34 };
  });
}

function draw(figure) {
  const canvas = figure.querySelector("canvas");
  const drawing = JSON.parse(figure.querySelector("script[data-chart]").textContent);
  const box = figure.querySelector(".canvas");
  if (drawing.kind === "lying") box.style.height = `${Math.max(160, 44 + 26 * drawing.labels.length)}px`;
  Chart.defaults.font.family = token("--sans") || "sans-serif";
  Chart.defaults.font.size = 12;
  const type = drawing.kind === "pie" ? "doughnut" : drawing.kind === "line" ? "line" : "bar";
  const chart = new Chart(canvas, { type, data: { labels: drawing.labels, datasets: datasets(drawing) }, options: options(drawing) });
  canvas.dataset.drawn = String(drawing.labels.length);
  return () => {
    chart.data.datasets = datasets(drawing);
    chart.options = options(drawing);
    chart.update("none");
  };
}

function charts() {
  if (typeof Chart === "undefined") return;
  const redraw = Array.from(document.querySelectorAll("figure.chart:has(canvas)"), draw);
  const all = () => redraw.forEach((again) => again());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  matchMedia("print").addEventListener("change", all);
}

// A part that is going on is asked for again until it has ended; the page's other parts stay as they are.
async function follow() {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  await new Promise((done) => setTimeout(done, document.hidden ? 5000 : 1000));
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected) return location.reload();
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById(part.id);
      if (next && next.innerHTML !== part.innerHTML) part.innerHTML = next.innerHTML;
      const said = document.querySelector("[data-said]");
      const standing = part.querySelector(".lead")?.innerText ?? "";
      if (said && said.textContent !== standing) said.textContent = standing;
      if (next && !next.hasAttribute("data-live")) {
        part.removeAttribute("data-live");
        document.querySelectorAll("button.danger").forEach((button) => button.remove());
      }
    }
  } catch {
    // The service is being restarted, or the network is away: asked again.
  }
  return follow();
}

function filter() {
  const input = document.querySelector("[data-filter]");
  if (!input) return;
  const found = document.querySelector("[data-found]");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const shelf of document.querySelectorAll(".shelf")) {
      let here = 0;
      for (const card of shelf.querySelectorAll("[data-words]")) {
        card.hidden = !words.every((word) => card.dataset.words.includes(word));
        if (!card.hidden) here += 1;
      }
      shelf.hidden = here === 0;
      count += here;
    }
    found.textContent = count === 1 ? "1 report" : `${count} reports`;
  });
}

function commands() {
  for (const origin of document.querySelectorAll("[data-origin]")) origin.textContent = location.origin;
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
    });
  }
}

charts();
filter();
commands();
follow();
