/** Where a refusal belongs: field paths in any common spelling, brought to one. */

import type { Problem } from '../types';
import type { Path } from './draft';

/** Return `a.b[0]`, `/a/b/0` or `['a', 'b', 0]` as `a/b/0`. */
export function pathKey(path: string | Path): string {
  if (typeof path !== 'string') return path.join('/');
  return path
    .split(/[./[\]]+/)
    .map((part) => part.replace(/^(["'])(.*)\1$/, '$2'))
    .filter((part) => part !== '' && part !== '$')
    .join('/');
}

export interface Placed {
  /** Problems of a field, by its key. */
  at: ReadonlyMap<string, string[]>;
  /** Those that belong to no field that is shown. */
  rest: readonly Problem[];
}

/** Sort problems to the fields of a form; `has` tells whether it has one of that key. */
export function placed(problems: readonly Problem[], has: (key: string) => boolean): Placed {
  const at = new Map<string, string[]>();
  const rest: Problem[] = [];
  for (const problem of problems) {
    const key = pathKey(problem.field);
    if (key === '' || !has(key)) rest.push(problem);
    else at.set(key, [...(at.get(key) ?? []), problem.text]);
  }
  return { at, rest };
}
