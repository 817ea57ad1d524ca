/** Which rows the timeline shows, in which order: children under their caller, or failures first. */

import type { Call } from '../protocol';

/** A row: which call it shows, by its place in the list of calls, which never changes. */
export interface TaskRow {
  place: number;
  /** How many calls it is inside of. */
  depth: number;
}

/**
 * Return the rows in the order the calls were made, each call's own calls right below it.
 *
 * It depends on who called whom only, so it is made anew only when calls are added.
 */
export function inOrder(calls: readonly Call[]): TaskRow[] {
  if (!calls.some((call) => call.parent !== ''))
    return calls.map((_, place) => ({ place, depth: 0 }));

  // A call is made after its caller: one pass knows every parent in time.
  const top: number[] = [];
  const inside = new Map<string, number[]>();
  calls.forEach((call, place) => {
    (inside.get(call.parent) ?? top).push(place);
    inside.set(call.id, []);
  });
  return walk(top, (place) => inside.get((calls[place] as Call).id) ?? []);
}

/** Depth first without recursion: nesting has no limit. */
function walk(top: readonly number[], insideOf: (place: number) => readonly number[]): TaskRow[] {
  const rows: TaskRow[] = [];
  const open = [{ places: top, next: 0 }];
  for (let level = open.at(-1); level !== undefined; level = open.at(-1)) {
    const place = level.places[level.next++];
    if (place === undefined) {
      open.pop();
      continue;
    }
    rows.push({ place, depth: open.length - 1 });
    const inside = insideOf(place);
    if (inside.length > 0) open.push({ places: inside, next: 0 });
  }
  return rows;
}

/** Return the rows with failures on top, then those that ask, each in its old order. */
export function failuresFirst(rows: readonly TaskRow[], calls: readonly Call[]): TaskRow[] {
  const failed: TaskRow[] = [];
  const asking: TaskRow[] = [];
  const others: TaskRow[] = [];
  for (const row of rows) {
    const status = calls[row.place]?.status;
    (status === 'failed' ? failed : status === 'interrupted' ? asking : others).push(row);
  }
  return [...failed, ...asking, ...others];
}
