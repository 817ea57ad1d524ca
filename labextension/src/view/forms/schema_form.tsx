/** Fields for a draft, or its JSON text: what a person edits before it is sent. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

import { useOwnId } from '../ids';
import type { Problem } from '../types';
import { useWords } from '../words';
import { JsonControl } from './controls';
import { changed, type Draft, finished, isDraftObject, unfinished } from './draft';
import { About, Field, Nested } from './fields';
import { fieldId, FormContext, useForm } from './form_context';
import { type Schema, shapeOf } from './shape';
import { pathKey, placed } from './problems';

interface Props {
  schema: Schema;
  draft: Draft;
  onDraft: (draft: Draft) => void;
  disabled: boolean;
  /** What the kernel refused. */
  refused: readonly Problem[];
  /** Problems of unfinished fields are shown only once sending was tried. */
  tried: boolean;
}

export function SchemaForm({
  schema,
  draft,
  onDraft,
  disabled,
  refused,
  tried,
}: Props): JSX.Element {
  const trans = useWords();
  const prefix = useOwnId();
  const [asJson, setAsJson] = useState(false);
  const { at, rest } = placed(refused, (key) => !asJson && hasPlace(draft, key));
  const problems = new Map<string, string[]>(at);
  for (const { path, problem } of tried || asJson ? unfinished(draft) : [])
    problems.set(pathKey(path), [problem]);

  return (
    <FormContext.Provider
      value={{
        prefix,
        root: schema,
        disabled,
        problems,
        change: (path, part) => onDraft(changed(draft, path, part)),
      }}
    >
      <div class="nbf-fields">
        {asJson ? <WholeAsJson draft={draft} /> : <TopFields schema={schema} draft={draft} />}
        {rest.map((problem) => (
          <p key={problem.text} class="nbf-problem" role="alert">
            {problem.field === '' ? problem.text : `${problem.field}: ${problem.text}`}
          </p>
        ))}
        <button
          type="button"
          class="nbf-toggle"
          aria-pressed={asJson}
          // What is no value can't be shown in fields: it is finished first.
          disabled={disabled || (asJson && finished(draft) === null)}
          onClick={() => setAsJson(!asJson)}
        >
          {trans.__('Edit as JSON')}
        </button>
      </div>
    </FormContext.Provider>
  );
}

function TopFields({ schema, draft }: { schema: Schema; draft: Draft }): JSX.Element {
  const trans = useWords();
  const shape = shapeOf(schema, schema);
  if (shape.kind === 'object' && isDraftObject(draft))
    return <Nested shape={shape} value={draft} path={[]} />;
  return <Field name={trans.__('answer')} schema={schema} value={draft} path={[]} remove={null} />;
}

function WholeAsJson({ draft }: { draft: Draft }): JSX.Element {
  const form = useForm();
  const trans = useWords();
  return (
    <div class="nbf-json-whole">
      <label class="nbf-field-name" htmlFor={fieldId(form, [])}>
        {trans.__('JSON')}
      </label>
      <JsonControl value={draft} path={[]} rows={4} />
      <About schema={{}} path={[]} />
    </div>
  );
}

/** Whether the draft has a value, or its object a missing field, at a key such as `a/b/0`. */
function hasPlace(draft: Draft, key: string): boolean {
  let at: Draft | undefined = draft;
  for (const part of key.split('/')) {
    if (Array.isArray(at)) at = (at as Draft[])[Number(part)];
    else if (isDraftObject(at)) at = Object.hasOwn(at, part) ? at[part] : undefined;
    else return false;
    if (at === undefined) return false;
  }
  return true;
}
