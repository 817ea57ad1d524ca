/** Put the panels' style into a page, once; into a shadow root where they are in one. */

const MARK = 'data-nbflow-style';

export function dress(el: HTMLElement, css: string): void {
  put(document.head, css);
  // An element may be drawn before it stands in its page.
  requestAnimationFrame(() => {
    const root = el.getRootNode();
    if (root instanceof ShadowRoot) put(root, css);
  });
}

function put(root: HTMLElement | ShadowRoot, css: string): void {
  for (const style of root.querySelectorAll(`style[${MARK}]`)) {
    if (style.textContent === css) return;
  }
  const style = document.createElement('style');
  style.setAttribute(MARK, '');
  style.textContent = css;
  root.append(style);
}
