// Filters and sorts the zoo's table, and shows the same records in its plot. Everything is read from the page; what is
// chosen stands behind the # of its address, so that a view can be shared: #family=x3d&sort=-number
"use strict";
(() => {
  const zoo = document.getElementById("zoo");
  const all = (selector, from = zoo) => [...from.querySelectorAll(selector)];
  const form = document.getElementById("zoo-filters"), tip = document.getElementById("zoo-tip");
  const count = document.getElementById("zoo-count"), none = document.getElementById("zoo-none");
  const plot = zoo.querySelector("select[name=plot]"), figures = all("figure");
  const heads = all("thead th"), body = zoo.querySelector("tbody");
  const keys = heads.map(head => head.dataset.key), numbers = heads.map(head => head.classList.contains("n"));
  const filters = all("select", form);
  let sort = "", chosen = ""; // a column, with - before it downwards; a plot that somebody asked for

  const rows = [...body.rows].map((tr, index) => {
    const values = [...tr.cells].map(cell => cell.dataset.v ?? cell.textContent);
    const words = `${tr.textContent} ${values[0]} ${tr.dataset.also}`.toLowerCase();
    const named = Object.fromEntries(keys.map((key, column) => [key, values[column]]));
    return {tr, index, values, words, named, href: tr.querySelector("a").getAttribute("href")};
  });
  const byHref = new Map(rows.map(row => [row.href, row]));
  const marks = all("figure > svg > a").map(a => {
    const title = a.querySelector("title"), told = title.textContent, shape = a.lastElementChild;
    title.remove(); // else the browser shows it beside ours
    a.setAttribute("tabindex", -1);
    a.setAttribute("aria-label", told.replaceAll("\n", ", "));
    const place = ["x", "y"].map(axis => parseFloat(shape.getAttribute(axis) ?? shape.getAttribute(`c${axis}`))); // per cent
    return {a, told, place, row: byHref.get(a.getAttribute("href")), figure: a.closest("figure")};
  });

  function fits(row, except) {
    return form.q.value.toLowerCase().split(/\s+/).every(word => row.words.includes(word)) &&
      filters.every(one => one === except || !one.value || row.named[one.name] === one.value);
  }

  // Each filter offers what the others leave, with how many records that are.
  function offer(select) {
    const counts = new Map(), chosen = select.value;
    for (const row of rows) {
      const value = row.named[select.name];
      counts.set(value, (counts.get(value) ?? 0) + fits(row, select));
    }
    const offered = [...counts].filter(([value, many]) => many || value === chosen).sort(([a], [b]) => a < b ? -1 : 1);
    select.replaceChildren(new Option("all", ""),
      ...offered.map(([value, many]) => new Option(`${value} (${many})`, value, false, value === chosen)));
  }

  let ordered = ""; // as the rows stand now
  function order() {
    if (sort === ordered) return;
    ordered = sort;
    const column = keys.indexOf(sort.replace("-", "")), down = sort.startsWith("-") ? -1 : 1;
    heads.forEach((head, at) => {
      if (at === column) head.setAttribute("aria-sort", down < 0 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const compared = (a, b) => numbers[column] ? a - b : a < b ? -1 : a > b ? 1 : 0;
    const sorted = column < 0 ? rows : [...rows].sort((one, other) => {
      const a = one.values[column], b = other.values[column];
      if (!a !== !b) return a ? -1 : 1; // what is not known is last, either way
      return down * compared(a, b) || one.index - other.index;
    });
    body.append(...sorted.map(row => row.tr));
  }

  function show() {
    for (const row of rows) row.tr.hidden = !(row.fits = fits(row));
    filters.forEach(offer);
    for (const mark of marks) mark.a.style.display = mark.row.fits ? "" : "none";
    const figure = drawn();
    for (const each of figures) each.hidden = each !== figure;
    const shown = marks.filter(mark => mark.figure === figure && mark.row.fits);
    const families = new Set(shown.map(mark => mark.row.named.family));
    for (const item of all("li", figure)) item.hidden = !families.has(item.dataset.family);
    reachable(shown, shown.find(mark => mark.a.tabIndex === 0) ?? leftmost(shown));
    none.hidden = shown.length > 0;
    const many = rows.filter(row => row.fits).length;
    count.textContent = `${many} of ${rows.length} records, ${shown.length} in the plot`;
    tip.hidden = true;
  }

  // The plot that was asked for if it has a mark, else the one with most.
  function drawn() {
    const many = new Map(figures.map(figure => [figure.dataset.plot, 0]));
    for (const mark of marks) many.set(mark.figure.dataset.plot, many.get(mark.figure.dataset.plot) + mark.row.fits);
    for (const option of plot.options) {
      option.text = `${option.dataset.title}: ${many.get(option.value)}`;
      option.disabled = !many.get(option.value);
    }
    const [most] = [...many].sort(([, a], [, b]) => b - a)[0];
    plot.value = many.get(chosen) ? chosen : most;
    return figures.find(figure => figure.dataset.plot === plot.value);
  }

  // --- the plot: one mark is reached by Tab, the others from it by the arrow keys -------------------------------------
  const along = (shown, axis) => [...shown].sort(({place: a}, {place: b}) => a[axis] - b[axis] || a[1 - axis] - b[1 - axis]);
  const leftmost = shown => along(shown, 0)[0];

  function reachable(shown, mark) {
    for (const each of shown) each.a.setAttribute("tabindex", each === mark ? 0 : -1);
  }

  function point(mark) {
    const area = zoo.querySelector("#zoo-plots").getBoundingClientRect(), box = mark.a.getBoundingClientRect();
    const [name, ...rest] = mark.told.split("\n");
    const strong = document.createElement("strong");
    strong.textContent = name;
    tip.replaceChildren(strong, ...rest.flatMap(line => [document.createElement("br"), line]));
    tip.hidden = false;
    const left = box.x + box.width / 2 - area.x - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(0, Math.min(left, area.width - tip.offsetWidth))}px`;
    const above = box.y - area.y - tip.offsetHeight - 6;
    tip.style.top = `${above < 0 ? box.bottom - area.y + 6 : above}px`;
  }

  for (const mark of marks) {
    mark.a.addEventListener("pointerenter", () => point(mark));
    mark.a.addEventListener("pointerleave", () => { tip.hidden = true; });
    mark.a.addEventListener("focus", () => point(mark));
    mark.a.addEventListener("blur", () => { tip.hidden = true; });
    mark.a.addEventListener("keydown", event => {
      if (event.key === "Escape") tip.hidden = true;
      const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 1], ArrowUp: [1, -1], Home: [0, -1e9], End: [0, 1e9]}[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const sorted = along(marks.filter(each => each.figure === mark.figure && each.row.fits), step[0]);
      const next = sorted[Math.max(0, Math.min(sorted.indexOf(mark) + step[1], sorted.length - 1))];
      reachable(sorted, next);
      next.a.focus();
    });
  }

  // --- what is chosen, in the page's address ----------------------------------------------------------------------------
  function read() {
    const said = new URLSearchParams(location.hash.slice(1));
    form.q.value = said.get("q") ?? "";
    for (const select of filters) {
      const value = said.get(select.name) ?? "";
      select.replaceChildren(new Option("all", ""), new Option(value, value, true, true));
      if (!rows.some(row => row.named[select.name] === value)) select.value = "";
    }
    chosen = said.get("plot") ?? "";
    sort = said.get("sort") ?? "";
    order();
    show();
  }

  function write() {
    const said = new URLSearchParams();
    for (const one of [form.q, ...filters]) if (one.value) said.set(one.name, one.value);
    if (sort) said.set("sort", sort);
    if (chosen) said.set("plot", chosen);
    history.replaceState(history.state, "", `#${said}`);
  }

  form.addEventListener("input", () => { show(); write(); });
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", event => {
    event.preventDefault();
    history.replaceState(history.state, "", "#");
    read();
    form.q.focus();
  });
  plot.addEventListener("input", () => { chosen = plot.value; show(); write(); });
  for (const head of heads) {
    head.addEventListener("click", () => {
      const key = head.dataset.key, first = head.classList.contains("n") ? `-${key}` : key;
      sort = sort === first ? (first === key ? `-${key}` : key) : first;
      order();
      write();
    });
  }
  addEventListener("hashchange", read);
  form.hidden = false;
  plot.parentElement.hidden = false;
  read();
  zoo.dataset.ready = Math.round(performance.now());
})();
