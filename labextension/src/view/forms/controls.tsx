/** One control for each kind of leaf: text, number, yes or no, one of a few, JSON. */

import type { JSX, TargetedInputEvent } from 'preact';
import { useState } from 'preact/hooks';

import { type Draft, type Path, readJson, readNumber, Unfinished } from './draft';
import { fieldId, useForm } from './form_context';
import { isNumber, type Json, print, same } from './json';
import type { Shape } from './shape';

interface LeafProps {
  value: Draft;
  path: Path;
}

const LONG_TEXT = 60;
const MOST_ROWS = 12;

function useLeaf(path: Path): {
  id: string;
  disabled: boolean;
  'aria-invalid'?: true;
  'aria-describedby': string;
} {
  const form = useForm();
  const id = fieldId(form, path);
  const invalid = form.problems.has(path.join('/'));
  return {
    id,
    disabled: form.disabled,
    'aria-describedby': `${id}-about`,
    ...(invalid ? { 'aria-invalid': true } : {}),
  };
}

/** One line, or several once the text has some: pasted, or begun with Shift+Enter. */
export function TextControl({ value, path, long }: LeafProps & { long: boolean }): JSX.Element {
  const form = useForm();
  const leaf = useLeaf(path);
  const text = typeof value === 'string' ? value : '';
  const [lines, setLines] = useState(long || text.includes('\n') || text.length > LONG_TEXT);
  const put = (event: TargetedInputEvent<HTMLInputElement | HTMLTextAreaElement>): void =>
    form.change(path, event.currentTarget.value);

  if (lines) {
    const rows = Math.min(
      MOST_ROWS,
      Math.max(2, text.split('\n').length, Math.ceil(text.length / 80)),
    );
    return <textarea {...leaf} class="nbf-input nbf-grow" rows={rows} value={text} onInput={put} />;
  }
  const insert = (event: Event & { currentTarget: HTMLInputElement }, added: string): void => {
    const { selectionStart: from, selectionEnd: to } = event.currentTarget;
    event.preventDefault();
    setLines(true);
    form.change(path, text.slice(0, from ?? text.length) + added + text.slice(to ?? text.length));
  };
  return (
    <input
      {...leaf}
      class="nbf-input nbf-grow"
      type="text"
      value={text}
      onInput={put}
      onPaste={(event) => {
        const pasted = event.clipboardData?.getData('text/plain') ?? '';
        if (pasted.includes('\n')) insert(event, pasted);
      }}
      onKeyDown={(event) => {
        if (event.key === 'Enter' && event.shiftKey) insert(event, '\n');
      }}
    />
  );
}

/** A text field: the number stays as it is typed, and a wheel can't change it. */
export function NumberControl({
  value,
  path,
  integer,
}: LeafProps & { integer: boolean }): JSX.Element {
  const form = useForm();
  const text = value instanceof Unfinished ? value.text : isNumber(value) ? value.value : '';
  return (
    <input
      {...useLeaf(path)}
      class="nbf-input nbf-input-number"
      type="text"
      inputMode={integer ? 'numeric' : 'decimal'}
      autoComplete="off"
      value={text}
      onInput={(event) => form.change(path, readNumber(event.currentTarget.value, integer))}
    />
  );
}

export function BooleanControl({ value, path }: LeafProps): JSX.Element {
  const form = useForm();
  return (
    <span class="nbf-check">
      <input
        {...useLeaf(path)}
        type="checkbox"
        checked={value === true}
        onChange={(event) => form.change(path, event.currentTarget.checked)}
      />
      <code aria-hidden="true">{value === true ? 'true' : 'false'}</code>
    </span>
  );
}

export function ChoiceControl({
  value,
  path,
  options,
}: LeafProps & { options: readonly Json[] }): JSX.Element {
  const form = useForm();
  const chosen =
    value instanceof Unfinished ? -1 : options.findIndex((option) => same(option, value as Json));
  return (
    <select
      {...useLeaf(path)}
      class="nbf-input"
      value={String(chosen)}
      onChange={(event) => form.change(path, options[Number(event.currentTarget.value)] ?? null)}
    >
      {options.map((option, index) => (
        <option key={print(option)} value={String(index)}>
          {typeof option === 'string' ? option : print(option)}
        </option>
      ))}
    </select>
  );
}

/** JSON text; what is typed stays as typed, whether or not it is a value yet. */
export function JsonControl({ value, path, rows = 3 }: LeafProps & { rows?: number }): JSX.Element {
  const form = useForm();
  const [text, setText] = useState(() =>
    value instanceof Unfinished ? value.text : print(value as Json, 2),
  );
  return (
    <textarea
      {...useLeaf(path)}
      class="nbf-input nbf-grow nbf-json"
      rows={Math.min(MOST_ROWS * 2, Math.max(rows, text.split('\n').length))}
      spellcheck={false}
      value={text}
      onInput={(event) => {
        setText(event.currentTarget.value);
        form.change(path, readJson(event.currentTarget.value));
      }}
    />
  );
}

export type LeafShape = Exclude<Shape, { kind: 'array' | 'object' | 'union' }>;

export function Leaf({ shape, value, path }: LeafProps & { shape: LeafShape }): JSX.Element {
  switch (shape.kind) {
    case 'string':
      return <TextControl value={value} path={path} long={shape.long} />;
    case 'number':
      return <NumberControl value={value} path={path} integer={shape.integer} />;
    case 'boolean':
      return <BooleanControl value={value} path={path} />;
    case 'choice':
      return <ChoiceControl value={value} path={path} options={shape.options} />;
    case 'null':
      return <code class="nbf-null">null</code>;
    case 'any':
      return <JsonControl value={value} path={path} />;
  }
}
