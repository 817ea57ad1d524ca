/**
 * The time axis that all rows share.
 *
 * Time in which nothing ran (hours between a question and its answer, say) is
 * drawn as a narrow break instead of to scale.
 */

import type { Call, Header } from '../protocol';

export interface Break {
  /** Where it is drawn, as parts of the whole width. */
  from: number;
  to: number;
  /** How long it lasted, in milliseconds. */
  ms: number;
}

export interface Axis {
  /** Milliseconds that are drawn to scale. */
  scaled: number;
  breaks: Break[];
  /** Return where a time is drawn, 0 to 1. */
  place: (time: number) => number;
}

export interface Span {
  from: number;
  to: number;
}

/** A pause is drawn as a break if it lasted this long and this part of the busy time. */
const BREAK_MS = 2_000;
const BREAK_PART = 0.25;
const BREAK_WIDTH = 0.035;
const BREAKS_WIDTH = 0.35;

/** When a call's bar ends: now while it is under way, else when it ended. */
export function endOf(call: Call, now: number): number {
  if (call.ended_at !== null) return call.ended_at;
  if (call.status === 'running' || call.status === 'waiting') return now;
  return call.started_at ?? call.called_at;
}

/** When work was done, whatever the time is now: made once for each set of calls. */
export interface Work {
  /** When something ran, in order, without overlaps. */
  busy: readonly Span[];
  /** When the calls that are under way began; the first of them counts. */
  since: number | null;
}

export function workOf(calls: readonly Call[], resumed: number): Work {
  const paused = lastEnd(calls, resumed);
  const spans = new Spans();
  let since: number | null = null;
  for (const call of calls) {
    const from = call.started_at ?? call.called_at;
    if (call.ended_at === null && (call.status === 'running' || call.status === 'waiting')) {
      since = Math.min(since ?? from, from);
      continue;
    }
    const to = Math.max(from, endOf(call, from));
    // A call that asked and was answered days later did nothing in between.
    if (from < resumed && to > resumed && paused > 0) {
      spans.add(from, Math.max(from, paused));
      spans.add(resumed, to);
    } else {
      spans.add(from, to);
    }
  }
  return { busy: spans.merged(), since };
}

export function axisOf(work: Work, header: Header, now: number): Axis {
  const spans = new Spans();
  for (const { from, to } of work.busy) spans.add(from, to);
  if (work.since !== null) spans.add(Math.max(work.since, header.resumed_at), now);
  const runs = header.status === 'running';
  for (const time of [
    header.started_at,
    header.resumed_at,
    header.ended_at ?? (runs ? now : null),
  ]) {
    if (time !== null) spans.add(time, time);
  }
  if (runs && header.live) spans.add(header.resumed_at, now);

  const busy = spans.merged();
  const total = busy.reduce((sum, span) => sum + span.to - span.from, 0);
  return drawn(joined(busy, Math.max(BREAK_MS, total * BREAK_PART)));
}

/** When the work of the stretch before `resumed` ended; 0 if there was none. */
function lastEnd(calls: readonly Call[], resumed: number): number {
  let last = 0;
  for (const { ended_at: end } of calls) {
    if (end !== null && end <= resumed && end > last) last = end;
  }
  return last;
}

/** Collects spans and merges those that touch: cheap if they come nearly in order, as calls do. */
class Spans {
  readonly #from: number[] = [];
  readonly #to: number[] = [];
  #ordered = true;

  add(from: number, to: number): void {
    if (from < (this.#from.at(-1) ?? from)) this.#ordered = false;
    this.#from.push(from);
    this.#to.push(Math.max(from, to));
  }

  merged(): Span[] {
    const order = this.#order();
    const busy: Span[] = [];
    let last: Span | undefined;
    for (let i = 0; i < this.#from.length; i++) {
      const at = order?.[i] ?? i;
      const from = this.#from[at] as number;
      const to = this.#to[at] as number;
      if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
      else busy.push((last = { from, to }));
    }
    return busy;
  }

  #order(): Uint32Array | null {
    if (this.#ordered) return null;
    const from = this.#from;
    return Uint32Array.from(from, (_, i) => i).sort(
      (a, b) => (from[a] as number) - (from[b] as number),
    );
  }
}

/** Spans with the short pauses between them filled. */
function joined(busy: readonly Span[], least: number): Span[] {
  const parts: Span[] = [];
  for (const span of busy) {
    const last = parts.at(-1);
    if (last !== undefined && span.from - last.to < least) last.to = span.to;
    else parts.push({ ...span });
  }
  return parts;
}

function drawn(parts: readonly Span[]): Axis {
  const pauses = Math.max(0, parts.length - 1);
  const width = pauses === 0 ? 0 : Math.min(BREAK_WIDTH, BREAKS_WIDTH / pauses);
  const scaled = parts.reduce((sum, part) => sum + part.to - part.from, 0);
  const scale = scaled === 0 ? 0 : (1 - width * pauses) / scaled;

  const starts: number[] = [];
  const breaks: Break[] = [];
  let x = 0;
  parts.forEach((part, index) => {
    starts.push(x);
    x += (part.to - part.from) * scale;
    const next = parts[index + 1];
    if (next !== undefined) {
      breaks.push({ from: x, to: x + width, ms: next.from - part.to });
      x += width;
    }
  });
  return { scaled, breaks, place: (time) => placed(parts, starts, scale, width, time) };
}

function placed(
  parts: readonly Span[],
  starts: readonly number[],
  scale: number,
  width: number,
  time: number,
): number {
  let low = 0;
  let high = parts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((parts[middle] as Span).from <= time) low = middle;
    else high = middle - 1;
  }
  const part = parts[low];
  if (part === undefined) return 0;
  const start = starts[low] ?? 0;
  const inside = Math.min(Math.max(time, part.from), part.to) - part.from;
  const beyond = time > part.to && low < parts.length - 1 ? width / 2 : 0;
  return Math.min(1, start + inside * scale + beyond);
}
