/** An answer while it is being written: JSON, some leaves of which may not be finished. */

import { isNumber, isObject, type Json, number, parse } from './json';
import { resolved, type Schema, type Shape, shapeOf } from './shape';

/** Text that is not yet a value: `-`, `3.`, half of a JSON text. */
export class Unfinished {
  constructor(
    readonly text: string,
    readonly problem: string,
  ) {}
}

export type Draft = Json | Unfinished | Draft[] | { [key: string]: Draft };
export type DraftObject = { [key: string]: Draft };
export type Path = readonly (string | number)[];

export function isDraftObject(value: Draft | undefined): value is DraftObject {
  return isObject(value) && !(value instanceof Unfinished);
}

/** Return the finished value; null where something isn't finished. */
export function finished(draft: Draft): { value: Json } | null {
  return unfinished(draft).length === 0 ? { value: draft as Json } : null;
}

/** Return the path and problem of every leaf that isn't finished. */
export function unfinished(draft: Draft, path: Path = []): { path: Path; problem: string }[] {
  if (draft instanceof Unfinished) return [{ path, problem: draft.problem }];
  if (Array.isArray(draft))
    return draft.flatMap((item, index) => unfinished(item, [...path, index]));
  if (isDraftObject(draft)) {
    return Object.entries(draft).flatMap(([key, item]) => unfinished(item, [...path, key]));
  }
  return [];
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const INTEGER = /^-?(0|[1-9]\d*)$/;

/** Return the number that a text is, its text kept; Unfinished if it is none. */
export function readNumber(text: string, integer: boolean): Draft {
  const trimmed = text.trim();
  if ((integer ? INTEGER : NUMBER).test(trimmed)) return number(trimmed);
  return new Unfinished(
    text,
    integer
      ? 'This is not a whole number, such as 3 or -12.'
      : 'This is not a number, such as 3, -0.5 or 1e6.',
  );
}

/** Return the JSON value of a text; Unfinished, with the place, if it is none. */
export function readJson(text: string): Draft {
  try {
    return parse(text);
  } catch (error) {
    // lossless-json's own SyntaxError: it names the position.
    return new Unfinished(
      text,
      `This is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Return the draft with one place replaced; `undefined` takes it out. */
export function changed(draft: Draft, path: Path, value: Draft | undefined): Draft {
  const [key, ...rest] = path;
  if (key === undefined) return value ?? null;
  if (Array.isArray(draft) && typeof key === 'number') {
    const items = draft.slice() as Draft[];
    if (rest.length === 0 && value === undefined) items.splice(key, 1);
    else items[key] = changed(items[key] ?? null, rest, value);
    return items;
  }
  const name = String(key);
  const fields: DraftObject = isDraftObject(draft) ? draft : {};
  if (rest.length === 0 && value === undefined) {
    return Object.fromEntries(Object.entries(fields).filter(([other]) => other !== name));
  }
  return { ...fields, [name]: changed(fields[name] ?? null, rest, value) };
}

/** Return what a new field begins with: its default, else the emptiest value of its shape. */
export function blank(schema: Schema, root: Schema, depth = 0): Draft {
  const whole = resolved(schema, root);
  if (Object.hasOwn(whole, 'default')) return whole['default'] ?? null;
  return emptiest(shapeOf(schema, root), root, depth);
}

const DEEPEST = 6;

function emptiest(shape: Shape, root: Schema, depth: number): Draft {
  switch (shape.kind) {
    case 'string':
      return '';
    case 'number':
      return new Unfinished(
        '',
        shape.integer ? 'A whole number is missing.' : 'A number is missing.',
      );
    case 'boolean':
      return false;
    case 'choice':
      return shape.options[0] ?? null;
    case 'array':
      return [];
    case 'object': {
      if (depth > DEEPEST) return {};
      const needed = shape.fields.filter(({ required }) => required);
      return Object.fromEntries(
        needed.map(({ name, schema }) => [name, blank(schema, root, depth + 1)]),
      );
    }
    case 'union': {
      const first = shape.options[0];
      return first === undefined ? null : blank(first, root, depth + 1);
    }
    case 'null':
    case 'any':
      return null;
  }
}

/** Return the draft as one of another shape, keeping what was written where it can. */
export function converted(draft: Draft, schema: Schema, root: Schema): Draft {
  const shape = shapeOf(schema, root);
  const text = textOf(draft);
  if (text !== null && text !== '') {
    if (shape.kind === 'string') return text;
    if (shape.kind === 'number') {
      const value = readNumber(text, shape.integer);
      if (isNumber(value)) return value;
    }
  }
  return blank(schema, root);
}

function textOf(draft: Draft): string | null {
  if (draft instanceof Unfinished) return draft.text;
  if (isNumber(draft)) return draft.value;
  return typeof draft === 'string' ? draft : null;
}
