/** Made-up runs, to look at the panels and to test them. */

import type { Call, Counts, Header, Question, RunView, ToolCallQuestion } from '../src/protocol';

export const T0 = Date.UTC(2026, 10, 22, 9, 30, 0);

export function call(id: string, over: Partial<Call> = {}): Call {
  return {
    id,
    parent: '',
    name: 'fetch',
    args: `'${id}'`,
    status: 'finished',
    called_at: T0,
    started_at: T0,
    ended_at: T0 + 1_000,
    attempts: 1,
    cached: false,
    replayed: false,
    why: '',
    result: '{"rows": 344}',
    error: '',
    ...over,
  };
}

export function countsOf(calls: readonly Call[]): Counts {
  const of = (status: Call['status']): number =>
    calls.filter((one) => one.status === status).length;
  return {
    calls: calls.length,
    waiting: of('waiting'),
    running: of('running'),
    finished: of('finished'),
    failed: of('failed'),
    interrupted: of('interrupted'),
    dropped: of('dropped'),
    replayed: calls.filter((one) => one.replayed).length,
    cached: calls.filter((one) => one.cached).length,
  };
}

export function view(over: Partial<RunView> = {}): RunView {
  const calls = over.calls ?? [];
  return {
    v: 1,
    workflow: 'review_penguins',
    thread_id: 'penguins',
    run_id: '01979c2e-4b7a-7c31-9f55-6f0d2ac1b0e4',
    status: 'running',
    started_at: T0,
    resumed_at: T0,
    ended_at: null,
    now: T0 + 8_000,
    live: true,
    counts: countsOf(calls),
    stream_total: over.stream?.length ?? 0,
    stream_cut: 0,
    questions: [],
    result: null,
    error: null,
    store: 'Kept in .nbflow/00-start.duckdb',
    notes: [],
    code: { show: 'nbflow.show("penguins")', stop: 'nbflow.cancel("penguins")' },
    calls,
    stream: [],
    ...over,
  };
}

/** A view without its calls and its stream. */
export function headerOf(whole: RunView): Header {
  const left = new Set(['v', 'calls', 'stream']);
  return Object.fromEntries(
    Object.entries(whole).filter(([key]) => !left.has(key)),
  ) as unknown as Header;
}

export function toolCall(over: Partial<ToolCallQuestion> = {}): ToolCallQuestion {
  return {
    id: 'q1',
    kind: 'tool_call',
    source: 'propose_repair',
    asked_at: T0 + 9_000,
    text: 'Is this correct?',
    description: '',
    answered: false,
    note: '',
    code: 'nbflow.resume("penguins", {"q1": {"action": "continue"}})',
    tool: 'set_body_mass',
    args: {
      record: 17,
      mass_g: 4200,
      reason: 'The scale was read in ounces.',
      flags: ['mass', 'unit'],
      dry_run: false,
    },
    schema: {
      type: 'object',
      properties: {
        record: { type: 'integer', description: 'Row of the data frame.' },
        mass_g: { type: 'number' },
        reason: { type: 'string' },
        flags: { type: 'array', items: { type: 'string' } },
        dry_run: { type: 'boolean' },
        note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      },
      required: ['record', 'mass_g'],
    },
    malformed: '',
    allow: ['accept', 'edit', 'respond', 'ignore'],
    ...over,
  };
}

const ISLANDS = ['Biscoe', 'Dream', 'Torgersen'];

function work(): Call[] {
  const calls = [
    call('load', {
      name: 'load_penguins',
      args: '',
      called_at: T0 + 40,
      started_at: T0 + 45,
      ended_at: T0 + 900,
      result: 'DataFrame 344 x 8',
      replayed: true,
    }),
    ...ISLANDS.map((island, i) =>
      call(`s${i}`, {
        name: 'summarise',
        args: `island='${island}', columns=['bill_length_mm', 'bill_depth_mm', 'flipper_length_mm']`,
        called_at: T0 + 950,
        started_at: T0 + 960 + i * 700,
        ended_at: T0 + 3_000 + i * 900,
        cached: i === 0,
      }),
    ),
    call('f0', {
      name: 'find_doubtful',
      args: 'frame=DataFrame 344 x 8',
      called_at: T0 + 3_100,
      started_at: T0 + 3_150,
      ended_at: T0 + 6_200,
      why: 'code',
      result: '[17, 92, 201]',
    }),
    ...[17, 92, 201].map((record, i) =>
      call(`p${i}`, {
        parent: 'f0',
        name: 'propose_repair',
        args: `record=${record}`,
        called_at: T0 + 3_400,
        started_at: T0 + 3_420 + i * 600,
        ended_at: T0 + 4_500 + i * 500,
        attempts: i === 1 ? 3 : 1,
      }),
    ),
  ];
  return calls;
}

const stream = [
  ['load_penguins', '344 rows from 3 islands'],
  ['find_doubtful', 'checking bill_length_mm against species'],
  ['find_doubtful', 'record 17: 9.2 standard deviations'],
  ['propose_repair', 'asking the model for record 17'],
  ['propose_repair', 'asking the model for record 92\n  retry 1: timeout\n  retry 2: timeout'],
  ['', '3 repairs proposed'],
].map(([source = '', text = ''], n) => ({ n, at: T0 + 1_000 + n * 900, source, text }));

const questions: Question[] = [
  toolCall(),
  toolCall({
    id: 'q2',
    text: 'Shall this record be taken out?',
    tool: 'drop_record',
    args: {
      record: 92,
      because: { rule: 'duplicate', of: [91, 92], score: 0.98 },
      keep_copy: null,
    },
    schema: {},
    allow: ['accept', 'respond', 'ignore'],
    description:
      'It has the same values as record 91 in seven of eight columns.\nThe island differs.',
  }),
  {
    id: 'q3',
    kind: 'choice',
    source: '',
    asked_at: T0 + 9_100,
    text: 'Publish the repaired table?',
    description: '',
    answered: false,
    note: '',
    code: 'nbflow.resume("penguins", {"q3": True})',
    choices: [
      { label: 'Yes', value: true },
      { label: 'No', value: false },
    ],
  },
];

const interrupted = (): RunView => {
  const calls = [
    ...work(),
    ...['q1', 'q2'].map((_, i) =>
      call(`r${i}`, {
        name: 'review_repair',
        args: `record=${[17, 92][i]}`,
        status: 'interrupted',
        called_at: T0 + 6_300,
        started_at: T0 + 6_310,
        ended_at: T0 + 6_340,
        result: '',
        attempts: 1,
      }),
    ),
  ];
  return view({
    status: 'interrupted',
    calls,
    stream,
    questions,
    now: T0 + 9_500,
    counts: countsOf(calls),
    code: { show: 'nbflow.show("penguins")', resume: 'nbflow.resume("penguins", {...})' },
  });
};

export const SAMPLES: Record<string, () => RunView> = {
  running: () => {
    const now = Date.now();
    const shift = now - (T0 + 8_000);
    const calls = [
      ...work(),
      call('a1', {
        name: 'plot',
        args: "kind='scatter'",
        status: 'running',
        called_at: T0 + 6_300,
        started_at: T0 + 6_400,
        ended_at: null,
        result: '',
      }),
      call('a2', {
        name: 'plot',
        args: "kind='hist'",
        status: 'waiting',
        called_at: T0 + 6_300,
        started_at: null,
        ended_at: null,
        result: '',
      }),
      call('a3', {
        name: 'check_units',
        args: "column='body_mass_g'",
        status: 'running',
        called_at: T0 + 6_350,
        started_at: T0 + 6_900,
        ended_at: null,
        result: '',
      }),
    ].map((one) => ({
      ...one,
      called_at: one.called_at + shift,
      started_at: one.started_at === null ? null : one.started_at + shift,
      ended_at: one.ended_at === null ? null : one.ended_at + shift,
    }));
    return view({
      calls,
      started_at: T0 + shift,
      resumed_at: T0 + shift,
      now,
      stream: stream.map((item) => ({ ...item, at: item.at + shift })),
      stream_total: 6,
    });
  },
  interrupted,
  failed: () => {
    const calls = [
      ...work(),
      call('x1', {
        name: 'fit_model',
        args: "formula='body_mass_g ~ species'",
        status: 'failed',
        called_at: T0 + 6_300,
        started_at: T0 + 6_310,
        ended_at: T0 + 7_800,
        attempts: 2,
        result: '',
        error: "ValueError: could not convert string to float: 'n/a'",
      }),
      call('x2', {
        name: 'plot',
        args: "kind='hist'",
        status: 'dropped',
        called_at: T0 + 6_310,
        started_at: null,
        ended_at: null,
        result: '',
      }),
    ];
    return view({
      status: 'failed',
      calls,
      stream,
      ended_at: T0 + 7_850,
      notes: ['5 finished calls are kept: Continue, or running the cell again, goes on from here.'],
      error: {
        text: "ValueError: could not convert string to float: 'n/a'",
        trace:
          'Cell In[4], line 12, in fit_model(frame, formula)\n     10     y = frame["body_mass_g"]\n     11     x = dummies(frame["species"])\n---> 12     return lstsq(x, y.astype(float))',
      },
      code: { continue: 'nbflow.resume("penguins")', show: 'nbflow.show("penguins")' },
    });
  },
  finished: () => {
    const hours = 26 * 3_600_000;
    const calls = [
      ...work(),
      call('r0', {
        name: 'review_repair',
        args: 'record=17',
        called_at: T0 + hours,
        started_at: T0 + hours + 5,
        ended_at: T0 + hours + 30,
        why: 'answered',
        result: "{'action': 'continue'}",
      }),
      call('r1', {
        name: 'apply',
        args: "record=17, mass_g=4200.0, reason='<img src=x onerror=alert(1)>'",
        called_at: T0 + hours + 60,
        started_at: T0 + hours + 80,
        ended_at: T0 + hours + 1_900,
        why: 'new',
      }),
      call('r2', {
        name: 'plot',
        args: "kind='scatter'",
        called_at: T0 + hours + 60,
        started_at: T0 + hours + 600,
        ended_at: T0 + hours + 3_100,
        why: 'new',
        result: 'Figure 640 x 480',
      }),
    ];
    return view({
      status: 'finished',
      calls,
      stream,
      live: false,
      resumed_at: T0 + hours,
      ended_at: T0 + hours + 3_200,
      now: T0 + hours + 3_200,
      result: "{'repaired': 3, 'rows': 344, 'mean_body_mass_g': 4201.7}",
      code: { show: 'nbflow.show("penguins")' },
    });
  },
  answered: () => {
    const whole = interrupted();
    return {
      ...whole,
      questions: whole.questions.map((question) => ({
        ...question,
        answered: true,
        note: "Run the cell that defines 'review_penguins': then it goes on.",
      })),
    };
  },
  schema: () =>
    view({
      status: 'interrupted',
      calls: work(),
      questions: [
        {
          id: 's1',
          kind: 'schema',
          source: 'ask',
          asked_at: T0 + 8_000,
          text: 'Who signs the report?',
          description: '',
          answered: false,
          note: '',
          code: 'nbflow.resume(...)',
          schema: {
            type: 'object',
            properties: {
              name: { type: 'string', description: 'As it shall be printed.' },
              role: { enum: ['author', 'reviewer', 'editor'] },
              share: { type: 'number', default: 0.5 },
              contact: {
                type: 'object',
                properties: {
                  mail: { type: 'string', format: 'email' },
                  phone: { anyOf: [{ type: 'string' }, { type: 'null' }] },
                },
                required: ['mail', 'phone'],
              },
              tags: { type: 'array', items: { type: 'string' }, default: ['draft'] },
            },
            required: ['name', 'role', 'share', 'contact', 'tags'],
          },
        },
        {
          id: 's2',
          kind: 'text',
          source: '',
          asked_at: T0 + 8_000,
          text: 'What shall the title be?',
          description: '',
          answered: false,
          note: '',
          code: 'nbflow.resume(...)',
        },
      ],
    }),
  large: () => {
    const calls = Array.from({ length: 50_000 }, (_, i) =>
      call(`c${i}`, {
        name: i % 7 === 0 ? 'parse' : 'fetch',
        args: `page=${i}`,
        status: i % 997 === 0 ? 'failed' : 'finished',
        error: i % 997 === 0 ? 'TimeoutError' : '',
        called_at: T0 + i * 10,
        started_at: T0 + i * 10 + (i % 30),
        ended_at: T0 + i * 10 + 400 + (i % 90),
      }),
    );
    const items = Array.from({ length: 10_000 }, (_, n) => ({
      n,
      at: T0 + n * 50,
      source: 'fetch',
      text: `page ${n} has ${n * 3} links`,
    }));
    return view({ calls, stream: items, stream_total: 10_000, now: T0 + 500_500 });
  },
};
