/** What an edit changes, before it is sent. */

import type { JSX } from 'preact';

import { useWords } from '../words';
import { type Change, lines } from './diff';
import type { Json } from './json';
import { ValueView } from './value_view';

export function DiffView({ changes }: { changes: readonly Change[] }): JSX.Element {
  const trans = useWords();
  return (
    <div class="nbf-diff" role="group" aria-label={trans.__('Changes')}>
      {changes.length === 0 ? (
        <p class="nbf-muted">{trans.__('Nothing was changed yet.')}</p>
      ) : (
        changes.map((change) => <ChangeView key={change.path} change={change} />)
      )}
    </div>
  );
}

function ChangeView({ change }: { change: Change }): JSX.Element {
  const { path, before, after } = change;
  const long =
    typeof before === 'string' && typeof after === 'string' && (before + after).includes('\n');
  return (
    <div class={long ? 'nbf-change nbf-change-long' : 'nbf-change'}>
      <code class="nbf-change-path">{path}</code>
      {long ? (
        <pre class="nbf-change-lines">
          {lines(before, after).map((line, index) => (
            <div key={index} class={SIGNS[line.sign]}>{`${line.sign} ${line.text}`}</div>
          ))}
        </pre>
      ) : (
        <span class="nbf-change-values">
          <Side value={before} sign="-" />
          <span aria-hidden="true">→</span>
          <Side value={after} sign="+" />
        </span>
      )}
    </div>
  );
}

const SIGNS = { ' ': '', '-': 'nbf-before', '+': 'nbf-after' };

function Side({ value, sign }: { value: Json | undefined; sign: '-' | '+' }): JSX.Element {
  const trans = useWords();
  if (value === undefined) {
    return (
      <span class="nbf-muted">{sign === '-' ? trans.__('not given') : trans.__('taken out')}</span>
    );
  }
  return sign === '-' ? (
    <del class="nbf-before">
      <ValueView value={value} />
    </del>
  ) : (
    <ins class="nbf-after">
      <ValueView value={value} />
    </ins>
  );
}
