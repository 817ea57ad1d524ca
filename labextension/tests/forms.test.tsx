import { fireEvent, render, screen, within } from '@testing-library/preact';
import { expect, test, vi } from 'vitest';

import { T0, toolCall, view } from '../dev/sample';
import type { Question, ToolCallQuestion } from '../src/protocol';
import { RunPanel, type RunPanelProps } from '../src/view/panel';
import type { Problem } from '../src/view/types';

interface Shown {
  sent: { id: string; answer: unknown; json: string }[];
  /** Draw again, with other questions or refusals. */
  again: (questions: Question[], refusals?: RunPanelProps['refusals']) => void;
}

function show(questions: Question[], over: Partial<RunPanelProps> = {}): Shown {
  const sent: Shown['sent'] = [];
  const actions = {
    answer: (id: string, answer: unknown, json: string) => sent.push({ id, answer, json }),
    stop: vi.fn(),
    goOn: vi.fn(),
  };
  const drawn = (
    asked: Question[],
    refusals: RunPanelProps['refusals'] = new Map(),
  ): ReturnType<typeof RunPanel> => (
    <RunPanel
      view={view({ status: 'interrupted', questions: asked })}
      skew={0}
      line="live"
      refusals={refusals}
      actions={actions}
      {...over}
    />
  );
  const { rerender } = render(drawn(questions));
  return { sent, again: (asked, refusals) => rerender(drawn(asked, refusals)) };
}

const button = (name: string): HTMLButtonElement =>
  screen.getByRole('button', { name }) as HTMLButtonElement;
const field = (name: string): HTMLInputElement => screen.getByLabelText(name) as HTMLInputElement;
const press = (name: string): void => void fireEvent.click(button(name));
const type = (name: string, value: string): void =>
  void fireEvent.input(field(name), { target: { value } });
const refusal = (...problems: Problem[]): RunPanelProps['refusals'] => new Map([['q1', problems]]);

function base(over: Partial<Question> = {}): Question {
  return {
    id: 'q1',
    kind: 'text',
    source: '',
    asked_at: T0,
    text: 'Why?',
    description: '',
    answered: false,
    note: '',
    code: '',
    ...over,
  } as Question;
}

test('Accept sends the how-to’s word and shows that it was sent', () => {
  const { sent } = show([toolCall()]);

  press('Accept');

  expect(sent).toEqual([
    { id: 'q1', answer: { action: 'continue' }, json: '{"action": "continue"}' },
  ]);
  expect(screen.getByText('Sent')).toBeTruthy();
  expect(button('Accept').disabled).toBe(true);
});

test('Ignore sends its word', () => {
  const { sent } = show([toolCall()]);

  press('Ignore');

  expect(sent[0]?.answer).toEqual({ action: 'ignore' });
});

test('Edit sends all arguments, numbers as numbers and what was not touched as it was', () => {
  const { sent } = show([toolCall()]);

  press('Edit');
  type('record', '18');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ action: 'update', data: { ...toolCall().args, record: 18 } });
});

test('numbers that a page can’t hold come back as they were sent', () => {
  const exact = '{"id": 12345678901234567890, "share": 3.0, "name": "x"}';
  const args = JSON.parse(exact) as ToolCallQuestion['args'];
  const { sent } = show([toolCall({ args, args_json: exact, schema: {} })]);

  const shown = screen.getByText('12345678901234567890');
  press('Edit');
  type('name', 'y');
  press('Send answer');

  expect(shown).toBeTruthy();
  expect(sent[0]?.json).toBe(
    '{"action": "update", "data": {"id": 12345678901234567890, "share": 3.0, "name": "y"}}',
  );
});

test('3 stays 3 and 3.0 becomes 3.0, as typed', () => {
  const { sent } = show([
    toolCall({ args: { n: 3 }, schema: { properties: { n: { type: 'number' } } } }),
  ]);

  press('Edit');
  type('n', '3.0');
  press('Send answer');

  expect(sent[0]?.json).toContain('"n": 3.0}');
  expect(sent[0]?.answer).toEqual({ action: 'update', data: { n: 3 } });
});

test('each type has its field and keeps its type', () => {
  const schema = {
    type: 'object',
    properties: {
      text: { type: 'string' },
      lines: { type: 'string', format: 'multiline' },
      whole: { type: 'integer' },
      yes: { type: 'boolean' },
      one: { enum: ['a', 'b'] },
      maybe: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      list: { type: 'array', items: { type: 'integer' } },
      inner: { type: 'object', properties: { deep: { type: 'string' } } },
    },
  };
  const args = {
    text: 'a',
    lines: 'b\nc',
    whole: 1,
    yes: false,
    one: 'a',
    maybe: null,
    list: [1],
    inner: { deep: 'd' },
  };
  const { sent } = show([toolCall({ args, schema })]);

  press('Edit');
  type('text', 'A');
  type('lines', 'B\nC');
  type('whole', '2');
  fireEvent.click(field('yes'));
  fireEvent.change(field('one'), { target: { value: '1' } });
  fireEvent.change(screen.getByLabelText('Type'), { target: { value: '0' } });
  type('maybe', 'M');
  type('[0]', '7');
  press('Add item');
  type('[1]', '8');
  type('deep', 'D');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({
    action: 'update',
    data: {
      text: 'A',
      lines: 'B\nC',
      whole: 2,
      yes: true,
      one: 'b',
      maybe: 'M',
      list: [7, 8],
      inner: { deep: 'D' },
    },
  });
});

test('a cleared text stays an empty text, and an argument is left out only by taking it out', () => {
  const { sent } = show([toolCall({ args: { a: 'x', b: 'y' }, schema: {} })]);

  press('Edit');
  type('a', '');
  fireEvent.click(screen.getAllByRole('button', { name: 'Remove' })[1] as HTMLElement);
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ action: 'update', data: { a: '' } });
});

test('an argument that is not what its schema says keeps its own type', () => {
  const { sent } = show([
    toolCall({
      args: { n: 'three', m: 1 },
      schema: { properties: { n: { type: 'integer' }, m: { type: 'integer' } } },
    }),
  ]);

  press('Edit');
  type('n', 'four');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ action: 'update', data: { n: 'four', m: 1 } });
});

test('defaults of a schema are not put into a proposal', () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'string', default: 'z' } },
  };
  const { sent } = show([toolCall({ args: { a: 1 }, schema })]);

  press('Edit');
  type('a', '2');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ action: 'update', data: { a: 2 } });
});

test('what an edit changes is shown before it is sent', () => {
  show([toolCall({ args: { a: 3, b: 'x' }, schema: {} })]);

  press('Edit');
  type('a', '4');

  expect(screen.getByRole('group', { name: 'Changes' }).textContent).toBe('a3→4');
});

test('an edit that changes nothing is not sent where it could be accepted', () => {
  show([toolCall()]);

  press('Edit');

  expect(button('Send answer').disabled).toBe(true);
  expect(screen.getByText('Nothing was changed yet.')).toBeTruthy();
});

test('what is no number is not sent, and its field says so', () => {
  const { sent } = show([toolCall()]);

  press('Edit');
  type('record', 'many');
  press('Send answer');

  expect(sent).toEqual([]);
  expect(field('record').getAttribute('aria-invalid')).toBe('true');
  expect(screen.getByText(/not a whole number/)).toBeTruthy();
});

test('any arguments can be edited as JSON, and a mistake in it is shown', () => {
  const { sent } = show([toolCall({ args: { odd: [1, { a: null }] }, schema: {} })]);

  press('Edit');
  press('Edit as JSON');
  type('JSON', '{"odd": [1, ');
  const shown = screen.getByText(/not JSON/);
  press('Send answer');
  type('JSON', '{"odd": [2.50]}');
  press('Send answer');

  expect(shown).toBeTruthy();
  expect(sent.map(({ json }) => json)).toEqual(['{"action": "update", "data": {"odd": [2.50]}}']);
});

test('Respond sends a message on the tool’s behalf', () => {
  const { sent } = show([toolCall()]);

  press('Respond');
  type('Answer on behalf of set_body_mass', 'Weigh it again.');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ action: 'feedback', data: 'Weigh it again.' });
});

test('only what the question allows is offered', () => {
  show([toolCall({ allow: ['edit', 'respond'] })]);

  expect(
    ['Accept', 'Edit', 'Respond', 'Ignore'].filter((name) =>
      screen.queryByRole('button', { name }),
    ),
  ).toEqual(['Edit', 'Respond']);
});

test('malformed arguments can’t be accepted or edited', () => {
  show([toolCall({ malformed: "args is a list, not an object: ['a']" })]);

  expect(
    ['Accept', 'Edit', 'Respond', 'Ignore'].filter((name) =>
      screen.queryByRole('button', { name }),
    ),
  ).toEqual(['Respond', 'Ignore']);
  expect(screen.getByText(/args is a list/)).toBeTruthy();
});

test('a refused edit opens again with the problem at its field and what was typed', () => {
  const { sent, again } = show([toolCall()]);
  press('Edit');
  type('record', '999');
  press('Send answer');

  again([toolCall()], refusal({ field: 'record', text: 'is 999; there are 344 records' }));
  const shown = field('record');
  const about = document.getElementById(shown.getAttribute('aria-describedby') ?? '')?.textContent;
  type('record', '19');
  press('Send answer');

  expect(about).toContain('there are 344 records');
  expect(sent.map(({ answer }) => (answer as { data: { record: number } }).data.record)).toEqual([
    999, 19,
  ]);
});

test('the same refusal twice opens the form twice', () => {
  const { sent, again } = show([base()]);
  type('Answer', 'a');
  press('Send answer');
  again([base()], refusal({ field: '', text: 'no' }));
  press('Send answer');

  again([base()], refusal({ field: '', text: 'no' }));
  press('Send answer');

  expect(sent).toHaveLength(3);
});

test('an answered question shows what has to be done and takes no second answer', () => {
  show([toolCall({ answered: true, note: "Run the cell that defines 'review'." })]);

  expect(screen.getByText(/Run the cell that defines 'review'\./)).toBeTruthy();
  expect(screen.queryByRole('button', { name: 'Accept' })).toBeNull();
});

test('a plain question is answered by its text', () => {
  const { sent } = show([base()]);

  type('Answer', 'Because.');
  fireEvent.keyDown(field('Answer'), { key: 'Enter' });

  expect(sent).toEqual([{ id: 'q1', answer: 'Because.', json: '"Because."' }]);
});

test('Shift+Enter and an input method’s Enter send nothing', () => {
  const { sent } = show([base()]);

  type('Answer', 'Bec');
  fireEvent.keyDown(field('Answer'), { key: 'Enter', shiftKey: true });
  fireEvent.keyDown(field('Answer'), { key: 'Enter', isComposing: true });

  expect(sent).toEqual([]);
});

test('a choice sends its value, not its label', () => {
  const choices = [
    { label: 'Yes', value: true },
    { label: 'Later', value: { in_days: 2 } },
  ];
  const { sent } = show([base({ kind: 'choice', choices } as Partial<Question>)]);

  press('Later');

  expect(sent[0]?.answer).toEqual({ in_days: 2 });
});

test('a typed form sends an object of the schema’s types', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string' },
      share: { type: 'number', default: 0.5 },
      note: { type: 'string' },
    },
    required: ['name', 'share'],
  };
  const { sent } = show([base({ kind: 'schema', schema } as Partial<Question>)]);

  type('name', 'Ada');
  press('Add note');
  type('note', 'x');
  press('Send answer');

  expect(sent[0]?.answer).toEqual({ name: 'Ada', share: 0.5, note: 'x' });
});

test('a typed answer that is no object has one field', () => {
  const { sent } = show([
    base({ kind: 'schema', schema: { type: 'integer' } } as Partial<Question>),
  ]);

  type('answer', '12');
  fireEvent.keyDown(field('answer'), { key: 'Enter', ctrlKey: true });

  expect(sent[0]?.answer).toBe(12);
});

test('Enter in a field of an edit does not send it', () => {
  const { sent } = show([toolCall()]);
  press('Edit');
  type('record', '18');

  const went = fireEvent.keyDown(field('record'), { key: 'Enter' });

  expect(went).toBe(false);
  expect(sent).toEqual([]);
});

test('pasted lines make a field of several lines', () => {
  show([toolCall({ args: { reason: 'a' }, schema: {} })]);
  press('Edit');

  fireEvent.paste(field('reason'), { clipboardData: { getData: () => 'one\ntwo' } });

  expect(field('reason').tagName).toBe('TEXTAREA');
  expect(field('reason').value).toContain('one\ntwo');
});

test('each of several questions has its own form and its own answer', () => {
  const { sent } = show([toolCall(), toolCall({ id: 'q2' }), base({ id: 'q3' })]);
  const forms = screen.getAllByRole('form', { name: 'Question' });

  fireEvent.click(within(forms[1] as HTMLElement).getByRole('button', { name: 'Accept' }));

  expect(forms).toHaveLength(3);
  expect(sent.map(({ id }) => id)).toEqual(['q2']);
  expect(
    (within(forms[0] as HTMLElement).getByRole('button', { name: 'Accept' }) as HTMLButtonElement)
      .disabled,
  ).toBe(false);
});

test('what is being typed survives the pictures that come meanwhile', () => {
  const { again } = show([toolCall()]);
  press('Edit');
  type('record', '18');

  again([toolCall()]);

  expect(field('record').value).toBe('18');
});

test('where nothing can be sent the question can be read and its code copied', () => {
  show([toolCall({ code: 'nbflow.resume(...)' })], { actions: null, line: 'stored' });

  expect(screen.queryByRole('button', { name: 'Accept' })).toBeNull();
  expect(screen.getByText('set_body_mass')).toBeTruthy();
  expect(
    within(screen.getByRole('form')).getByRole('button', { name: 'Copy as code' }),
  ).toBeTruthy();
});
