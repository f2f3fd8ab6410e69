"use strict";
// The page is whole without this: it only sorts tables and hides what is not asked for.

const form = document.getElementById("filter");
const KEYS = ["device", "layer", "size"];

// ---- filter ----

function choices(key) {
  const found = new Map();
  for (const element of document.querySelectorAll(`[data-${key}]`))
    found.set(element.dataset[key], element.dataset[`${key}Name`] || element.dataset[key]);
  return found;
}

function filter() {
  const wanted = KEYS.filter((key) => form.elements[key].value);
  const hidden = (element) => wanted.some((key) => element.dataset[key] !== undefined && element.dataset[key] !== form.elements[key].value);
  for (const element of document.querySelectorAll(KEYS.map((key) => `main [data-${key}]`).join(",")))
    element.hidden = hidden(element);
  for (const group of document.querySelectorAll(".group"))
    group.hidden = hidden(group) || !group.querySelector("[data-device]:not([hidden])");
  for (const section of document.querySelectorAll("main section"))
    section.querySelector(".none").hidden = Boolean(section.querySelector("[data-device]:not([hidden])"));
  const rows = [...document.querySelectorAll("#cases tbody tr")];
  form.querySelector("output").value = wanted.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} cases` : "";
}

for (const key of KEYS)
  for (const [value, name] of choices(key))
    form.elements[key].append(new Option(name, value));
form.addEventListener("change", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
filter();  // a browser that comes back keeps what was chosen

// ---- sorting: numbers by size, words by letters, what is missing last ----

function compare(a, b) {
  const x = Number(a), y = Number(b);
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
}

function sort(head, index) {
  const up = head.getAttribute("aria-sort") === "ascending" || (!head.hasAttribute("aria-sort") && !head.classList.contains("words"));
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "descending" : "ascending");
  const body = head.closest("table").tBodies[0];
  const value = (row) => row.cells[index].dataset.value ?? "";
  const rows = [...body.rows].sort((a, b) => {
    if (!value(a) || !value(b)) return Boolean(value(b)) - Boolean(value(a));
    return up ? compare(value(b), value(a)) : compare(value(a), value(b));
  });
  body.append(...rows);
}

for (const table of document.querySelectorAll("table.sortable"))
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, index));
    head.append(button);
  });
