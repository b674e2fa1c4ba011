// Beside the pages, which work without it: a page that shows what is now loads itself anew while nobody types on it, and
// single keys lead from place to place.
"use strict";
(() => {
  const main = document.getElementById("main");
  const typing = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  const EVERY = 15000;

  // Takes the new content over, and leaves what is open, chosen or focused as it is.
  async function refresh() {
    if (document.hidden || typing() || document.querySelector("dialog[open]")) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" }).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.getElementById("main");
    if (!next || typing()) return;
    const open = [...main.querySelectorAll("details")].map((one) => one.open);
    const focused = [...main.querySelectorAll("a, button, summary")].indexOf(document.activeElement);
    main.replaceChildren(...next.childNodes);
    main.querySelectorAll("details").forEach((one, n) => { one.open = open[n] ?? one.open; });
    main.querySelectorAll("a, button, summary")[focused]?.focus({ preventScroll: true });
    for (const part of [".places", ".you", ".bar-bottom ul"]) {
      const [old, now] = [document.querySelector(part), fresh.querySelector(part)];
      if (old && now && !old.contains(document.activeElement)) old.replaceWith(now);
    }
    document.title = fresh.title;
  }
  if (main?.dataset.live) setInterval(refresh, EVERY);

  const PLACES = { o: "/", a: "/alerts", s: "/silences", e: "/events", d: "/deliveries", r: "/receivers", u: "/rules", p: "/spend" };
  let led = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
    if (led && PLACES[event.key]) { location.href = PLACES[event.key]; }
    led = event.key === "g";
    if (event.key === "/") {
      const field = main?.querySelector("form.filter input");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    }
    if (event.key === "j" || event.key === "k") {
      const links = [...main.querySelectorAll("tbody a, .rules summary, .story a")];
      const at = links.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
      links[Math.max(0, Math.min(at, links.length - 1))]?.focus();
    }
  });
})();
