/** The review of a tool call: accept it, edit its arguments, answer on its behalf, or leave it. */

import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import type { ToolCallQuestion } from '../types';
import { useWords } from '../words';
import { type Answering, type QuestionProps } from './answering';
import { changes } from './diff';
import { DiffView } from './diff_view';
import { type Draft, finished } from './draft';
import { exact, isObject, type Json, type JsonObject, parse } from './json';
import { SchemaForm } from './schema_form';
import { SendRow } from './send_row';
import { TextAnswer } from './text_answer';
import { Table } from './value_view';

type Mode = 'review' | 'edit' | 'respond';

export function ToolCallForm({
  question,
  answering,
}: QuestionProps<ToolCallQuestion>): JSX.Element {
  const trans = useWords();
  const [mode, setMode] = useState<Mode>('review');
  const proposed = useMemo(() => proposedOf(question), [question.args_json, question.args]);
  const closed = answering.state === 'closed';
  const shown = closed ? 'review' : mode;

  return (
    <>
      <p class="nbf-tool">
        <span class="nbf-muted">{trans.__('tool')}</span> <code>{question.tool}</code>
      </p>
      {question.malformed !== '' ? (
        <p class="nbf-problem">
          {trans.__('It can’t be accepted or edited: %1', question.malformed)}
        </p>
      ) : (
        shown !== 'edit' && <Arguments args={proposed} />
      )}
      {shown === 'review' && <Problems answering={answering} />}
      {shown === 'edit' && (
        <Edit
          question={question}
          proposed={proposed}
          answering={answering}
          cancel={() => setMode('review')}
        />
      )}
      {shown === 'respond' && (
        <TextAnswer
          label={trans.__('Answer on behalf of %1', question.tool)}
          answering={answering}
          answer={(text) => ({ action: 'feedback', data: text })}
          cancel={() => setMode('review')}
        />
      )}
      {shown === 'review' && !closed && (
        <ActionRow question={question} answering={answering} choose={setMode} />
      )}
    </>
  );
}

function proposedOf(question: ToolCallQuestion): JsonObject {
  const args = question.args_json === undefined ? exact(question.args) : parse(question.args_json);
  return isObject(args) ? args : {};
}

function Arguments({ args }: { args: JsonObject }): JSX.Element {
  const trans = useWords();
  const entries = Object.entries(args);
  if (entries.length === 0) return <p class="nbf-muted">{trans.__('It has no arguments.')}</p>;
  return <Table entries={entries} />;
}

function Problems({ answering }: { answering: Answering }): JSX.Element {
  return (
    <>
      {answering.problems.map((problem) => (
        <p key={problem.text} class="nbf-problem" role="alert">
          {problem.field === '' ? problem.text : `${problem.field}: ${problem.text}`}
        </p>
      ))}
    </>
  );
}

interface ActionRowProps extends QuestionProps<ToolCallQuestion> {
  choose: (mode: Mode) => void;
}

/** One button for each decision that the question allows. */
function ActionRow({ question, answering, choose }: ActionRowProps): JSX.Element {
  const trans = useWords();
  const disabled = answering.state !== 'open';
  const whole = question.malformed === '';
  const allowed = (what: ToolCallQuestion['allow'][number]): boolean =>
    question.allow.includes(what);
  const button = (text: string, act: () => void, look = ''): JSX.Element => (
    <button type="button" class={`nbf-button ${look}`} disabled={disabled} onClick={act}>
      {text}
    </button>
  );
  return (
    <SendRow answering={answering}>
      {whole &&
        allowed('accept') &&
        button(trans.__('Accept'), () => answering.send({ action: 'continue' }), 'nbf-primary')}
      {whole && allowed('edit') && button(trans.__('Edit'), () => choose('edit'))}
      {allowed('respond') && button(trans.__('Respond'), () => choose('respond'))}
      {allowed('ignore') &&
        button(trans.__('Ignore'), () => answering.send({ action: 'ignore' }), 'nbf-quiet')}
    </SendRow>
  );
}

interface EditProps extends QuestionProps<ToolCallQuestion> {
  proposed: JsonObject;
  cancel: () => void;
}

function Edit({ question, proposed, answering, cancel }: EditProps): JSX.Element {
  const trans = useWords();
  const [draft, setDraft] = useState<Draft>(proposed);
  const [tried, setTried] = useState(false);
  const schema = useMemo(() => asSchema(question.schema), [question.schema]);
  const whole = finished(draft);
  const changed = whole === null ? null : changes(proposed, whole.value);
  const asProposed = changed?.length === 0 && question.allow.includes('accept');
  const send = (): void => {
    setTried(true);
    if (whole !== null && !asProposed) answering.send({ action: 'update', data: whole.value });
  };

  return (
    <FocusFirst>
      <Submit send={send} cancel={cancel}>
        <SchemaForm
          schema={schema}
          draft={draft}
          onDraft={setDraft}
          disabled={answering.state !== 'open'}
          refused={answering.problems}
          tried={tried}
        />
        {changed !== null && <DiffView changes={changed} />}
        <SendRow answering={answering}>
          <button
            type="button"
            class="nbf-button nbf-primary"
            disabled={answering.state !== 'open' || asProposed}
            onClick={send}
          >
            {trans.__('Send answer')}
          </button>
          <button
            type="button"
            class="nbf-button nbf-quiet"
            disabled={answering.state !== 'open'}
            onClick={cancel}
          >
            {trans.__('Cancel')}
          </button>
        </SendRow>
      </Submit>
    </FocusFirst>
  );
}

export function asSchema(schema: unknown): JsonObject {
  const value: Json = exact(schema);
  return isObject(value) ? value : {};
}

/** Ctrl+Enter sends, Escape goes back; a plain Enter never sends an edit by accident. */
export function Submit({
  send,
  cancel,
  children,
}: {
  send: () => void;
  cancel?: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const key = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === 'Escape') cancel?.();
    if (event.key !== 'Enter') return;
    if (event.ctrlKey || event.metaKey) send();
    else if (!(event.target instanceof HTMLInputElement)) return;
    event.preventDefault();
  };
  return (
    <div class="nbf-answer" onKeyDown={key}>
      {children}
    </div>
  );
}

/** Who pressed Edit wants to type: the first field takes the focus. */
function FocusFirst({ children }: { children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.querySelector<HTMLElement>('input, textarea, select')?.focus(), []);
  return <div ref={box}>{children}</div>;
}
