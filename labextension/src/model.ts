/**
 * What one panel knows of a run: the kernel's messages, folded.
 *
 * A pure reducer; it knows no widget, no comm and no DOM.
 */

import type { Call, Down, Header, RunView, StreamItem } from './protocol';

/** A refused answer or command: what is wrong, and at which field. */
export interface Problem {
  field: string;
  text: string;
}

export interface Model {
  /** The picture so far; null until the kernel sent one. */
  readonly view: RunView | null;
  /** Kernel's clock minus this page's, in milliseconds. */
  readonly skew: number;
  /** Refusals by the id of the question or command. */
  readonly refusals: ReadonlyMap<string, readonly Problem[]>;
  /** Something was lost on the way: ask for the whole picture. */
  readonly gap: boolean;
  /** Place of a call in `view.calls`; places never change, so it only grows. */
  readonly places: Map<string, number>;
  /** Calls that the kernel's own whole picture left out. */
  readonly missing: number;
}

/** How much of the stream a page keeps; the kernel has the rest. */
export const STREAM_KEPT = 10_000;

/** A header this much older than the last one is late; older still, the clock was set back. */
const LATE_MS = 5_000;

export const EMPTY: Model = {
  view: null,
  skew: 0,
  refusals: new Map(),
  gap: false,
  places: new Map(),
  missing: 0,
};

/** Return the model after one more message; `at` is this page's clock in milliseconds. */
export function apply(model: Model, message: Down, at: number): Model {
  switch (message.type) {
    case 'view':
      return opened(model, message.view, at);
    case 'patch':
      return patched(model, message, at);
    case 'refused': {
      const refusals = new Map(model.refusals);
      refusals.set(message.id, message.problems);
      return { ...model, refusals };
    }
  }
}

function opened(model: Model, view: RunView, at: number): Model {
  const places = new Map<string, number>();
  view.calls.forEach((call, place) => places.set(call.id, place));
  return {
    view: { ...view, stream: view.stream.slice(-STREAM_KEPT) },
    skew: view.now - at,
    refusals: stillRefused(model.refusals, model.view, view),
    gap: false,
    places,
    missing: Math.max(0, view.counts.calls - view.calls.length),
  };
}

function patched(model: Model, patch: Extract<Down, { type: 'patch' }>, at: number): Model {
  const { view } = model;
  if (view === null || view.run_id !== patch.header.run_id) {
    return model.gap ? model : { ...model, gap: true };
  }
  const age = view.now - patch.header.now;
  const late = age > 0 && age < LATE_MS;
  const calls = withCalls(view.calls, patch.calls, model.places, late);
  const header: Header = late ? view : patch.header;
  return {
    ...model,
    view: { ...header, v: view.v, calls, stream: withItems(view.stream, patch.stream) },
    skew: late ? model.skew : patch.header.now - at,
    refusals: stillRefused(model.refusals, view, header),
    gap: header.counts.calls - calls.length > model.missing,
  };
}

/** A refused answer is forgotten with its question, a refused command once the run has moved on. */
function stillRefused(
  refusals: Model['refusals'],
  before: Header | null,
  after: Header,
): Model['refusals'] {
  if (refusals.size === 0) return refusals;
  const moved = before?.status !== after.status || before.resumed_at !== after.resumed_at;
  const asks = (header: Header | null, id: string): boolean =>
    header?.questions.some((question) => question.id === id) ?? false;
  return new Map([...refusals].filter(([id]) => asks(after, id) || (!moved && !asks(before, id))));
}

/** Return the model without what was refused of a command that is given again. */
export function retried(model: Model, id: string): Model {
  if (!model.refusals.has(id)) return model;
  return { ...model, refusals: new Map([...model.refusals].filter(([other]) => other !== id)) };
}

/** Known rows are replaced where they stand, new ones appended; a late patch replaces none. */
function withCalls(
  old: Call[],
  changed: readonly Call[],
  places: Map<string, number>,
  late: boolean,
): Call[] {
  if (changed.length === 0) return old;
  const calls = old.slice();
  for (const call of changed) {
    const place = places.get(call.id);
    if (place === undefined || place >= calls.length) {
      places.set(call.id, calls.length);
      calls.push(call);
    } else if (!late) {
      calls[place] = call;
    }
  }
  return calls;
}

/** Items stay in the order of `n`, each once, however they arrive. */
function withItems(old: StreamItem[], added: readonly StreamItem[]): StreamItem[] {
  if (added.length === 0) return old;
  const items = old.slice();
  for (const item of added) {
    const last = items.at(-1);
    if (last === undefined || item.n > last.n) items.push(item);
    else insert(items, item);
  }
  return items.length > STREAM_KEPT ? items.slice(-STREAM_KEPT) : items;
}

function insert(items: StreamItem[], item: StreamItem): void {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((items[middle] as StreamItem).n < item.n) low = middle + 1;
    else high = middle;
  }
  if (items[low]?.n !== item.n) items.splice(low, 0, item);
}
