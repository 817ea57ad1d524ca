import { expect, test } from 'vitest';

import { call, T0, view } from '../dev/sample';
import { type Axis, axisOf, workOf } from '../src/view/axis';
import type { Call, RunView } from '../src/protocol';
import { clock, count, duration, shortId, ticking } from '../src/view/format';
import { failuresFirst, inOrder, type TaskRow } from '../src/view/rows';
import { badgesOf } from '../src/view/states';
import { ENGLISH } from '../src/view/words';

function axisFor(calls: Call[], header: RunView, now: number): Axis {
  return axisOf(workOf(calls, header.resumed_at), header, now);
}

const HOUR = 3_600_000;
const ids = (rows: TaskRow[], calls: Call[]): (string | undefined)[] =>
  rows.map(({ place }) => calls[place]?.id);

test('the calls of a call stand right below it, indented', () => {
  const calls = [
    call('a'),
    call('b'),
    call('a1', { parent: 'a' }),
    call('a11', { parent: 'a1' }),
    call('b1', { parent: 'b' }),
  ];

  const rows = inOrder(calls);

  expect(ids(rows, calls)).toEqual(['a', 'a1', 'a11', 'b', 'b1']);
  expect(rows.map(({ depth }) => depth)).toEqual([0, 1, 2, 0, 1]);
});

test('a call whose caller is not shown stands at the top level', () => {
  expect(inOrder([call('x', { parent: 'left out' })])).toEqual([{ place: 0, depth: 0 }]);
});

test('failures come first, then questions, each in its order', () => {
  const calls = [
    call('a'),
    call('b', { status: 'failed' }),
    call('c', { status: 'interrupted' }),
    call('d', { status: 'failed' }),
  ];

  const rows = failuresFirst(inOrder(calls), calls);

  expect(ids(rows, calls)).toEqual(['b', 'd', 'c', 'a']);
});

test('parallel calls overlap on the axis and a later one begins further right', () => {
  const calls = [
    call('a', { ended_at: T0 + 1_000 }),
    call('b', { started_at: T0 + 500, ended_at: T0 + 2_000 }),
  ];

  const axis = axisFor(
    calls,
    view({ status: 'finished', calls, ended_at: T0 + 2_000 }),
    T0 + 2_000,
  );

  expect(axis.breaks).toEqual([]);
  expect(axis.place(T0)).toBe(0);
  expect(axis.place(T0 + 500)).toBeCloseTo(0.25);
  expect(axis.place(T0 + 2_000)).toBeCloseTo(1);
});

test('hours between a question and its answer are drawn as a narrow break', () => {
  const calls = [
    call('a', { ended_at: T0 + 4_000 }),
    call('b', {
      called_at: T0 + 5 * HOUR,
      started_at: T0 + 5 * HOUR,
      ended_at: T0 + 5 * HOUR + 4_000,
    }),
  ];
  const header = view({
    status: 'finished',
    calls,
    resumed_at: T0 + 5 * HOUR,
    ended_at: T0 + 5 * HOUR + 4_000,
  });

  const axis = axisFor(calls, header, header.now);

  expect(axis.breaks).toHaveLength(1);
  expect(duration(axis.breaks[0]?.ms ?? 0)).toBe('5 h');
  expect(axis.scaled).toBe(8_000);
  expect(axis.place(T0 + 4_000)).toBeGreaterThan(0.45);
});

test('a call that asked and was answered hours later does not stretch the axis', () => {
  const resumed = T0 + 5 * HOUR;
  const calls = [
    call('a', { ended_at: T0 + 4_000 }),
    call('q', { started_at: T0 + 1_000, ended_at: resumed + 1_000 }),
  ];
  const header = view({
    status: 'finished',
    calls,
    resumed_at: resumed,
    ended_at: resumed + 1_000,
  });

  const axis = axisFor(calls, header, header.now);

  expect(axis.breaks).toHaveLength(1);
  expect(axis.scaled).toBe(5_000);
});

test('an axis without any time has all at its begin', () => {
  const calls = [call('a', { ended_at: T0 })];

  expect(
    axisFor(calls, view({ status: 'finished', calls, ended_at: T0, now: T0 }), T0).place(T0),
  ).toBe(0);
});

test('a badge says where an outcome is from or why a call ran again', () => {
  const words = (over: Parameters<typeof call>[1]): string[] =>
    badgesOf(call('a', over), ENGLISH).map(({ text }) => text);

  expect(words({ cached: true })).toEqual(['cached']);
  expect(words({ replayed: true, why: 'code' })).toEqual(['replayed']);
  expect(words({ why: 'code', attempts: 2 })).toEqual(['ran again: code changed', '2 attempts']);
  expect(words({ why: 'kept' })).toEqual(['kept by a fork']);
  expect(words({ why: 'kept', replayed: true })).toEqual(['replayed']);
  expect(words({ why: 'replaced', replayed: true })).toEqual(['replayed', 'replaced by a fork']);
});

test('durations are short in every size', () => {
  const spoken = [0.4, 340, 4_210, 59_960, 61_000, 3_599_000, 7_800_000, 26 * HOUR].map(duration);

  expect(spoken).toEqual([
    '0.4 ms',
    '340 ms',
    '4.2 s',
    '60.0 s',
    '1 min 01 s',
    '59 min 59 s',
    '2 h 10 min',
    '1 d 2 h',
  ]);
  expect(ticking(59_900)).toBe('59 s');
  expect(ticking(61_000)).toBe('1 min 01 s');
});

test('ids, counts and times of day are short', () => {
  expect(shortId('01979c2e-4b7a-7c31-9f55-6f0d2ac1b0e4')).toBe('2ac1b0e4');
  expect(count(50_000)).toBe('50\u202f000');
  expect(clock(new Date(2026, 0, 2, 3, 4, 5, 6).getTime())).toBe('03:04:05.006');
});
