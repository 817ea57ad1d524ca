import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { call, countsOf, headerOf, view } from '../dev/sample';
import { Session, SILENCE_MS } from '../src/kernel';
import type { Down, Up } from '../src/protocol';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const whole: Down = { type: 'view', view: view({ calls: [call('a')] }) };

test('a kernel that does not answer is called busy, until it is heard', () => {
  const session = new Session(() => undefined);

  session.send({ type: 'open' });
  vi.advanceTimersByTime(SILENCE_MS + 1);
  const silent = session.picture.line;
  session.receive(whole);

  expect(silent).toBe('silent');
  expect(session.picture.line).toBe('live');
});

test('a gone kernel leaves the last picture', () => {
  const session = new Session(() => undefined);
  session.receive(whole);

  session.lost();

  expect(session.picture.line).toBe('gone');
  expect(session.picture.view?.workflow).toBe('review_penguins');
});

test('a lost row makes it ask for the whole picture, not more often than every five seconds', () => {
  const sent: Up[] = [];
  const session = new Session((message) => sent.push(message));
  session.receive(whole);
  const header = headerOf(view({ counts: { ...countsOf([]), calls: 9 } }));
  const patch: Down = { type: 'patch', header, calls: [], stream: [] };

  session.receive(patch);
  session.receive(patch);
  const soon = sent.length;
  vi.advanceTimersByTime(5_001);
  session.receive(patch);

  expect(soon).toBe(1);
  expect(sent).toEqual([{ type: 'open' }, { type: 'open' }]);
});

test('a listener is called until it is taken out', () => {
  const session = new Session(() => undefined);
  const heard = vi.fn();

  const stop = session.subscribe(heard);
  session.receive(whole);
  stop();
  session.receive(whole);

  expect(heard).toHaveBeenCalledTimes(1);
  expect(session.listening).toBe(0);
});
