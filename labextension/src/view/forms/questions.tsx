/** Every pending question of a run, each its own form. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

import { CopyAsCode } from '../copy';
import { Icon } from '../icons';
import { useOwnId } from '../ids';
import type {
  Actions,
  ChoiceQuestion,
  Line,
  Problem,
  Question,
  RunView,
  SchemaQuestion,
} from '../types';
import { useWords } from '../words';
import { type Answering, type QuestionProps, useAnswering } from './answering';
import { blank, type Draft, finished } from './draft';
import { exact } from './json';
import { SchemaForm } from './schema_form';
import { SendRow } from './send_row';
import { TextAnswer } from './text_answer';
import { asSchema, Submit, ToolCallForm } from './tool_call';

interface Props {
  view: RunView;
  line: Line;
  refusals: ReadonlyMap<string, readonly Problem[]>;
  actions: Actions | null;
}

export function Questions({ view, line, refusals, actions }: Props): JSX.Element {
  return (
    <div class="nbf-questions">
      {view.questions.map((question, index) => (
        <QuestionForm
          key={question.id}
          question={question}
          place={[index + 1, view.questions.length]}
          line={line}
          problems={refusals.get(question.id)}
          actions={actions}
        />
      ))}
    </div>
  );
}

interface FormProps {
  question: Question;
  place: readonly [number, number];
  line: Line;
  problems: readonly Problem[] | undefined;
  actions: Actions | null;
}

function QuestionForm({ question, place, line, problems, actions }: FormProps): JSX.Element {
  const trans = useWords();
  const id = useOwnId();
  const answering = useAnswering(question, line, problems, actions);
  return (
    <form
      class={`nbf-question${question.answered ? ' nbf-answered' : ''}`}
      aria-label={trans.__('Question')}
      aria-describedby={id}
      noValidate
      onSubmit={(event) => event.preventDefault()}
    >
      <div class="nbf-question-head">
        <Icon name={question.answered ? 'finished' : 'interrupted'} />
        <p class="nbf-question-text" id={id}>
          {question.text}
        </p>
        <span class="nbf-question-about">
          {question.source !== '' && <code>{question.source}</code>}
          {place[1] > 1 && <span>{trans.__('%1 of %2', place[0], place[1])}</span>}
          {question.code !== '' && <CopyAsCode code={{ answer: question.code }} />}
        </span>
      </div>
      {question.description !== '' && <p class="nbf-description">{question.description}</p>}
      <div class="nbf-question-body">
        <Body question={question} answering={answering} />
      </div>
      <Note question={question} readable={actions === null} />
    </form>
  );
}

/** What a person has to do before the run goes on, or why nothing can be pressed. */
function Note({ question, readable }: { question: Question; readable: boolean }): JSX.Element {
  const trans = useWords();
  return (
    <p class="nbf-question-note" role="status">
      {question.answered && <strong>{trans.__('Answered.')} </strong>}
      {question.note}
      {readable &&
        !question.answered &&
        question.note === '' &&
        trans.__('It can be answered from code, in a notebook with a kernel.')}
    </p>
  );
}

function Body({
  question,
  answering,
}: {
  question: Question;
  answering: Answering;
}): JSX.Element | null {
  const trans = useWords();
  if (question.kind === 'tool_call')
    return <ToolCallForm question={question} answering={answering} />;
  if (answering.state === 'closed') return null;
  switch (question.kind) {
    case 'text':
      return (
        <TextAnswer
          label={trans.__('Answer')}
          answering={answering}
          answer={(text) => text}
          cancel={null}
        />
      );
    case 'choice':
      return <ChoiceForm question={question} answering={answering} />;
    case 'schema':
      return <SchemaAnswer question={question} answering={answering} />;
  }
}

function ChoiceForm({ question, answering }: QuestionProps<ChoiceQuestion>): JSX.Element {
  return (
    <>
      {answering.problems.map((problem) => (
        <p key={problem.text} class="nbf-problem" role="alert">
          {problem.text}
        </p>
      ))}
      <SendRow answering={answering}>
        {question.choices.map(({ label, value }) => (
          <button
            key={label}
            type="button"
            class="nbf-button"
            disabled={answering.state !== 'open'}
            onClick={() => answering.send(exact(value))}
          >
            {label}
          </button>
        ))}
      </SendRow>
    </>
  );
}

function SchemaAnswer({ question, answering }: QuestionProps<SchemaQuestion>): JSX.Element {
  const trans = useWords();
  const [schema] = useState(() => asSchema(question.schema));
  const [draft, setDraft] = useState<Draft>(() => blank(schema, schema));
  const [tried, setTried] = useState(false);
  const send = (): void => {
    setTried(true);
    const whole = finished(draft);
    if (answering.state === 'open' && whole !== null) answering.send(whole.value);
  };
  return (
    <Submit send={send}>
      <SchemaForm
        schema={schema}
        draft={draft}
        onDraft={setDraft}
        disabled={answering.state !== 'open'}
        refused={answering.problems}
        tried={tried}
      />
      <SendRow answering={answering}>
        <button
          type="button"
          class="nbf-button nbf-primary"
          disabled={answering.state !== 'open'}
          onClick={send}
        >
          {trans.__('Send answer')}
        </button>
      </SendRow>
    </Submit>
  );
}
