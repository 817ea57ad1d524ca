/** A JSON value to read: its types can be told apart, and text is only text. */

import type { JSX } from 'preact';

import { isNumber, isObject, type Json } from './json';

export function ValueView({ value }: { value: Json }): JSX.Element {
  if (typeof value === 'string') return <TextView text={value} />;
  if (isNumber(value)) return <code class="nbf-v-number">{value.value}</code>;
  if (value === null || typeof value === 'boolean')
    return <code class="nbf-v-word">{String(value)}</code>;
  if (Array.isArray(value)) {
    if (value.length === 0) return <code>[]</code>;
    return value.every(isSmall) ? (
      <Inline values={value} />
    ) : (
      <Table entries={value.map((item, i) => [`[${i}]`, item])} />
    );
  }
  const entries = Object.entries(value);
  return entries.length === 0 ? <code>{'{}'}</code> : <Table entries={entries} />;
}

/** Short enough to stand in a line with others. */
function isSmall(value: Json): boolean {
  if (typeof value === 'string') return value.length <= 24 && !value.includes('\n');
  return !Array.isArray(value) && !isObject(value);
}

function Inline({ values }: { values: readonly Json[] }): JSX.Element {
  return (
    <span class="nbf-v-inline">
      <code>[</code>
      {values.map((value, index) => (
        <span key={index}>
          <ValueView value={value} />
          {index < values.length - 1 && <code>, </code>}
        </span>
      ))}
      <code>]</code>
    </span>
  );
}

function TextView({ text }: { text: string }): JSX.Element {
  if (text.includes('\n')) return <pre class="nbf-v-text">{text}</pre>;
  return <code class="nbf-v-text">{JSON.stringify(text)}</code>;
}

export function Table({ entries }: { entries: readonly (readonly [string, Json])[] }): JSX.Element {
  return (
    <div class="nbf-v-table" role="list">
      {entries.map(([name, value]) => (
        <div key={name} role="listitem">
          <span class="nbf-v-name">{name}</span>
          <div>
            <ValueView value={value} />
          </div>
        </div>
      ))}
    </div>
  );
}
