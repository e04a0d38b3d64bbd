// What scrolls by itself can be reached by a keyboard; what does not is no stop on the way. `reachable(node)` does it for
// what comes later.
const SCROLLING = ".scroll, .tabs, .drawing, .pane, pre";

const mark = (element) => {
  const scrolls = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
  if (scrolls) element.tabIndex = 0;
  else element.removeAttribute("tabindex");
};

export const reachable = (node = document) => {
  for (const element of node.querySelectorAll(SCROLLING)) mark(element);
};

reachable();
let waiting = 0;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(reachable, 200);
});
// What opens has a size from then on.
document.addEventListener("toggle", (event) => event.target instanceof Element && reachable(event.target), true);
