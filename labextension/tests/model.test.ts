import { expect, test } from 'vitest';

import { call, countsOf, headerOf, T0, toolCall, view } from '../dev/sample';
import { apply, EMPTY, type Model, retried, STREAM_KEPT } from '../src/model';
import type { Call, Down, Header, StreamItem } from '../src/protocol';

function opened(calls: Call[], over: Partial<Header> = {}): Model {
  return apply(EMPTY, { type: 'view', view: view({ calls, ...over }) }, T0);
}

function patch(calls: Call[], stream: StreamItem[] = [], over: Partial<Header> = {}): Down {
  const header = headerOf(view({ calls, ...over }));
  return { type: 'patch', header, calls, stream };
}

const item = (n: number): StreamItem => ({ n, at: T0, source: '', text: `item ${n}` });
const ids = (model: Model): string[] => (model.view?.calls ?? []).map((one) => one.id);

test('new rows stand at the end and changed rows stay where they are', () => {
  const model = opened([call('a', { status: 'running', ended_at: null }), call('b')]);

  const after = apply(model, patch([call('c'), call('a', { result: '7' })]), T0);

  expect(ids(after)).toEqual(['a', 'b', 'c']);
  expect(after.view?.calls[0]?.result).toBe('7');
});

test('a picture that was drawn stays as it was when a patch comes', () => {
  const model = opened([call('a', { result: 'old' })]);
  const before = model.view;

  apply(model, patch([call('a', { result: 'new' })]), T0);

  expect(before?.calls[0]?.result).toBe('old');
});

test('a patch that comes twice changes nothing the second time', () => {
  const model = opened([call('a')]);
  const message = patch([call('b')], [item(0), item(1)]);

  const once = apply(model, message, T0);
  const twice = apply(once, message, T0);

  expect(ids(twice)).toEqual(['a', 'b']);
  expect(twice.view?.stream.map(({ n }) => n)).toEqual([0, 1]);
});

test('a late patch brings what is missing and takes nothing back', () => {
  const model = opened([call('a', { status: 'finished' })], { now: T0 + 500, status: 'finished' });

  const after = apply(
    model,
    patch([call('a', { status: 'running' }), call('b')], [], { now: T0 + 400, status: 'running' }),
    T0,
  );

  expect(after.view?.status).toBe('finished');
  expect(after.view?.calls[0]?.status).toBe('finished');
  expect(ids(after)).toEqual(['a', 'b']);
});

test('a kernel whose clock was set back is still listened to', () => {
  const model = opened([call('a', { status: 'running' })], { now: T0 + 3_600_000 });

  const after = apply(
    model,
    patch([call('a', { status: 'finished' })], [], { now: T0, status: 'finished' }),
    T0,
  );

  expect(after.view?.status).toBe('finished');
  expect(after.view?.calls[0]?.status).toBe('finished');
});

test('stream items stay in the order of their numbers, however they arrive', () => {
  const model = apply(opened([]), patch([], [item(0), item(3)]), T0);

  const after = apply(model, patch([], [item(1), item(4), item(3)]), T0);

  expect(after.view?.stream.map(({ n }) => n)).toEqual([0, 1, 3, 4]);
});

test('the newest items of a long stream are kept', () => {
  const items = Array.from({ length: STREAM_KEPT + 50 }, (_, n) => item(n));

  const after = apply(opened([]), patch([], items), T0);

  expect(after.view?.stream).toHaveLength(STREAM_KEPT);
  expect(after.view?.stream.at(-1)?.n).toBe(STREAM_KEPT + 49);
});

test('a lost row is noticed, and forgotten once the whole picture came', () => {
  const model = opened([call('a')]);
  const three = { ...countsOf([]), calls: 3 };

  const gap = apply(model, patch([call('c')], [], { counts: three }), T0);
  const whole = apply(
    gap,
    { type: 'view', view: view({ calls: [call('a'), call('b'), call('c')] }) },
    T0,
  );

  expect(gap.gap).toBe(true);
  expect(whole.gap).toBe(false);
});

test('rows that the kernel itself left out are no gap', () => {
  const many = { ...countsOf([]), calls: 100 };
  const model = opened([call('a')], { counts: many });

  const after = apply(model, patch([call('a')], [], { counts: many }), T0);

  expect(after.gap).toBe(false);
});

test('a patch before any picture, or of another run, asks for the picture', () => {
  const first = apply(EMPTY, patch([call('a')]), T0);
  const other = apply(opened([call('a')]), patch([call('b')], [], { run_id: 'other' }), T0);

  expect(first.gap).toBe(true);
  expect(other.gap).toBe(true);
  expect(ids(other)).toEqual(['a']);
});

test('a refused answer is known by its question until that is gone', () => {
  const model = opened([], { questions: [toolCall()] });

  const refused = apply(
    model,
    { type: 'refused', id: 'q1', problems: [{ field: 'record', text: 'is missing' }] },
    T0,
  );
  const moved = apply(refused, patch([], [], { status: 'running' }), T0);

  expect(refused.refusals.get('q1')).toEqual([{ field: 'record', text: 'is missing' }]);
  expect(moved.refusals.size).toBe(0);
});

test('a refused command is forgotten when it is given again', () => {
  const refused = apply(
    opened([]),
    { type: 'refused', id: 'stop', problems: [{ field: '', text: 'busy' }] },
    T0,
  );

  expect(retried(refused, 'stop').refusals.size).toBe(0);
});
