// Keys for the queue of changes, in the manner of Treeherder's. Everything they do has a button; the page works without.
(() => {
  "use strict";
  const queue = document.getElementById("queue");
  if (!queue) return;
  const rows = () => [...queue.querySelectorAll(".proposal")];
  const current = () => queue.querySelector(".proposal.current");
  const undo = () => document.querySelector("#undo button");

  function go(row) {
    if (!row) return;
    current()?.classList.remove("current");
    row.classList.add("current");
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const all = rows();
    const here = all.indexOf(current());
    go(all[here < 0 ? 0 : Math.min(Math.max(here + by, 0), all.length - 1)]);
  }

  const button = (row, end) => row?.querySelector(`button[formaction$="${end}"]`);

  function edit(row, name) {
    const field = row?.querySelector(`input[name="${name}"]`);
    if (!field) return;
    const fold = field.closest("details");
    if (fold) fold.open = true;
    field.focus();
    field.select();
  }

  function publish(row) {
    const form = row?.querySelector("form.publish");
    if (form) form.requestSubmit(form.querySelector('button[type="submit"], button'));
  }

  function fold(row) {
    const message = row?.querySelector("details.message");
    if (message) message.open = !message.open;
  }

  function choose(row) {
    const box = row?.querySelector('input[name="chosen"]');
    if (box) box.click();
  }

  function asOne() {
    const together = document.getElementById("together");
    if (!together) return;
    together.open = true;
    together.querySelector('input[name="summary"]').focus();
  }

  function sheet() {
    const keys = document.getElementById("keys");
    keys.open = !keys.open;
    if (keys.open) keys.querySelector("summary").focus();
  }

  const keys = {
    j: () => step(1), ArrowDown: () => step(1),
    k: () => step(-1), ArrowUp: () => step(-1),
    p: () => publish(current()), Enter: () => publish(current()),
    e: () => edit(current(), "impact"),
    w: () => edit(current(), current()?.querySelector('input[name="summary"]') ? "summary" : "public_summary"),
    m: () => fold(current()),
    x: () => choose(current()),
    o: asOne,
    d: () => button(current(), "/dismiss/")?.click(),
    h: () => button(current(), "/hold/")?.click(),
    u: () => undo()?.click(),
    n: () => document.querySelector("#say input[name='line']")?.focus(),
    "/": () => document.querySelector("#filter select")?.focus(),
    "?": sheet,
  };

  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.key === "Escape" && at.closest?.(".proposal")) {
      go(at.closest(".proposal"));
      return;
    }
    const isTyping = at.matches?.("input:not([type='checkbox']), textarea, select");
    // Enter and the arrows belong to a link, a button or a fold while one of them has the focus.
    const isControl = at.matches?.("a, button, summary") && (event.key === "Enter" || event.key.startsWith("Arrow"));
    if (isTyping || isControl || !keys[event.key]) return;
    if (event.repeat && !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // The keys mean the first row from the start: whoever types at once must not type commands into nothing.
  rows()[0]?.classList.add("current");

  // Whatever of a row has the focus, that row is the one the keys mean.
  queue.addEventListener("focusin", (event) => {
    const row = event.target.closest(".proposal");
    if (row && row !== current()) {
      current()?.classList.remove("current");
      row.classList.add("current");
    }
  });

  queue.addEventListener("change", (event) => {
    const together = document.getElementById("together");
    if (together && event.target.name === "chosen") together.open = !!queue.querySelector("input[name='chosen']:checked");
  });

  // The figures beside the headings count what is still there.
  const total = queue.querySelector(".tabs .count");
  const left = () => queue.querySelectorAll(".push .proposal").length;
  const before = Number(total?.textContent) - left();
  function count() {
    if (before >= 0) total.textContent = before + left(); // "more than 1000" stays
    for (const push of queue.querySelectorAll(".push")) {
      push.querySelector(".count").textContent = push.querySelectorAll(".proposal").length;
    }
  }

  // After a row has gone the next one is the current one; after the last one the queue is asked what comes now.
  let place = 0;
  function after() {
    count();
    const problem = queue.querySelector(".proposal > .problem");
    if (problem) {
      const row = problem.closest(".proposal");
      go(row);
      edit(row, row.querySelector('input[name="public_summary"]') ? "public_summary" : "impact");
    } else if (queue.querySelector(".push .proposal")) {
      go(rows()[Math.min(place, rows().length - 1)]);
    } else {
      const query = new URLSearchParams(location.search);
      const last = document.querySelector("#undo a")?.getAttribute("href").match(/\d+/);
      if (last) query.set("did", last[0]); // what was done last can still be undone
      query.delete("after");
      location.assign(`${location.pathname}?${query}`);
    }
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    const row = event.target.closest?.(".proposal");
    if (row) place = rows().indexOf(row);
  });
  // A row that is gone settles nowhere, and one that came back with a problem settles a moment later.
  document.addEventListener("htmx:afterRequest", after);
  document.addEventListener("htmx:afterSettle", after);

  go(location.hash && queue.querySelector(location.hash.replace(/[^#\w-]/g, "")));
})();
