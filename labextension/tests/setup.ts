/** What the page of a test has that happy-dom does not: sizes, so that virtual lists have rows. */

import { cleanup } from '@testing-library/preact';
import { afterEach } from 'vitest';

const ROW = 28;
const LIST = 320;

function height(this: HTMLElement): number {
  return this.matches('.nbf-tasks, .nbf-stream') ? LIST : ROW;
}

Object.defineProperties(HTMLElement.prototype, {
  offsetHeight: { configurable: true, get: height },
  offsetWidth: { configurable: true, get: () => 800 },
  clientHeight: { configurable: true, get: height },
  clientWidth: { configurable: true, get: () => 800 },
});

afterEach(cleanup);
