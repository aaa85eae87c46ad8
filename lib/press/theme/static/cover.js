// The cover's figure: the computation of press/cover.py, with the same random numbers, each time the slider moves.
(() => {
  "use strict";
  const box = document.querySelector(".live");
  if (!box) return;
  const set = box.dataset, sizes = JSON.parse(set.sizes);
  const [runs, steps, start, noise, seed, errors] = [+set.runs, +set.steps, +set.start, +set.noise, +set.seed, +set.errors];
  const LOW = -3, HIGH = 3, DRAWN = 24;
  const at = (selector) => box.querySelector(selector);
  const slider = at("input"), shown = at("output");

  function* normal() {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    for (;;) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
      yield radius * Math.cos(angle);
      yield radius * Math.sin(angle);
    }
  }
  function measure(size) {
    const draw = normal(), theta = new Float64Array(runs).fill(start), mean = [], single = Array.from({ length: DRAWN }, () => []);
    for (let step = 0; step <= steps; step++) {
      let sum = 0;
      for (let i = 0; i < runs; i++) {
        if (step) theta[i] -= size * (theta[i] + noise * draw.next().value);
        const loss = (theta[i] * theta[i]) / 2;
        sum += loss;
        if (i < DRAWN) single[i].push(loss);
      }
      mean.push(sum / runs);
    }
    return [mean, single];
  }
  function exact(size) {
    let m = start, v = 0;
    const found = [];
    for (let step = 0; step <= steps; step++) {
      if (step) { v = (1 - size) ** 2 * v + (size * noise) ** 2; m *= 1 - size; }
      found.push([(m * m + v) / 2, Math.sqrt((v * v / 2 + m * m * v) / runs)]);
    }
    return found;
  }
  const y = (loss) => 100 * (1 - (Math.min(Math.max(Math.log10(Math.max(loss, 1e-30)), LOW - 0.5), HIGH + 0.5) - LOW) / (HIGH - LOW));
  const point = (loss, i) => `${(100 * i / steps).toPrecision(4)} ${y(loss).toFixed(2)}`;
  const path = (values, n) => "M" + values.slice(0, n).map(point).join("L");
  const short = (value) => {
    if (Math.abs(value) >= 0.001 && Math.abs(value) < 1000) return String(+value.toPrecision(3));
    return value.toExponential(2).replace("e+", "e");
  };

  let timer = 0;
  function play(animated) {
    cancelAnimationFrame(timer);
    const size = sizes[+slider.value], [mean, single] = measure(size), theory = exact(size);
    const [expected, error] = theory[steps], low = expected - errors * error, high = expected + errors * error;
    const holds = mean[steps] >= low && mean[steps] <= high;
    shown.textContent = size;
    slider.setAttribute("aria-valuetext", String(size));
    at(".live-eta").textContent = size;
    at(".live-expected").textContent = short(expected);
    at(".live-low").textContent = short(low);
    at(".live-high").textContent = short(high);
    at(".live-theory").setAttribute("d", path(theory.map((t) => t[0]), steps + 1));
    at(".live-band").setAttribute("d", path(theory.map((t) => t[0] + errors * t[1]), steps + 1) + "L" +
      theory.map((t, i) => point(Math.max(t[0] - errors * t[1], 1e-30), i)).reverse().join("L") + "Z");
    const show = (n) => {
      at(".live-runs").setAttribute("d", single.map((s) => path(s, n)).join(""));
      at(".live-mean").setAttribute("d", path(mean, n));
      const done = n > steps;
      at(".live-measured").textContent = short(mean[n - 1]);
      at(".live-where").textContent = done ? "just now, in your browser" : `step ${n - 1} of ${steps}`;
      at(".live-verdict").textContent = !done ? "… measuring" : holds ? "● reproduced" : "✕ failed";
    };
    if (!animated || matchMedia("(prefers-reduced-motion: reduce)").matches) return show(steps + 1);
    const begun = performance.now();
    const frame = (now) => {
      const n = Math.min(steps + 1, 2 + Math.floor((now - begun) / 45));
      show(n);
      if (n <= steps) timer = requestAnimationFrame(frame);
    };
    timer = requestAnimationFrame(frame);
  }
  slider.addEventListener("input", () => play(true));
  const begin = () => play(true);
  if ("IntersectionObserver" in window) {
    const near = new IntersectionObserver((entries) => {
      if (entries.some((e) => e.isIntersecting)) { near.disconnect(); setTimeout(begin, 400); }
    }, { threshold: 0.4 });
    near.observe(box);
  } else begin();
})();
