// Everything a page does by itself: contents on phones, colours, copying code, figures, questions, the ledger.
(() => {
  "use strict";
  const doc = document, root = doc.documentElement;
  const all = (selector, from = doc) => [...from.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const element = doc.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // ---- Colours: automatic, light, dark ----
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const themes = ["auto", "light", "dark"];
  const theme = () => root.dataset.theme || "auto";
  const isDark = () => (theme() === "auto" ? prefersDark.matches : theme() === "dark");
  const onTheme = [];
  const said = { auto: "as the system", light: "light", dark: "dark" };
  for (const button of all("button.theme")) {
    const label = () => {
      button.setAttribute("aria-label", `Colours: ${said[theme()]}`);
      button.querySelector(".theme-word").textContent = theme();
    };
    label();
    button.addEventListener("click", () => {
      const next = themes[(themes.indexOf(theme()) + 1) % 3];
      if (next === "auto") delete root.dataset.theme;
      else root.dataset.theme = next;
      try {
        if (next === "auto") localStorage.removeItem("theme");
        else localStorage.setItem("theme", next);
      } catch { /* private windows may refuse: the choice then lasts for this page */ }
      label();
      onTheme.forEach((run) => run());
    });
  }
  prefersDark.addEventListener("change", () => onTheme.forEach((run) => run()));

  // ---- Contents ----
  const menu = doc.querySelector("button.menu"), contents = doc.getElementById("contents");
  if (menu && contents) {
    const others = all(".page, .skip, .top");
    const show = (open) => {
      root.classList.toggle("menu-open", open);
      menu.setAttribute("aria-expanded", open);
      others.forEach((element) => (element.inert = open));
      (open ? contents.querySelector(".close") : menu).focus();
    };
    menu.addEventListener("click", () => show(true));
    contents.querySelector(".close").addEventListener("click", () => show(false));
    contents.addEventListener("click", (event) => {
      if (root.classList.contains("menu-open") && event.target.closest("a[href*='#']")) show(false);
    });
    doc.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && root.classList.contains("menu-open")) show(false);
    });
    doc.addEventListener("click", (event) => {
      if (root.classList.contains("menu-open") && !contents.contains(event.target) && !menu.contains(event.target)) show(false);
    });
    matchMedia("(min-width: 68em)").addEventListener("change", () => {
      if (root.classList.contains("menu-open")) show(false);
    });
    const here = contents.querySelector("[aria-current=page]");
    if (here && here.offsetTop > contents.clientHeight * 0.7) contents.scrollTop = here.offsetTop - contents.clientHeight / 3;
  }
  doc.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select")) return;
    const box = doc.getElementById("q") || doc.querySelector(".search-box input");
    if (box && box.offsetParent) { event.preventDefault(); box.focus(); }
  });

  // The section being read is marked in the contents.
  const marks = all(".sections a").map((a) => [a, doc.getElementById(decodeURIComponent(a.hash.slice(1)))]).filter((m) => m[1]);
  if (marks.length) {
    let waiting = false;
    const mark = () => {
      waiting = false;
      const passed = marks.filter(([, target]) => target.getBoundingClientRect().top < innerHeight / 3);
      for (const [a] of marks) a.removeAttribute("aria-current");
      if (passed.length) passed.pop()[0].setAttribute("aria-current", "true");
    };
    addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
    requestAnimationFrame(mark);
  }

  // ---- Code: copy, and scroll by keyboard where it is wider than its box ----
  for (const pre of all(".highlight pre")) {
    const button = make("button", { type: "button", class: "copy", "aria-label": "Copy this code" }, "copy");
    button.addEventListener("click", async () => {
      const text = pre.textContent.replace(/\n$/, "");
      try { await navigator.clipboard.writeText(text); }
      catch {
        const area = make("textarea");
        area.value = text;
        doc.body.append(area);
        area.select();
        doc.execCommand("copy");
        area.remove();
      }
      button.textContent = "copied";
      setTimeout(() => (button.textContent = "copy"), 1500);
    });
    if (pre.closest(".cell_input, div[class*=highlight-]") && !pre.closest(".cell_output")) pre.parentElement.append(button);
  }
  const scrolling = "pre, .scroll, .math .eq";
  const reachable = (box) => {
    if (box.matches(".eq")) return;  // always reachable, whatever its width
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  // What is out of sight was left out of the first layout (press.css): it follows bit by bit when nothing else happens.
  const waiting = [...all("article section section"), ...all(".cell_input .highlight")];
  const layOut = (many) => waiting.splice(0, many).forEach((block) => {
    block.style.contentVisibility = "visible";
    if (block.matches(".highlight")) reachable(block.querySelector("pre"));
  });
  const idle = window.requestIdleCallback || ((run) => setTimeout(run, 50));
  const next = () => { layOut(1); if (waiting.length) idle(next); else root.dataset.settled = ""; };
  addEventListener("load", () => idle(next));
  addEventListener("beforeprint", () => layOut(waiting.length));
  doc.addEventListener("toggle", (event) => all(scrolling, event.target).forEach(reachable), true);

  // What comes near the window is looked at, and what is in it again when its size changes.
  const near = (elements, run, rootMargin) => {
    if (!("IntersectionObserver" in window)) return elements.forEach((element) => run(element, true));
    const watch = new IntersectionObserver((entries) => entries.forEach((e) => run(e.target, e.isIntersecting)), { rootMargin });
    elements.forEach((element) => watch.observe(element));
  };
  const scrollers = new Set();
  near(all(scrolling), (box, here) => {
    if (here) { scrollers.add(box); reachable(box); } else scrollers.delete(box);
  }, "400px 0px");
  addEventListener("resize", () => scrollers.forEach(reachable), { passive: true });

  // ---- Figures ----
  const loading = {};
  const load = (bundle) => (loading[bundle] ||= new Promise((resolve, reject) => {
    const file = bundle === "full" ? "plotly.min.js" : "plotly-cartesian.min.js";
    const script = make("script", { src: `${root.dataset.content_root || ""}_static/plotly/${file}` });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error(`cannot load ${file}`));
    doc.head.append(script);
  }));
  // A figure is stored in its light colours; the dark page replaces each by its partner.
  const recolour = (value, map) => {
    if (typeof value === "string") return map[value.toLowerCase()] || map[value] || value;
    // Long arrays of numbers hold no colour; a stop of a colour scale, [0.35, "#..."], does.
    if (Array.isArray(value)) return value.length > 2 && typeof value[1] === "number" ? value.slice() : value.map((v) => recolour(v, map));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, recolour(v, map)]));
    return value;
  };

  // Plotly does not wrap text: break a title into lines that fit `room` pixels.
  const wrapped = (text, room, size = 14) => {
    const most = Math.max(10, Math.floor(room / (size * 0.5)));
    if (!text || text.length <= most || text.includes("<br>")) return text;
    const lines = [""];
    for (const word of text.split(" ")) {
      const last = lines[lines.length - 1];
      if (last && last.length + word.length + 1 > most) lines.push(word);
      else lines[lines.length - 1] = last ? `${last} ${word}` : word;
    }
    return lines.join("<br>");
  };
  const fit = (layout, width, height, narrow) => {
    const margin = { l: 64, r: 16, t: 14, b: 56, ...layout.margin };
    if (narrow) { margin.l = Math.min(margin.l, 52); margin.r = Math.min(margin.r, 12); }
    const room = { x: width - margin.l - margin.r, y: height - margin.t - margin.b - 40 };
    for (const [key, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(key) || !axis?.title?.text) continue;
      const [from, to] = axis.domain || [0, 1];
      axis.title.text = wrapped(axis.title.text, (to - from) * room[key[0]], axis.title.font?.size);
    }
    layout.margin = margin;
    // Below the axis titles, however many lines these and the entries take.
    if (narrow && layout.legend?.orientation === "h") Object.assign(layout.legend, { xref: "container", yref: "container", x: 0, y: 0, xanchor: "left", yanchor: "bottom" });
  };

  function figure(box) {
    const plot = box.querySelector(".fig-plot"), bundle = box.dataset.bundle;
    // Parsed when the figure is first needed: a page's figures are most of its weight.
    let spec = null, state = null, shown = null, drawn = null, queue = Promise.resolve();
    const read = () => {
      if (spec) return;
      spec = JSON.parse(box.querySelector("script[type='application/json']").textContent);
      state = spec.controls.map((c) => c.active ?? 0);
    };
    const apply = (Plotly, i) => {
      const step = shown.controls[i].steps?.[state[i]];
      if (!step) return null;
      const [method, args] = recolour(step, {});
      return method === "skip" ? null : Plotly[method](plot, ...args);
    };
    const draw = async () => {
      read();
      const Plotly = await load(bundle);
      shown = isDark() ? { ...spec, ...recolour({ data: spec.data, layout: spec.layout, frames: spec.frames, controls: spec.controls }, spec.dark) } : spec;
      const part = recolour({ data: shown.data, layout: shown.layout, frames: shown.frames }, {});
      part.layout = { ...part.layout, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", font: { ...part.layout.font, family: getComputedStyle(doc.body).fontFamily } };
      // A finger on a figure scrolls the page.
      if (matchMedia("(hover: none)").matches) part.layout.dragmode = false;
      fit(part.layout, plot.clientWidth, plot.clientHeight, plot.clientWidth < 480);
      if (drawn) Plotly.purge(plot);
      plot.querySelector(".fig-still")?.remove();
      await Plotly.newPlot(plot, { ...part, config: { displayModeBar: false, responsive: true, doubleClick: "reset" } });
      for (let i = 0; i < state.length; i++) if (state[i] !== (spec.controls[i].active ?? 0)) await apply(Plotly, i);
      drawn = Plotly;
      box.dataset.drawn = isDark() ? "dark" : "light";
    };
    const once = () => (queue = queue.then(draw).catch((error) => { box.dataset.failed = error.message; console.error(error); }));
    let started = false;
    const start = () => { if (!started) { started = true; once(); } return queue; };
    onTheme.push(() => { if (started) once(); });

    for (const control of all(".fig-control", box)) {
      const i = +control.dataset.i;
      const range = control.querySelector("input"), select = control.querySelector("select"), play = control.querySelector("[data-play]");
      let pending = false;
      const set = (value) => {
        read();
        state[i] = value;
        if (range) {
          range.value = value;
          const text = JSON.parse(range.dataset.values)[value] + range.dataset.suffix;
          range.setAttribute("aria-valuetext", text);
          control.querySelector("output").textContent = text;
        }
        if (pending) return queue;
        pending = true;  // a fast hand moves further than a figure can follow: draw the latest value only
        start();
        return (queue = queue.then(() => { pending = false; return drawn && apply(drawn, i); }).catch((error) => console.error(error)));
      };
      let timer = 0;
      const stop = () => {
        clearTimeout(timer);
        timer = 0;
        play?.setAttribute("aria-label", "Play");
        control.classList.remove("playing");
      };
      range?.addEventListener("input", () => { stop(); set(+range.value); });
      select?.addEventListener("change", () => set(+select.value));
      play?.addEventListener("click", async () => {
        if (timer) return stop();
        read();
        const { wait } = spec.controls[i];
        if (!range) { await start(); return drawn?.animate(plot, null, { frame: { duration: wait, redraw: true }, transition: { duration: 0 } }); }
        control.classList.add("playing");
        play.setAttribute("aria-label", "Pause");
        if (state[i] >= +range.max) await set(0);
        const tick = async () => {
          if (!timer) return;
          await set(state[i] + 1);
          if (!timer) return;
          if (state[i] >= +range.max) return stop();
          timer = setTimeout(tick, wait);
        };
        timer = setTimeout(tick, 30);
      });
    }
    box.addEventListener("pointerenter", start, { once: true });
    return start;
  }
  const boxes = new Map(all("figure.fig").map((box) => [box, figure(box)]));
  near([...boxes.keys()], (box, here) => here && boxes.get(box)(), "600px 0px");
  addEventListener("beforeprint", () => boxes.forEach((start) => start()));

  // ---- Check-yourself questions ----
  const number = (text) => {
    const plain = text.trim().replace(/\u2212/g, "-").replace(",", ".");
    const fraction = plain.match(/^(-?[\d.]+)\s*\/\s*([\d.]+)$/);
    return fraction ? fraction[1] / fraction[2] : plain === "" ? NaN : Number(plain);
  };
  for (const form of all("form.quiz")) {
    const kind = form.dataset.kind, answers = all(".quiz-answers li", form), box = form.querySelector(".quiz-said");
    const tell = (right, text, ...nodes) => {
      const verdict = make("p", { class: "quiz-verdict" }, make("span", { "aria-hidden": "true" }, right ? "● " : "○ "), text);
      box.replaceChildren(verdict, ...nodes.map((node) => node.cloneNode(true)));
      box.dataset.right = right;
      form.classList.add("tried");
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const feedback = (li) => li.querySelector(".quiz-feedback");
      if (kind === "number") {
        const value = number(form.querySelector("input").value);
        if (!Number.isFinite(value)) return tell(false, "Type a number first.");
        const hit = answers.find((li) => li.dataset.value !== undefined &&
          Math.abs(value - li.dataset.value) <= +li.dataset.tolerance * (1 + 1e-9) + 1e-12) || answers.find((li) => li.dataset.value === undefined);
        const right = hit.dataset.right === "true";
        return tell(right, right ? "Right." : "Not quite.", feedback(hit));
      }
      const chosen = all("input:checked", form).map((input) => answers[+input.value]);
      if (!chosen.length) return tell(false, "Choose an answer first.");
      const wrong = chosen.filter((li) => li.dataset.right !== "true");
      const missing = answers.filter((li) => li.dataset.right === "true" && !chosen.includes(li)).length;
      const right = !wrong.length && !missing;
      const word = right ? "Right." : !wrong.length ? `Right so far; ${missing} more to find.` : kind === "multiple" ? `Not quite: ${wrong.length} of your choices ${wrong.length > 1 ? "are" : "is"} wrong.` : "Not quite.";
      tell(right, word, ...chosen.map(feedback));
    });
    form.addEventListener("input", () => { box.replaceChildren(); delete box.dataset.right; });
  }

  // ---- The ledger ----
  const table = doc.querySelector("table.ledger");
  if (table) {
    const body = table.tBodies[0], rows = [...body.rows], count = doc.querySelector(".ledger-shown");
    const field = (id) => doc.getElementById(`l-${id}`);
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      const words = field("text").value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = ["part", "chapter", "verdict"].every((key) => !field(key).value || row.dataset[key] === field(key).value) && words.every((w) => texts[i].includes(w));
        row.hidden = !fits;
        shown += fits;
      });
      count.textContent = shown === rows.length ? `All ${rows.length} claims.` : `${shown} of ${rows.length} claims.`;
    };
    doc.querySelector(".ledger-filters").addEventListener("input", filter);
    doc.querySelector(".ledger-filters").addEventListener("submit", (event) => event.preventDefault());
    filter();
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = make("button", { type: "button" }, cell.textContent);
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
        const order = rows.map((row, i) => [key(row), i, row]).sort((a, b) =>
          (down ? -1 : 1) * a[0].localeCompare(b[0], "en", { numeric: true }) || a[1] - b[1]);
        body.append(...order.map((o) => o[2]));
      });
    });
  }

  // Paper is light, and folds nothing away.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("article details:not([open]):not(.code-fold)");
    folded.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
  root.dataset.ready = still.matches ? "still" : "yes";
})();
