/** What changed between two JSON values, leaf by leaf, for a person to read. */

import { isObject, type Json, same } from './json';

/** `before` or `after` is undefined where a place was added or taken out. */
export interface Change {
  /** Such as `items[2].name`; '' for the whole value. */
  path: string;
  before: Json | undefined;
  after: Json | undefined;
}

export function changes(before: Json | undefined, after: Json | undefined, path = ''): Change[] {
  if (before !== undefined && after !== undefined) {
    if (same(before, after)) return [];
    if (isObject(before) && isObject(after)) {
      const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
      return keys.flatMap((key) =>
        changes(own(before, key), own(after, key), path + step(key, path)),
      );
    }
    if (Array.isArray(before) && Array.isArray(after)) {
      return itemChanges(before, after, path);
    }
  }
  return [{ path, before, after }];
}

/** What was put in or taken out of a list leaves the items around it as they were. */
function itemChanges(before: readonly Json[], after: readonly Json[], path: string): Change[] {
  const { head, tail } = unchangedEnds(before, after, same);
  const length = Math.max(before.length, after.length) - head - tail;
  return Array.from({ length }, (_, i) => {
    const at = head + i;
    const a = at < before.length - tail ? before[at] : undefined;
    const b = at < after.length - tail ? after[at] : undefined;
    return changes(a, b, `${path}[${at}]`);
  }).flat();
}

function unchangedEnds<T>(
  a: readonly T[],
  b: readonly T[],
  equal: (one: T, other: T) => boolean,
): { head: number; tail: number } {
  const least = Math.min(a.length, b.length);
  let head = 0;
  while (head < least && equal(a[head] as T, b[head] as T)) head++;
  let tail = 0;
  while (tail < least - head && equal(a[a.length - 1 - tail] as T, b[b.length - 1 - tail] as T))
    tail++;
  return { head, tail };
}

const own = (value: { [key: string]: Json }, key: string): Json | undefined =>
  Object.hasOwn(value, key) ? value[key] : undefined;

function step(key: string, path: string): string {
  if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(key)) return `[${JSON.stringify(key)}]`;
  return path === '' ? key : `.${key}`;
}

export type Line = { sign: ' ' | '-' | '+'; text: string };

/** Lines that stand around a change, to find it again. */
const AROUND = 1;

/** Return the changed lines of a text between those that begin and end it unchanged. */
export function lines(before: string, after: string): Line[] {
  const a = before.split('\n');
  const b = after.split('\n');
  const { head, tail } = unchangedEnds(a, b, (one, other) => one === other);

  const signed = (sign: Line['sign'], part: string[]): Line[] =>
    part.map((text) => ({ sign, text }));
  return [
    ...signed(' ', a.slice(Math.max(0, head - AROUND), head)),
    ...signed('-', a.slice(head, a.length - tail)),
    ...signed('+', b.slice(head, b.length - tail)),
    ...signed(' ', a.slice(a.length - tail, a.length - tail + AROUND)),
  ];
}
