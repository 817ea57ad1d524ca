import { act, fireEvent, render, screen, within } from '@testing-library/preact';
import { expect, test, vi } from 'vitest';

import { call, countsOf, SAMPLES, T0, view } from '../dev/sample';
import { RunPanel, type RunPanelProps } from '../src/view/panel';
import type { RunView } from '../src/protocol';
import { WordsContext } from '../src/view/words';

const actions = (): NonNullable<RunPanelProps['actions']> => ({
  answer: vi.fn(),
  stop: vi.fn(),
  goOn: vi.fn(),
});

function panel(made: RunView, over: Partial<RunPanelProps> = {}): ReturnType<typeof render> {
  return render(
    <RunPanel
      view={made}
      skew={0}
      line="live"
      refusals={new Map()}
      actions={actions()}
      {...over}
    />,
  );
}

const sample = (name: string): RunView => (SAMPLES[name] as () => RunView)();

test('the documented names find every part', () => {
  panel(sample('interrupted'));

  const region = screen.getByRole('region', { name: 'Workflow run review_penguins' });
  expect(within(region).getByRole('status', { name: 'Run status' }).textContent).toBe(
    'Interrupted',
  );
  expect(within(region).getByRole('list', { name: 'Tasks' })).toBeTruthy();
  const [form] = within(region).getAllByRole('form', { name: 'Question' });
  for (const name of ['Accept', 'Edit', 'Respond', 'Ignore', 'Copy as code']) {
    expect(within(form as HTMLElement).getByRole('button', { name })).toBeTruthy();
  }
});

test('a running run offers Stop, a failed one Continue, a finished one neither', () => {
  const names = (name: string): string[] => {
    const { unmount } = panel(sample(name));
    const found = ['Stop', 'Continue'].filter(
      (button) => screen.queryByRole('button', { name: button }) !== null,
    );
    unmount();
    return found;
  };

  expect(names('running')).toEqual(['Stop']);
  expect(names('failed')).toEqual(['Continue']);
  expect(names('finished')).toEqual([]);
  expect(names('interrupted')).toEqual([]);
  expect(names('answered')).toEqual(['Continue']);
});

test('a run that only the store knows as running can be continued, not stopped', () => {
  panel({ ...sample('running'), live: false });

  expect(screen.queryByRole('button', { name: 'Stop' })).toBeNull();
  expect(screen.getByRole('button', { name: 'Continue' })).toBeTruthy();
});

test('Stop says where to press if the kernel does not hear it', () => {
  vi.useFakeTimers();
  const given = actions();
  panel(sample('running'), { actions: given });

  fireEvent.click(screen.getByRole('button', { name: 'Stop' }));
  act(() => void vi.advanceTimersByTime(2_100));

  expect(given.stop).toHaveBeenCalledTimes(1);
  expect(screen.getByText(/the notebook’s own ■/)).toBeTruthy();
  vi.useRealTimers();
});

test('elapsed time ticks while it runs, in the kernel’s time', () => {
  vi.useFakeTimers({ now: T0 + 100_000 });
  panel(view({ calls: [], now: T0 + 8_000 }), { skew: -92_000 });

  const before = screen.getByText('8 s');
  act(() => void vi.advanceTimersByTime(3_100));

  expect(before.textContent).toBe('11 s');
  vi.useRealTimers();
});

test('a stored picture does not tick', () => {
  vi.useFakeTimers({ now: T0 });
  panel({ ...sample('finished') }, { line: 'stored', actions: null });

  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('what data says is shown as text, whatever it looks like', () => {
  const evil = '<img src=x onerror="globalThis.pwned=1">';
  const { container } = panel(
    view({
      workflow: evil,
      calls: [call('a', { name: evil, args: evil, result: evil })],
      stream: [{ n: 0, at: T0, source: evil, text: evil }],
      stream_total: 1,
      questions: [
        {
          id: 'q',
          kind: 'text',
          source: evil,
          asked_at: T0,
          text: evil,
          description: evil,
          answered: false,
          note: evil,
          code: evil,
        },
      ],
      result: evil,
      error: { text: evil, trace: evil },
      notes: [evil],
      store: evil,
    }),
  );
  fireEvent.click(container.querySelector('.nbf-task') as HTMLElement);

  expect(container.querySelector('img')).toBeNull();
  expect(container.textContent?.split(evil).length).toBeGreaterThan(11);
});

test('of fifty thousand rows only those in sight are in the page', () => {
  const { container } = panel(sample('large'));

  expect(container.querySelectorAll('.nbf-row').length).toBeLessThan(60);
  expect(screen.getAllByRole('listitem')[0]?.getAttribute('aria-setsize')).toBe('50000');
});

test('of ten thousand stream items only those in sight are in the page', () => {
  const { container } = panel(sample('large'));

  expect(container.querySelectorAll('.nbf-line').length).toBeLessThan(60);
});

test('items of the stream that were left out are counted where they are missing', () => {
  panel(
    view({
      stream: [
        { n: 4, at: T0, source: '', text: 'a' },
        { n: 9, at: T0, source: '', text: 'b' },
      ],
      stream_total: 10,
    }),
  );

  expect(screen.getAllByText(/left out/).map((one) => one.textContent)).toEqual([
    '4 items left out',
    '4 items left out',
  ]);
});

test('failures come first on demand', () => {
  const { container } = panel(sample('failed'));

  fireEvent.click(screen.getByRole('button', { name: 'Failures first' }));

  expect(container.querySelector('.nbf-name')?.textContent).toBe('fit_model');
});

test('the keyboard moves through the rows and opens them', async () => {
  const { container } = panel(sample('failed'));
  const rows = [...container.querySelectorAll('.nbf-task')] as HTMLElement[];
  rows[0]?.focus();

  fireEvent.keyDown(rows[0] as HTMLElement, { key: 'ArrowDown' });
  await act(() => new Promise((resolve) => requestAnimationFrame(() => resolve(undefined))));
  fireEvent.click(document.activeElement as HTMLElement);

  expect(document.activeElement).toBe(rows[1]);
  expect(rows[1]?.getAttribute('aria-expanded')).toBe('true');
  expect(rows.map((row) => row.tabIndex).filter((at) => at === 0)).toHaveLength(1);
});

test('an opened row offers the fork that starts before its call, as code', async () => {
  const clipboard = vi.spyOn(navigator.clipboard, 'writeText').mockResolvedValueOnce();
  const run = sample('finished');
  const { container } = panel(run, { actions: null, line: 'stored' });

  fireEvent.click(container.querySelector('.nbf-task') as HTMLElement);
  fireEvent.click(screen.getByRole('button', { name: 'Copy as code: again from here on' }));
  await screen.findByText('Copied');

  const [runId, callId] = [run.run_id.slice(0, 8), run.calls[0]?.id.slice(0, 12)];
  expect(clipboard).toHaveBeenCalledWith(`nbflow.fork("${runId}", before="${callId}")`);
});

test('keys pressed in the panel stay in the panel', () => {
  const heard = vi.fn();
  document.body.addEventListener('keydown', heard);
  const { container } = panel(sample('running'));

  fireEvent.keyDown(container.querySelector('.nbf-task') as HTMLElement, { key: 'd' });

  expect(heard).not.toHaveBeenCalled();
  expect(container.querySelector('.nbf-panel')?.getAttribute('data-lm-suppress-shortcuts')).toBe(
    'true',
  );
  document.body.removeEventListener('keydown', heard);
});

test('a gone kernel disables what needs it and says so', () => {
  panel(sample('running'), { line: 'gone' });

  expect((screen.getByRole('button', { name: 'Stop' }) as HTMLButtonElement).disabled).toBe(true);
  expect(screen.getByText(/kernel that drew this is gone/)).toBeTruthy();
});

test('a refused command is shown as text', () => {
  panel(sample('failed'), {
    refusals: new Map([['continue', [{ field: '', text: 'Run the cell first.' }]]]),
  });

  expect(screen.getByText('Run the cell first.')).toBeTruthy();
});

test('code is copied, and shown where it can’t be', async () => {
  const { container } = panel(view({ code: { show: 'nbflow.show("t")' } }));
  const button = screen.getByRole('button', { name: 'Copy as code' });
  const clipboard = vi.spyOn(navigator.clipboard, 'writeText');

  clipboard.mockResolvedValueOnce();
  fireEvent.click(button);
  expect(await screen.findByText('Copied')).toBeTruthy();
  clipboard.mockRejectedValueOnce(new Error('denied'));
  fireEvent.click(button);
  await vi.waitFor(() =>
    expect(container.querySelector('textarea')?.value).toBe('nbflow.show("t")'),
  );

  expect(clipboard).toHaveBeenCalledWith('nbflow.show("t")');
});

test('words come from the translator where there is one', () => {
  render(
    <WordsContext.Provider value={{ __: (text) => `«${text}»`, _n: (_one, many) => `«${many}»` }}>
      <RunPanel
        view={view({ calls: [call('a')], counts: countsOf([call('a')]) })}
        skew={0}
        line="stored"
        refusals={new Map()}
        actions={null}
      />
    </WordsContext.Provider>,
  );

  expect(screen.getByRole('status', { name: '«Run status»' }).textContent).toBe('«Running»');
});

test('a long pause at the end of the axis has its label to itself', () => {
  const later = T0 + 3_600_000;
  const calls = [
    call('a', { ended_at: T0 + 20_000 }),
    call('b', { called_at: later, started_at: later, ended_at: later + 1_000 }),
  ];
  const { container } = panel(
    view({
      calls,
      status: 'finished',
      resumed_at: later,
      ended_at: later + 1_000,
      now: later + 1_000,
    }),
  );

  expect(container.querySelector('.nbf-scale-break')).toBeTruthy();
  expect(container.querySelector('.nbf-scale-end')).toBeNull();
});
