/** Small helpers for the document. */

/** The element with this id; a missing one is a mistake of ours and says so. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/** A new element: `make('li', {class: 'x', text: 'y'}, child, ...)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') element.textContent = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** Sets a text only where it changes, so that screen readers and layout are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Settings of this browser; a browser that forbids storage forgets them, nothing else. */
export const memory = {
  get(key, otherwise) {
    try {
      return localStorage.getItem(`allaprima.${key}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`allaprima.${key}`, value);
    } catch {
      // private windows of some browsers have no storage
    }
  },
};

/** Offers a blob as a file to the user. */
export function download(blob, name) {
  const link = make('a', { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `allaprima-starry-night-20260131-184501.png` */
export function fileName(style, extension) {
  const now = new Date();
  const two = (number) => String(number).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  const name = (style || 'painting').replace(/[^A-Za-z0-9.-]+/g, '-').slice(0, 60);
  return `allaprima-${name}-${day}-${time}.${extension}`;
}

export const sleep = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
