/** A form made from a JSON Schema and a draft: nested as the schema is. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

import { Icon } from '../icons';
import { useWords } from '../words';
import { Leaf } from './controls';
import {
  blank,
  converted,
  type Draft,
  type DraftObject,
  isDraftObject,
  type Path,
  Unfinished,
} from './draft';
import { fieldId, useForm } from './form_context';
import { isNumber, type Json } from './json';
import {
  fits,
  nameOf,
  optionOf,
  resolved,
  type Schema,
  type Shape,
  shapeOf,
  shapeOfValue,
} from './shape';

interface FieldProps {
  name: string;
  schema: Schema;
  value: Draft;
  path: Path;
  /** What takes it out; null where it must stay. */
  remove: (() => void) | null;
}

/** The shape that shows a draft: its schema's, or its own where that doesn't fit. */
function shownShape(schema: Schema, value: Draft, root: Schema): Shape {
  const shape = shapeOf(schema, root);
  if (value instanceof Unfinished) return shape;
  if (shape.kind !== 'any' && fits(shape, value as Json, root)) return shape;
  const own = shapeOfValue(value as Json);
  // A null of no known type can become anything only as JSON.
  return own.kind === 'any' && shape.kind === 'any' ? shape : own;
}

export function Field(props: FieldProps): JSX.Element {
  const form = useForm();
  const { schema, value } = props;
  const shape = shownShape(schema, value, form.root);
  switch (shape.kind) {
    case 'union':
      return <UnionField {...props} options={shape.options} />;
    case 'array':
    case 'object':
      return (
        <Group {...props}>
          <Nested shape={shape} value={value} path={props.path} />
        </Group>
      );
    default:
      return (
        <Labelled {...props} hint={hintOf(shape, schema, form.root)}>
          <Leaf shape={shape} value={value} path={props.path} />
        </Labelled>
      );
  }
}

/** What kind of value is wanted, where the control doesn't show it. */
function hintOf(shape: Shape, schema: Schema, root: Schema): string {
  if (shape.kind === 'choice' || shape.kind === 'boolean' || shape.kind === 'null') return '';
  return nameOf(shape.kind === 'any' ? {} : schema, root);
}

/** What stands in a group: the fields of an object, the items of a list. */
export function Nested({
  shape,
  value,
  path,
}: {
  shape: Shape;
  value: Draft;
  path: Path;
}): JSX.Element {
  if (shape.kind === 'object')
    return <ObjectFields shape={shape} value={isDraftObject(value) ? value : {}} path={path} />;
  if (shape.kind === 'array')
    return <ArrayItems shape={shape} items={Array.isArray(value) ? value : []} path={path} />;
  return <></>;
}

type ObjectShape = Extract<Shape, { kind: 'object' }>;

function ObjectFields({
  shape,
  value,
  path,
}: {
  shape: ObjectShape;
  value: DraftObject;
  path: Path;
}): JSX.Element {
  const form = useForm();
  const trans = useWords();
  const known = new Set(shape.fields.map(({ name }) => name));
  const present = shape.fields.filter(({ name }) => Object.hasOwn(value, name));
  const absent = shape.fields.filter(({ name }) => !Object.hasOwn(value, name));
  const others = Object.keys(value).filter((name) => !known.has(name));
  const remover = (name: string) => () => form.change([...path, name], undefined);

  return (
    <>
      {present.map(({ name, schema, required }) => (
        <Field
          key={name}
          name={name}
          schema={schema}
          value={value[name] ?? null}
          path={[...path, name]}
          remove={required ? null : remover(name)}
        />
      ))}
      {others.map((name) => (
        <Field
          key={name}
          name={name}
          schema={shape.extra}
          value={value[name] ?? null}
          path={[...path, name]}
          remove={remover(name)}
        />
      ))}
      {absent.length > 0 && (
        <div class="nbf-absent">
          {absent.map(({ name, schema }) => (
            <button
              key={name}
              type="button"
              class="nbf-add"
              disabled={form.disabled}
              aria-label={trans.__('Add %1', name)}
              onClick={() => form.change([...path, name], blank(schema, form.root))}
            >
              <Icon name="add" />
              {name}
            </button>
          ))}
        </div>
      )}
    </>
  );
}

type ArrayShape = Extract<Shape, { kind: 'array' }>;

function ArrayItems({
  shape,
  items,
  path,
}: {
  shape: ArrayShape;
  items: readonly Draft[];
  path: Path;
}): JSX.Element {
  const form = useForm();
  const trans = useWords();
  return (
    <>
      {items.map((item, index) => (
        <Field
          // Without an id of its own, an item is its place; taking one out redraws those after it.
          key={`${items.length} ${index}`}
          name={`[${index}]`}
          schema={itemSchema(shape, items, index)}
          value={item}
          path={[...path, index]}
          remove={shape.fixed ? null : () => form.change([...path, index], undefined)}
        />
      ))}
      {!shape.fixed && (
        <button
          type="button"
          class="nbf-add"
          disabled={form.disabled}
          onClick={() =>
            form.change(
              [...path, items.length],
              blank(itemSchema(shape, items, items.length), form.root),
            )
          }
        >
          <Icon name="add" />
          {trans.__('Add item')}
        </button>
      )}
    </>
  );
}

/** An untyped list goes on with what its first item is. */
function itemSchema(shape: ArrayShape, items: readonly Draft[], index: number): Schema {
  const schema = shape.items(index);
  const first = items[0];
  if (Object.keys(schema).length > 0 || index < items.length) return schema;
  if (typeof first === 'string' || typeof first === 'boolean') return { type: typeof first };
  return isNumber(first) ? { type: 'number' } : schema;
}

/** A field of one of several types: which one is chosen beside it. */
function UnionField(props: FieldProps & { options: readonly Schema[] }): JSX.Element {
  const form = useForm();
  const trans = useWords();
  const { schema, value, path, options } = props;
  const [chosen, setChosen] = useState(() =>
    value instanceof Unfinished ? 0 : optionOf(options, value as Json, form.root),
  );
  const option = options[chosen] ?? {};
  const shape = shownShape(option, value, form.root);
  const select = (
    <select
      class="nbf-input nbf-type"
      aria-label={trans.__('Type')}
      aria-describedby={`${fieldId(form, path)}-name`}
      disabled={form.disabled}
      value={String(chosen)}
      onChange={(event) => {
        const next = Number(event.currentTarget.value);
        setChosen(next);
        form.change(path, converted(value, options[next] ?? {}, form.root));
      }}
    >
      {options.map((one, index) => (
        <option key={index} value={String(index)}>
          {nameOf(one, form.root)}
        </option>
      ))}
    </select>
  );

  const own = { ...props, schema: { ...resolved(schema, form.root), ...titled(option) } };
  if (shape.kind === 'array' || shape.kind === 'object') {
    return (
      <Group {...own} aside={select}>
        <Nested key={chosen} shape={shape} value={value} path={path} />
      </Group>
    );
  }
  const inner = shape.kind === 'union' ? ({ kind: 'any' } as const) : shape;
  return (
    <Labelled {...own} hint="" aside={select}>
      <Leaf key={chosen} shape={inner} value={value} path={path} />
    </Labelled>
  );
}

const titled = (schema: Schema): Schema =>
  typeof schema['description'] === 'string' ? { description: schema['description'] } : {};

interface FrameProps extends FieldProps {
  children: JSX.Element;
  aside?: JSX.Element;
}

function Labelled({
  name,
  schema,
  path,
  remove,
  hint,
  children,
  aside,
}: FrameProps & { hint: string }): JSX.Element {
  const form = useForm();
  return (
    <div class="nbf-field">
      <label
        class="nbf-field-name"
        id={`${fieldId(form, path)}-name`}
        htmlFor={fieldId(form, path)}
      >
        {name}
      </label>
      <div class="nbf-field-control">
        {children}
        {aside ?? <span class="nbf-hint">{hint}</span>}
        <Remove path={path} remove={remove} />
      </div>
      <About schema={schema} path={path} />
    </div>
  );
}

function Group({ name, schema, path, remove, children, aside }: FrameProps): JSX.Element {
  const form = useForm();
  return (
    <fieldset class="nbf-group">
      <legend>
        <span class="nbf-field-name" id={`${fieldId(form, path)}-name`}>
          {name}
        </span>
        {aside}
        <Remove path={path} remove={remove} />
      </legend>
      <div class="nbf-group-body">
        <About schema={schema} path={path} />
        {children}
      </div>
    </fieldset>
  );
}

function Remove({ path, remove }: { path: Path; remove: (() => void) | null }): JSX.Element | null {
  const form = useForm();
  const trans = useWords();
  if (remove === null) return null;
  return (
    <button
      type="button"
      class="nbf-remove"
      disabled={form.disabled}
      aria-label={trans.__('Remove')}
      aria-describedby={`${fieldId(form, path)}-name`}
      title={trans.__('Remove')}
      onClick={remove}
    >
      <Icon name="remove" />
    </button>
  );
}

/** A field's description, and what was wrong with it. */
export function About({ schema, path }: { schema: Schema; path: Path }): JSX.Element | null {
  const form = useForm();
  const trans = useWords();
  const { description } = resolved(schema, form.root);
  const problems = form.problems.get(path.join('/')) ?? [];
  if (typeof description !== 'string' && problems.length === 0) return null;
  return (
    <div class="nbf-about" id={`${fieldId(form, path)}-about`}>
      {typeof description === 'string' && <p class="nbf-muted">{description}</p>}
      {problems.map((problem) => (
        <p key={problem} class="nbf-problem">
          {trans.__(problem)}
        </p>
      ))}
    </div>
  );
}
