/** What a run ended with, and what a person should know: plain text, each. */

import type { JSX } from 'preact';

import { Icon } from './icons';
import type { Header, Problem } from './types';
import { useWords } from './words';

export function Failure({ error }: { error: Header['error'] }): JSX.Element | null {
  const trans = useWords();
  if (error === null) return null;
  return (
    <section class="nbf-section nbf-failure" aria-label={trans.__('Error')}>
      <p class="nbf-failure-text">
        <Icon name="failed" />
        <span>{error.text}</span>
      </p>
      {error.trace !== '' && (
        <pre class="nbf-trace" tabIndex={0} aria-label={trans.__('Traceback')}>
          {error.trace}
        </pre>
      )}
    </section>
  );
}

export function Result({ result }: { result: string | null }): JSX.Element | null {
  const trans = useWords();
  if (result === null) return null;
  return (
    <section class="nbf-section" aria-label={trans.__('Result')}>
      <div class="nbf-section-head">
        <h4>{trans.__('Result')}</h4>
      </div>
      <pre class="nbf-result" tabIndex={0}>
        {result}
      </pre>
    </section>
  );
}

interface NotesProps {
  line: string;
  notes: readonly string[];
  problems: readonly Problem[];
}

export function Notes({ line, notes, problems }: NotesProps): JSX.Element {
  return (
    <div class="nbf-notes" role="status">
      {line !== '' && <p class="nbf-note nbf-note-line">{line}</p>}
      {problems.map((problem) => (
        <p class="nbf-note nbf-problem" key={problem.text}>
          {problem.text}
        </p>
      ))}
      {notes.map((note) => (
        <p class="nbf-note" key={note}>
          {note}
        </p>
      ))}
    </div>
  );
}
