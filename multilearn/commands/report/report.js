"use strict";
// The page is read without it. It has a chart say its values at the pointer, or by the arrow keys, and a legend hide lines.
const tip = document.getElementById("tip");
const hidden = new Set();

function leave(cursor) {
  tip.hidden = true;
  cursor.classList.add("away");
}

function show(row, heads, epoch, x, y) {
  const title = document.createElement("b");
  title.textContent = "epoch " + epoch;
  const table = document.createElement("table");
  heads.forEach((head, at) => {
    const value = row.cells[at + 1];
    if (!value.textContent || hidden.has(head.colour) || table.rows.length === 24) return;
    const line = table.insertRow();
    const key = line.insertCell();
    key.className = "key " + head.colour;
    key.append(document.createElement("i"), head.name);
    line.insertCell().textContent = value.textContent;
  });
  tip.replaceChildren(title, table);
  tip.hidden = false;
  const left = x + 16 + tip.offsetWidth > innerWidth ? x - tip.offsetWidth - 12 : x + 16;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(y + 12, innerHeight - tip.offsetHeight - 8)) + "px";
}

function follow(svg, rows, heads) {
  const { x0, x1, from, to } = svg.dataset;
  const box = svg.viewBox.baseVal;
  const cursor = document.createElementNS(svg.namespaceURI, "path");
  cursor.setAttribute("class", "cursor away");
  svg.append(cursor);
  let at = rows.length - 1;

  function place(x, y) {
    const px = +from + ((rows[at].epoch - x0) / (x1 - x0)) * (to - from);
    cursor.setAttribute("d", `M${px} 10V${box.height - 32}`);
    cursor.classList.remove("away");
    show(rows[at].row, heads, rows[at].epoch, x, y);
  }

  svg.addEventListener("pointermove", (event) => {
    const edges = svg.getBoundingClientRect();
    const px = ((event.clientX - edges.left) / edges.width) * box.width;
    const epoch = +x0 + ((px - from) / (to - from)) * (x1 - x0);
    const distance = (number) => Math.abs(rows[number].epoch - epoch);
    at = 0;
    for (let next = 1; next < rows.length && distance(next) <= distance(at); next++) at = next;
    place(event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", () => leave(cursor));
  svg.addEventListener("blur", () => leave(cursor));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -rows.length, End: rows.length }[event.key];
    if (event.key === "Escape") leave(cursor);
    if (step === undefined) return;
    event.preventDefault();
    at = Math.max(0, Math.min(rows.length - 1, at + step));
    const edges = svg.getBoundingClientRect();
    place(edges.left + edges.width / 3, edges.top + 20);
  });
  svg.tabIndex = 0;
}

for (const card of document.querySelectorAll(".card:has(svg.chart):has(.numbers)")) {
  const table = card.querySelector(".numbers");
  const heads = [...table.tHead.rows[0].cells].slice(1).map((cell) => ({
    name: cell.textContent,
    colour: cell.firstElementChild ? cell.firstElementChild.className : "",
  }));
  const rows = [...table.tBodies[0].rows].map((row) => ({ epoch: Number(row.cells[0].textContent), row }));
  for (const svg of card.querySelectorAll("svg.chart[data-x0]")) {
    // what the pointer has shown beside it needs no second tip
    svg.setAttribute("aria-label", svg.querySelector("title").textContent + ", " + svg.querySelector("desc").textContent);
    svg.querySelectorAll("title").forEach((title) => title.remove());
    if (rows.length) follow(svg, rows, heads);
  }
}

for (const legend of document.querySelectorAll("#legend")) {
  for (const key of legend.querySelectorAll(".key")) {
    const button = document.createElement("button");
    button.className = key.className;
    button.append(...key.childNodes);
    button.setAttribute("aria-pressed", "true");
    key.replaceWith(button);
    button.addEventListener("click", () => {
      const colour = button.className.split(" ")[1];
      const on = button.getAttribute("aria-pressed") === "false";
      for (const same of legend.querySelectorAll("." + colour)) same.setAttribute("aria-pressed", on);
      if (on) hidden.delete(colour);
      else hidden.add(colour);
      const charts = document.querySelectorAll("#curves svg.chart, #machine svg.chart");
      for (const chart of charts) for (const line of chart.querySelectorAll("." + colour)) line.classList.toggle("away", !on);
    });
  }
}
