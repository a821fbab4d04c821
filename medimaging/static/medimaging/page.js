// Shared by the other modules; importing it changes nothing on the page.

export const announce = (text) => {
  document.getElementById("live").textContent = text;
};

export const isTyping = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), select, textarea, .dropdown-menu") !== null;
