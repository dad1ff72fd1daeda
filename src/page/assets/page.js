// What is happening now, numbers and times in the reader's language, and "/" for the search. The page is complete without it.
"use strict";
(() => {
  const EVERY = 1000, PATIENCE = 5000;
  const live = document.getElementById("live"), say = document.getElementById("say");
  const numbers = new Intl.NumberFormat();
  const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const spans = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const language = dates.resolvedOptions().locale;
  const UNITS = ["kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];

  function size(bytes) {
    let unit = -1;
    for (; bytes >= 999.5 && unit < 4; unit++) bytes /= 1000;
    if (unit < 0) return numbers.format(bytes) + " B";
    const digits = bytes < 99.95 ? 1 : 0;
    const how = { style: "unit", unit: UNITS[unit], minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(undefined, how).format(bytes);
  }

  function ago(date) {
    const seconds = (date - Date.now()) / 1000, passed = Math.abs(seconds);
    if (passed < 60) return spans.format(0, "second");
    if (passed < 3600) return spans.format(Math.trunc(seconds / 60), "minute");
    if (passed < 86400) return spans.format(Math.trunc(seconds / 3600), "hour");
    return spans.format(Math.trunc(seconds / 86400), "day");
  }

  function times(part) {
    for (const time of part.querySelectorAll("time")) {
      const date = new Date(time.dateTime);
      if (isNaN(date)) continue;
      time.title = dates.format(date);
      time.textContent = time.className ? ago(date) : time.title;
      if (!time.className) time.lang = language;
    }
  }

  function localise(part) {
    for (const data of part.querySelectorAll("data")) {
      data.textContent = data.className ? size(+data.value) : numbers.format(data.value);
      data.lang = language;
    }
    times(part);
  }

  async function get(address) {
    // The address of the document may hold the password, and fetch refuses such addresses.
    const answer = await fetch(new URL(address, location.href), { headers: { accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 401) throw answer.status;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  // Replaces the content by the present one. What has the focus keeps it, and a selection is left alone.
  async function renew() {
    const old = document.querySelector("main");
    if (!getSelection().isCollapsed || old.contains(document.activeElement) && document.activeElement.matches("input")) return false;
    const page = await get(location.href), main = page.querySelector("main");
    if (!main) return false;
    localise(main);
    const focus = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
    old.replaceWith(main);
    document.title = page.title;
    if (focus) [...main.querySelectorAll("a")].find((a) => a.getAttribute("href") === focus)?.focus({ preventScroll: true });
    return true;
  }

  let beats = 0;
  let shown = live.firstElementChild.outerHTML, version = live.firstElementChild.dataset.version, said = "";
  async function poll() {
    if (document.hidden) return;
    let state;
    try {
      state = (await get(live.dataset.from)).querySelector("[data-version]");
      if (!state) throw new Error("not the page");
    } catch (error) {
      state = document.createElement("div");
      const note = state.appendChild(document.createElement("p"));
      note.className = "note bad";
      note.textContent = error === 401 ? live.dataset.asks : live.dataset.lost;
    }
    if (state.outerHTML !== shown) {
      shown = state.outerHTML;
      localise(state);
      live.replaceChildren(state);
      const problems = [...state.querySelectorAll(".bad, .warn")].map((note) => note.textContent).join(" ");
      if (problems !== said) say.textContent = said = problems;
    }
    const headline = document.querySelector(".state");
    if (headline && state.dataset.down !== undefined) {
      headline.className = "state warn";
      headline.textContent = "The library cannot be read now";
      headline.nextElementSibling.textContent = "What is below was so before.";
      version = "";
    }
    const { refresh, again } = document.querySelector("main").dataset;
    const now = state.dataset.version;
    const isDue = refresh !== undefined && now && state.dataset.down === undefined && (now !== version || again !== undefined && ++beats % 3 === 0);
    if (isDue && (await renew().catch(() => false))) version = now;
  }

  async function run() {
    await poll();
    setTimeout(run, EVERY);
  }

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, textarea, select");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const search = document.querySelector("[type=search]");
    event.preventDefault();
    search.focus();
    search.select();
  });
  document.addEventListener("visibilitychange", poll);
  setInterval(() => times(document), 30000);
  localise(document);
  setTimeout(run, EVERY);
})();
