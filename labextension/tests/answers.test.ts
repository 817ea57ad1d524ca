import { describe, expect, test } from 'vitest';

import { changes, lines } from '../src/view/forms/diff';
import {
  blank,
  changed,
  converted,
  finished,
  readJson,
  readNumber,
  Unfinished,
} from '../src/view/forms/draft';
import {
  exact,
  isNumber,
  type Json,
  number,
  parse,
  plain,
  print,
  same,
} from '../src/view/forms/json';
import { pathKey, placed } from '../src/view/forms/problems';
import { fits, nameOf, optionOf, type Schema, shapeOf } from '../src/view/forms/shape';

const schema = (value: unknown): Schema => exact(value) as Schema;

describe('numbers', () => {
  test('keep the text they were written with, there and back', () => {
    const text = '{"a": 3, "b": 3.0, "c": 12345678901234567890, "d": 1e-7, "e": -0.10}';

    expect(print(parse(text))).toBe(text);
  });

  test('become plain ones for who reads no text', () => {
    expect(plain(parse('{"a": [3, 3.5, null, true, "3"]}'))).toEqual({
      a: [3, 3.5, null, true, '3'],
    });
  });

  test('differ from the text that looks like them, and 3 from 3.0', () => {
    expect(same(number('3'), number('3.0'))).toBe(false);
    expect(same(number('3'), '3')).toBe(false);
  });

  test('that are typed stay unfinished until they are numbers', () => {
    expect(readNumber('-', false)).toBeInstanceOf(Unfinished);
    expect(readNumber('3.', false)).toBeInstanceOf(Unfinished);
    expect(readNumber('3.0', true)).toBeInstanceOf(Unfinished);
    expect(print(readNumber(' 3.0 ', false) as Json)).toBe('3.0');
    expect(print(readNumber('12345678901234567890', true) as Json)).toBe('12345678901234567890');
  });

  test('are not mistaken for an argument that names itself like one', () => {
    const trick = { isLosslessNumber: true, value: '1, "admin": true' };

    expect(isNumber(exact(trick))).toBe(false);
    expect(JSON.parse(print(exact(trick)))).toEqual(trick);
  });
});

describe('JSON text', () => {
  test('that is wrong says so and stays as it was typed', () => {
    const wrong = readJson('{"a": ');

    expect(wrong).toBeInstanceOf(Unfinished);
    expect((wrong as Unfinished).text).toBe('{"a": ');
    expect((wrong as Unfinished).problem).toMatch(/not JSON/);
  });

  test('is indented as a person would', () => {
    expect(print(parse('{"a":[1,{}],"b":[]}'), 2)).toBe(
      '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}',
    );
  });
});

describe('a shape', () => {
  test('of a union with null keeps both, so that null stays null and text text', () => {
    const shape = shapeOf(
      schema({ anyOf: [{ type: 'integer' }, { type: 'string' }, { type: 'null' }] }),
      {},
    );

    expect(shape.kind).toBe('union');
    if (shape.kind !== 'union') return;
    expect(optionOf(shape.options, null, {})).toBe(2);
    expect(optionOf(shape.options, '3', {})).toBe(1);
    expect(optionOf(shape.options, number('3'), {})).toBe(0);
    expect(shapeOf(schema({ type: ['string', 'null'] }), {}).kind).toBe('union');
  });

  test('of a union of objects is the one whose fields are there', () => {
    const options = [
      schema({ type: 'object', properties: { lat: {} }, required: ['lat'] }),
      schema({ type: 'object', properties: { city: {} }, required: ['city'] }),
    ];

    expect(optionOf(options, { city: 'Oslo' }, {})).toBe(1);
  });

  test('follows references and allOf, also circular ones', () => {
    const root = schema({
      $defs: {
        node: {
          type: 'object',
          properties: { next: { $ref: '#/$defs/node' }, size: { allOf: [{ type: 'integer' }] } },
        },
        loop: { $ref: '#/$defs/loop' },
      },
    });

    const node = shapeOf(schema({ $ref: '#/$defs/node' }), root);
    expect(node.kind === 'object' && node.fields.map(({ name }) => name)).toEqual(['next', 'size']);
    expect(node.kind === 'object' && shapeOf(node.fields[1]?.schema, root)).toEqual({
      kind: 'number',
      integer: true,
    });
    expect(shapeOf(schema({ $ref: '#/$defs/loop' }), root).kind).toBe('any');
  });

  test('of what is not understood is JSON text', () => {
    for (const odd of [{}, true, { not: {} }, { $ref: 'elsewhere.json' }, { type: 'date' }, null]) {
      expect(shapeOf(exact(odd), {}).kind).toBe('any');
    }
  });

  test('of choices is a choice, with null among them', () => {
    expect(shapeOf(schema({ enum: ['a', 1, null] }), {})).toEqual({
      kind: 'choice',
      options: ['a', number('1'), null],
    });
    expect(shapeOf(schema({ anyOf: [{ const: 'a' }, { type: 'null' }] }), {})).toEqual({
      kind: 'choice',
      options: ['a', null],
    });
  });

  test('does not take a number for a whole one that is not written so', () => {
    expect(fits({ kind: 'number', integer: true }, number('3.0'), {})).toBe(false);
    expect(fits({ kind: 'number', integer: false }, number('3'), {})).toBe(true);
  });

  test('has a name that says what to type', () => {
    expect(nameOf(schema({ type: ['integer', 'null'] }), {})).toBe('integer | null');
  });
});

describe('a draft', () => {
  test('begins with defaults and the emptiest values of what is required', () => {
    const made = blank(
      schema({
        type: 'object',
        properties: {
          name: { type: 'string' },
          share: { type: 'number', default: 0.5 },
          tags: { type: 'array' },
          extra: { type: 'string' },
        },
        required: ['name', 'share', 'tags'],
      }),
      {},
    );

    expect(print(made as Json)).toBe('{"name": "", "share": 0.5, "tags": []}');
  });

  test('of a schema that contains itself ends', () => {
    const root = schema({
      type: 'object',
      properties: { next: { $ref: '#' } },
      required: ['next'],
    });

    expect(finished(blank(root, root))).not.toBeNull();
  });

  test('is changed, extended and shortened at any place, and the old one stays', () => {
    const before = parse('{"a": {"b": [1, 2, 3]}, "c": ""}');

    const after = changed(
      changed(changed(before, ['a', 'b', 1], undefined), ['a', 'd'], 'x'),
      ['c'],
      undefined,
    );

    expect(print(after as Json)).toBe('{"a": {"b": [1, 3], "d": "x"}}');
    expect(print(before)).toBe('{"a": {"b": [1, 2, 3]}, "c": ""}');
  });

  test('keeps what was typed when its type changes', () => {
    expect(converted('12', schema({ type: 'integer' }), {})).toEqual(number('12'));
    expect(converted(number('3.0'), schema({ type: 'string' }), {})).toBe('3.0');
    expect(converted('x', schema({ type: 'null' }), {})).toBeNull();
  });
});

describe('a difference', () => {
  const diff = (a: string, b: string): string[] =>
    changes(parse(a), parse(b)).map(
      ({ path, before, after }) =>
        `${path}: ${before === undefined ? '-' : print(before)} > ${after === undefined ? '-' : print(after)}`,
    );

  test('names each leaf that changed, with its types', () => {
    expect(
      diff('{"a": 3, "b": {"c": "3", "d e": null}}', '{"a": 3.0, "b": {"c": 3, "d e": false}}'),
    ).toEqual(['a: 3 > 3.0', 'b.c: "3" > 3', 'b["d e"]: null > false']);
  });

  test('shows what was put in and taken out', () => {
    expect(diff('{"a": 1}', '{"b": 1}')).toEqual(['a: 1 > -', 'b: - > 1']);
    expect(diff('[1, 2, 3]', '[1, 3]')).toEqual(['[1]: 2 > -']);
    expect(diff('[1, 3]', '[1, 2, 3]')).toEqual(['[1]: - > 2']);
    expect(diff('[]', '{}')).toEqual([': [] > {}']);
  });

  test('of equal values is none', () => {
    expect(diff('{"a": [1, {"b": null}]}', '{"a": [1, {"b": null}]}')).toEqual([]);
  });

  test('of long texts is that of their lines', () => {
    expect(lines('a\nb\nc\nd', 'a\nB\nc\nd')).toEqual([
      { sign: ' ', text: 'a' },
      { sign: '-', text: 'b' },
      { sign: '+', text: 'B' },
      { sign: ' ', text: 'c' },
    ]);
  });
});

describe('a refusal', () => {
  test('finds its field in any spelling of the path', () => {
    for (const path of ['a.b[0].c', '/a/b/0/c', "a['b'][0].c", '$.a.b[0].c'])
      expect(pathKey(path)).toBe('a/b/0/c');
    expect(pathKey(['a', 'b', 0, 'c'])).toBe('a/b/0/c');
  });

  test('of a field that is not shown stands below the form', () => {
    const { at, rest } = placed(
      [
        { field: 'a', text: 'wrong' },
        { field: 'z', text: 'missing' },
      ],
      (key) => key === 'a',
    );

    expect([...at]).toEqual([['a', ['wrong']]]);
    expect(rest).toEqual([{ field: 'z', text: 'missing' }]);
  });
});
