// Copies what stands in a field: button[data-copy="#id"]. Without it the field is selected by hand.
(() => {
  "use strict";
  if (!navigator.clipboard) return;
  const told = document.getElementById("copied");

  function offer() {
    for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
  }

  function say(button, words) {
    const said = button.dataset.says || button.textContent;
    button.dataset.says = said;
    button.textContent = words;
    if (told) told.textContent = words;
    setTimeout(() => {
      button.textContent = said;
      if (told) told.textContent = "";
    }, 2000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-copy]");
    const field = button && document.querySelector(button.dataset.copy);
    if (!field) return;
    field.select();
    navigator.clipboard.writeText(field.value).then(
      () => say(button, "Copied"),
      () => say(button, "Selected: copy it by hand"),
    );
  });
  document.addEventListener("htmx:afterSettle", offer);
  offer();
})();
