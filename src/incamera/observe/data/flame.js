// A click makes a frame as wide as the picture, with all that it called; a click on the bottom one shows all again.
const total = 1200, character = 6.6;
const frames = [...document.querySelectorAll("g")].map((group) => ({
  group,
  x: Number(group.dataset.x),
  width: Number(group.dataset.width),
  name: group.querySelector("title").textContent.replace(/ \(\d+ samples?, [\d.]+ %\)$/, ""),
}));
function zoom(to) {
  const scale = total / to.width;
  for (const { group, x, width, name } of frames) {
    const left = Math.max(0, (x - to.x) * scale), right = Math.min(total, (x + width - to.x) * scale);
    const rect = group.querySelector("rect"), text = group.querySelector("text");
    group.style.display = right - left > 0.2 ? "" : "none";
    rect.setAttribute("x", left);
    rect.setAttribute("width", Math.max(0, right - left));
    text.setAttribute("x", left + 3);
    const room = Math.floor((right - left - 6) / character);
    text.textContent = name.length <= room ? name : room > 2 ? name.slice(0, room - 1) + "…" : "";
  }
}
for (const frame of frames) frame.group.addEventListener("click", () => zoom(frame));
