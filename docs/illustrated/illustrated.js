"use strict";
// Bytes and their meaning light up together, by pointer and by keyboard. All text is there without it.

function light(event, isLit) {
  const found = event.target.closest("[data-part]");
  if (!found) return;
  const packet = found.closest(".packet");
  for (const each of packet.querySelectorAll(`[data-part="${found.dataset.part}"]`)) {
    each.classList.toggle("lit", isLit);
  }
}

for (const [name, isLit] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) {
  document.addEventListener(name, event => light(event, isLit));
}
