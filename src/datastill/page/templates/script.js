"use strict";
const dialog = document.querySelector("dialog");
document.addEventListener("click", (event) => {
  if (event.target.matches(".picture img")) {
    dialog.firstElementChild.src = event.target.src;
    dialog.firstElementChild.alt = event.target.alt;
    dialog.showModal();
  } else if (dialog.open) {
    dialog.close();
  }
});

const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

for (const figure of document.querySelectorAll("[data-slider]")) {
  const rows = [...figure.querySelectorAll("tbody tr")];
  const headings = [...figure.querySelectorAll("th")].map((cell) => cell.textContent);
  const slider = document.createElement("input");
  const output = document.createElement("output");
  slider.type = "range";
  slider.max = rows.length - 1;
  slider.value = rows.findIndex((row) => row.className === "current");
  slider.setAttribute("aria-label", figure.dataset.slider);
  const show = () => {
    rows.forEach((row, index) => row.classList.toggle("current", index === Number(slider.value)));
    const cells = [...rows[slider.value].cells].map((cell) => cell.textContent);
    output.textContent = cells.map((cell, index) => `${headings[index]} ${cell}`).join(", ");
  };
  slider.addEventListener("input", show);
  const line = document.createElement("div");
  line.className = "slider";
  line.append(slider, output);
  figure.querySelector(".scroll").before(line);
  show();
}
