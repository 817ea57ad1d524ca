/** What fifty thousand rows cost: a frame has 16 ms, and nobody notices 100. */

import { render } from '@testing-library/preact';
import { bench } from 'vitest';

import { call, countsOf, headerOf, SAMPLES, T0, view } from '../dev/sample';
import { apply, EMPTY } from '../src/model';
import type { RunView } from '../src/protocol';
import { axisOf, workOf } from '../src/view/axis';
import { RunPanel } from '../src/view/panel';
import { inOrder } from '../src/view/rows';

const MANY = 50_000;
const calls = Array.from({ length: MANY }, (_, i) =>
  call(`c${i}`, {
    parent: i % 3 === 0 ? '' : `c${i - (i % 3)}`,
    started_at: T0 + i,
    ended_at: T0 + i + 50,
  }),
);

const opened = apply(EMPTY, { type: 'view', view: view({ calls }) }, T0);
const counts = { ...countsOf([]), calls: MANY + 1 };
const changed = calls.filter((_, i) => i % 5_000 === 0).map((one) => ({ ...one, result: 'x' }));
const header = headerOf(view({ calls: [...changed, call('new')], counts }));

bench('a patch of fifty thousand rows', () => {
  apply(opened, { type: 'patch', header, calls: [...changed, call('new')], stream: [] }, T0);
});

bench('an axis and an order for fifty thousand calls', () => {
  inOrder(calls);
  axisOf(workOf(calls, T0), view({ counts }), T0 + 60_000);
});

const made = (SAMPLES['large'] as () => RunView)();
const given = { skew: 0, line: 'live', refusals: new Map(), actions: null } as const;
const { rerender } = render(<RunPanel view={made} {...given} />);
let tick = 0;

bench('an update of a panel with fifty thousand rows', () => {
  tick += 1;
  const next = [...made.calls.slice(0, -1), call('c49999', { result: `r${tick}` })];
  rerender(<RunPanel view={{ ...made, calls: next, now: made.now + tick }} {...given} />);
});
