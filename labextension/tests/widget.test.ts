import { screen } from '@testing-library/preact';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { call, view } from '../dev/sample';
import { offerBundle } from '../src/lab/offer';
import type { Down, Up } from '../src/protocol';
import { type Bundle, slots, type WidgetModel } from '../src/widget/bundle';
import { open } from '../src/widget/index';
import loader from '../src/widget/loader';

type Message = Down | Up | { type: 'bundle'; code?: string; css?: string };

/** The kernel's side of one widget: what it was sent, and a way to say something. */
class Wire implements WidgetModel {
  readonly sent: Message[] = [];
  readonly #callbacks = new Map<string, Set<(message: never) => void>>();

  send(message: Up | { type: 'bundle' }): void {
    this.sent.push(message);
  }

  on(event: string, callback: (message: never) => void): void {
    this.#callbacks.set(event, (this.#callbacks.get(event) ?? new Set()).add(callback));
  }

  off(event: string, callback: (message: never) => void): void {
    this.#callbacks.get(event)?.delete(callback);
  }

  say(event: string, message?: Message): void {
    for (const callback of [...(this.#callbacks.get(event) ?? [])]) callback(message as never);
  }

  get listeners(): number {
    return [...this.#callbacks.values()].reduce((sum, callbacks) => sum + callbacks.size, 0);
  }
}

/** A bundle's code that hands itself back through the page. */
const CODE = 'export const open = (...args) => globalThis.nbflowTestOpen(...args);';

const whole: Down = { type: 'view', view: view({ calls: [call('a')] }) };
const home = (): HTMLElement => document.body.appendChild(document.createElement('div'));

beforeEach(() => {
  slots().clear();
  vi.stubGlobal('nbflowTestOpen', open);
});
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function widget(): {
  wire: Wire;
  close: () => void;
  draw: (el: HTMLElement) => Promise<() => void>;
} {
  const wire = new Wire();
  const made = loader();
  const close = made.initialize({ model: wire });
  return { wire, close, draw: (el) => made.render({ model: wire, el }) };
}

test('the bundle is asked for once a page, however many panels there are', async () => {
  const [first, second] = [widget(), widget()];

  first.wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });
  await Promise.all([first.draw(home()), second.draw(home())]);
  const third = widget();
  await third.draw(home());

  expect(
    [first, second, third].map(
      ({ wire }) => wire.sent.filter(({ type }) => type === 'bundle').length,
    ),
  ).toEqual([1, 0, 0]);
});

test('a panel asks for its picture when it is drawn', async () => {
  const { wire, draw } = widget();

  wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });
  await draw(home());

  expect(wire.sent).toEqual([{ type: 'bundle' }, { type: 'open' }]);
});

test('what the kernel says before the bundle is there is not lost', async () => {
  const { wire, draw } = widget();

  wire.say('msg:custom', whole);
  wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });
  await draw(home());

  expect(screen.getByRole('region', { name: 'Workflow run review_penguins' })).toBeTruthy();
});

test('where the Lab half has the same bundle the kernel is not asked', async () => {
  offerBundle();
  const { wire, draw } = widget();

  wire.say('msg:custom', whole);
  await draw(home());

  expect(wire.sent).toEqual([{ type: 'open' }]);
  expect(screen.getByRole('region')).toBeTruthy();
});

test('a bundle that can’t be run says so in the panel, and the next panel asks again', async () => {
  const el = home();
  const { wire, draw } = widget();

  wire.say('msg:custom', { type: 'bundle', code: 'this is no code', css: '' });
  await draw(el);
  const next = widget();

  expect(el.textContent).toMatch(/could not be loaded/);
  expect(next.wire.sent).toEqual([{ type: 'bundle' }]);
});

test('a removed view stops listening, and the model’s end ends all', async () => {
  const { wire, close, draw } = widget();
  const el = home();
  let listening = -1;
  vi.stubGlobal('nbflowTestOpen', (...args: Parameters<Bundle['open']>) => {
    const panel = open(...args);
    vi.stubGlobal('nbflowTestPanel', panel);
    return panel;
  });
  wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });

  const remove = await draw(el);
  wire.say('msg:custom', whole);
  const panel = (globalThis as unknown as { nbflowTestPanel: { listening: number } })
    .nbflowTestPanel;
  const before = panel.listening;
  remove();
  listening = panel.listening;
  close();

  expect(before).toBe(1);
  expect(listening).toBe(0);
  expect(el.childElementCount).toBe(0);
  expect(wire.listeners).toBe(0);
});

test('a removed view leaves no timer behind', async () => {
  vi.useFakeTimers();
  const panel = open(() => undefined, '');
  panel.receive(whole);
  const remove = panel.render(home());
  panel.receive(whole);
  const ticking = vi.getTimerCount();

  remove();
  panel.close();
  vi.advanceTimersByTime(1_000);

  expect(ticking).toBeGreaterThan(0);
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('the kernel’s end is seen, and its return too', async () => {
  const { wire, draw } = widget();
  wire.say('msg:custom', whole);
  wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });
  await draw(home());

  wire.say('comm_live_update');
  const gone = await screen.findByText(/kernel that drew this is gone/);
  wire.say('msg:custom', whole);

  expect(gone).toBeTruthy();
  await vi.waitFor(() => expect(screen.queryByText(/is gone/)).toBeNull());
});

test('two views of one widget show the same', async () => {
  const { wire, draw } = widget();
  wire.say('msg:custom', { type: 'bundle', code: CODE, css: '' });

  await Promise.all([draw(home()), draw(home())]);
  wire.say('msg:custom', whole);

  await vi.waitFor(() => expect(screen.getAllByRole('region')).toHaveLength(2));
});

test('the style stands in a page once', async () => {
  const panel = open(() => undefined, '.nbf-x { color: red }');

  panel.render(home());
  panel.render(home());

  expect(
    [...document.head.querySelectorAll('style')].filter((style) =>
      style.textContent?.includes('nbf-x'),
    ),
  ).toHaveLength(1);
});
