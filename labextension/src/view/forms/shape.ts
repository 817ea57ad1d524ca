/**
 * What a JSON Schema says about a form: which field, not which answers are valid.
 *
 * The kernel validates. What this does not understand becomes a field of plain
 * JSON text, so that no schema makes an answer impossible.
 */

import { isNumber, isObject, type Json, type JsonObject, same } from './json';

export type Schema = JsonObject;

export interface FieldSpec {
  name: string;
  schema: Schema;
  required: boolean;
}

export type Shape =
  | { kind: 'string'; format: string; long: boolean }
  | { kind: 'number'; integer: boolean }
  | { kind: 'boolean' }
  | { kind: 'null' }
  | { kind: 'choice'; options: Json[] }
  | { kind: 'array'; items: (index: number) => Schema; fixed: boolean }
  | { kind: 'object'; fields: FieldSpec[]; extra: Schema }
  | { kind: 'union'; options: Schema[] }
  | { kind: 'any' };

/** References may be circular; a chain this long is taken for one. */
const LONGEST_CHAIN = 32;

/** Return a schema with its references and `allOf` taken in. */
export function resolved(schema: Json | undefined, root: Schema, chain = 0): Schema {
  if (!isObject(schema) || chain > LONGEST_CHAIN) return {};
  const { $ref: reference, allOf, ...own } = schema;
  let whole: Schema = own;
  if (typeof reference === 'string') {
    whole = { ...resolved(lookedUp(reference, root), root, chain + 1), ...own };
  }
  for (const part of Array.isArray(allOf) ? allOf : []) {
    whole = both(resolved(part, root, chain + 1), whole);
  }
  return whole;
}

function lookedUp(reference: string, root: Schema): Json | undefined {
  if (!reference.startsWith('#')) return undefined;
  let at: Json | undefined = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(at)) at = at[Number(key)];
    else at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}

/** Two schemas that both hold: their fields together, the second's words first. */
function both(first: Schema, second: Schema): Schema {
  const merged: Schema = { ...first, ...second };
  if (isObject(first['properties']) || isObject(second['properties'])) {
    merged['properties'] = {
      ...(isObject(first['properties']) ? first['properties'] : {}),
      ...(isObject(second['properties']) ? second['properties'] : {}),
    };
    merged['required'] = [...names(first['required']), ...names(second['required'])];
  }
  return merged;
}

const names = (value: Json | undefined): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

export function shapeOf(schema: Json | undefined, root: Schema): Shape {
  const whole = resolved(schema, root);
  if (Object.hasOwn(whole, 'const')) return { kind: 'choice', options: [whole['const'] ?? null] };
  if (Array.isArray(whole['enum'])) return { kind: 'choice', options: whole['enum'] };

  const choices = whole['anyOf'] ?? whole['oneOf'];
  if (Array.isArray(choices)) return unionOf(choices, whole, root);
  const type = whole['type'];
  if (Array.isArray(type))
    return unionOf(
      type.map((one) => ({ ...whole, type: one })),
      {},
      root,
    );
  return typed(typeof type === 'string' ? type : inferred(whole), whole);
}

/** What is said of a union as a whole, not of each of its options. */
const OF_THE_UNION = new Set(['anyOf', 'oneOf', 'title', 'description', 'default']);

function unionOf(choices: readonly Json[], whole: Schema, root: Schema): Shape {
  const common = Object.fromEntries(
    Object.entries(whole).filter(([key]) => !OF_THE_UNION.has(key)),
  );
  const options = choices.map((choice) => both(common, resolved(choice, root)));
  const only = options[0];
  if (options.length === 1 && only !== undefined) return shapeOf(only, root);
  const values = options.map((option) => constants(option));
  if (values.every((value) => value !== null)) return { kind: 'choice', options: values.flat() };
  return { kind: 'union', options };
}

function constants(schema: Schema): Json[] | null {
  if (Object.hasOwn(schema, 'const')) return [schema['const'] ?? null];
  if (Array.isArray(schema['enum'])) return schema['enum'];
  return schema['type'] === 'null' ? [null] : null;
}

function inferred(schema: Schema): string {
  if (isObject(schema['properties'])) return 'object';
  if (schema['items'] !== undefined || schema['prefixItems'] !== undefined) return 'array';
  return '';
}

function typed(type: string, schema: Schema): Shape {
  switch (type) {
    case 'string': {
      const format = typeof schema['format'] === 'string' ? schema['format'] : '';
      return { kind: 'string', format, long: format === 'textarea' || format === 'multiline' };
    }
    case 'integer':
    case 'number':
      return { kind: 'number', integer: type === 'integer' };
    case 'boolean':
    case 'null':
      return { kind: type };
    case 'array':
      return arrayOf(schema);
    case 'object':
      return objectOf(schema);
    default:
      return { kind: 'any' };
  }
}

function arrayOf(schema: Schema): Shape {
  const items = schema['items'];
  const listed = schema['prefixItems'] ?? (Array.isArray(items) ? items : undefined);
  const places = Array.isArray(listed) ? listed : [];
  const rest = isObject(items) ? items : {};
  return {
    kind: 'array',
    items: (index) => {
      const place = places[index];
      return isObject(place) ? place : rest;
    },
    fixed: places.length > 0 && (items === false || items === undefined || Array.isArray(items)),
  };
}

function objectOf(schema: Schema): Shape {
  const required = new Set(names(schema['required']));
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const extra = schema['additionalProperties'];
  return {
    kind: 'object',
    fields: Object.entries(properties).map(([name, field]) => ({
      name,
      schema: isObject(field) ? field : {},
      required: required.has(name),
    })),
    extra: isObject(extra) ? extra : {},
  };
}

/** Return the shape of a value of which no schema tells, or which is not what its schema says. */
export function shapeOfValue(value: Json): Shape {
  if (isNumber(value)) return { kind: 'number', integer: /^-?\d+$/.test(value.value) };
  if (typeof value === 'string') return { kind: 'string', format: '', long: false };
  if (typeof value === 'boolean') return { kind: 'boolean' };
  if (Array.isArray(value)) return { kind: 'array', items: () => ({}), fixed: false };
  if (isObject(value)) return { kind: 'object', fields: [], extra: {} };
  return { kind: 'any' };
}

/** Whether a field of this shape can show the value; not whether the value is valid. */
export function fits(shape: Shape, value: Json, root: Schema): boolean {
  switch (shape.kind) {
    case 'string':
      return typeof value === 'string';
    case 'number':
      return isNumber(value) && (!shape.integer || /^-?\d+$/.test(value.value));
    case 'boolean':
      return typeof value === 'boolean';
    case 'null':
      return value === null;
    case 'choice':
      return shape.options.some((option) => same(option, value));
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'union':
      return shape.options.some((option) => fits(shapeOf(option, root), value, root));
    case 'any':
      return true;
  }
}

/** Return which of a union's options shows the value best; -1 if none can. */
export function optionOf(options: readonly Schema[], value: Json, root: Schema): number {
  const fitting = options
    .map((option, index) => [shapeOf(option, root), index] as const)
    .filter(([shape]) => fits(shape, value, root));
  const closest = fitting.find(
    ([shape]) => shape.kind !== 'any' && (shape.kind !== 'object' || hasFieldsOf(shape, value)),
  );
  return (closest ?? fitting[0])?.[1] ?? -1;
}

function hasFieldsOf(shape: Extract<Shape, { kind: 'object' }>, value: Json): boolean {
  if (!isObject(value)) return false;
  const known = new Set(shape.fields.map(({ name }) => name));
  return (
    shape.fields.every(({ name, required }) => !required || Object.hasOwn(value, name)) &&
    Object.keys(value).every((name) => known.has(name))
  );
}

/** Return a short name of what a schema asks for: `text`, `whole number`, its title ... */
export function nameOf(schema: Schema, root: Schema): string {
  const whole = resolved(schema, root);
  if (typeof whole['title'] === 'string') return whole['title'];
  const shape = shapeOf(schema, root);
  switch (shape.kind) {
    case 'string':
      return shape.format === '' || shape.long ? 'text' : shape.format;
    case 'number':
      return shape.integer ? 'integer' : 'number';
    case 'boolean':
      return 'true / false';
    case 'null':
      return 'null';
    case 'choice':
      return 'choice';
    case 'array':
      return 'list';
    case 'object':
      return 'fields';
    case 'union':
      return shape.options.map((option) => nameOf(option, root)).join(' | ');
    case 'any':
      return 'JSON';
  }
}
