/**
 * JSON values whose numbers keep the text they were written with.
 *
 * A page's own numbers would turn 3.0 into 3 and round what needs more than
 * 53 bits; what a person sees here is what runs, so numbers stay text.
 */

import { LosslessNumber, parse as parseLossless } from 'lossless-json';

export type Json = null | boolean | string | LosslessNumber | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

// By class, not by the library's own flag: an argument may have a field of that name.
export const isNumber = (value: unknown): value is LosslessNumber =>
  value instanceof LosslessNumber;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isNumber(value);
}

/** Return a page's own value with its numbers as text. */
export function exact(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number')
    return Number.isFinite(value) ? new LosslessNumber(String(value)) : null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (isNumber(value)) return value;
  if (Array.isArray(value)) return value.map(exact);
  return Object.fromEntries(
    Object.entries(value as object).map(([key, item]) => [key, exact(item)]),
  );
}

/** Return the page's own value: numbers that it can't hold are rounded. */
export function plain(value: Json): unknown {
  if (isNumber(value)) return Number(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

/** Return the value of a JSON text; a SyntaxError says where it is wrong. */
export function parse(text: string): Json {
  return parseLossless(text) as Json;
}

/** Return the JSON text of a value, on one line unless `indent` tells how far to indent. */
export function print(value: Json, indent = 0, depth = 0): string {
  if (isNumber(value)) return value.value;
  if (Array.isArray(value)) {
    return listed(
      '[',
      value.map((item) => print(item, indent, depth + 1)),
      ']',
      indent,
      depth,
    );
  }
  if (isObject(value)) {
    const fields = Object.entries(value).map(
      ([key, item]) => `${JSON.stringify(key)}: ${print(item, indent, depth + 1)}`,
    );
    return listed('{', fields, '}', indent, depth);
  }
  return JSON.stringify(value);
}

function listed(
  open: string,
  parts: string[],
  close: string,
  indent: number,
  depth: number,
): string {
  if (parts.length === 0 || indent === 0) return open + parts.join(', ') + close;
  const line = `\n${' '.repeat(indent * (depth + 1))}`;
  return `${open}${line}${parts.join(`,${line}`)}\n${' '.repeat(indent * depth)}${close}`;
}

export function number(text: string): LosslessNumber {
  return new LosslessNumber(text);
}

/** Equal in value, type and the text of numbers; the order of keys does not count. */
export function same(a: Json, b: Json): boolean {
  if (isNumber(a) || isNumber(b)) return isNumber(a) && isNumber(b) && a.value === b.value;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) &&
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((item, index) => same(item, b[index] as Json))
    );
  }
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && same(a[key] as Json, b[key] as Json))
    );
  }
  return a === b;
}
