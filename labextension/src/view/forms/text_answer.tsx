/** A text as an answer: Enter sends it, Shift+Enter begins a line. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { useWords } from '../words';
import type { Answering } from './answering';
import type { Json } from './json';
import { SendRow } from './send_row';

interface Props {
  label: string;
  answering: Answering;
  answer: (text: string) => Json;
  /** null: this is the whole form; it doesn't take the focus by itself. */
  cancel: (() => void) | null;
}

export function TextAnswer({ label, answering, answer, cancel }: Props): JSX.Element {
  const trans = useWords();
  const [text, setText] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  const open = answering.state === 'open';
  useEffect(() => {
    if (cancel !== null) field.current?.focus();
  }, []);

  const send = (): void => {
    if (open && text !== '') answering.send(answer(text));
  };
  const key = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === 'Escape') cancel?.();
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    send();
  };

  return (
    <div class="nbf-text-answer">
      <textarea
        ref={field}
        class="nbf-input nbf-grow"
        aria-label={label}
        placeholder={label}
        rows={Math.min(12, Math.max(2, text.split('\n').length))}
        disabled={!open}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={key}
      />
      {answering.problems.map((problem) => (
        <p key={problem.text} class="nbf-problem" role="alert">
          {problem.text}
        </p>
      ))}
      <SendRow answering={answering}>
        <button
          type="button"
          class="nbf-button nbf-primary"
          disabled={!open || text === ''}
          onClick={send}
        >
          {trans.__('Send answer')}
        </button>
        {cancel !== null && (
          <button type="button" class="nbf-button nbf-quiet" disabled={!open} onClick={cancel}>
            {trans.__('Cancel')}
          </button>
        )}
        <span class="nbf-hint">{trans.__('Enter sends, Shift+Enter begins a new line')}</span>
      </SendRow>
    </div>
  );
}
